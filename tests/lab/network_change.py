#!/usr/bin/env python3
"""A node in a namespace of its own, whose addresses and routes change: does it notice? And behind a
NAT that moves it in the middle of a QUIC transfer, or over a path that drops large packets: does every
byte come?

  network_change.py [--program FILE]

Prints how long each change took to be noticed, and each transfer to end; fails where a change is
noticed after more than two seconds, or a byte is missing. Needs root.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import quic_moves
from namespaces import Lab
from run import build_cable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 2
PORT = 44000


class Lines:
    """Lines of a stream with the time they came, for as long as it is open."""

    def __init__(self, stream):
        self.seen = []
        self.changed = threading.Condition()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        for line in stream:
            with self.changed:
                self.seen.append((time.monotonic(), line.rstrip("\n")))
                self.changed.notify_all()

    def wait(self, wanted, since, seconds=20):
        """Seconds from `since` until a line for which wanted(line) holds; None if none comes."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                found = [at for at, line in self.seen if at >= since and wanted(line)]
                if found:
                    return found[0] - since
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.changed.wait(left)


# A router advertisement with nothing in it but PREF64: 64:ff9b::/96, for half an hour. RFC 8781.
ADVERTISE = """
import socket, struct
option = struct.pack(">BBH", 38, 2, 1800) + socket.inet_pton(socket.AF_INET6, "64:ff9b::")[:12]
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as ours:
    ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("lan"))
    ours.sendto(struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option, ("ff02::1", 0))
"""


def advertise_nat64(lab):
    """A router on the node's link tells its NAT64 prefix; what the node then says of it."""
    lab.add("router")
    lab.link("router", "lan", "node", "p-router")
    lab.ip("node", "link set p-router master eth0")
    lab.exec("node", "sysctl -qw net.ipv6.conf.eth0.accept_ra=2")
    time.sleep(3)  # Until the link-local addresses have been looked for twice.
    since = time.monotonic()
    lab.exec("router", f"{sys.executable} -", input=ADVERTISE)
    while time.monotonic() - since < 10:
        told = json.loads(lab.exec("node", "curl -sf -m 20 http://127.0.0.1:7888/probe"))["ipv6"]
        if told["nat64"]:
            return time.monotonic() - since if told["nat64_prefix"] == "64:ff9b::/96" else None
        time.sleep(0.2)
    return None


def is_listening_on(ip):
    def wanted(line):
        event = json.loads(line)
        return event.get("event") == "listening" and event["address"].startswith(f"/ip4/{ip}/")
    return wanted


def watch(program, scratch):
    with Lab("pyrsia-lab-net") as lab:
        lab.add("node")
        lab.ip("node", "link add name eth0 type bridge")  # Not every kernel has type dummy.
        lab.ip("node", "addr add 10.0.0.1/24 dev eth0")
        lab.ip("node", "link set eth0 up")
        node = lab.start("node", [program, "node", "--json", "--log-level", "info", "--listen-only",
                                  "--address-scope", "private", "-L", f"/ip4/0.0.0.0/tcp/{PORT}", "--key",
                                  scratch / "key"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        events, log = Lines(node.stdout), Lines(node.stderr)
        if events.wait(is_listening_on("10.0.0.1"), 0) is None:
            raise RuntimeError("the node does not listen")
        looked = lambda line: "looking at our addresses again" in line

        def change(arguments):
            time.sleep(1)  # The last change has had its consequences.
            since = time.monotonic()
            lab.ip("node", arguments)
            return since

        yield "address added", events.wait(is_listening_on("10.0.0.2"), change("addr add 10.0.0.2/24 dev eth0"))
        yield "default route added", log.wait(looked, change("route add default via 10.0.0.254"))
        yield "default route removed", log.wait(looked, change("route del default"))
        yield "link down", log.wait(looked, change("link set eth0 down"))
        yield "link up", log.wait(looked, change("link set eth0 up"))
        yield "address removed", log.wait(looked, change("addr del 10.0.0.2/24 dev eth0"))
        nat = json.loads(lab.exec("node", "curl -sf -m 5 http://127.0.0.1:7888/nat"))
        left = [entry["address"] for entry in nat["addresses"]]
        yield "and it is no candidate any more", 0 if left == [f"/ip4/10.0.0.1/tcp/{PORT}"] else None
        yield "NAT64 prefix advertised, in /probe", advertise_nat64(lab)
        lab.stop(node)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces; nothing was tested", file=sys.stderr)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    passed = failed = 0

    def judge(what, seconds, limit):
        nonlocal passed, failed
        is_right = seconds is not None and seconds < limit
        passed, failed = passed + is_right, failed + (not is_right)
        took = "no" if seconds is None else f"{seconds:6.3f} s"
        print(f"{'ok  ' if is_right else 'FAIL'} {what:36} {took}", flush=True)

    with tempfile.TemporaryDirectory(prefix="pyrsia-lab-") as scratch:
        for what, seconds in watch(options.program, pathlib.Path(scratch)):
            judge(what, seconds, LIMIT_SECONDS)
    cable = build_cable()
    for what, seconds in quic_moves.transfers(options.program, cable):
        judge(what, seconds, math.inf)
    for what, seconds in quic_moves.narrow_transfers(options.program, cable):
        judge(what, seconds, math.inf)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
