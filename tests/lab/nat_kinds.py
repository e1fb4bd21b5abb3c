"""Kinds of NAT and firewall as nftables rules, in the words of RFC 4787.

A router has its outside on device "wan" and its inside on "lan".
"""
# Unsolicited packets to the router itself vanish, as on most home routers; without this an early
# packet of a hole punch would leave a connection-tracking entry that spoils the port.
QUIET = 'chain input { type filter hook input priority 0; policy accept; iifname "wan" ct state new drop; }'
# Only what belongs to a connection from inside may enter: address and port dependent filtering.
INSIDE_ONLY = """chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "lan" accept; ACCEPT }"""
# Learns outside port -> inside endpoint of each connection that leaves (priority 110 is after the
# source NAT at 100), and lets everybody in through it: endpoint independent filtering.
LEARN = """map inside { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; size 65535; }
  chain learn { type filter hook postrouting priority 110; policy accept;
    oifname "wan" ct direction original meta l4proto tcp update @inside { tcp sport : ct original ip saddr . ct original proto-src }
  }
  chain enter { type nat hook prerouting priority -100; policy accept;
    iifname "wan" dnat ip addr . port to tcp dport map @inside
  }"""


def _source_nat(how):
    return f'chain leave {{ type nat hook postrouting priority 100; policy accept; oifname "wan" {how}; }}'


def _forward(port, inside):
    return (f'chain enter {{ type nat hook prerouting priority -100; policy accept; '
            f'iifname "wan" tcp dport {port} dnat to {inside}:{port}; }}')


def _table(*chains):
    return "flush ruleset\ntable ip lab {\n  " + "\n  ".join(chains) + "\n}\n"


def rules(kind, inside="192.168.1.2", port=44000):
    """The rule set of `kind`; `inside` and `port` are those of a port forward."""
    closed = INSIDE_ONLY.replace("ACCEPT", "")
    open_to_nat = INSIDE_ONLY.replace("ACCEPT", "ct status dnat accept;")
    return {
        "none": "flush ruleset\n",
        "firewall": _table(closed, QUIET),
        "port-restricted": _table(_source_nat("masquerade"), closed, QUIET),
        "symmetric": _table(_source_nat("masquerade random"), closed, QUIET),
        "full-cone": _table(LEARN, _source_nat("masquerade"), open_to_nat, QUIET),
        "port-forward": _table(_forward(port, inside), _source_nat("masquerade"), open_to_nat, QUIET),
    }[kind]
