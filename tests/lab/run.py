#!/usr/bin/env python3
"""Real kernel NAT in network namespaces: is the verdict of a node right behind each kind?

  run.py [--delay MS] [--program FILE] [KIND...]

One boot server at 1.2.3.10, a node behind the router. No namespace has a way out of the machine,
so the addresses may look public. Needs root. Prints kind, verdict and time to the verdict.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import nat_kinds
from namespaces import Lab

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BOOT, PORT = "1.2.3.10", 44000
CASES = {  # name: (kind of the router next to the node, kind of a second one beyond it, verdict)
    "none": ("none", None, "reachable"),
    "firewall without NAT": ("firewall", None, "unreachable"),
    "full cone": ("full-cone", None, "reachable"),
    "port-restricted": ("port-restricted", None, "unreachable"),
    "symmetric": ("symmetric", None, "unreachable"),
    "port forward": ("port-forward", None, "reachable"),
    "double NAT": ("port-restricted", "port-restricted", "unreachable"),
    "double NAT, inner port forward": ("port-forward", "port-restricted", "unreachable"),
}


def build(lab, cable, delay, inner, outer):
    """node - router [- second router] - internet - boot server"""
    for name in ("internet", "boot", "router", "node"):
        lab.add(name)
    lab.ip("internet", "link add name br0 type bridge")
    lab.ip("internet", "link set br0 up")

    def plug(name, device, port):
        if cable:
            lab.cable(cable, name, device, "internet", port, delay=delay / 2, seconds=120)
        else:
            lab.link(name, device, "internet", port)
        lab.ip("internet", f"link set {port} master br0")

    lab.link("boot", "eth0", "internet", "p-boot")
    lab.ip("internet", "link set p-boot master br0")
    lab.ip("boot", f"addr add {BOOT}/24 dev eth0")
    lab.make_router("router")
    lab.link("router", "lan", "node", "eth0")
    is_routed = inner in ("none", "firewall")
    node, gateway = ("1.2.4.2", "1.2.4.1") if is_routed else ("192.168.1.2", "192.168.1.1")
    lab.ip("router", f"addr add {gateway}/24 dev lan")
    lab.ip("node", f"addr add {node}/24 dev eth0")
    lab.ip("node", f"route add default via {gateway}")
    if outer:
        lab.add("carrier")
        lab.make_router("carrier")
        lab.link("router", "wan", "carrier", "lan")
        lab.ip("carrier", "addr add 100.64.0.1/24 dev lan")
        lab.ip("router", "addr add 100.64.0.2/24 dev wan")
        lab.ip("router", "route add default via 100.64.0.1")
        plug("carrier", "wan", "p-wan")
        lab.ip("carrier", "addr add 1.2.3.101/24 dev wan")
        lab.nft("carrier", nat_kinds.rules(outer))
    else:
        plug("router", "wan", "p-wan")
        lab.ip("router", "addr add 1.2.3.101/24 dev wan")
    if is_routed:
        lab.ip("boot", "route add 1.2.4.0/24 via 1.2.3.101")
    lab.nft("router", nat_kinds.rules(inner, node, PORT))


def verdict(lab, program, scratch):
    """Starts both programs; returns (status, reason, seconds to the verdict)."""
    boot_log = open(scratch / "boot.log", "w")
    boot = lab.start("boot", [program, "boot", "-H", BOOT, "-L", f"/ip4/{BOOT}/tcp/{PORT}",
                              "--key", scratch / "boot.key", "--json"], stdout=boot_log, stderr=boot_log)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if lab.exec("boot", f"curl -sf -m 1 http://{BOOT}:7888/status", check=False):
            break
        time.sleep(0.05)
    node_log = open(scratch / "node.log", "w")
    started = time.monotonic()
    node = lab.start("node", [program, "node", "--once", "--json", "-B", f"http://{BOOT}:7888/status",
                              "-L", f"/ip4/0.0.0.0/tcp/{PORT}", "--key", scratch / "node.key"],
                     stdout=subprocess.PIPE, stderr=node_log)
    try:
        output, _ = node.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        output = ""
    seconds = time.monotonic() - started
    lab.stop(node)
    lab.stop(boot)
    for line in reversed(output.splitlines()):
        document = json.loads(line)
        if document.get("schema") == "pyrsia.nat/1":
            return document["status"], document.get("reason", ""), seconds
    return "no verdict", output[-500:] + (scratch / "node.log").read_text()[-1500:], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(CASES))
    parser.add_argument("--delay", type=float, default=0, help="round trip added, in ms")
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces; nothing was tested")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    cable = None
    if arguments.delay:
        cable = ROOT / "build/lab/cable"
        cable.parent.mkdir(parents=True, exist_ok=True)
        source = pathlib.Path(__file__).with_name("cable.cpp")
        subprocess.run(["clang++-19", "-std=c++23", "-O2", source, "-o", cable], check=True)
    passed = failed = 0
    for name in arguments.kinds or CASES:
        inner, outer, expected = CASES[name]
        with Lab() as lab, tempfile.TemporaryDirectory(prefix="pyrsia-lab-") as scratch:
            build(lab, cable, arguments.delay, inner, outer)
            status, reason, seconds = verdict(lab, arguments.program, pathlib.Path(scratch))
        is_right = status == expected
        passed, failed = passed + is_right, failed + (not is_right)
        print(f"{'ok  ' if is_right else 'FAIL'} {name:32} {status:12} {seconds:6.2f} s  {reason}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
