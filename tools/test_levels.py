#!/usr/bin/env python3
"""Runs the test levels one after another and prints one summary.

Every level is a command; its result is read from its last line "N passed, N failed[, N skipped]",
from ctest's closing line, or, where it prints neither, from its exit code. A level that exits
with an error counts as at least one failure, whatever it printed.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEVELS = {  # name: (what it shows, command, seconds it may take); its builds included
    "check": ("format, layers, coroutine rules", ["tools/check"], 300),
    "dev": ("unit and simulation, clang 19, ASan and UBSan", ["tools/ctest_preset", "dev"], 2400),
    "gcc": ("the same, gcc 12", ["tools/ctest_preset", "gcc"], 2400),
    "tsan": ("what works with threads, clang 19 and TSan", ["tools/ctest_preset", "tsan", "runtime", "bootstrap", "host"],
             1800),
    "soak": ("200 towns of 50 simulated nodes, ASan", ["python3", "tools/run_soak.py"], 3000),
    "fuzz": ("each codec, 30 s", ["python3", "tools/run_fuzzers.py"], 2400),
    "release": ("release build, install, a program that uses it", ["tests/consumer/run"], 1800),
    "e2e": ("the program on loopback", ["tools/with_build", "dev", "tests/e2e/run.py", "build/dev/apps/pyrsia/pyrsia"], 1800),
    "interop": ("live go-, rust- and js-libp2p", ["tools/with_build", "dev", "tests/interop/run.py"], 3600),
    "lab": ("kernel NAT in network namespaces", ["tools/with_build", "release", "tests/lab/run.py"], 1800),
    "study": ("the AutoNAT study behind kernel NATs", ["tools/with_build", "release", "tests/lab/study.py"], 1800),
    "probe": ("what `pyrsia probe` and the tools of others say behind each NAT",
              ["tools/with_build", "release", "tests/lab/probe.py", "--rivals", "--jobs", "4"], 1800),
    "members": ("the same by servers that lend each other an address",
                ["tools/with_build", "release", "tests/lab/probe.py", "--members", "--jobs", "4"], 1800),
    "change": ("routes and addresses come and go", ["tools/with_build", "release", "tests/lab/network_change.py"], 600),
    "flood": ("a million forged sources", ["tools/with_build", "release", "tests/lab/spoofed_sources.py"], 600),
}
COUNTS = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
CTEST = re.compile(r"^\d+% tests passed, (\d+) tests? failed out of (\d+)$", re.M)


def counts(output, exit_code):
    passed, failed, skipped = 0, 0, 0
    if found := COUNTS.findall(output):
        passed, failed, skipped = (int(n or 0) for n in found[-1])
    elif found := CTEST.findall(output):
        failed, total = (int(n) for n in found[-1])
        passed = total - failed
    elif exit_code == 0:
        passed = 1
    if exit_code != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def run(name):
    what, command, limit = LEVELS[name]
    print(f"\n=== {name}: {what}", flush=True)
    started = time.monotonic()
    output = []
    process = subprocess.Popen(["timeout", "--kill-after=20", str(limit), *command], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    for line in process.stdout:
        output.append(line)
        print(line, end="", flush=True)
    exit_code = process.wait()
    if exit_code == 124:
        print(f"{name}: not finished after {limit} s")
    return (*counts("".join(output), exit_code), time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("levels", nargs="*", metavar="LEVEL")
    parser.add_argument("--list", action="store_true", help="name the levels and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (what, _, _) in LEVELS.items():
            print(f"{name:8} {what}")
        return 0
    if unknown := [name for name in arguments.levels if name not in LEVELS]:
        parser.error(f"no such level: {', '.join(unknown)}")
    os.environ.setdefault("CTEST_OUTPUT_ON_FAILURE", "1")
    results = {name: run(name) for name in arguments.levels or LEVELS}
    print("\n=== summary")
    for name, (passed, failed, skipped, seconds) in results.items():
        print(f"{name:8} {passed:5} passed {failed:4} failed {skipped:4} skipped {seconds:7.0f} s")
    passed, failed, skipped = (sum(r[i] for r in results.values()) for i in range(3))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
