#!/usr/bin/env python3
"""Real kernel NAT in network namespaces: is the verdict of a node right behind each kind?

  run.py [--delay MS] [--program FILE] [--jobs N] [--json] [KIND...]

One boot server at 1.2.3.10, a node behind the router, and a stranger at 1.2.3.20 who tries the
node's outside address once there is a verdict: that is the truth the verdict is printed beside. No
namespace has a way out of the machine, so the addresses may look public. Needs root.

The cases "port mapping, ..." (port_mapping.py) have miniupnpd on the router. Where it is missing they
are skipped; PYRSIA_REQUIRE_LAB=miniupnpd makes that a failure.
"""
import argparse
import dataclasses
import json
import multiprocessing
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
import time

import nat_kinds
import port_mapping
from namespaces import Lab, finish, is_required

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BOOT, STRANGER, OUTSIDE = "1.2.3.10", "1.2.3.20", "1.2.3.101"
PORT, INSIDE_BOOT_PORT, HTTP_PORT = 44000, 44001, 7888
LAN_NODE, LAN_BOOT = "192.168.1.2", "192.168.1.3"
VERDICT_SECONDS, STRANGER_SECONDS = 60, 1
SAME_IP = ("v1 dials back from the IP that the node had contacted, which this NAT lets in: "
           "a false positive of AutoNAT v1 with few servers")
BY_HAIRPIN = "the dial-back came through the router from inside, by the public address"


@dataclasses.dataclass
class Case:
    inner: str  # The kind of the router next to the node.
    outer: str | None  # Of a second one beyond it, as at carriers.
    verdict: str
    is_open: bool  # Can a stranger connect?
    why: str = ""  # Said beside the verdict, above all where it is not the truth.
    is_boot_inside: bool = False  # The boot server is on the node's side of a hairpin router.


CASES = {
    "none": Case("none", None, "reachable", True),
    "firewall without NAT": Case("firewall", None, "unreachable", False),
    "full cone": Case("full-cone", None, "reachable", True),
    "address-restricted": Case("address-restricted", None, "reachable", False, SAME_IP),
    "port-restricted": Case("port-restricted", None, "unreachable", False),
    "symmetric": Case("symmetric", None, "unreachable", False),
    "port forward": Case("port-forward", None, "reachable", True),
    "hairpin, full cone": Case("hairpin-cone", None, "reachable", True, BY_HAIRPIN, True),
    "hairpin, port-restricted": Case("hairpin", None, "unreachable", False, BY_HAIRPIN, True),
    "double NAT": Case("port-restricted", "port-restricted", "unreachable", False),
    "double NAT, inner port forward": Case("port-forward", "port-restricted", "unreachable", False),
    "CGNAT and home, full cones": Case("full-cone", "full-cone", "reachable", True),
    "CGNAT symmetric, home cone": Case("full-cone", "symmetric", "unreachable", False),
}


@dataclasses.dataclass
class Outcome:
    name: str
    expected: str
    expected_open: bool
    verdict: str = "no verdict"
    is_open: bool | None = None
    seconds: float = 0
    reason: str = ""
    why: str = ""

    @property
    def is_right(self):
        return self.verdict == self.expected and self.is_open == self.expected_open

    def line(self):
        truth = {True: "open", False: "closed", None: "?"}[self.is_open]
        text = f"{'ok  ' if self.is_right else 'FAIL'} {self.name:31} {self.verdict:12} {truth:8}"
        return f"{text}{self.seconds:6.2f} s  {self.reason}" + (f"\n     ({self.why})" if self.why else "")


def build(lab, cable, delay, case):
    """node - router [- second router] - internet - boot server, stranger"""
    for name in ("internet", "boot", "stranger", "router", "node"):
        lab.add(name)
    lab.ip("internet", "link add name br0 type bridge")
    lab.ip("internet", "link set br0 up")

    def plug(name, device, port):
        if cable:
            lab.cable(cable, name, device, "internet", port, delay=delay / 2, seconds=120)
        else:
            lab.link(name, device, "internet", port)
        lab.ip("internet", f"link set {port} master br0")

    def plug_near(name, ip):
        lab.link(name, "eth0", "internet", f"p-{name}")
        lab.ip("internet", f"link set p-{name} master br0")
        lab.ip(name, f"addr add {ip}/24 dev eth0")

    plug_near("stranger", STRANGER)
    if not case.is_boot_inside:
        plug_near("boot", BOOT)
    lab.make_router("router")
    is_routed = case.inner in ("none", "firewall")
    node, gateway = ("1.2.4.2", "1.2.4.1") if is_routed else (LAN_NODE, "192.168.1.1")
    make_lan(lab, gateway, {"node": node, "boot": LAN_BOOT} if case.is_boot_inside else {"node": node})
    if case.outer:
        lab.add("carrier")
        lab.make_router("carrier")
        lab.link("router", "wan", "carrier", "lan")
        lab.ip("carrier", "addr add 100.64.0.1/24 dev lan")
        lab.ip("router", "addr add 100.64.0.2/24 dev wan")
        lab.ip("router", "route add default via 100.64.0.1")
    outermost = "carrier" if case.outer else "router"
    plug(outermost, "wan", "p-wan")
    lab.ip(outermost, f"addr add {OUTSIDE}/24 dev wan")
    if is_routed:
        for name in ("boot", "stranger"):
            lab.ip(name, f"route add 1.2.4.0/24 via {OUTSIDE}")
    if case.outer:
        lab.nft("carrier", nat_kinds.rules(case.outer))
    if case.is_boot_inside:
        servers = {port: LAN_BOOT for port in (INSIDE_BOOT_PORT, HTTP_PORT)}
        lab.nft("router", nat_kinds.hairpin_rules(case.inner == "hairpin-cone", OUTSIDE, servers))
    else:
        lab.nft("router", nat_kinds.rules(case.inner, node, PORT))
    return node if is_routed else OUTSIDE


def make_lan(lab, gateway, hosts):
    """One switch, "lan", with the router's and the hosts' addresses."""
    lab.ip("router", "link add name lan type bridge")
    lab.ip("router", "link set lan up")
    lab.ip("router", f"addr add {gateway}/24 dev lan")
    # Who comes back in at "lan" is not to be told that there is a shorter way.
    lab.exec("router", "sysctl -qw net.ipv4.conf.lan.send_redirects=0")
    for name, ip in hosts.items():
        lab.link("router", f"p-{name}", name, "eth0")
        lab.ip("router", f"link set p-{name} master lan")
        lab.ip(name, f"addr add {ip}/24 dev eth0")
        lab.ip(name, f"route add default via {gateway}")


def start_boot(lab, case, program, scratch):
    """Returns the URL of its /status, as the node sees it."""
    ip, port = (LAN_BOOT, INSIDE_BOOT_PORT) if case.is_boot_inside else (BOOT, PORT)
    seen_at = OUTSIDE if case.is_boot_inside else BOOT
    with open(scratch / "boot.log", "w") as log:
        lab.start("boot", [program, "boot", "-H", ip, "-p", str(HTTP_PORT), "-L", f"/ip4/{ip}/tcp/{port}",
                           "--external-ip", seen_at, "--key", scratch / "boot.key", "--json"], stdout=log, stderr=log)
    url = f"http://{seen_at}:{HTTP_PORT}/status"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not lab.exec("node", f"curl -sf -m 1 {url}", check=False):
        time.sleep(0.05)
    return url


def lines_of(child, deadline):
    """The lines a program prints until the deadline."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            got = os.read(child.stdout.fileno(), 65536)
            if not got:
                return
            *lines, pending = (pending + got).split(b"\n")
            yield from (line.decode() for line in lines)


def observe(lab, case, program, scratch, outside):
    """Starts both programs and waits for the verdict; then the stranger tries."""
    url = start_boot(lab, case, program, scratch)
    started = time.monotonic()
    with open(scratch / "node.log", "w") as log:
        node = lab.start("node", [program, "node", "--json", "-B", url, "-L", f"/ip4/0.0.0.0/tcp/{PORT}",
                                  "--key", scratch / "node.key"], stdout=subprocess.PIPE, stderr=log)
    for line in lines_of(node, started + VERDICT_SECONDS):
        event = json.loads(line)
        if event.get("event") != "status_changed" or event["new_status"] == "unknown":
            continue
        seconds = time.monotonic() - started
        report = json.loads(lab.exec("node", f"curl -sf -m 5 http://127.0.0.1:{HTTP_PORT}/nat"))
        connecting = f"import socket; socket.create_connection(('{outside}', {PORT}), {STRANGER_SECONDS})"
        stranger = subprocess.run(["ip", "netns", "exec", lab.prefix + "stranger", sys.executable, "-c", connecting],
                                  stderr=subprocess.DEVNULL, timeout=30)
        return {"verdict": report["status"], "reason": report["reason"], "seconds": seconds,
                "is_open": stranger.returncode == 0}
    return {"reason": (scratch / "node.log").read_text()[-1500:], "seconds": time.monotonic() - started}


def run_case(name, options):
    case = CASES[name]
    outcome = Outcome(name, case.verdict, case.is_open, why=case.why)
    with Lab(f"pyrsia-lab{list(CASES).index(name)}-") as lab, \
            tempfile.TemporaryDirectory(prefix="pyrsia-lab-") as scratch:
        outside = build(lab, options.cable, options.delay, case)
        found = observe(lab, case, options.program, pathlib.Path(scratch), outside)
    return dataclasses.replace(outcome, **found)


def mapping_names():
    return [f"port mapping, {name}" for name in port_mapping.CASES]


def run_any(name, options):
    if name in CASES:
        return run_case(name, options)
    return port_mapping.run_case(name.removeprefix("port mapping, "), options)


def build_cable():
    cable = ROOT / "build/lab/cable"
    cable.parent.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(__file__).with_name("cable.cpp")
    subprocess.run(["clang++-19", "-std=c++23", "-O2", source, "-o", cable], check=True)
    return cable


def report(outcomes, is_json, skipped):
    """Prints the outcomes as they come; returns the exit code."""
    seen = []
    if not is_json:
        print(f"     {'NAT':31} {'verdict':12} {'truth':8}    time  reason")
    for outcome in outcomes:
        seen.append(outcome)
        if not is_json:
            print(outcome.line(), flush=True)
    passed = sum(outcome.is_right for outcome in seen)
    if is_json:
        cases = [{**dataclasses.asdict(outcome), "is_right": outcome.is_right} for outcome in seen]
        print(json.dumps({"schema": "pyrsia.lab/1", "passed": passed, "failed": len(seen) - passed,
                          "skipped": skipped, "cases": cases},
                         indent=1))
    else:
        print(f"{passed} passed, {len(seen) - passed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed == len(seen) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="; ".join([*CASES, *mapping_names()]))
    parser.add_argument("--delay", type=float, default=0, help="round trip added, in ms")
    parser.add_argument("--jobs", type=int, default=4, help="cases at the same time")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    options = parser.parse_args()
    if unknown := [name for name in options.kinds if name not in CASES and name not in mapping_names()]:
        parser.error(f"no such kind: {', '.join(unknown)}")
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces; nothing was tested", file=sys.stderr)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    options.cable = build_cable() if options.delay else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # Ends the pool, and with it the namespaces.
    names = options.kinds or [*CASES, *mapping_names()]
    skipped = [] if port_mapping.is_there() else [name for name in names if name not in CASES]
    if skipped:
        print(f"lab: SKIPPED, as miniupnpd is not installed (scripts/setup --tests): {'; '.join(skipped)}",
              file=sys.stderr)
        if is_required("miniupnpd"):
            print(f"0 passed, {len(skipped)} failed")
            return 1
    names = [name for name in names if name not in skipped]
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        running = [pool.apply_async(run_any, (name, options)) for name in names]
        exit_code = report((each.get() for each in running), options.json, len(skipped))
        finish(pool)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
