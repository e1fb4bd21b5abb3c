"""Boot servers and nodes together: the main job."""
import json
import urllib.request

from harness import Daemon, directory, expect, free_port, run, wait_for


def test_node_learns_its_verdict(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        with Daemon(program, "node", "-B", boot.http + "/status", cwd=cwd) as node:
            change = node.wait_event("status_changed", lambda e: e["new_status"] == "reachable")
            expect(change["nat_status"] == "Public", change)
            expect(any(e["says"] == "reachable" and e["who"] for e in change["evidence"]), change)
            address = node.wait_event("address_verdict_changed", lambda e: e["new_status"] == "reachable")
            expect([e["says"] for e in address["evidence"]] == ["reachable"], address)
            node.wait_event("connected", lambda e: e["peer"] == boot.peer_id)
            node.wait_event("inbound_probe", lambda e: e["stage"] == "request")
            node.wait_event("outbound_probe", lambda e: e["stage"] == "response")
            nat = node.get("/nat").json()
            expect(nat["status"] == "reachable" and nat["connected"], nat)
            expect(any(a["status"] == "reachable" for a in nat["addresses"]), nat)
            expect(node.get("/peers").json() == [boot.peer_id], "peers")
            wait_for("the count", lambda: boot.get("/status").json()["peers_count"] == 1)
            port = node.http.rsplit(":", 1)[1]
            shown = run(program, "status", "-p", port, cwd=cwd)
            expect(shown.returncode == 0 and "Public" in shown.stdout, shown)
            schemas = {e["schema"] for e in node.events}
            expect(schemas == {"pyrsia.event/1"}, schemas)
            expect(node.stop()[0] == 0, node.errors)


def test_once_prints_the_verdict_and_ends(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        common = ["node", "--once", "-p", "0", "-L", "/ip4/127.0.0.1/tcp/0", "--address-scope",
                  "loopback", "-B", boot.http + "/status"]
        plain = run(program, *common, cwd=cwd)
        expect(plain.returncode == 0, plain)
        expect("verdict   Public: others can connect to this node at /ip4/127.0.0.1/tcp/"
               in plain.stdout, plain.stdout)
        lines = run(program, *common, "--json", cwd=cwd).stdout.splitlines()
        expect(json.loads(lines[-1])["schema"] == "pyrsia.nat/1", lines[-1])


def test_once_without_boot_server_is_30(program):
    with directory() as cwd:
        done = run(program, "node", "--once", "--once-timeout", "2", "-p", "0", "-L",
                   "/ip4/127.0.0.1/tcp/0", "-B", f"http://127.0.0.1:{free_port()}/status", cwd=cwd)
        expect(done.returncode == 30, done)
        expect("no boot server could be reached" in done.stderr, done.stderr)


def test_cache_replaces_a_dead_url(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        with Daemon(program, "node", "-B", boot.http + "/status", cwd=cwd) as node:
            node.wait_event("peer_connected")
            wait_for("the cache", lambda: (cwd / "pyrsia/bootstrap_cache.json").exists())
        dead = f"http://127.0.0.1:{free_port()}/status"
        with Daemon(program, "node", "-B", dead, cwd=cwd) as node:
            node.wait_event("peer_connected", lambda e: e["peer"] == boot.peer_id)


def test_peer_and_probe_connect_without_url(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        address = boot.wait_listening().split("/p2p/")[0] + "/p2p/" + boot.peer_id
        for flag in ("-P", "-R"):
            with Daemon(program, "node", flag, address, "-B", "http://127.0.0.1:1/", cwd=cwd) as node:
                node.wait_event("peer_connected", lambda e: e["peer"] == boot.peer_id)
                expect(any("is not used" in e for e in node.errors), node.errors)


def test_events_are_streamed(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        with urllib.request.urlopen(boot.http + "/events", timeout=60) as events:
            expect(events.headers["Content-Type"] == "text/event-stream", events.headers)
            with Daemon(program, "node", "-B", boot.http + "/status", cwd=cwd) as node:
                while events.readline().strip() != b"event: peer_connected":
                    pass
                data = json.loads(events.readline().removeprefix(b"data: "))
                expect(data["peer"] == node.peer_id, data)


class Cluster:
    """Three boot servers that list each other."""

    def __init__(self, program, cwd):
        self.program, self.cwd = program, cwd
        self.ports = [free_port() for _ in range(3)]
        self.boots = [self.start(i) for i in range(3)]

    def start(self, index):
        members = [f"http://127.0.0.1:{port}/status" for port in self.ports
                   if port != self.ports[index]]
        flags = [flag for url in members for flag in ("--member", url)]
        return Daemon(self.program, "boot", "--key", f"{index}.ser", *flags, cwd=self.cwd,
                      http_port=self.ports[index])

    def __enter__(self):
        for boot in self.boots:
            boot.__enter__()
        return self

    def __exit__(self, *failure):
        for boot in self.boots:
            boot.__exit__(*failure)


def ids(boot):
    return [a.rsplit("/", 1)[1] for a in boot.get("/status").json()["peer_addrs"]]


def test_round_robin_over_three_boot_servers(program):
    with directory() as cwd, Cluster(program, cwd) as cluster:
        everybody = {boot.peer_id for boot in cluster.boots}
        for boot in cluster.boots:
            wait_for("three members", lambda: set(ids(boot)) == everybody)
            lists = [ids(boot) for _ in range(6)]
            expect({l[0] for l in lists[:3]} == everybody, lists)
            expect(lists[:3] == lists[3:], lists)
            for turn in range(5):  # Each list is the one before it, turned by one.
                expect(lists[turn + 1] == lists[turn][1:] + lists[turn][:1], lists)


def test_dead_member_leaves_and_comes_back(program):
    with directory() as cwd, Cluster(program, cwd) as cluster:
        watching, dying = cluster.boots[0], cluster.boots[2]
        wait_for("three members", lambda: len(ids(watching)) == 3)
        dying.kill()
        wait_for("two members", lambda: dying.peer_id not in ids(watching), patience=20)
        dying.__exit__()
        cluster.boots[2] = cluster.start(2).__enter__()
        wait_for("three members again", lambda: dying.peer_id in ids(watching))
