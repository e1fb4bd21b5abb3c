#!/usr/bin/env python3
"""The AutoNAT study of 2026 once more, with our programs behind kernel NATs: who is told what, and how soon?

  study.py [--long [--repeat N]] [--jobs N] [--json] [--program FILE] [WORD...]

A node behind each kind of NAT knows three boot servers in three networks; a fourth, which it never
contacts, dials back for them. A virtual cable (cable.cpp) brings delay and loss. A wrong verdict, a
flip, or none at all in two runs, is a failure. Times are no failures, but each row says whether the goals are met:
at 100 ms round trip a first verdict within 1 s and a confirmed one within 3 s, a change noticed within 5 s. Beside
the table stand the study's figures for others. WORDs choose rows whose name contains one of them. Needs root.
"""
import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import nat_kinds
from namespaces import Lab, finish
from run import HTTP_PORT, LAN_NODE, PORT, ROOT, build_cable, make_lan

OUTSIDE, BEHIND_FIREWALL, CARRIER_SIDE = "1.9.3.101", "1.9.4.2", "100.64.0.2"
STRANGER = "1.8.7.20"
GOALS = {"provisional": 1, "confirmed": 3, "noticed": 5}  # Seconds.
PATIENCE, SETTLE, NOTICE = 40, 5, 30  # Seconds: for a verdict; it must then hold; for a change.
STUDY = """The study's figures for others (ProbeLab 2026; three probes where nothing else is said):
  address-restricted NAT: false positive in 60 of 60 runs (go, rust, js); port-restricted: 0 of 60
  symmetric NAT: no verdict at all in go and js, right in rust
  time to verdict, go v2: TCP 6.0 s, QUIC 6-11 s; +200 ms: 18.7/12.6 s; +500 ms: 32/20 s; 10 % loss: TCP up to 19.4 s
  5 of 7 servers flaky: v1 flips in 55-60 % of runs, v2 in none, first verdict up to 185 s
  home router with UPnP, first reachable: rust 5.7 s, go 14.3 s, js never
  port forward added / removed: noticed after about 30 s / 69 s
Ours, by TCP and QUIC:"""


@dataclasses.dataclass(frozen=True)
class Condition:
    name: str
    delay: float = 50  # One way, ms.
    loss: float = 0  # Percent, each way.
    servers: int = 3  # That the node knows.
    flaky: int = 0  # Of these.
    forward: str = ""  # "added" or "removed", once there is a verdict.
    is_helper_mute: bool = False  # The member that the node does not know takes requests, and its dials get nowhere.


BASE = Condition("100 ms RTT")
CONDITIONS = [BASE, Condition("+200 ms one way", delay=250), Condition("+500 ms one way", delay=550),
              Condition("10 % loss", loss=10), Condition("5 of 7 flaky", servers=7, flaky=5)]
FORWARDS = [Condition(f"forward {change}", forward=change) for change in ("added", "removed")]
MUTE = Condition("mute sibling", is_helper_mute=True)
# Name of the row: router next to the node, a second one beyond it, can a stranger connect?
KINDS = {
    "no NAT": ("none", None, True),
    "firewall": ("firewall", None, False),
    "full cone": ("full-cone", None, True),
    "address-restricted": ("address-restricted", None, False),
    "port-restricted": ("port-restricted", None, False),
    "symmetric": ("symmetric", None, False),
    "double NAT": ("port-restricted", "port-restricted", False),
}
SHORT = [*((kind, BASE) for kind in KINDS),
         *((kind, CONDITIONS[3]) for kind in ("full cone", "address-restricted")),
         ("full cone", CONDITIONS[2]), ("port-restricted", CONDITIONS[4]),
         # Behind a NAT that lets in whom the node knows, only the mute one could tell.
         ("no NAT", MUTE), ("port-restricted", MUTE)]
LONG = [(kind, condition) for condition in CONDITIONS for kind in KINDS]


@dataclasses.dataclass
class Outcome:
    kind: str
    condition: str
    is_open: bool  # At the end.
    status: str = "unknown"
    reason: str = ""
    stranger: bool | None = None  # What one found that tried.
    flips: int = 0
    false_positive: bool = False  # At any time.
    provisional: float | None = None
    confirmed: float | None = None
    noticed: float | None = None
    problem: str = ""

    @property
    def false_negative(self):
        return self.is_open and self.status == "unreachable"

    @property
    def is_right(self):
        wanted = "reachable" if self.is_open else "unreachable"
        return (not self.problem and self.status == wanted and not self.false_positive and not self.flips
                and self.stranger == self.is_open)


    @property
    def goals(self):
        """Those that hold for this row: is each met?"""
        wanted = {BASE.name: ("provisional", "confirmed")}.get(self.condition, ())
        if self.condition in (forward.name for forward in FORWARDS):
            wanted = ("noticed",)
        times = {goal: getattr(self, goal) for goal in wanted}
        return {goal: taken is not None and taken < GOALS[goal] for goal, taken in times.items()}

    @property
    def is_silent(self):
        """It came to no verdict, which is all that is wrong with it."""
        return self.status == "unknown" and not self.problem and not self.false_positive and not self.flips


def server_ip(number):
    return f"1.{number + 1}.7.10"


class World:
    """Boot servers, the stranger, the router and the node in namespaces, and their programs."""

    def __init__(self, lab, options, kind, condition, scratch):
        self.lab, self.options, self.condition, self.scratch = lab, options, condition, scratch
        self.inner, self.outer, self.is_open = KINDS[kind]
        self.is_routed = self.inner in ("none", "firewall")
        self.node_ip = BEHIND_FIREWALL if self.is_routed else LAN_NODE
        self.outside = BEHIND_FIREWALL if self.is_routed else OUTSIDE
        self.servers = [f"s{i}" for i in range(condition.servers + 1)]
        self.running = {}  # Server -> child.
        self.is_over = threading.Event()
        self._build()

    def _build(self):
        lab = self.lab
        for name in ("internet", "stranger", "router", "node", *self.servers):
            lab.add(name)
        lab.ip("internet", "link add name br0 type bridge")
        lab.ip("internet", "link set br0 up")
        for i, name in enumerate(self.servers):
            # The flaky ones of the second kind lose packets.
            self._plug(name, f"p-{name}", server_ip(i), loss=40 if i < self.condition.flaky and i % 3 == 1 else 0)
        self._plug("stranger", "p-stranger", STRANGER)
        lab.make_router("router")
        make_lan(lab, "1.9.4.1" if self.is_routed else "192.168.1.1", {"node": self.node_ip})
        outermost = "router"
        if self.outer:
            outermost = "carrier"
            lab.add("carrier")
            lab.make_router("carrier")
            lab.link("router", "wan", "carrier", "lan")
            lab.ip("carrier", "addr add 100.64.0.1/24 dev lan")
            lab.ip("router", f"addr add {CARRIER_SIDE}/24 dev wan")
            lab.ip("router", "route add default via 100.64.0.1")
            lab.nft("carrier", nat_kinds.rules(self.outer))
        self._plug(outermost, "p-wan", OUTSIDE, "wan", self.condition.delay, self.condition.loss)
        self._introduce(outermost)
        if self.is_routed:
            for name in (*self.servers, "stranger"):
                lab.ip(name, f"route add 1.9.4.0/24 via {OUTSIDE}")
        if self.condition.forward == "removed":
            self.is_open = True
        self._set_rules("port-forward" if self.condition.forward == "removed" else self.inner)

    def _plug(self, name, port, ip, device="eth0", delay=0.0, loss=0.0):
        if delay or loss:
            self.lab.cable(self.options.cable, name, device, "internet", port, delay=delay, loss=loss,
                           seed=self.options.seed, seconds=600)
        else:
            self.lab.link(name, device, "internet", port)
        self.lab.ip("internet", f"link set {port} master br0")
        self.lab.ip(name, f"addr add {ip}/8 dev {device}")

    def _introduce(self, outermost):
        """They know each other's link addresses. Else the question for one could be lost on the cable, and a
        server's first dials would all wait for its second of time: no loss of the kind that is meant here."""
        def link_address(name, device):
            return self.lab.exec(name, f"cat /sys/class/net/{device}/address").strip()
        wan = link_address(outermost, "wan")
        outside = {**{name: server_ip(i) for i, name in enumerate(self.servers)}, "stranger": STRANGER}
        for name, ip in outside.items():
            self.lab.ip(name, f"neigh replace {OUTSIDE} lladdr {wan} dev eth0 nud permanent")
            self.lab.ip(outermost, f"neigh replace {ip} lladdr {link_address(name, 'eth0')} dev wan nud permanent")

    def _set_rules(self, kind):
        # What is open stays open, as at a router whose list of forwards is edited: not Lab.nft().
        self.lab.exec("router", "nft -f -", input=nat_kinds.rules(kind, self.node_ip, PORT, OUTSIDE))

    def change_forward(self):
        """The router's list changes, and something on the node's network with it: the trigger."""
        self.is_open = self.condition.forward == "added"
        self._set_rules("port-forward" if self.is_open else self.inner)
        self.lab.ip("node", "addr add 192.168.77.7/32 dev eth0")
        return time.monotonic()

    def addresses(self, name):
        ip = server_ip(self.servers.index(name))
        peer = self.ids[name]
        return [f"/ip4/{ip}/tcp/{PORT}/p2p/{peer}", f"/ip4/{ip}/udp/{PORT}/quic-v1/p2p/{peer}"]

    def start_servers(self):
        keys = [str(self.scratch / f"{name}.key") for name in self.servers]
        asked = [subprocess.Popen([self.options.program, "id", "--key", key], stdout=subprocess.PIPE, text=True)
                 for key in keys]
        self.ids = {name: child.communicate()[0].strip() for name, child in zip(self.servers, asked)}
        for name in self.servers:
            self.start_server(name)
        for i, name in enumerate(self.servers):
            wait_for_http(self.lab, name, f"http://{server_ip(i)}:{HTTP_PORT}/status")
        time.sleep(2)  # The members connect to each other.
        if self.condition.is_helper_mute:
            self.lab.exec(self.servers[-1], "nft -f -", input=nat_kinds.NO_DIALS_OUT)

    def start_server(self, name):
        ip = server_ip(self.servers.index(name))
        siblings = [word for other in self.servers if other != name for word in ("--sibling", self.addresses(other)[0])]
        with open(self.scratch / f"{name}.log", "a") as log:
            self.running[name] = self.lab.start(
                name, [self.options.program, "boot", "-H", ip, "-p", str(HTTP_PORT), "-L", f"/ip4/{ip}/tcp/{PORT}",
                       "-L", f"/ip4/{ip}/udp/{PORT}/quic-v1", "--key", self.scratch / f"{name}.key", *siblings,
                       "--json"], stdout=log, stderr=log)

    def start_node(self, *words):
        known = [word for name in self.servers[:self.condition.servers] for address in self.addresses(name)
                 for word in ("-P", address)]
        with open(self.scratch / "node.log", "w") as log:
            listen = ["-L", f"/ip4/0.0.0.0/tcp/{PORT}", "-L", f"/ip4/0.0.0.0/udp/{PORT}/quic-v1"]
            return self.lab.start("node", [self.options.program, "node", "--json", *listen, *known, *words,
                                           "--key", self.scratch / "node.key"], stdout=log, stderr=log)

    def disturb(self):
        """Every seven seconds the flaky servers that die are killed and come back; those that hang do so for five."""
        flaky = range(self.condition.flaky)
        while not self.is_over.wait(7):
            for name in (self.servers[i] for i in flaky if i % 3 == 2):
                self.lab.stop(self.running[name])
                self.start_server(name)
            hanging = [self.running[self.servers[i]] for i in flaky if i % 3 == 0]
            for child in hanging:
                child.send_signal(signal.SIGSTOP)
            self.is_over.wait(5)
            for child in hanging:
                child.send_signal(signal.SIGCONT)

    def stranger_gets_in(self):
        connecting = f"import socket; socket.create_connection(('{self.outside}', {PORT}), 5)"
        done = subprocess.run(["ip", "netns", "exec", self.lab.prefix + "stranger", sys.executable, "-c", connecting],
                              stderr=subprocess.DEVNULL, timeout=60)
        return done.returncode == 0


def wait_for_http(lab, name, url):
    asking = f"import urllib.request; urllib.request.urlopen('{url}', timeout=1)"
    for _ in range(100):
        if not subprocess.run(["ip", "netns", "exec", lab.prefix + name, sys.executable, "-c", asking],
                              stderr=subprocess.DEVNULL, timeout=30).returncode:
            return
    raise RuntimeError(f"{name} does not answer")


class Watch:
    """What the node says of itself, at /nat, as it changes: (time, status, confirmed, reason)."""

    def __init__(self, lab):
        self.changes = []
        self.child = lab.start("node", [sys.executable, __file__, "--poll"], stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.changes.append(tuple(json.loads(line)))

    def wait(self, fits, since, patience):
        """When it first fitted, from the time `since` on."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for i, (at, *what) in enumerate(list(self.changes)):
                until = self.changes[i + 1][0] if i + 1 < len(self.changes) else float("inf")
                if until > since and fits(*what):
                    return max(at, since)
            time.sleep(0.02)
        return None


def poll():
    """Runs in the node's namespace."""
    last = None
    while True:
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/nat", timeout=5) as answer:
                said = json.load(answer)
            if (what := (said["status"], said["confirmed"])) != last:
                print(json.dumps([time.monotonic(), *what, said["reason"]]), flush=True)
                last = what
        time.sleep(0.02)


def observe(world, watch, outcome):
    started = time.monotonic()
    first = watch.wait(lambda status, *_: status != "unknown", started, PATIENCE)
    outcome.provisional = first and first - started
    # Flaky servers may not confirm anything, and a change is waited for from a confirmed verdict.
    sure = watch.wait(lambda status, is_sure, _: is_sure and status != "unknown", started,
                      PATIENCE if not world.condition.flaky else 20)
    outcome.confirmed = sure and sure - started
    time.sleep(SETTLE)
    count_wrong(watch, outcome, world.is_open, started)
    if not world.condition.forward:
        return
    changed = world.change_forward()
    wanted = "reachable" if world.is_open else "unreachable"
    noticed = watch.wait(lambda status, *_: status == wanted, changed, NOTICE)
    outcome.noticed = noticed and noticed - changed
    time.sleep(SETTLE)
    count_wrong(watch, outcome, world.is_open, noticed or changed)


def count_wrong(watch, outcome, is_open, since):
    """Verdicts from `since` on, until now, while nothing changed."""
    before = None
    for at, status, *_ in list(watch.changes):
        if at < since or status == "unknown":
            continue
        outcome.flips += before is not None and status != before
        outcome.false_positive |= status == "reachable" and not is_open
        before = status


def run_one(number, options, kind, condition):
    outcome = Outcome(kind, condition.name, KINDS[kind][2])
    with Lab(f"pyrsia-study{number}-") as lab, tempfile.TemporaryDirectory(prefix="pyrsia-study-") as scratch:
        try:
            world = World(lab, options, kind, condition, pathlib.Path(scratch))
            world.start_servers()
            threading.Thread(target=world.disturb, daemon=True).start()
            watch = Watch(lab)
            world.start_node()
            observe(world, watch, outcome)
            outcome.is_open = world.is_open
            outcome.stranger = world.stranger_gets_in()
            if watch.changes:
                _, outcome.status, _, outcome.reason = watch.changes[-1]
            world.is_over.set()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            outcome.problem = str(error)
    return outcome


def run_row(number, options, kind, condition):
    """One run, and a second one where that came to no verdict in its time: packets are lost at random."""
    outcomes = [run_one(number, options, kind, condition)]
    if outcomes[0].is_silent:
        outcomes.append(run_one(number, options, kind, condition))
    return outcomes


def text(times):
    known = sorted(t for t in times if t is not None)
    return f"{statistics.median(known):5.2f}/{known[-1]:.2f}" if known else "-"


def goals_text(outcomes):
    """Missed by one run is missed."""
    goals = outcomes[0].goals
    missed = [goal for goal in goals if not all(o.goals[goal] for o in outcomes)]
    return "missed: " + ", ".join(missed) if missed else "met" if goals else "-"


def table(outcomes):
    rows = {}
    for outcome in outcomes:
        rows.setdefault((outcome.kind, outcome.condition), []).append(outcome)
    print(STUDY)
    print(f"{'NAT':18} {'condition':16} runs   FP   FN none flips  provisional s  confirmed s    noticed s       "
          "goals (times: median/worst)")
    for (kind, condition), all_ in rows.items():
        print(f"{kind:18} {condition:16} {len(all_):4} {sum(o.false_positive for o in all_):4} "
              f"{sum(o.false_negative for o in all_):4} {sum(o.status == 'unknown' for o in all_):4} "
              f"{sum(o.flips for o in all_):5}  {text(o.provisional for o in all_):14} "
              f"{text(o.confirmed for o in all_):14} {text(o.noticed for o in all_):15} {goals_text(all_)}")


def report(outcomes, is_json):
    seen, wrong = [], 0
    for first, *again in outcomes:
        seen += [first, *again]
        if again and again[0].is_right and not is_json:
            print(f"again {first.kind}, {first.condition}: no verdict at first; {first.reason}", flush=True)
        outcome = again[0] if again else first
        wrong += not outcome.is_right
        if not outcome.is_right and not is_json:
            found = {True: "open", False: "closed", None: "not tried"}[outcome.stranger]
            print(f"FAIL {outcome.kind}, {outcome.condition}: {outcome.status}, to a stranger {found}, "
                  f"{outcome.flips} flips; {outcome.problem or outcome.reason}", flush=True)
    if is_json:
        print(json.dumps({"schema": "pyrsia.study/1", "passed": sum(o.is_right for o in seen), "failed": wrong,
                          "runs": [{**dataclasses.asdict(o), "is_right": o.is_right, "goals": o.goals} for o in seen]},
                         indent=1))
    else:
        table(seen)
        print(f"{sum(o.is_right for o in seen)} passed, {wrong} failed")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="rows whose name contains one of these")
    parser.add_argument("--long", action="store_true", help="every kind under every condition")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each row")
    parser.add_argument("--jobs", type=int, default=4, help="runs at the same time")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    parser.add_argument("--poll", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.poll:
        return poll()
    if os.geteuid() != 0:
        print("study: needs root for network namespaces; nothing was tested", file=sys.stderr)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    rows = [*(LONG if options.long else SHORT), *(("port-restricted", forward) for forward in FORWARDS)]
    rows = [row for row in rows
            if not options.words or any(word in f"{row[0]}, {row[1].name}" for word in options.words)]
    if not rows:
        parser.error("no such row")
    options.cable = build_cable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # Ends the pool, and with it the namespaces.
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        running = []
        for number, row in enumerate(rows * options.repeat):
            options.seed = number + 1
            running.append(pool.apply_async(run_row, (number, argparse.Namespace(**vars(options)), *row)))
        exit_code = report((each.get() for each in running), options.json)
        finish(pool)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
