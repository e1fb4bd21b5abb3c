"""Kinds of NAT and firewall as nftables rules, in the words of RFC 4787.

A router has its outside on device "wan" and its inside on "lan".
"""
# Unsolicited packets to the router itself vanish, as on most home routers; without this an early
# packet of a hole punch would leave a connection-tracking entry that spoils the port.
QUIET = 'chain input { type filter hook input priority 0; policy accept; iifname "wan" ct state new drop; }'
# Only what belongs to a connection from inside may enter: address and port dependent filtering.
INSIDE_ONLY = """chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "lan" accept; ACCEPT }"""
# Learns outside port -> inside endpoint of each connection that leaves, and whom it went to
# (priority 110 is after the source NAT at 100).
LEARN = """map inside { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; size 65535; }
  set contacted { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 300s; size 65535; }
  chain learn { type filter hook postrouting priority 110; policy accept;
    iifname "lan" ct direction original meta l4proto tcp update @inside { tcp sport : ct original ip saddr . ct original proto-src } update @contacted { tcp sport . ip daddr }
  }"""


def _enter(*rules):
    return ("chain enter { type nat hook prerouting priority -100; policy accept;\n    "
            + "\n    ".join(rules) + "\n  }")


def _learned(which):
    return f"{which} dnat ip addr . port to tcp dport map @inside"


def _source_nat(how, *more):
    rules = "; ".join([f'oifname "wan" {how}', *more])
    return f"chain leave {{ type nat hook postrouting priority 100; policy accept; {rules}; }}"


def _forward(which, port, inside):
    return f"{which} tcp dport {port} dnat to {inside}:{port}"


def _table(*chains):
    return "flush ruleset\ntable ip lab {\n  " + "\n  ".join(chains) + "\n}\n"


def rules(kind, inside="192.168.1.2", port=44000):
    """The rule set of `kind`; `inside` and `port` are those of a port forward."""
    closed = INSIDE_ONLY.replace("ACCEPT", "")
    open_to_nat = INSIDE_ONLY.replace("ACCEPT", "ct status dnat accept;")
    masquerade = _source_nat("masquerade")
    return {
        "none": "flush ruleset\n",
        "firewall": _table(closed, QUIET),
        "port-restricted": _table(masquerade, closed, QUIET),
        "symmetric": _table(_source_nat("masquerade random"), closed, QUIET),
        # Everybody may enter by a port that was used: endpoint independent filtering.
        "full-cone": _table(LEARN, _enter(_learned('iifname "wan"')), masquerade, open_to_nat, QUIET),
        # Only addresses that were contacted, from any of their ports: address dependent filtering.
        "address-restricted": _table(LEARN, _enter(_learned('iifname "wan" tcp dport . ip saddr @contacted')),
                                     masquerade, open_to_nat, QUIET),
        "port-forward": _table(_enter(_forward('iifname "wan"', port, inside)), masquerade, open_to_nat, QUIET),
    }[kind]


def hairpin_rules(is_cone, outside, servers):
    """A NAT whose inside hosts reach each other by its `outside` address and are seen from there;
    `servers` are the ports forwarded to inside hosts. With `is_cone` a full cone, else a
    port-restricted one."""
    forwards = [_forward(f"ip daddr {outside}", port, inside) for port, inside in servers.items()]
    learned = [_learned(f"ip daddr {outside}")] if is_cone else []
    source = _source_nat("masquerade", f'iifname "lan" oifname "lan" ct status dnat snat to {outside}')
    return _table(LEARN, _enter(*forwards, *learned), source,
                  INSIDE_ONLY.replace("ACCEPT", "ct status dnat accept;"), QUIET)
