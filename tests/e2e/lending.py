"""Boot servers lend each other the address that RFC 5780 needs, or say why they do not."""
import contextlib
import json
import os
import socket
import struct

from harness import Daemon, directory, expect, free_port, run, wait_for

ONE, TWO = "127.0.0.2", "127.0.0.3"


@contextlib.contextmanager
def boot(program, cwd, ip, ports, member, peer):
    """A boot server with STUN at `ip`, which knows `peer` at `member`."""
    listen = [word for port in ports for word in ("--stun-listen", f"{ip}:{port}")]
    with Daemon(program, "boot", "--key", f"{ip}.ser", *listen, "--stun-member",
                f"/ip4/{member}/udp/{ports[0]}/p2p/{peer}", cwd=cwd) as daemon:
        yield daemon


def identity(program, cwd, ip):
    return run(program, "id", "--key", f"{ip}.ser", cwd=cwd).stdout.strip()


def metric(daemon, name):
    return next((int(line.split()[1]) for line in daemon.get("/metrics").body.splitlines()
                 if line.startswith(name + " ")), None)


def line_of(daemon, text):
    return wait_for(text, lambda: next((line for line in list(daemon.errors) if text in line), None))


def ask_for_change(ip, port):
    """Type of the response to a request for another IP and port, where it came from, and its error code."""
    request = struct.pack(">HHI", 1, 8, 0x2112A442) + os.urandom(12) + struct.pack(">HHI", 3, 4, 6)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        ours.settimeout(0.5)
        for _ in range(20):
            ours.sendto(request, (ip, port))
            with contextlib.suppress(TimeoutError):
                answer, sender = ours.recvfrom(2048)
                expect(answer[4:20] == request[4:20], answer)
                error = answer[26] * 100 + answer[27] if answer[:2] == b"\1\x11" else None
                return answer[:2], sender, error
    raise AssertionError("no answer")


def test_boot_servers_lend_each_other_an_address(program):
    ports = [free_port(), free_port()]
    with directory() as cwd:
        ids = {ip: identity(program, cwd, ip) for ip in (ONE, TWO)}
        with boot(program, cwd, ONE, ports, TWO, ids[TWO]) as one:
            line = line_of(one, "does not lend us its address")
            expect(ids[TWO] in line and "does not answer STUN" in line, line)
            expect(metric(one, "pyrsia_stun_members_silent") == 1, "the reason is counted")
            expect(ask_for_change(ONE, ports[0])[2] == 420, "silence must not pass for a filter")
            with boot(program, cwd, TWO, ports, ONE, ids[ONE]) as two:
                for each in (one, two):
                    wait_for("a member", lambda each=each: metric(each, "pyrsia_stun_members_lending") == 1)
                expect(ids[TWO] in line_of(one, "a member lends us its address"), one.errors)
                kind, sender, _ = ask_for_change(ONE, ports[0])
                expect((kind, sender) == (b"\1\1", (TWO, ports[1])), (kind, sender))
                done = run(program, "probe", "--alone", "--json", "--server", f"{ONE}:{ports[0]}", cwd=cwd)
                udp = json.loads(done.stdout)["udp"]
                expect((udp["mapping"], udp["filtering"]) == ("endpoint-independent",) * 2, udp)
                expect(metric(one, "pyrsia_stun_lent_total") >= 2, "lent to clients")
                expect(metric(two, "pyrsia_stun_answered_lends_total") >= 2, "answered")
            wait_for("the loss", lambda: metric(one, "pyrsia_stun_members_lending") == 0)
            expect(ask_for_change(ONE, ports[0])[2] == 420, "it is gone")


def test_a_member_that_does_not_know_us_lends_nothing_and_both_say_so(program):
    ports = [free_port(), free_port()]
    with directory() as cwd:
        ids = {ip: identity(program, cwd, ip) for ip in (ONE, TWO)}
        with boot(program, cwd, TWO, ports, "127.0.0.9", ids[ONE]) as two, \
                boot(program, cwd, ONE, ports, TWO, ids[TWO]) as one:
            expect("has to name us by --stun-member" in line_of(one, "does not lend us its address"), one.errors)
            expect(metric(one, "pyrsia_stun_members_not_lending") == 1, "the reason is counted")
            line = line_of(two, "a lend is refused")
            expect(ONE in line and "no --stun-member names" in line, line)
            expect(metric(two, "pyrsia_stun_lends_of_strangers_total") >= 2, "counted")
            expect(ask_for_change(ONE, ports[0])[2] == 420, "silence must not pass for a filter")


def test_members_without_stun_are_noted(program):
    with directory() as cwd:
        member = f"/ip4/127.0.0.3/udp/3478/p2p/{identity(program, cwd, TWO)}"
        with Daemon(program, "boot", "--stun-listen", "", "--stun-member", member, cwd=cwd) as boot_server:
            line = line_of(boot_server, "--stun-member")
            expect("is not used" in line and "--stun-listen" in line, line)
