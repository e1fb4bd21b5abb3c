#!/usr/bin/env python3
"""Does a STUN server stay as small as it is while strangers forge their addresses?

  spoofed_sources.py [--program FILE] [--sources N] [--json]

A million binding requests from as many IPv4 addresses, by a raw socket in a namespace without a way
out; how much memory the server has before and after, how many it answered, and whether an honest
client is still answered. Needs root.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from namespaces import Lab

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVER, LIMIT_KIB = "10.0.0.1", 1024
FLOOD = """
import os, socket, struct, sys
count = int(sys.argv[1])
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as ours:
    request = struct.pack(">HHI", 1, 0, 0x2112A442) + os.urandom(12)
    to = socket.inet_aton("10.0.0.1")
    udp = struct.pack(">HHHH", 5000, 3478, 8 + len(request), 0) + request
    for i in range(count):
        # 11.0.0.0/8 and up: never the same twice.
        source = struct.pack(">I", (11 << 24) + i * 37 % (1 << 27))
        ours.sendto(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + to + udp,
                    ("10.0.0.1", 0))
"""


def resident_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def flood(lab, program, sources, scratch):
    lab.add("server")
    lab.add("strangers")
    lab.link("server", "eth0", "strangers", "eth0")
    lab.ip("server", f"addr add {SERVER}/24 dev eth0")
    lab.ip("strangers", "addr add 10.0.0.2/24 dev eth0")
    lab.ip("server", "route add default via 10.0.0.2")
    for name in ("server", "strangers"):
        lab.exec(name, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0")
    key = str(scratch / "key")
    server = lab.start("server", [program, "boot", "--json", "-p", "7888", "-L", f"/ip4/{SERVER}/udp/44000/quic-v1",
                                  "--stun-listen", f"{SERVER}:3478", "--key", key], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while '"listening"' not in server.stdout.readline():
        pass
    lab.exec("strangers", f"{sys.executable} - 20000", input=FLOOD)  # Buffers and tables are there now.
    before = resident_kib(server.pid)
    since = time.monotonic()
    lab.exec("strangers", f"{sys.executable} - {sources}", input=FLOOD)
    seconds = time.monotonic() - since
    after = resident_kib(server.pid)
    honest = lab.exec("strangers", f"{program} probe --alone --json --port-mapping off --server {SERVER}:3478",
                      check=False, timeout=30)
    counters = {line.split()[0]: int(line.split()[1])
                for line in lab.exec("server", "curl -sf -m 10 http://127.0.0.1:7888/metrics").splitlines()
                if line.startswith("pyrsia_stun_")}
    return {"sources": sources, "seconds": round(seconds, 1), "rss_before_kib": before, "rss_after_kib": after,
            "requests": counters["pyrsia_stun_requests_total"], "answered": counters["pyrsia_stun_answered_total"],
            "honest_client_answered": honest.startswith("{") and json.loads(honest)["udp"]["blocked"] is False}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    parser.add_argument("--sources", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces; nothing was tested", file=sys.stderr)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    with Lab("pyrsia-spoof") as lab, tempfile.TemporaryDirectory(prefix="pyrsia-lab-") as scratch:
        told = flood(lab, str(pathlib.Path(options.program).resolve()), options.sources, pathlib.Path(scratch))
    grown = told["rss_after_kib"] - told["rss_before_kib"]
    is_right = grown <= LIMIT_KIB and told["honest_client_answered"] and told["answered"] > 0
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        print(f"{told['sources']} sources in {told['seconds']} s: {told['rss_before_kib']} KiB before, "
              f"{told['rss_after_kib']} after; {told['answered']} of {told['requests']} requests that came were answered")
    print("1 passed, 0 failed" if is_right else "0 passed, 1 failed")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
