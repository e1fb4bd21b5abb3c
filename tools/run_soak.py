#!/usr/bin/env python3
"""Builds the simulation with optimisation and ASan, and runs the soak test over many seeds.

  run_soak.py [--seeds N] [--first N]     default: seeds 1 to 200 (PYRSIA_SOAK_SEEDS)
              [--study-seeds N]           default: 2, of the AutoNAT study, whose table is printed

Each seed is one run: the seeds are handed out to as many processes as there are cores, a few at a
time, and leaks are looked for when a process ends.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/soak/simulation_tests"
BATCH = 5
SECONDS_OF_A_SEED = 120


def run(first, count):
    env = os.environ | {"PYRSIA_SEEDS_AFTER": str(first), "PYRSIA_SEEDS": str(count),
                        # Short stacks of allocations: a tenth of the time. A failure is repeated with long ones.
                        "ASAN_OPTIONS": "detect_leaks=1:malloc_context_size=3"}
    env.pop("PYRSIA_SEED", None)
    started = time.monotonic()
    try:
        ended = subprocess.run([PROGRAM, "--gtest_filter=NetworkSoak.ATownOfFifty*"], env=env, cwd=ROOT, text=True,
                               errors="replace", capture_output=True, timeout=count * SECONDS_OF_A_SEED)
        is_ok, log = ended.returncode == 0, ended.stdout + ended.stderr
    except subprocess.TimeoutExpired as late:
        is_ok, log = False, f"{late.stdout or ''}\nnot finished after {late.timeout} s"
    return first, count, is_ok, log, time.monotonic() - started


def run_study(seeds):
    env = os.environ | {"PYRSIA_STUDY_SEEDS": str(seeds), "ASAN_OPTIONS": "detect_leaks=1:malloc_context_size=3"}
    env.pop("PYRSIA_SEED", None)
    try:
        ended = subprocess.run([PROGRAM, "--gtest_filter=AutonatStudy.*"], env=env, cwd=ROOT, text=True, errors="replace",
                               capture_output=True, timeout=600 + seeds * 35 * SECONDS_OF_A_SEED)
        return ended.returncode == 0, ended.stdout + ended.stderr
    except subprocess.TimeoutExpired as late:
        return False, f"{late.stdout or ''}\nnot finished after {late.timeout} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("PYRSIA_SOAK_SEEDS", "200")))
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--study-seeds", type=int, default=2)
    arguments = parser.parse_args()
    if subprocess.run([ROOT / "scripts/build", "soak", "simulation_tests"], cwd=ROOT).returncode:
        return 1
    end = arguments.first - 1 + arguments.seeds
    batches = [(at, min(BATCH, end - at)) for at in range(arguments.first - 1, end, BATCH)]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        study = pool.submit(run_study, arguments.study_seeds) if arguments.study_seeds > 0 else None
        for first, count, is_ok, log, seconds in pool.map(lambda batch: run(*batch), batches):
            print(f"{'ok  ' if is_ok else 'FAIL'} seeds {first + 1} to {first + count}: {seconds:.0f} s", flush=True)
            passed, failed = passed + is_ok * count, failed + (not is_ok)
            if not is_ok:
                print(log[-6000:], flush=True)
        if study:
            is_ok, log = study.result()
            passed, failed = passed + is_ok, failed + (not is_ok)
            print(log[-12000:], flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
