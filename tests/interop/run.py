#!/usr/bin/env python3
"""Runs every scenario between our node and live peers, in both directions, and prints a table.

    run.py --ours build/dev/tests/interop/cpp/pyrsia_interop      ours against all
    run.py --among                                                the others against one another

PYRSIA_REQUIRE_INTEROP=go,rust,js,rust-050 (or `netns`) makes what is missing a failure;
otherwise it is skipped, loudly. PYRSIA_INTEROP_TRACE=1 prints every line of the programs.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import sys
import time

import bootstrap
import build
import netns
import scenarios
from peer import Failure, Peer

PUBLIC_PORT = 4001


class Run:
    def __init__(self, programs, missing, no_namespaces):
        self.programs = programs
        self.missing = missing
        self.no_namespaces = no_namespaces
        self.cells = {}  # (row, column) -> text
        self.notes = []
        self.counts = {"ok": 0, "FAIL": 0, "SKIP": 0}

    def peer(self, kind, flags, prefix=()):
        return Peer(kind, self.programs[kind], flags, prefix)

    def record(self, row, column, outcome, remark, seconds=0.0):
        self.counts[outcome] += 1
        self.cells[row, column] = outcome if outcome != "ok" or not remark else f"ok ({remark})"
        if outcome != "ok":
            self.notes.append(f"{outcome} {row}, {column}: {remark}")
        print(f"{outcome:4} {row:18} {column:20} {seconds:6.1f} s  {remark or ''}", flush=True)

    def one(self, row, column, kinds, is_public, body):
        """Runs `body` unless something that it needs is missing; says whether nothing failed."""
        reasons = [self.missing[k] for k in kinds if k in self.missing]
        if is_public and self.no_namespaces:
            reasons.append("namespaces: " + self.no_namespaces)
        if column in scenarios.BROKEN.get(row, {}):
            reasons.append(scenarios.BROKEN[row][column])
        if reasons:
            self.record(row, column, "SKIP", "; ".join(reasons))
            return True
        start = time.monotonic()
        try:
            remark = body()
            self.record(row, column, "ok", remark, time.monotonic() - start)
            return True
        except Failure as failure:
            self.record(row, column, "FAIL", str(failure), time.monotonic() - start)
            return False

    def loopback(self, way, names, dialer, listener):
        """All rows of a way, on as few pairs of processes as will do."""
        left = list(names)
        while left:
            with contextlib.ExitStack() as stack:
                pair = []

                def body():
                    for kind, seed in ((dialer, 1), (listener, 2))[len(pair):]:
                        pair.append(stack.enter_context(self.peer(kind, way.flags(seed, kind))))
                    return scenarios.LOOPBACK[left[0]](way, *pair)

                is_fit = True
                while left and is_fit:
                    is_fit = self.one(f"{way.name} {left[0]}", f"{dialer}→{listener}", (dialer, listener), False, body)
                    is_fit = is_fit and self.tidy(pair)
                    left.pop(0)

    @staticmethod
    def tidy(pair):
        """Ends their connection, for the next row; says whether nothing is left of this one."""
        if not pair:
            return True
        try:
            pair[0].ask("disconnect", peer=pair[1].id)
        except Failure:
            return False
        return all([peer.is_quiet() for peer in pair])

    def public(self, row, client, server, namespaces):
        def body():
            flags = ["--key-seed", "1"]
            if row == "autonat not":
                flags += ["--announce", scenarios.DEAD]
            else:
                for address in self.listening(row, client, server):
                    flags += ["--listen", address]
            serving = ["--key-seed", "2", "--autonat-server",
                       "--listen", f"/ip4/{netns.ADDRESSES['b'][0]}/tcp/{PUBLIC_PORT}"]
            with self.peer(client, flags, namespaces.prefix_of("a")) as a, \
                 self.peer(server, serving, namespaces.prefix_of("b")) as b:
                return scenarios.PUBLIC[row](a, b)
        self.one(row, f"{client}→{server}", (client, server), True, body)

    @staticmethod
    def listening(row, client, server):
        """Where the client listens; the server sees it come from the first IP."""
        first, other = netns.ADDRESSES["a"]
        out = [f"/ip4/{first}/tcp/{PUBLIC_PORT}"]
        if row == "autonat2":
            if (client, server) not in scenarios.NO_QUIC_PROBE and not any(
                    "quic" in scenarios.LACKS.get(kind, ()) for kind in (client, server)):
                out.append(f"/ip4/{first}/udp/{PUBLIC_PORT}/quic-v1")
            out.append(f"/ip4/{other}/tcp/{PUBLIC_PORT}")
        return out

    def pair(self, dialer, listener, namespaces, wanted, column):
        if column not in f"{dialer}→{listener}":
            return
        both = lambda row, name: wanted(row, name, dialer) and wanted(row, name, listener)
        for way in scenarios.WAYS:
            if any(way.name in scenarios.LACKS.get(kind, ()) for kind in (dialer, listener)):
                continue
            names = [name for name in scenarios.LOOPBACK if both(f"{way.name} {name}", name)
                     and (way is scenarios.TCP or name not in scenarios.ONCE)]
            self.loopback(way, names, dialer, listener)
        for row in scenarios.PUBLIC:
            if both(row, row):
                self.public(row, dialer, listener, namespaces)

    def table(self):
        rows = list(dict.fromkeys(row for row, _ in self.cells))
        columns = list(dict.fromkeys(column for _, column in self.cells))
        lines = [["", *columns]] + [[row, *(self.cells.get((row, c), "-") for c in columns)] for row in rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
        print()
        for line in lines:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        if self.notes:
            print("\n" + "\n".join(self.notes))
        print(f"\n{self.counts['ok']} passed, {self.counts['FAIL']} failed, {self.counts['SKIP']} skipped")


def programs(names, ours, required):
    found, missing, failed = {}, {}, []
    for name in names:
        if name == "pyrsia":
            if pathlib.Path(ours).is_file():
                found[name] = [str(pathlib.Path(ours).resolve())]
            else:
                missing[name] = f"{ours} is not built"
                failed.append(missing[name])
            continue
        start = time.monotonic()
        try:
            found[name] = build.BUILDERS[name]()
            print(f"built {name} in {time.monotonic() - start:.0f} s", flush=True)
        except build.Unavailable as reason:
            missing[name] = f"{name}: {reason}"
            print(f"SKIP everything with {name}: {reason}", flush=True)
            if name in required:
                failed.append(missing[name])
    return found, missing, failed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/dev/tests/interop/cpp/pyrsia_interop", help="our peer program")
    parser.add_argument("--boot", default="build/dev/apps/pyrsia/pyrsia", help="our boot server")
    parser.add_argument("--among", action="store_true", help="the others against one another")
    parser.add_argument("--peers", default="go,rust,js,rust-050", help="ecosystems, by comma")
    parser.add_argument("--only", default="", help="run rows whose name contains this")
    parser.add_argument("--column", default="", help="run columns whose name contains this, such as go→js")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    peers = options.peers.split(",")
    required = os.environ.get("PYRSIA_REQUIRE_INTEROP", "").split(",")
    everyone = peers if options.among else ["pyrsia", *peers]
    found, missing, failed = programs(everyone, options.ours, required)
    no_namespaces = netns.available()
    if no_namespaces and "netns" in required:
        failed.append(f"namespaces: {no_namespaces}")

    def wanted(row, name, kind):
        return options.only in row and name in scenarios.ONLY.get(kind, {name})

    run = Run(found, missing, no_namespaces)
    with contextlib.nullcontext() if no_namespaces else netns.Namespaces() as namespaces:
        for i, one in enumerate(everyone):
            for other in everyone[i:] if options.among else peers:
                if one != "pyrsia" or other != "pyrsia":
                    run.pair(one, other, namespaces, wanted, options.column)
                    if one != other:
                        run.pair(other, one, namespaces, wanted, options.column)
            if not options.among:
                break
        boot = pathlib.Path(options.boot).resolve()
        program = str(boot) if boot.is_file() and not options.among else None
        if "rust-050" in peers and not options.column and wanted("bootstrap", "bootstrap", "rust-050"):
            bootstrap.rows(run, namespaces, program, options.among)
        if program and not options.column:
            bootstrap.our_rows(run, namespaces, program, options.only)
    run.table()
    for reason in failed:
        print(f"FAIL required: {reason}")
    nothing_ran = not run.counts["ok"] and not run.counts["SKIP"]  # Such as --only with a name of nothing.
    return 1 if failed or run.counts["FAIL"] or nothing_ran else 0


if __name__ == "__main__":
    sys.exit(main())
