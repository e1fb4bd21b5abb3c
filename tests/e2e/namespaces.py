"""What needs a network of its own: all ports free, private addresses, a firewall."""
import contextlib
import json
import os
import subprocess

from harness import Daemon, directory, expect, run


class Network:
    """A network namespace with nothing but loopback. Ends with the process that holds it. Those `inside`
    of one can be connected from there: see link()."""

    def __init__(self, inside=None):
        self._inside = inside

    def __enter__(self):
        rights = ["-n"] if self._inside or os.geteuid() == 0 else ["-r", "-n"]
        # The holder says when it is inside, and who it is.
        self._holder = subprocess.Popen(
            [*(self._inside.prefix if self._inside else []), "unshare", *rights, "sh", "-c", "echo $$; exec cat"],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._holder.stdout.readline().strip()
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        self.prefix = ["nsenter", "-t", self.pid, *user, "-n"]
        self.sh("ip link set lo up")
        return self

    def link(self, one, one_device, other, other_device):
        """A cable between two that are inside of this one."""
        self.sh(f"ip link add {one_device} netns {one.pid} type veth peer name {other_device} netns {other.pid}")
        one.sh(f"ip link set {one_device} up")
        other.sh(f"ip link set {other_device} up")

    def __exit__(self, *_):
        self._holder.communicate()

    def sh(self, line, **options):
        done = subprocess.run([*self.prefix, "sh", "-c", line], capture_output=True, text=True, **options)
        expect(done.returncode == 0, f"{line}: {done.stderr}")

    def daemon(self, program, command, *args, cwd, **options):
        return Daemon(program, command, *args, cwd=cwd, prefix=self.prefix, **options)

    def run(self, program, *args, cwd):
        return run(program, *args, cwd=cwd, prefix=self.prefix)


def listens_at(daemon):
    return {e["address"].split("/p2p/")[0] for e in daemon.events if e["event"] == "listening"}


def test_defaults_are_the_originals(program):
    with directory() as there, directory() as here, Network() as network:
        with network.daemon(program, "boot", cwd=there, http_port=None, listen=None, scope=None) as boot:
            expect(boot.http == "http://127.0.0.1:7888", boot.http)
            boot.wait_listening()
            boot.wait_event("listening", lambda e: e["address"].startswith("/ip4/127.0.0.1/udp/44000/quic-v1"))
            boot.wait_event("listening", lambda e: e["address"].startswith("/ip4/127.0.0.1/tcp/44000"))
            expect((there / "pyrsia/p2p_keypair.ser").stat().st_size == 64, "the key file")
            status = network.run(program, "status", cwd=there)
            expect(status.returncode == 75 and boot.peer_id in status.stdout, status)
        with network.daemon(program, "node", "--listen-only", cwd=here, http_port=None, listen=None,
                            scope=None) as node:
            expect(node.http == "http://127.0.0.1:7888", node.http)
            address = node.wait_listening()
            expect("/44000" not in address, address)


@contextlib.contextmanager
def private_pair(program, network, scope):
    """A boot server and a node at 10.9.0.1 and 10.9.0.2."""
    network.sh("ip addr add 10.9.0.1/24 dev lo && ip addr add 10.9.0.2/24 dev lo")
    with directory() as there, directory() as here, \
            network.daemon(program, "boot", cwd=there, listen="/ip4/10.9.0.1/tcp/44000", scope=scope) as boot:
        boot.wait_listening()
        peer = f"/ip4/10.9.0.1/tcp/44000/p2p/{boot.peer_id}"
        with network.daemon(program, "node", "-P", peer, cwd=here, listen="/ip4/10.9.0.2/tcp/4001",
                            scope=scope) as node:
            node.wait_event("peer_connected", lambda e: e["peer"] == boot.peer_id)
            yield boot, node, here


def port_of(daemon):
    return daemon.http.rsplit(":", 1)[1]


def told_by(program, network, daemon, path, cwd):
    script = ("import sys, urllib.request as u; o = u.build_opener(u.ProxyHandler({}));"
              "print(o.open(sys.argv[1], timeout=20).read().decode())")
    done = network.run("python3", "-c", script, daemon.http + path, cwd=cwd)
    return json.loads(done.stdout)


def test_private_addresses_count_where_the_scope_is_private(program):
    with Network() as network, private_pair(program, network, "private") as (boot, node, cwd):
        node.wait_event("status_changed", lambda e: e["nat_status"] == "Public")
        addresses = told_by(program, network, boot, "/status", cwd)["peer_addrs"]
        expect(addresses == [f"/ip4/10.9.0.1/tcp/44000/p2p/{boot.peer_id}"], addresses)
        expect(network.run(program, "status", "-p", port_of(node), cwd=cwd).returncode == 0, "reachable")


def test_private_addresses_do_not_count_where_the_scope_is_global(program):
    with Network() as network, private_pair(program, network, "global") as (boot, node, cwd):
        expect(told_by(program, network, boot, "/status", cwd)["peer_addrs"] == [], "nothing for others")
        status = network.run(program, "status", "-p", port_of(node), cwd=cwd)
        expect(status.returncode == 75 and "Unknown" in status.stdout, status)


FIREWALL = ("nft add table inet t && "
            "nft 'add chain inet t c { type filter hook input priority 0 ; }' && "
            "nft add rule inet t c tcp dport 4001 tcp flags \\& \\(syn \\| ack\\) == syn reject with tcp reset")


def test_behind_a_firewall_it_is_private(program):
    with directory() as there, directory() as here, Network() as network:
        network.sh(FIREWALL)
        at = "/ip4/127.0.0.1/tcp/4001"
        with network.daemon(program, "boot", cwd=there) as boot:
            boot.wait_listening()
            url = boot.http + "/status"
            with network.daemon(program, "node", "-B", url, cwd=here, listen=at) as node:
                change = node.wait_event("status_changed")
                expect(change["new_status"] == "unreachable" and change["nat_status"] == "Private", change)
                status = network.run(program, "status", "-p", port_of(node), cwd=here)
                expect(status.returncode == 20, status)
                expect("NAT status  Private (unreachable)" in status.stdout, status.stdout)
            once = network.run(program, "node", "--once", "-p", "0", "-L", at, "--address-scope", "loopback",
                               "-B", url, cwd=here)
            expect(once.returncode == 0, once)
            expect("verdict   Private: others cannot connect to this node (" in once.stdout, once.stdout)
