"""Cases of the lab with a router that opens ports when it is asked: miniupnpd in a namespace.

Each case makes its own namespaces: node - router (- carrier) - stranger. What is judged is the
table of the router, and whether a stranger reaches a port of the node through it.
"""
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from namespaces import Lab

OUTSIDE, STRANGER = "1.2.3.101", "1.2.3.20"
CARRIER_SIDE, CARRIER = "100.64.0.2", "100.64.0.1"
ROUTER, NODE, NODE_TOO = "192.168.1.1", "192.168.1.2", "192.168.1.3"
ROUTER_V6, NODE_V6, OUTSIDE_V6, STRANGER_V6 = "2a00:1::1", "2a00:1::2", "2a00:2::1", "2a00:2::20"
PORT, HTTP_PORT = 44000, 7888
UUID = "00000000-0000-0000-0000-000000000001"

# miniupnpd fills its three chains; the rest is the router's own.
RULES = """flush ruleset
table inet filter {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept;
    iifname "lan" accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; jump miniupnpd; }
  chain input { type filter hook input priority 0; policy accept; iifname "wan" ct state new meta nfproto ipv4 drop; }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd;
    oifname "wan" meta nfproto ipv4 masquerade; }
}
"""


@dataclasses.dataclass
class Outcome:
    name: str
    is_right: bool = False
    seconds: float = 0
    reason: str = ""

    def line(self):
        return f"{'ok  ' if self.is_right else 'FAIL'} {'port mapping, ' + self.name:48} {self.seconds:6.2f} s  {self.reason}"


class Home:
    """A node behind a router with miniupnpd, a stranger outside."""

    def __init__(self, lab, scratch, program, wan=OUTSIDE, protocols=("pcp", "nat-pmp", "upnp"), has_v6=False,
                 lifetimes=(60, 86400)):
        self.lab, self.scratch, self.program = lab, scratch, program
        self.wan, self.protocols, self.has_v6, self.lifetimes = wan, protocols, has_v6, lifetimes
        self.daemon = None
        for name in ("node", "router", "stranger"):
            lab.add(name)
        lab.link("node", "eth0", "router", "lan")
        lab.link("router", "wan", "stranger", "eth0")
        for name, address, device in (("router", ROUTER, "lan"), ("node", NODE, "eth0"), ("router", wan, "wan"),
                                      ("stranger", CARRIER if wan == CARRIER_SIDE else STRANGER, "eth0")):
            lab.ip(name, f"addr add {address}/24 dev {device}")
        lab.make_router("router")
        lab.ip("node", f"route add default via {ROUTER}")
        lab.ip("router", "route add 239.0.0.0/8 dev lan")
        if has_v6:
            lab.exec("router", "sysctl -qw net.ipv6.conf.all.forwarding=1")
            for name, address, device in (("router", ROUTER_V6, "lan"), ("node", NODE_V6, "eth0"),
                                          ("router", OUTSIDE_V6, "wan"), ("stranger", STRANGER_V6, "eth0")):
                lab.ip(name, f"addr add {address}/64 dev {device} nodad")
            link_local = lab.exec("router", "ip -6 -o addr show dev lan scope link").split()[3].split("/")[0]
            lab.ip("node", f"-6 route add default via {link_local} dev eth0")
            lab.ip("stranger", f"-6 route add default via {OUTSIDE_V6}")
        lab.nft("router", RULES)
        self.start_router()

    def start_router(self):
        speaks_v0 = "pcp" in self.protocols or "nat-pmp" in self.protocols
        (self.scratch / "conf").write_text("\n".join([
            "ext_ifname=wan", "listening_ip=lan", "http_port=5555", "system_uptime=no", f"uuid={UUID}",
            f"enable_natpmp={'yes' if speaks_v0 else 'no'}",
            f"enable_upnp={'yes' if 'upnp' in self.protocols else 'no'}",
            f"min_lifetime={self.lifetimes[0]}", f"max_lifetime={self.lifetimes[1]}", "secure_mode=yes", "notify_interval=60",
            "upnp_table_name=filter", "upnp_nat_table_name=filter", "upnp_forward_chain=miniupnpd",
            "upnp_nat_chain=prerouting_miniupnpd", "upnp_nat_postrouting_chain=postrouting_miniupnpd",
            "allow 1024-65535 192.168.1.0/24 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535", ""]))
        log = open(self.scratch / "miniupnpd.log", "a")
        self.daemon = self.lab.start("router", ["miniupnpd", "-d", "-f", self.scratch / "conf",
                                                "-P", self.scratch / "pid"], stdout=log, stderr=log)
        port = ":5351" if speaks_v0 else ":1900"
        wait_until(lambda: port in self.lab.exec("router", "ss -lun"), 10, "miniupnpd did not start")

    def restart_router(self):
        """As after a power failure: all rules are gone, the clock begins at 0."""
        self.lab.stop(self.daemon)
        self.lab.nft("router", RULES)
        expect(not self.is_forwarded(), "the restart kept the rules")
        self.start_router()

    def start_node(self, *more, listen=NODE):
        """On a network of its own: its verdict does not matter here."""
        family = "ip6" if ":" in listen else "ip4"
        log = open(self.scratch / "node.log", "w")
        return self.lab.start("node", [self.program, "node", "--listen-only", "--json", "-L",
                                       f"/{family}/{listen}/tcp/{PORT}", "--key", self.scratch / "node.key",
                                       *more], stdout=log, stderr=log)

    def map(self, *words):
        code, document, _ = self.traced_map(*words)
        return code, document

    def traced_map(self, *words):
        done = subprocess.run(["ip", "netns", "exec", self.lab.prefix + "node", self.program, "map", "--json",
                               "--key", str(self.scratch / "node.key"), *words], capture_output=True, text=True,
                              timeout=30)
        return done.returncode, json.loads(done.stdout), done.stderr.splitlines()

    def mapping(self):
        report = json.loads(self.lab.exec("node", f"curl -sf -m 10 http://127.0.0.1:{HTTP_PORT}/nat", check=False) or "{}")
        mappings = report.get("port_mapping", {}).get("mappings", [])
        return mappings[0] if mappings else {}

    def rules(self):
        return self.lab.exec("router", "nft list table inet filter")

    def is_forwarded(self):
        return f"dnat ip to {NODE}:{PORT}" in self.rules()

    def stranger_gets_in(self, address=OUTSIDE):
        connecting = f"import socket; socket.create_connection(('{address}', {PORT}), 1)"
        return subprocess.run(["ip", "netns", "exec", self.lab.prefix + "stranger", sys.executable, "-c", connecting],
                              stderr=subprocess.DEVNULL, timeout=30).returncode == 0


def wait_until(condition, seconds, complaint):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(complaint() if callable(complaint) else complaint)
        time.sleep(0.05)


def expect(condition, complaint):
    if not condition:
        raise AssertionError(complaint() if callable(complaint) else complaint)


def is_open(home):
    return home.mapping().get("state") in ("granted", "confirmed")


def by(protocol):
    def case(home):
        expect(not home.stranger_gets_in(), "the stranger got in before the mapping")
        node = home.start_node(*(("--port-mapping-protocol", protocol) if protocol else ()))
        wait_until(lambda: is_open(home), 30, lambda: f"no mapping: {home.mapping()}")
        mapping = home.mapping()
        expect(mapping["protocol"] == (protocol or "pcp"), f"by {mapping['protocol']}")
        expect(mapping["external"] == f"{OUTSIDE}:{PORT}", f"at {mapping['external']}")
        expect(home.is_forwarded(), "the router has no rule")
        expect(home.stranger_gets_in(), "the stranger does not get in")
        started = time.monotonic()
        home.lab.stop(node)
        took = time.monotonic() - started
        expect(not home.is_forwarded(), "the mapping is still there after the node's end")
        return f"{mapping['protocol']}: the stranger got in; taken away at the end, in {took:.1f} s"
    return case


def restarted(home):
    home.start_node()
    wait_until(lambda: is_open(home), 30, "no mapping")
    time.sleep(5)  # Its clock has to have moved by more than the RFC forgives, or a restart cannot be told.
    home.restart_router()
    started = time.monotonic()
    # By word of it, on UDP 5350: our own question would come within a minute only.
    wait_until(home.is_forwarded, 10, "the mapping was not made again")
    expect(home.stranger_gets_in(), "the stranger does not get in")
    return f"made again {time.monotonic() - started:.1f} s after the restart"


def renewed(home):
    home.start_node()
    wait_until(lambda: is_open(home), 30, "no mapping")
    code, first = home.map("add", "udp", "44777", "--lifetime", "120", "--protocol", "pcp")
    expect(code == 0, f"map add: {first}")
    time.sleep(2)
    code, second = home.map("add", "udp", "44777", "--lifetime", "120", "--protocol", "pcp")
    expect(code == 0 and second["external"] == first["external"], f"renewed to {second}")
    rules = home.rules().count("44777")
    code, _ = home.map("remove", "udp", "44777", "--protocol", "pcp")
    expect(code == 0 and "44777" not in home.rules(), "map remove")
    return f"pyrsia map: {first['external']} for {first['lifetime_s']} s, renewed, {rules} rules, taken away by its nonce"


def at_half_life(home):
    """The router grants less than was asked for: what is renewed stays, what is not goes."""
    node = home.start_node()
    wait_until(lambda: is_open(home), 30, "no mapping")
    code, once = home.map("add", "udp", "44777", "--protocol", "pcp")
    expect(code == 0 and once["lifetime_s"] == home.lifetimes[1], f"map add: {once}")
    wait_until(lambda: "44777" not in home.rules(), 60, "what nobody renews is kept")
    expect(home.is_forwarded() and home.stranger_gets_in(), "the node did not renew")
    code, listed = home.map("--protocol", "upnp")
    left = [each["lifetime_s"] for each in listed["mappings"] if each["internal"] == f"{NODE}:{PORT}"]
    expect(code == 0 and len(left) == 1 and 0 < left[0] <= home.lifetimes[1], listed)
    node.kill()
    node.wait()
    wait_until(lambda: not home.is_forwarded(), 60, "the mapping outlives a node that was killed")
    return f"granted {once['lifetime_s']} s for 7200: one that nobody renews went, the node's had {left[0]} s left"


def other_port_outside(home):
    """Two machines with one port: the second gets another one outside, and takes that one away."""
    home.lab.ip("node", f"addr add {NODE_TOO}/24 dev eth0")
    words = ("tcp", str(PORT), "--protocol", "upnp")
    code, theirs = home.map("add", *words, "--address", NODE_TOO)
    expect(code == 0 and theirs["external"] == f"{OUTSIDE}:{PORT}", theirs)
    code, ours = home.map("add", *words)
    expect(code == 0 and ours["external"] != theirs["external"], ours)
    _, listed = home.map("--protocol", "upnp")
    expect({each["internal"] for each in listed["mappings"]} == {f"{NODE}:{PORT}", f"{NODE_TOO}:{PORT}"}, listed)
    for is_removed in (True, False):
        code, told = home.map("remove", *words)
        expect(code == 0 and [step["is_removed"] for step in told["removed"]] == [is_removed], told)
        expect(not home.is_forwarded(), "it is still there")
        expect(f"dnat ip to {NODE_TOO}:{PORT}" in home.rules(), "another machine's mapping was taken away")
    return f"{ours['external']} taken away, {theirs['external']} of another machine left alone"


def unlisted(home):
    code, document = home.map()
    expect(code == 11 and "mappings" not in document, f"map says {code}: {document}")
    expect("cannot list" in document["reason"], document)
    return document["reason"]


def pinhole_by_hand(home):
    home.start_node("--port-mapping", "off", listen=NODE_V6)
    wait_until(lambda: f":{PORT}" in home.lab.exec("node", "ss -Htln6"), 30, "the node does not listen")
    for protocol in ("pcp", "upnp"):
        expect(not home.stranger_gets_in(NODE_V6), f"{protocol}: the stranger got in before the pinhole")
        words = ("tcp", str(PORT), "--address", NODE_V6, "--protocol", protocol)
        code, told = home.map("add", *words)
        expect(code == 0 and told["external"] == f"[{NODE_V6}]:{PORT}", told)
        expect(home.stranger_gets_in(NODE_V6), f"{protocol}: the stranger does not get in")
        code, told = home.map("remove", *words)
        expect(code == 0 and any(step["is_removed"] for step in told["removed"]), told)
        expect(not home.stranger_gets_in(NODE_V6), f"{protocol}: the pinhole is still open")
    code, document = home.map("--address", NODE_V6)
    expect(code == 11 and "pinholes" in document["reason"], document)
    return "pyrsia map: opened and closed by PCP, by UPnP"


def peer(home):
    """The mapping of one connection, PCP's PEER: the peer sees what the router has told."""
    code, told = home.map("peer", "udp", str(PORT), f"{STRANGER}:9999", "--lifetime", "120")
    expect(code == 0 and told["lifetime_s"] == 120, f"map peer: {told}")
    expect(f"snat ip to {told['external']}" in home.rules(), home.rules())
    listening = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9999)); "
                 "s.settimeout(10); print('ready', flush=True); print('%s:%d' % s.recvfrom(9)[1])")
    stranger = home.lab.start("stranger", [sys.executable, "-c", listening], stdout=subprocess.PIPE)
    stranger.stdout.readline()
    home.lab.exec("node", f"""{sys.executable} -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); """
                          f"""s.bind(('', {PORT})); s.sendto(b'x', ('{STRANGER}', 9999))" """)
    seen = stranger.stdout.readline().strip()
    expect(seen == told["external"], f"the router says {told['external']}, the peer sees {seen}")
    return f"udp {PORT} is seen as {seen}, kept for {told['lifetime_s']} s"


def traced(home):
    """As many lines as packets and HTTP requests leave the machine."""
    home.lab.nft("node", "table inet count { chain out { type filter hook output priority 0; "
                         "udp dport { 1900, 5351 } counter; tcp dport 5555 tcp flags & (syn|ack) == syn counter; }; }")
    _, _, lines = home.traced_map("--trace")
    _, _, more = home.traced_map("add", "tcp", "45000", "--protocol", "upnp", "--trace")
    lines += more
    counters = json.loads(home.lab.exec("node", "nft -j list table inet count"))["nftables"]
    datagrams, requests = (each["counter"]["packets"] for entry in counters if "rule" in entry
                           for each in entry["rule"]["expr"] if "counter" in each)
    sent = [line for line in lines if line.startswith("to ")]
    asked = [line for line in sent if line.startswith("to http://")]
    answered = [line for line in lines if line.startswith("from http://")]
    expect(len(sent) - len(asked) == datagrams, f"{datagrams} datagrams were sent: {sent}")
    expect(len(asked) == len(answered) == requests, f"{requests} requests were sent: {asked} {answered}")
    for words in ("PCP ANNOUNCE", "NAT-PMP external address?", "SSDP M-SEARCH urn:", "HTTP GET", "PortMapping"):
        expect(any(words in line for line in sent), f"{words} is not told of: {sent}")
    expect(all(line.startswith(("to ", "from ")) for line in lines), lines)
    return f"{datagrams} datagrams and {requests} HTTP requests, {len(lines)} lines"


def carrier(home):
    home.start_node()
    wait_until(lambda: home.mapping().get("state") in ("none", "useless"), 30, lambda: f"{home.mapping()}")
    mapping = home.mapping()
    expect("external" not in mapping, "an address of the carrier counts as open")
    code, document = home.map("add", "tcp", "45000")
    expect(code in (11, 20), f"map add says {code}: {document}")
    return mapping["reason"]


def pinhole(home, *more):
    expect(not home.stranger_gets_in(NODE_V6), "the stranger got in before the pinhole")
    home.start_node(*more, listen=NODE_V6)
    wait_until(lambda: is_open(home), 30, lambda: f"no pinhole: {home.mapping()}")
    mapping = home.mapping()
    expect(home.stranger_gets_in(NODE_V6), f"the stranger does not get in: {mapping}")
    return f"{mapping['protocol']}: {mapping['external']}"


def pinhole_by_upnp(home):
    """The router grants one only to the address that asks: over IPv6."""
    reason = pinhole(home, "--port-mapping-protocol", "upnp")
    expect(reason.startswith("upnp"), reason)
    report = json.loads(home.lab.exec("node", f"curl -sf -m 10 http://127.0.0.1:{HTTP_PORT}/nat"))
    found = [each["router"] for each in report["port_mapping"]["attempts"] if each["state"] == "found"]
    expect(any(router.startswith("fe80:") for router in found), f"found over IPv4 only: {found}")
    return f"{reason}, asked over IPv6"


def probed(home):
    """What a probe without a node says of the router."""
    told = json.loads(home.lab.exec("node", f"{home.program} probe --alone --json --server {STRANGER}:3478",
                                    check=False, timeout=30))
    gateway = told["gateway"]
    expect(gateway["router"] == ROUTER and gateway["pcp"] and gateway["nat_pmp"], gateway)
    expect(told["took_ms"] < 2500, told["took_ms"])
    expect("dnat ip to" not in home.rules(), "the mapping that was tried is still there")
    if home.wan == CARRIER_SIDE:
        expect(gateway["mapped"] is False and "not public" in gateway["mapping_why"], gateway)
        is_known = gateway["external_ip"] == CARRIER_SIDE
        expect(is_known or gateway["has_outside"] is False, gateway)
    else:
        expect(gateway["mapped"] is True and gateway["upnp"] and gateway["name"], gateway)
        expect(gateway["external_ip"] == home.wan, gateway)
    return f"{gateway['name']}: {gateway['mapping_why']}"


def nothing(home):
    home.lab.stop(home.daemon)
    started = time.monotonic()
    code, document = home.map()
    took = time.monotonic() - started
    expect(code == 20, f"map says {code}: {document}")
    expect(took < 10, f"took {took:.1f} s")
    return f"pyrsia map gave up after {took:.1f} s"


CASES = {
    "PCP": (by("pcp"), {}),
    "NAT-PMP": (by("nat-pmp"), {}),
    "UPnP": (by("upnp"), {"protocols": ("upnp",)}),
    "all together": (by(None), {}),
    "renewal and removal": (renewed, {}),
    "renewal at half life": (at_half_life, {"lifetimes": (1, 12)}),
    "another port outside": (other_port_outside, {}),
    "no list without UPnP": (unlisted, {"protocols": ("pcp", "nat-pmp")}),
    "one connection, by PEER": (peer, {}),
    "every packet in words": (traced, {}),
    "router restart": (restarted, {}),
    "CGNAT refusal": (carrier, {"wan": CARRIER_SIDE}),
    "IPv6 pinhole": (pinhole, {"has_v6": True}),
    "IPv6 pinhole by UPnP": (pinhole_by_upnp, {"has_v6": True}),
    "IPv6 pinhole by pyrsia map": (pinhole_by_hand, {"has_v6": True}),
    "what a probe says of it": (probed, {}),
    "what a probe says behind CGNAT": (probed, {"wan": CARRIER_SIDE}),
    "a router that says nothing": (nothing, {}),
}


def is_there():
    return shutil.which("miniupnpd") is not None


def run_case(name, options):
    outcome = Outcome(name)
    case, setting = CASES[name]
    started = time.monotonic()
    with Lab(f"pyrsia-map{list(CASES).index(name)}-") as lab, \
            tempfile.TemporaryDirectory(prefix="pyrsia-lab-") as scratch:
        try:
            outcome.reason = case(Home(lab, pathlib.Path(scratch), options.program, **setting))
            outcome.is_right = True
        except (AssertionError, RuntimeError) as fault:
            outcome.reason = str(fault)
    outcome.seconds = time.monotonic() - started
    return outcome
