#!/usr/bin/env python3
"""Builds the fuzz targets and runs each for some seconds, starting from its corpus.

  run_fuzzers.py [--seconds N] [--seed N] [NAME...]

Default: all targets, 30 s each (PYRSIA_FUZZ_SECONDS), seed 1, so that the same tree gives the same
result; `--seed 0` takes a random one, to search where nobody has looked yet.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/fuzz"


def names():
    for source in sorted((ROOT / "src").rglob("*_fuzz.cpp")):
        yield source.relative_to(ROOT / "src").with_suffix("").as_posix().replace("/", "_")


def run(name, seconds, seed):
    corpus = ROOT / "fuzz/corpus" / name
    with tempfile.TemporaryDirectory(prefix="pyrsia-fuzz-") as scratch:
        found = [str(corpus)] if corpus.is_dir() else []
        command = [str(BUILD / name), scratch, *found, f"-max_total_time={seconds}", f"-seed={seed}",
                   "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={scratch}/"]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, errors="replace",
                                   timeout=seconds + 120)
        except subprocess.TimeoutExpired:
            return name, False, "did not stop in time", ""
        runs = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
        for crash in pathlib.Path(scratch).glob("crash-*"):
            ended.stderr += f"\n{crash.name}: {crash.read_bytes().hex()}"
    corpus_note = "" if found else ", no corpus"
    return name, ended.returncode == 0, f"{runs.group(1) if runs else '?'} inputs{corpus_note}", ended.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("PYRSIA_FUZZ_SECONDS", "30")))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    wanted = arguments.names or list(names())
    if not wanted:
        print("no fuzz targets found")
        return 1
    if subprocess.run([ROOT / "scripts/build", "fuzz", *wanted], cwd=ROOT).returncode:
        return 1
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, is_ok, summary, log in pool.map(lambda n: run(n, arguments.seconds, arguments.seed), wanted):
            print(f"{'ok  ' if is_ok else 'FAIL'} {name}: {summary}", flush=True)
            passed, failed = passed + is_ok, failed + (not is_ok)
            if not is_ok:
                print(log[-6000:], flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
