#!/usr/bin/env python3
"""Records what the verdicts of a node rest on, behind kernel NATs: the test data below tests/evidence.

  record_evidence.py [--program FILE] [--out DIRECTORY] [--jobs N] [NAME...]
  record_evidence.py --verdicts [--program FILE] [--out DIRECTORY] [NAME...]

Beside NAME.evidence, as `pyrsia node --record-evidence` writes it, stands NAME.verdict: the truth as the lab
has made it, then every verdict that a replay comes to, with its reason. src/host/reachability_replay_test.cpp
tells all of them again. A verdict that is not the truth is no test data: it is a failure here. `--verdicts`
records nothing, and writes the second files anew, after a change of the rules. Needs root but for that.
"""
import argparse
import dataclasses
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import study
from namespaces import Lab, finish
from run import HTTP_PORT, ROOT, build_cable

MOVED_TO = "1.9.4.3"
LOSS = study.CONDITIONS[3]


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str
    condition: study.Condition = study.BASE
    is_moved: bool = False  # The node's address changes, once there is a verdict.
    is_beyond_us: bool = False  # Nobody that could be asked can tell: no verdict is right, a wrong one is not.


CASES = {
    "no_nat": Case("no NAT"),
    "firewall": Case("firewall"),
    "full_cone": Case("full cone"),
    "address_restricted": Case("address-restricted"),
    "port_restricted": Case("port-restricted"),
    "symmetric": Case("symmetric"),
    "double_nat": Case("double NAT"),
    "full_cone_loss": Case("full cone", LOSS),
    "address_restricted_loss": Case("address-restricted", LOSS),
    "forward_added": Case("port-restricted", study.FORWARDS[0]),
    "forward_removed": Case("port-restricted", study.FORWARDS[1]),
    "address_changed": Case("no NAT", is_moved=True),
    "no_nat_mute_sibling": Case("no NAT", study.MUTE),
    "port_restricted_mute_sibling": Case("port-restricted", study.MUTE),
    "full_cone_mute_sibling": Case("full cone", study.MUTE, is_beyond_us=True),
}


def truth_of(case):
    """In the words of a .verdict file."""
    if case.is_beyond_us:
        return "open, which nobody can tell"
    before, after = {"added": ("closed", "open"), "removed": ("open", "closed")}.get(
        case.condition.forward, (("open" if study.KINDS[case.kind][2] else "closed"),) * 2)
    return before if before == after else f"{before}, then {after}"


def verdict_text(truth, replayed):
    """What src/host/reachability_replay_test.cpp makes of a replay."""
    lines = [f"truth: {truth}"]
    lines += [f"{change['old_status']} -> {change['new_status']}: {change['reason']}" for change in replayed["changes"]]
    nat = replayed["nat"]
    for one in (nat, *nat["addresses"]):
        sure = ", confirmed" if one["confirmed"] else ""
        lines.append(f"{one.get('address', 'node')} {one['status']}{sure}: {one['reason']}")
    return "\n".join(lines) + "\n"


def problem_with(truth, replayed):
    """None if the verdicts are the truth, without a flip."""
    found = []
    for change in replayed["changes"]:
        if change["new_status"] != "unknown" and change["new_status"] not in found[-1:]:
            found.append(change["new_status"])
    wanted = [{"open": "reachable", "closed": "unreachable"}.get(word) for word in truth.split(", then ")]
    return None if found == [word for word in wanted if word] else f"{truth}, but told {', then '.join(found) or 'nothing'}"


def write_verdict(name, options):
    file = options.out / f"{name}.evidence"
    replayed = json.loads(subprocess.run([options.program, "addr", "replay", str(file), "--json"], check=True,
                                         capture_output=True, text=True).stdout)
    truth = truth_of(CASES[name])
    (options.out / f"{name}.verdict").write_text(verdict_text(truth, replayed))
    return problem_with(truth, replayed)


def relative(recording):
    """The same with the first input after one second."""
    header, *lines = recording.splitlines()
    parts = [line.split(" ", 1) for line in lines]
    begin = int(parts[0][0]) - 10**9
    return "\n".join([header, *(f"{int(at) - begin} {what}" for at, what in parts)]) + "\n"


def move(world):
    world.lab.ip("node", f"addr del {study.BEHIND_FIREWALL}/24 dev eth0")
    world.lab.ip("node", f"addr add {MOVED_TO}/24 dev eth0")
    world.lab.ip("node", "route add default via 1.9.4.1")
    return time.monotonic()


def run_through(world, watch, case):
    started = time.monotonic()
    patience = 12 if case.is_beyond_us else study.PATIENCE
    is_sure = watch.wait(lambda status, sure, _: sure and status != "unknown", started, patience)
    time.sleep(3)
    if case.condition.forward:
        changed = world.change_forward()
    elif case.is_moved:
        changed = move(world)
    else:
        return is_sure or case.is_beyond_us or case.condition.loss  # With losses it may stay provisional.
    wanted = "reachable" if world.is_open else "unreachable"
    time.sleep(2)
    is_sure = watch.wait(lambda status, sure, _: sure and status == wanted, changed + 2, study.NOTICE)
    time.sleep(3)
    return is_sure


def record(name, options):
    """Returns what is wrong, if anything is."""
    case = CASES[name]
    with Lab(f"pyrsia-record{list(CASES).index(name)}-") as lab, \
            tempfile.TemporaryDirectory(prefix="pyrsia-record-") as scratch:
        scratch = pathlib.Path(scratch)
        world = study.World(lab, options, case.kind, case.condition, scratch)
        world.start_servers()
        watch = study.Watch(lab)
        node = world.start_node("--record-evidence", str(scratch / "evidence"))
        is_sure = run_through(world, watch, case)
        asking = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{HTTP_PORT}/nat').read().decode())"
        nat = json.loads(lab.exec("node", f'{sys.executable} -c "{asking}"'))
        lab.stop(node)
        (options.out / f"{name}.evidence").write_text(relative((scratch / "evidence").read_text()))
    problem = write_verdict(name, options)
    text = (options.out / f"{name}.verdict").read_text()
    sure = ", confirmed" if nat["confirmed"] else ""
    if not problem and f"\nnode {nat['status']}{sure}: " not in text:
        problem = f"the node said {nat['status']}{sure}, its replay does not"
    return problem or (None if is_sure else "no confirmed verdict")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--verdicts", action="store_true", help="only replay what is there")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/evidence")
    parser.add_argument("--jobs", type=int, default=2, help="recordings at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of the packets that are lost")
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    options = parser.parse_args()
    names = options.names or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"no such recording: {', '.join(unknown)}")
    if not options.verdicts and os.geteuid() != 0:
        parser.error("needs root for network namespaces")
    options.out.mkdir(exist_ok=True)
    if not options.verdicts:
        options.cable = build_cable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # Ends the pool, and with it the namespaces.
    failed = 0
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        make = write_verdict if options.verdicts else record
        running = [(name, pool.apply_async(make, (name, options))) for name in names]
        for name, each in running:
            problem = each.get()
            failed += problem is not None
            print(f"{'FAIL' if problem else 'ok  '} {name}" + (f": {problem}" if problem else ""), flush=True)
        finish(pool)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
