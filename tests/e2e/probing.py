"""`pyrsia probe` behind real NATs, portals and nothing at all; the node's own probe as its network
changes; and what a node remembers of networks."""
import contextlib
import json
import pathlib
import signal
import stat
import subprocess
import sys
import time

from harness import clean_environment, directory, expect, expect_refusal, run, wait_for
from namespaces import Network, told_by

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "lab"))  # After our own modules.
import nat_kinds  # noqa: E402

FIRST, SECOND, OUTSIDE = "1.2.3.1", "1.2.3.2", "1.2.3.101"
LAN, ROUTER = "192.168.1.2", "192.168.1.1"
AT_ALL = [f"{ip}:{port}" for ip in (FIRST, SECOND) for port in (3478, 3479)]
ASK_FIRST = ["--alone", "--server", f"{FIRST}:3478"]


class Home:
    """node - router - internet. No namespace has a way out of the machine, so addresses may look public."""

    def __init__(self, kind, node=LAN, gateway=ROUTER):
        self.kind, self.node_ip, self.gateway = kind, node, gateway

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            world = stack.enter_context(Network())
            self.internet, self.router, self.node = (
                stack.enter_context(Network(inside=world)) for _ in range(3))
            world.link(self.node, "eth0", self.router, "lan")
            world.link(self.router, "wan", self.internet, "eth0")
            for ip in (FIRST, SECOND):
                self.internet.sh(f"ip addr add {ip}/24 dev eth0")
            self.router.sh(f"ip addr add {OUTSIDE}/24 dev wan && ip addr add {self.gateway}/24 dev lan && "
                           "sysctl -qw net.ipv4.ip_forward=1")
            self.node.sh(f"ip addr add {self.node_ip}/24 dev eth0 && ip route add default via {self.gateway}")
            self.become(self.kind)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def become(self, kind):
        self.set_rules(nat_kinds.rules(kind, outside=OUTSIDE))

    def set_rules(self, rules):
        self.router.sh("nft -f -", input=rules)


@contextlib.contextmanager
def stun_server(program, network, endpoints, cwd):
    listens = [word for endpoint in endpoints for word in ("--listen", endpoint)]
    server = subprocess.Popen([*network.prefix, program, "stun-server", "--json", *listens], cwd=cwd, text=True,
                              env=clean_environment({}), stdout=subprocess.PIPE)
    try:
        expect(server.stdout.readline(), "the STUN server did not start")
        yield server
    finally:
        server.terminate()
        server.stdout.close()
        server.wait(30)


def probe(program, network, *args, cwd, code):
    done = run(program, "probe", *args, cwd=cwd, prefix=network.prefix if network else ())
    expect(code in (None, done.returncode), f"exit code {done.returncode}, not {code}: {done}")
    return done.stdout


def test_probe_tells_by_its_exit_code_how_peers_will_connect(program):
    with directory() as cwd, Home("none") as home:
        with stun_server(program, home.internet, AT_ALL, cwd):
            for kind, verdict, code, words in (("port-restricted", "direct", 0, "port-restricted cone"),
                                               ("symmetric-fully-random", "relayed", 10, "symmetric"),
                                               ("udp-blocked", "udp_blocked", 21, "UDP blocked")):
                home.become(kind)
                told = json.loads(probe(program, home.node, *ASK_FIRST, "--json", cwd=cwd, code=code))
                expect(told["schema"] == "pyrsia.probe/1" and told["verdict"] == verdict, told)
                expect(told["captive_portal"] is None and told["reachable"] is None, "unknown is not false")
                brief = probe(program, home.node, *ASK_FIRST, "--brief", cwd=cwd, code=code).splitlines()
                expect(len(brief) == 3 and brief[0] == words and brief[2] == verdict, (kind, brief))
                expect(brief[1].startswith(f"{OUTSIDE}:") or (code == 21 and brief[1] == "unknown"), (kind, brief))
        home.become("symmetric-fully-random")
        with stun_server(program, home.internet, AT_ALL[:1], cwd):  # It cannot show how the NAT maps.
            told = json.loads(probe(program, home.node, *ASK_FIRST, "--json", cwd=cwd, code=11))
            expect(told["verdict"] == "degraded" and told["udp"]["mapping"] is None, told)
            expect("--server" in told["fix"], told)
        for flags in (["--json"], []):  # And now nobody answers.
            said = probe(program, home.node, *ASK_FIRST, *flags, cwd=cwd, code=30)
            expect("No server answered" in said, said)


def test_a_probe_is_one_screen_with_ten_facts(program):
    with directory() as cwd, Home("port-restricted") as home, stun_server(program, home.internet, AT_ALL, cwd):
        facts, advice = probe(program, home.node, *ASK_FIRST, cwd=cwd, code=0).split("\n\n")
        names = [line[:14].rstrip() for line in facts.splitlines()]
        expect(names == ["UDP", "seen at", "NAT", "mapping", "filtering", "ports", "hairpin", "port mapping", "IPv6",
                         "reachable"], facts)
        expect(f"{OUTSIDE}:" in facts and "(APDF)" in facts and "(EIM)" in facts, facts)
        expect("no node is running" in facts, facts)
        lines = advice.splitlines()
        expect(len(lines) == 2 and lines[0].startswith("verdict ") and lines[1].startswith("fix "), advice)
        expect(all(len(line) < 160 for line in facts.splitlines()), facts)


NAT66 = ('flush ruleset\ntable ip6 t { chain leave { type nat hook postrouting priority 100; policy accept;\n'
         'oifname "wan" masquerade; }\n}\n')


def test_probe_tells_whether_ipv6_is_translated(program):
    there = "2a00:1:2::1"
    with directory() as cwd, Home("none") as home:
        home.internet.sh(f"ip addr add {there}/64 dev eth0 nodad && ip route add 2a00:1:1::/64 via 2a00:1:2::9")
        home.router.sh("ip addr add 2a00:1:2::9/64 dev wan nodad && ip addr add 2a00:1:1::1/64 dev lan nodad && "
                       "sysctl -qw net.ipv6.conf.all.forwarding=1")
        home.node.sh("ip addr add 2a00:1:1::2/64 dev eth0 nodad && ip route add default via 2a00:1:1::1")
        home.internet.sh(f"ip route add 192.168.1.0/24 via {OUTSIDE}")
        with stun_server(program, home.internet, [*AT_ALL, f"[{there}]:3478"], cwd):
            for rules, ip, is_nat in (("flush ruleset\n", "2a00:1:1::2", False), (NAT66, "2a00:1:2::9", True)):
                home.set_rules(rules)
                home.node.sh(f"ping -q -c 1 -w 5 -i 0.2 {there}")  # Neighbours have found each other then.
                for servers in ([f"{FIRST}:3478", f"[{there}]:3478"], [f"[{there}]:3478"]):
                    flags = [word for server in servers for word in ("--server", server)]
                    told = json.loads(probe(program, home.node, "--alone", "--json", *flags, cwd=cwd, code=None))
                    mapped = told["ipv6"]["mapped"] or told["udp"]["mapped"]  # The latter where there is no IPv4.
                    expect(mapped.startswith(f"[{ip}]:"), told)
                    expect(told["ipv6"]["works"] is True and told["ipv6"]["nat"] is is_nat, told)


def test_probe_without_any_network(program):
    with directory() as cwd, Network() as network:
        told = json.loads(probe(program, network, *ASK_FIRST, "--json", cwd=cwd, code=30))
        expect(told["verdict"] == "offline" and told["servers"] == [f"{FIRST}:3478"], told)
        expect(told["udp"]["blocked"] is None and told["tcp"]["blocked"] is None, "unknown is not false")
        expect(told["udp"]["nat"] is None and told["ipv6"]["works"] is False, "there is no address")
        brief = probe(program, network, *ASK_FIRST, "--brief", cwd=cwd, code=30)
        expect(brief == "unknown\nunknown\noffline\n", brief)
        for name in ("stun.invalid", "stun:stun.invalid:3479", "stuns:stun.invalid"):
            done = network.run(program, "probe", "--alone", "--server", name, "--json", cwd=cwd)
            by_name = json.loads(done.stdout)
            expect(done.returncode == 30 and by_name["verdict"] == "offline" and by_name["servers"] == [], done)
            expect(by_name["unresolved"] == [name] and name in by_name["summary"] and "DNS" in by_name["fix"], by_name)
            expect(done.stderr.count("\n") == 1 and name in done.stderr and "no address" in done.stderr, done)
        both = network.run(program, "probe", *ASK_FIRST, "--server", "stun.invalid", "--json", cwd=cwd)
        told = json.loads(both.stdout)
        expect(told["servers"] == [f"{FIRST}:3478"] and told["unresolved"] == ["stun.invalid"], told)
        expect("stun.invalid" in both.stderr and "stun.invalid" not in told["summary"], both)
        expect_refusal(network.run(program, "probe", "--alone", cwd=cwd), 64, "no STUN server is known", "--server")
        expect_refusal(network.run(program, "probe", cwd=cwd), 64, "no node answers at", "--server")


# --- A portal ------------------------------------------------------------------------------------

# Answers for everybody: with a page to sign in at, or by sending people there. argv: which of the two.
PORTAL = """
import http.server, sys
class Portal(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_page = sys.argv[1] == "page" or self.path == "/login"
        page = b"<html><form>Sign in, please</form></html>"
        self.send_response(200 if is_page else int(sys.argv[1]))
        if not is_page: self.send_header("Location", "http://1.2.3.200/login")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 8080), Portal)
print("ready", flush=True)
server.serve_forever()
"""
BEHIND_A_PORTAL = """flush ruleset
table ip portal {
  chain enter { type nat hook prerouting priority -100; policy accept;
    iifname "lan" meta l4proto tcp redirect to :8080; }
  chain forward { type filter hook forward priority 0; policy OTHERS; }
}
"""


@contextlib.contextmanager
def portal(home, how):
    child = subprocess.Popen([*home.router.prefix, sys.executable, "-c", PORTAL, how], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    try:
        expect(child.stdout.readline() == "ready\n", "the portal did not start")
        yield
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


def test_a_captive_portal_is_told_from_a_dead_network(program):
    ask = ["--alone", "-B", f"http://{FIRST}:7888/status"]
    with directory() as cwd, Home("none") as home:
        home.set_rules(BEHIND_A_PORTAL.replace("OTHERS", "drop"))
        for how in ("page", "302", "307", "511"):
            with portal(home, how):
                told = json.loads(probe(program, home.node, *ask, "--json", cwd=cwd, code=22))
                expect(told["verdict"] == "captive" and told["captive_portal"] is True, (how, told))
                expect("sign in" in told["fix"], told)
        said = probe(program, home.node, *ask, cwd=cwd, code=30)  # The portal itself is gone.
        expect("captive portal unknown" in said, said)


def test_a_portal_for_the_web_alone_keeps_nobody_in(program):
    ask = ["--alone", "--json", "-B", f"http://{FIRST}:7888/status", "--server", f"{FIRST}:3478"]
    with directory() as cwd, Home("none", node="1.2.4.2", gateway="1.2.4.1") as home:
        home.internet.sh(f"ip route add 1.2.4.0/24 via {OUTSIDE}")
        home.set_rules(BEHIND_A_PORTAL.replace("OTHERS", "accept"))
        with portal(home, "page"), stun_server(program, home.internet, AT_ALL, cwd):
            told = json.loads(probe(program, home.node, *ask, cwd=cwd, code=0))
            expect(told["verdict"] == "direct" and told["captive_portal"] is False, told)


# --- Again and again -----------------------------------------------------------------------------

def test_every_goes_on_until_it_is_told_to_stop(program):
    with directory() as cwd, Network() as network:
        with stun_server(program, network, ["127.0.0.1:3478"], cwd) as server:
            watch = subprocess.Popen([*network.prefix, program, "probe", "--alone", "--json", "--every", "1s", "--server",
                                      "127.0.0.1:3478"], cwd=cwd, env=clean_environment({}), text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first, second = (json.loads(watch.stdout.readline()) for _ in range(2))
            expect(first["verdict"] == second["verdict"] == "direct", (first, second))
            server.terminate()
            told = [json.loads(watch.stdout.readline()) for _ in range(2)]  # One may have been under way.
            expect(told[-1]["verdict"] == "offline", told)
        with stun_server(program, network, ["127.0.0.1:3478"], cwd):
            told = [json.loads(watch.stdout.readline()) for _ in range(2)]
            expect(told[-1]["verdict"] == "direct", told)
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=30)
        expect(all(json.loads(line)["schema"] == "pyrsia.probe/1" for line in rest.splitlines()), rest)
        expect(errors == "" and watch.returncode == 0, (watch.returncode, errors))


def test_every_in_words_has_a_blank_line_between(program):
    with directory() as cwd, Network() as network, stun_server(program, network, ["127.0.0.1:3478"], cwd):
        watch = subprocess.Popen([*network.prefix, program, "probe", "--alone", "--brief", "--every", "1s", "--server",
                                  "127.0.0.1:3478"], cwd=cwd, env=clean_environment({}), text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = [watch.stdout.readline() for _ in range(7)]
        watch.terminate()
        watch.communicate(timeout=30)
        expect(lines[2] == lines[6] == "direct\n" and lines[3] == "\n", lines)
        expect(watch.returncode == 0, watch.returncode)


# --- Two of them ---------------------------------------------------------------------------------

def report(mapping, filtering, ip, allocation="random", **more):
    udp = {"blocked": False, "nat": True, "mapped": f"{ip}:4000", "mapping": mapping, "filtering": filtering,
           "allocation": allocation}
    return {"schema": "pyrsia.probe/1", "udp": udp, **more}


def test_pair_says_the_path_and_why(program):
    easy, hard = "endpoint-independent", "address-and-port-dependent"
    v6 = {"ipv6": {"works": True, "nat": False}}
    with directory() as cwd:
        for here, there, path, code, why in (
                (report(easy, hard, "203.0.113.1"), report(easy, hard, "198.51.100.1"), "punch", 0, "at once"),
                (report(easy, hard, "203.0.113.1"), report(hard, hard, "198.51.100.1"), "relay", 10, "random port"),
                (report(easy, hard, "203.0.113.1"), report(hard, hard, "198.51.100.1", "sequential"),
                 "punch_by_prediction", 0, "guessed"),
                (report(easy, hard, "203.0.113.1"), report(hard, hard, "198.51.100.1", None), None, 75, "not known"),
                (report(hard, hard, "203.0.113.1", **v6), report(hard, hard, "198.51.100.1", **v6), "punch", 0, "IPv6"),
                (report(easy, hard, "203.0.113.1"), report(easy, hard, "203.0.113.1"), None, 75, "one outer address"),
                (report(easy, hard, "203.0.113.1", position="home_nat"), report(easy, hard, "203.0.113.1"), "direct", 0,
                 "same router"),
                (report(hard, hard, "203.0.113.1", reachable=True, reachable_over=["tcp6"]),
                 report(hard, hard, "198.51.100.1"), "relay", 10, "at random"),
                (report(hard, hard, "203.0.113.1", reachable=True, reachable_over=["tcp4"]),
                 report(hard, hard, "198.51.100.1"), "direct", 0, "without any help"),
                ({"schema": "pyrsia.probe/1"}, report(easy, easy, "198.51.100.1"), None, 75, "not known")):
            (cwd / "here").write_text(json.dumps(here))
            (cwd / "there").write_text(json.dumps(there))
            ask = ["pair", "--local", "here", "--remote", "there"]
            told = json.loads(probe(program, None, *ask, "--json", cwd=cwd, code=code))
            expect(told["schema"] == "pyrsia.pair/1" and told["path"] == path and why in told["why"], (here, there, told))
            said = probe(program, None, *ask, cwd=cwd, code=code)
            expect(said == f"{path or 'unknown'}: {told['why']}\n", said)


def test_pair_refuses_what_is_no_report(program):
    with directory() as cwd:
        (cwd / "good").write_text('{"schema":"pyrsia.probe/1"}')
        (cwd / "folder").mkdir()
        for name, content in (("empty", b""), ("page", b"<html>Sign in</html>"), ("deep", b"[" * 9000),
                              ("long", b'{"schema":"pyrsia.probe/1"}' + b" " * 70000), ("binary", bytes(range(256))),
                              ("other", b'{"schema":"pyrsia.probe/2"}'), ("list", b'["pyrsia.probe/1"]'), ("folder", None),
                              ("missing", None)):
            if content is not None:
                (cwd / name).write_bytes(content)
            for local, remote in ((name, "good"), ("good", name)):
                done = run(program, "probe", "pair", "--local", local, "--remote", remote, cwd=cwd)
                expect_refusal(done, 64, f"probe pair: {name}: ")


# --- The running node ----------------------------------------------------------------------------

@contextlib.contextmanager
def boot_server(program, home, cwd):
    """At FIRST, without a STUN server of its own."""
    with home.internet.daemon(program, "boot", "-H", FIRST, "--stun-listen", "127.0.0.1:3478", cwd=cwd, http_port=7888,
                              listen=f"/ip4/{FIRST}/tcp/44000", scope=None) as boot:
        boot.wait_listening()
        yield boot


def node_at(home, program, *args, cwd, **options):
    return home.node.daemon(program, "node", *args, cwd=cwd, http_port=7888, listen="/ip4/0.0.0.0/tcp/44000",
                            scope=None, **options)


def test_a_hard_nat_and_a_verdict_of_peers_is_unreachable(program):
    with directory() as cwd, directory() as there, Home("symmetric-fully-random") as home, \
            stun_server(program, home.internet, AT_ALL, there), boot_server(program, home, there), \
            node_at(home, program, "-B", f"http://{FIRST}:7888/status", "-S", f"{FIRST}:3478", cwd=cwd) as node:
        node.wait_event("status_changed", lambda e: e["new_status"] == "unreachable")
        told = json.loads(probe(program, home.node, "--json", cwd=cwd, code=20))
        expect(told["verdict"] == "unreachable" and told["reachable"] is False, told)
        expect(told["reachable_over"] is None and told["reachable_why"], told)
        alone = json.loads(probe(program, home.node, *ASK_FIRST, "--json", cwd=cwd, code=10))
        expect(alone["reachable"] is None, "nobody was asked for the verdict")


def test_the_nodes_probe_is_of_the_network_that_it_is_in(program):
    kept_for = 10  # Seconds, while nothing changes.
    with directory() as cwd, Home("none", node="1.2.4.2", gateway="1.2.4.1") as home:
        home.internet.sh(f"ip route add 1.2.4.0/24 via {OUTSIDE}")
        with stun_server(program, home.internet, AT_ALL, cwd), \
                node_at(home, program, "--listen-only", "-S", f"{FIRST}:3478", cwd=cwd) as node:
            node.wait_listening()

            def seen_at():
                return (told_by(program, home.node, node, "/probe", cwd)["udp"]["mapped"] or "").split(":")[0]
            expect(seen_at() == "1.2.4.2", "the first address")
            since = time.monotonic()
            home.node.sh("ip addr del 1.2.4.2/24 dev eth0 && ip addr add 1.2.4.3/24 dev eth0 && "
                         "ip route add default via 1.2.4.1")
            wait_for("the other address", lambda: seen_at() == "1.2.4.3")
            took = time.monotonic() - since
            expect(took < kept_for - 2, f"noticed after {took:.1f} s: the answer of the last network was kept")


# --- What is remembered of networks --------------------------------------------------------------

MAPPING_ON = {"PYRSIA_PORT_MAPPING": "auto"}  # Networks are known by their routers.
LAST = "when last in this network"


def nat_once_the_router_was_asked(program, home, node, cwd):
    """What the node says of itself once it knows where it is, and no peer."""
    def asked():
        told = told_by(program, home.node, node, "/nat", cwd)
        attempts = told["port_mapping"]["attempts"]
        return attempts and all(a["state"] != "asking" for a in attempts) and told
    return wait_for("the router's silence", asked)


def learn(program, home, *args, cwd):
    """Starts a node that gets a verdict here, and stops it."""
    with node_at(home, program, "-B", f"http://{FIRST}:7888/status", *args, cwd=cwd, env=MAPPING_ON) as node:
        node.wait_event("status_changed", lambda e: e["new_status"] == "unreachable")
        nat_once_the_router_was_asked(program, home, node, cwd)


def reason_at_start(program, home, *args, cwd):
    """Of a node that asks nobody."""
    with node_at(home, program, "--listen-only", *args, cwd=cwd, env=MAPPING_ON) as node:
        return nat_once_the_router_was_asked(program, home, node, cwd)["reason"]


def test_a_network_is_remembered_and_no_other_is_taken_for_it(program):
    with directory() as cwd, directory() as there, Home("port-restricted") as home, boot_server(program, home, there):
        learn(program, home, cwd=cwd)
        memory = cwd / "pyrsia/network_memory.json"
        told = json.loads(memory.read_text())
        expect(told["schema"] == "pyrsia.networks/1" and len(told["networks"]) == 1, told)
        expect(told["networks"][0]["gateway"] == ROUTER and told["networks"][0]["verdict"] == "unreachable", told)
        expect(stat.S_IMODE(memory.stat().st_mode) == 0o600, "others may read where this machine was")
        reason = reason_at_start(program, home, cwd=cwd)
        expect(f"{LAST}: unreachable" in reason, reason)
        # The same numbers, but another router.
        home.router.sh("ip link set lan address 02:00:00:00:00:99")
        home.node.sh("ip neigh flush dev eth0")
        reason = reason_at_start(program, home, cwd=cwd)
        expect(LAST not in reason, f"another network was taken for the first one: {reason}")


def test_without_network_memory_nothing_is_written_or_read(program):
    with directory() as cwd, directory() as there, Home("port-restricted") as home, boot_server(program, home, there):
        learn(program, home, "--network-memory", "off", cwd=cwd)
        expect({each.name for each in (cwd / "pyrsia").iterdir()} <= {"p2p_keypair.ser", "bootstrap_cache.json"},
               list((cwd / "pyrsia").iterdir()))
        learn(program, home, cwd=cwd)
        memory = cwd / "pyrsia/network_memory.json"
        before = memory.read_bytes(), memory.stat().st_mtime_ns
        reason = reason_at_start(program, home, "--network-memory", "off", cwd=cwd)
        expect(LAST not in reason, f"it was read: {reason}")
        expect((memory.read_bytes(), memory.stat().st_mtime_ns) == before, "it was written")
        (cwd / "a.toml").write_text('network_memory = "off"\n')
        reason = reason_at_start(program, home, "--config", "a.toml", cwd=cwd)
        expect(LAST not in reason, f"it was read, in spite of the configuration file: {reason}")
