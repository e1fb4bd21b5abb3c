#!/usr/bin/env python3
"""Measures ours, the limit programs and live libp2p peers in turn, and prints one table.

  run.py [--quick] [--rows setup,stream] [--peers go,rust,js|none] [--runs N] [--json FILE]

README.md says what the rows mean and how to read them. Exit code 1: a floor was missed.
"""

import argparse
import json
import math
import os
import pathlib
import signal
import statistics
import sys
import tempfile

import builders
import coturn
import harness
import nginx
import rows

HERE = pathlib.Path(__file__).resolve().parent
QUICK = {"runs": 1, "seconds": 2}
TRIES = 2


class Series:
    """The runs of one program."""

    def __init__(self):
        self.runs, self.reason = [], ""

    def figures(self, which):
        return [run["figures"][which] for run in self.runs]

    def median(self, which):
        return statistics.median(self.figures(which)) if self.runs else None

    def median_of(self, key):
        values = [run[key] for run in self.runs if not math.isnan(run[key])]
        return statistics.median(values) if values else None


def measure(namespace, row, arguments, series, environment):
    """Adds one run, or the reason why there is none."""
    for attempt in range(TRIES):
        try:
            run = harness.run(namespace, **arguments, environment=environment)
        except harness.Failed as failure:
            series.reason = str(failure).replace("\n", " | ")
            continue
        if row.is_per_server_core:
            run["figures"][0] *= 100 / run["server"]
        if row.figure == rows.GBPS:
            run["figures"].append((run["server"] + run["load"]) / 100 / (run["figures"][0] / 8))
        series.runs.append(run)
        return


def fetch_status(namespace, row, options, folder):
    """Our own /status document, for http_ref to serve as well."""
    document = pathlib.Path(folder) / "status.json"
    arguments = rows.status_run(row, options.pyrsia, folder, 1)
    with harness.Program(namespace, harness.SERVER_CORE, arguments["server"], {}) as serving:
        serving.wait_for(arguments["ready"])
        url = f"http://{harness.SERVER_IP}:{rows.STATUS_PORT}/status"
        with harness.Program(namespace, harness.LOAD_CORE, ["curl", "-sf", url], {}) as client:
            client.process.wait(20)
            document.write_text(client.text())
    return str(document)


def programs_of(row, options, peers, folder, seconds, namespace):
    """Name and arguments of harness.run(), in the order of one round."""
    document = fetch_status(namespace, row, options, folder) if row.limit == "http_ref" else ""
    limit = [("limit", rows.limit_run(row, options.limits, seconds, document))] if row.limit else []
    if row.workload:
        ours = rows.peer_run(row, [options.bench], "ours", seconds)
    elif row.name == "stun":
        ours = rows.stun_run(row, options.pyrsia, options.limits, seconds)
    else:
        ours = rows.status_run(row, options.pyrsia, folder, seconds)
    # The limit before and after: the machine changes within a minute.
    out = [*limit, ("ours", ours), *limit] if "ours" not in row.not_of else limit
    if row.name == "stun" and "coturn" in peers:
        out.append(("coturn", rows.coturn_run(row, options.limits, folder, seconds)))
    if row.name == "status" and "nginx" in peers:
        out.append(("nginx", rows.nginx_run(row, folder, seconds, document)))
    for name, program in peers.items():
        if row.workload and name not in ("nginx", "coturn") and name not in row.not_of:
            out.append((name, rows.peer_run(row, program, name, seconds)))
    return out


def measure_row(row, options, peers, folder, namespace):
    series = {name: Series() for name in ["limit", "ours", *peers]}
    if row.name == "status" and "wrk" in nginx.missing():
        series["ours"].reason = "wrk is NOT INSTALLED: scripts/setup --bench"
        return series
    seconds = options.seconds or row.seconds
    if row.is_cabled:
        with harness.CabledNamespaces(f"{options.build}/bench/cable", rows.RTT_MS) as cabled:
            measure_programs(row, options, peers, folder, seconds, cabled, series)
    else:
        measure_programs(row, options, peers, folder, seconds, namespace, series)
    return series


def measure_programs(row, options, peers, folder, seconds, namespace, series):
    programs = programs_of(row, options, peers, folder, seconds, namespace)
    for _ in range(options.runs):
        for name, arguments in programs:
            environment = {"GOMAXPROCS": "1"} if name == "go" else {}
            measure(namespace, row, arguments, series[name], environment)


def show(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(series, row):
    figures = series.figures(row.which)
    return f"{show(min(figures))}..{show(max(figures))}" if len(figures) > 1 else ""


def bounds(row):
    if row.floor is None:
        return ""
    least = f", >= {row.least:,}" if row.least else ""
    return f"{'<=' if row.is_less_better else '>='} {row.floor:g} ({row.target:g}){least}"


def times_better(row, ours, other):
    """2: twice as good as the other; None if one of them has no figure, or 0."""
    if not ours or not other:
        return None
    return other / ours if row.is_less_better else ours / other


def report(row, series, peers):
    """Prints one line; returns it as data."""
    ours, limit = series["ours"].median(row.which), series["limit"].median(row.which)
    ratio = ours / limit if ours is not None and limit else None
    judgement = row.judge(ours, ratio) if ours is not None else "-" if "ours" in row.not_of else "FAILED"
    cells = [row.name, show(ours), show(limit), f"{ratio:.2f}" if ratio else "-"]
    cells += [show(series[name].median(row.which)) for name in peers]
    cells += [bounds(row), judgement]
    run = series["ours"]
    noise = " ".join(f"{letter} {show(run.median_of(key))}" for letter, key in
                     (("S", "server"), ("L", "load"), ("others", "others")))
    cells += [spread(run, row), noise + " %" if run.runs else ""]
    print_cells(cells, peers)
    times = {name: times_better(row, ours, series[name].median(row.which)) for name in peers}
    if any(times.values()):
        print("    ours is better by: " + ", ".join(f"{name} {value:.2f}" for name, value in times.items() if value))
    for name, each in series.items():
        if each.reason and not each.runs:
            print(f"    {name}: no figure: {each.reason[-200:]}")
    for name, reason in row.not_of.items():
        if name in peers or name == "ours":
            print(f"    {name}: {reason}")
    for name, count in row.peer_at_once.items():
        if name in peers:
            print(f"    {name}: with {count} instead")
    sys.stdout.flush()
    return {"row": row.name, "unit": row.unit, "ratio": ratio, "judgement": judgement, "times_better": times,
            "runs": {name: each.runs for name, each in series.items()}}


def print_cells(cells, peers):
    widths = [10, 10, 10, 6, *[9] * len(peers), 18, 13, 15, 0]
    line = "  ".join(cell.ljust(width) if i in (0, len(cells) - 4, len(cells) - 3, len(cells) - 2, len(cells) - 1)
                     else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths)))
    print(line.rstrip())


def build_peers(names):
    peers = {}
    for name in names:
        try:
            peers[name] = builders.PEER_BUILDERS[name]()
        except builders.Unavailable as reason:
            print(f"peer {name} left out: {reason}")
    return peers


def with_nginx(peers):
    """The peers, and nginx beside them; says loudly what is not here."""
    missing = nginx.missing()
    for name, package in missing.items():
        print(f"{name} is NOT INSTALLED: the row status lacks it. scripts/setup --bench installs {package}.")
    return peers if missing else {**peers, "nginx": ["nginx"]}


def with_coturn(peers):
    """The same for coturn."""
    if coturn.is_missing():
        print("turnserver is NOT INSTALLED: the row stun lacks it. scripts/setup --bench installs coturn.")
        return peers
    return {**peers, "coturn": ["turnserver"]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [row.name for row in rows.ROWS]
    parser.add_argument("--build", default=str(HERE.parent / "build" / "release"), help="build folder")
    parser.add_argument("--rows", default=",".join(names), help="of " + ", ".join(names))
    parser.add_argument("--peers", default=",".join(builders.PEER_BUILDERS), help="or none")
    parser.add_argument("--runs", type=int, default=5, help="rounds, each with every program")
    parser.add_argument("--seconds", type=int, default=0, help="of each run, instead of the row's own")
    parser.add_argument("--quick", action="store_true", help="one short round: a first look, no more")
    parser.add_argument("--json", help="write every run into this file")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.seconds = QUICK["runs"], QUICK["seconds"]
    options.limits = f"{options.build}/bench"
    options.bench = f"{options.build}/bench/pyrsia_bench"
    options.pyrsia = f"{options.build}/apps/pyrsia/pyrsia"
    options.names = options.rows.split(",")
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [] if options.peers == "none" else options.peers.split(",")
    peers = build_peers(wanted)
    if "status" in options.names:
        peers = with_nginx(peers)
    if "stun" in options.names:
        peers = with_coturn(peers)
    results = []
    with harness.Namespace() as namespace, tempfile.TemporaryDirectory() as folder:
        print(f"{os.cpu_count()} cores, TCP {namespace.congestion}, {options.runs} round(s); medians, one core a side; "
              "S and L: CPU of our server and our load, others: of the rest of the machine, in % of a core")
        print_cells(["row", "ours", "limit", "ratio", *peers, "floor (target)", "", "min..max", "noise"], peers)
        series = {}
        for row in rows.ROWS:
            if row.name not in options.names:
                continue
            source = row.part_of or row.name
            if source not in series:
                series[source] = measure_row(row, options, peers, folder, namespace)
            results.append(report(row, series[source], peers))
    for row in rows.ROWS:
        if row.name in options.names:
            print(f"{row.name}: {row.unit}" + (f"; limit: {row.limit}" if row.limit else ""))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))
    return 1 if any(result["judgement"] in ("FLOOR MISSED", "FAILED") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
