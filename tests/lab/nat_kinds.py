"""Kinds of NAT and firewall as nftables rules, in the words of RFC 4787.

A router has its outside on device "wan" and its inside on "lan".
"""
# Unsolicited packets to the router itself vanish, as on most home routers; without this an early
# packet of a hole punch would leave a connection-tracking entry that spoils the port.
QUIET = 'chain input { type filter hook input priority 0; policy accept; iifname "wan" ct state new drop; }'
# Only what belongs to a connection from inside may enter: address and port dependent filtering.
INSIDE_ONLY = """chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "lan" accept; ACCEPT }"""
# Of a server whose network lets it answer, and begin nothing.
NO_DIALS_OUT = """flush ruleset
table ip lab {
  chain out { type filter hook output priority 0; policy accept; oifname "eth0" ct state new drop; }
}
"""
# Learns outside port -> inside endpoint of each flow that leaves, and whom it went to (priority 110
# is after the source NAT at 100). TCP and UDP have ports of their own.
_LEARNED = """map inside_PROTO { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; size 65535; }
  set contacted_PROTO { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 300s; size 65535; }
  chain learn_PROTO { type filter hook postrouting priority 110; policy accept;
    iifname "lan" ct direction original meta l4proto PROTO update @inside_PROTO { PROTO sport : ct original ip saddr . ct original proto-src } update @contacted_PROTO { PROTO sport . ip daddr }
  }"""
PROTOCOLS = ("tcp", "udp")
LEARN = "\n  ".join(_LEARNED.replace("PROTO", protocol) for protocol in PROTOCOLS)


def _table6(*chains):
    return "table ip6 lab {\n  " + "\n  ".join(chains) + "\n}\n"


# Routers of IPv6 translate nothing. To be added to the rules of IPv4.
IPV6 = {
    "open": "",
    # Neighbours may ask for each other.
    "firewall": _table6(INSIDE_ONLY.replace("ACCEPT", ""), QUIET.replace("drop;", "meta l4proto { tcp, udp } drop;")),
    "dead": _table6("chain forward { type filter hook forward priority 0; policy drop; }"),
}


def _enter(*rules):
    return ("chain enter { type nat hook prerouting priority -100; policy accept;\n    "
            + "\n    ".join(rules) + "\n  }")


def _learned(which, of_contacted=False):
    """What comes to a port that was used goes to who used it; with `of_contacted` only from
    addresses that he had sent to."""
    return [f"{which} " + (f"{protocol} dport . ip saddr @contacted_{protocol} " if of_contacted else "")
            + f"dnat ip addr . port to {protocol} dport map @inside_{protocol}" for protocol in PROTOCOLS]


# One outer port for each of eight classes of remote addresses: address dependent mapping. None of them is a port
# that a probe binds to see the order (20000 to 40000), which would be kept.
_BY_ADDRESS = "\n  ".join(
    f"chain block{i} {{ meta l4proto {{ tcp, udp }} snat to OUTSIDE:{41000 + 3000 * i}-{43999 + 3000 * i}; }}"
    for i in range(8))


def _source_nat_by_address():
    jumps = ", ".join(f"0.0.0.{i} : jump block{i}" for i in range(8))
    return ("chain leave { type nat hook postrouting priority 100; policy accept; "
            f'oifname "wan" meta l4proto {{ tcp, udp }} ip daddr & 0.0.0.7 vmap {{ {jumps} }}; }}')


def _source_nat(how, *more):
    rules = "; ".join([f'oifname "wan" {how}', *more])
    return f"chain leave {{ type nat hook postrouting priority 100; policy accept; {rules}; }}"


def _forward(which, port, inside):
    return f"{which} meta l4proto {{ tcp, udp }} th dport {port} dnat to {inside}:{port}"


def _table(*chains):
    return "flush ruleset\ntable ip lab {\n  " + "\n  ".join(chains) + "\n}\n"


def rules(kind, inside="192.168.1.2", port=44000, outside="1.2.3.101"):
    """The rule set of `kind`; `inside` and `port` are those of a port forward, `outside` is the
    router's address on "wan"."""
    closed = INSIDE_ONLY.replace("ACCEPT", "")
    open_to_nat = INSIDE_ONLY.replace("ACCEPT", "ct status dnat accept;")
    masquerade = _source_nat("masquerade")
    return {
        "none": "flush ruleset\n",
        "firewall": _table(closed, QUIET),
        "port-restricted": _table(masquerade, closed, QUIET),
        "symmetric": _table(_source_nat("masquerade random"), closed, QUIET),
        # Everybody may enter by a port that was used: endpoint independent filtering.
        "full-cone": _table(LEARN, _enter(*_learned('iifname "wan"')), masquerade, open_to_nat, QUIET),
        # Only addresses that were contacted, from any of their ports: address dependent filtering.
        "address-restricted": _table(LEARN, _enter(*_learned('iifname "wan"', True)), masquerade, open_to_nat, QUIET),
        "address-dependent": _table(_BY_ADDRESS.replace("OUTSIDE", outside), _source_nat_by_address(), closed, QUIET),
        "symmetric-fully-random": _table(_source_nat("masquerade fully-random"), closed, QUIET),
        "symmetric-open": _table(LEARN, _enter(*_learned('iifname "wan"')), _source_nat("masquerade random"),
                                 open_to_nat, QUIET),
        "udp-blocked": _table(masquerade, closed.replace('iifname "lan" accept',
                                                         'iifname "lan" meta l4proto udp drop; iifname "lan" accept'),
                              QUIET),
        # Before they are put together, which connection tracking does at -400.
        "no-fragments": _table("chain whole { type filter hook prerouting priority -450; "
                               "ip frag-off & 0x3fff != 0 drop; }", masquerade, closed, QUIET),
        "port-forward": _table(_enter(_forward('iifname "wan"', port, inside)), masquerade, open_to_nat, QUIET),
    }[kind]


def hairpin_rules(is_cone, outside, servers, reaches_clients=False):
    """A NAT whose inside hosts reach each other by its `outside` address and are seen from there;
    `servers` are the ports forwarded to inside hosts. With `is_cone` a full cone, else a
    port-restricted one, which turns around to other ports than those only if it `reaches_clients`."""
    forwards = [_forward(f"ip daddr {outside}", port, inside) for port, inside in servers.items()]
    learned = _learned(f"ip daddr {outside}") if is_cone else []
    if reaches_clients:
        learned = _learned(f'iifname "lan" ip daddr {outside}')
    source = _source_nat("masquerade", f'iifname "lan" oifname "lan" ct status dnat snat to {outside}')
    return _table(LEARN, _enter(*forwards, *learned), source,
                  INSIDE_ONLY.replace("ACCEPT", "ct status dnat accept;"), QUIET)
