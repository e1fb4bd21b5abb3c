#!/usr/bin/env python3
"""End-to-end tests: real processes of the program on loopback.

    tests/e2e/run.py PROGRAM [NAME...]     NAME: only tests whose name has it in it

Prints a line for each test, then "N passed, N failed"; exit code 1 if any failed.
"""
import concurrent.futures
import inspect
import pathlib
import sys
import time
import traceback

import addresses
import bad_input
import cluster
import commands
import lending
import mapping
import measuring
import namespaces
import probing
import settings
import status
import stopping
import stun_tls
import websockets

TESTS = [
    function
    for module in (commands, cluster, addresses, bad_input, lending, mapping, measuring, namespaces,
                   probing, settings, status, stopping, stun_tls, websockets)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if name.startswith("test_")
]


def run(test, program):
    started = time.monotonic()
    try:
        test(program)
        failure = None
    except Exception:  # Whatever goes wrong is this test's failure, and only its own.
        failure = traceback.format_exc()
    return test.__name__.removeprefix("test_"), failure, time.monotonic() - started


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = pathlib.Path(sys.argv[1]).resolve()
    chosen = [t for t in TESTS if not sys.argv[2:] or any(n in t.__name__ for n in sys.argv[2:])]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for job in concurrent.futures.as_completed(pool.submit(run, t, program) for t in chosen):
            name, failure, seconds = job.result()
            failed += failure is not None
            print(f"{'FAILED' if failure else 'ok    '} {name} ({seconds:.1f} s)", flush=True)
            if failure:
                print(failure, flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
