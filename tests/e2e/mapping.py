"""`pyrsia map` and the settings of port mapping, where there is no router."""
import json
import os
import time

from harness import Daemon, directory, expect, expect_refusal, run

# A network of its own, without a way out. The silent router is one that is not there at all.
NO_ROUTE = 'exec "$0" "$@"'
SILENT_ROUTER = ("ip link add eth0 type veth peer name eth1 && ip link set eth1 up && ip link set eth0 up && "
                 f"ip addr add 192.168.1.2/24 dev eth0 && ip route add default via 192.168.1.1 && {NO_ROUTE}")


def alone(script):
    rights = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
    return ["unshare", *rights, "sh", "-c", script]


def test_map_without_a_default_route(program):
    with directory() as cwd:
        for args in ([], ["add", "tcp", "44000"], ["remove", "udp", "44000"]):
            told = run(program, "map", *args, cwd=cwd, prefix=alone(NO_ROUTE))
            expect(told.returncode == 20, told)
            expect(told.stdout == "no router to ask: this machine has no default route\n", told)
            data = run(program, "map", *args, "--json", cwd=cwd, prefix=alone(NO_ROUTE))
            expect(data.returncode == 20, data)
            expect(json.loads(data.stdout) == {"schema": "pyrsia.map/1", "reason": "no default route"}, data)


def test_map_gives_a_silent_router_up(program):
    with directory() as cwd:
        for args in ([], ["add", "tcp", "44000"], ["remove", "udp", "44000"]):
            started = time.monotonic()
            done = run(program, "map", *args, "--json", cwd=cwd, prefix=alone(SILENT_ROUTER))
            took = time.monotonic() - started
            expect(done.returncode == 20, done)
            data = json.loads(done.stdout)
            expect(data["schema"] == "pyrsia.map/1" and data["router"] == "192.168.1.1", data)
            expect({a["protocol"] for a in data["attempts"]} == {"pcp", "nat-pmp", "upnp"}, data)
            expect(not any(a["is_found"] for a in data["attempts"]), data)
            expect(took < 20, f"took {took:.1f} s, with a budget of 2 s")


def test_map_asks_by_the_chosen_protocol_only(program):
    with directory() as cwd:
        done = run(program, "map", "--protocol", "pcp", "--trace", "--json", cwd=cwd, prefix=alone(SILENT_ROUTER))
        expect(done.returncode == 20, done)
        expect([a["protocol"] for a in json.loads(done.stdout)["attempts"]] == ["pcp"], done.stdout)
        expect("to 192.168.1.1:5351" in done.stderr and ":1900" not in done.stderr, done.stderr)


def test_map_says_why_there_is_nothing(program):
    with directory() as cwd:
        for args, words in ((["list"], "no router answers"), (["remove", "udp", "44000"], "no router answers"),
                            (["add", "udp", "44000"], "no answer within"),
                            (["peer", "udp", "44000", "1.2.3.4:5"], "no answer in PCP"),
                            (["peer", "udp", "44000", "[2001:db8::1]:5"], "different families"),
                            (["list", "--address", "192.168.1.9"], "192.168.1.9 is no address of ours")):
            done = run(program, "map", *args, "--json", cwd=cwd, prefix=alone(SILENT_ROUTER))
            expect(done.returncode == 20 and words in json.loads(done.stdout)["reason"], (args, done))
            # An empty list, of attempts that all failed, says as much.
            told = run(program, "map", *args, cwd=cwd, prefix=alone(SILENT_ROUTER))
            expect(told.returncode == 20 and (words in told.stdout or "no answer within" in told.stdout), (args, told))


def test_map_refuses_what_it_cannot_do(program):
    with directory() as cwd:
        for args, words in ((["open"], "none of list, add, remove"), (["list", "tcp"], "none of list, add, remove"),
                            (["add"], "wants tcp or udp, and a port"), (["add", "tcp"], "wants tcp or udp"),
                            (["add", "sctp", "1"], "neither tcp nor udp"),
                            (["remove", "udp", "0"], "not a port"), (["add", "tcp", "65536"], "not a port"),
                            (["add", "tcp", "80x"], "not a port"),
                            (["add", "tcp", "80", "--lifetime", "59"], "--lifetime:"),
                            (["add", "tcp", "80", "1.2.3.4:5"], "wants tcp or udp, and a port"),
                            (["add", "tcp", "80", "--address", "eth0"], "is not an IP address"),
                            (["peer", "udp", "80"], "IP:PORT of the peer"),
                            (["peer", "udp", "80", "1.2.3.4"], "is not an IP and a port"),
                            (["peer", "udp", "80", "host:80"], "is not an IP and a port"),
                            (["peer", "udp", "80", "0.0.0.0:80"], "is not an IP and a port"),
                            (["peer", "udp", "80", "1.2.3.4:80", "--protocol", "upnp"], "only pcp can"),
                            (["--protocol", "ssdp"], "none of pcp, nat-pmp, upnp")):
            expect_refusal(run(program, "map", *args, cwd=cwd), 64, words)


def test_port_mapping_is_on_for_a_node_and_off_for_a_boot_server(program):
    # The node's API is in its network, so whoever asks has to be there as well.
    script = ('ip link set lo up; "$0" "$@" >node.log 2>&1 & node=$!; '
              'for i in $(seq 200); do "$0" status --json -p 7999 2>/dev/null; [ $? -ne 69 ] && break; sleep 0.1; done; '
              'kill $node; wait $node')
    for command, mode, is_on in (("node", "", True), ("boot", "", False), ("node", "off", False), ("boot", "auto", True)):
        with directory() as cwd:
            done = run(program, command, *(["--listen-only"] if command == "node" else []), "-p", "7999",
                       "-L", "/ip4/127.0.0.1/tcp/0", cwd=cwd, prefix=alone(script), env={"PYRSIA_PORT_MAPPING": mode})
            expect(done.returncode == 0 and done.stdout, (command, mode, done))
            expect(json.loads(done.stdout)["port_mapping"]["is_on"] == is_on, (command, mode, done.stdout))


def test_a_network_memory_that_is_off_is_neither_read_nor_written(program):
    for flags, is_on in ((["--network-memory", "off"], False), ([], True)):
        with directory() as cwd:
            file = cwd / "network_memory.json"
            file.write_text("not ours")
            with Daemon(program, "node", "--key", "k.ser", "--listen-only", *flags, cwd=cwd) as node:
                metrics = node.get("/metrics").body
            expect(f"pyrsia_network_memory_reads_total {int(is_on)}\n" in metrics, metrics)
            expect((file.read_text() != "not ours") == is_on, file.read_text())
