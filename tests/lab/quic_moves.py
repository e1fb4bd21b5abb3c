"""A QUIC transfer whose NAT gives it another port, and then another address, while it goes on."""
import json
import re
import subprocess
import time

from namespaces import Lab

SERVER, PORT = "1.2.3.10", 4001
OUTSIDE = ["1.2.3.101", "1.2.3.102"]
BYTES = 30_000_000
NAT = """
flush ruleset
table ip lab {
  chain leave { type nat hook postrouting priority 100; policy accept; oifname "wan" masquerade random; }
}
"""


def build(lab, cable):
    for name in ("server", "router", "node"):
        lab.add(name)
    lab.make_router("router")
    lab.cable(cable, "router", "wan", "server", "eth0", delay=10, rate=80, seconds=120)
    lab.link("router", "lan", "node", "eth0")
    lab.ip("server", f"addr add {SERVER}/24 dev eth0")
    lab.ip("router", f"addr add {OUTSIDE[0]}/24 dev wan")
    lab.ip("router", "addr add 192.168.1.1/24 dev lan")
    lab.ip("node", "addr add 192.168.1.2/24 dev eth0")
    lab.ip("node", "route add default via 192.168.1.1")
    lab.nft("router", NAT)


def seen_from_outside(lab):
    """Addresses and ports that the NAT has for the transfer, which it then forgets."""
    table = lab.exec("router", f"conntrack -L -p udp --orig-port-dst {PORT}", check=False)
    lab.exec("router", "conntrack -F", check=False)
    return set(re.findall(rf"src={SERVER} dst=(\S+) sport={PORT} dport=(\d+)", table))


def transfers(program, cable):
    """Yields what was done and how it went: seconds, or None if a byte is missing."""
    for way in ("upload", "download"):
        with Lab("pyrsia-lab-move") as lab:
            build(lab, cable)
            at = ["--server-address", f"{SERVER}:{PORT}", "--transport", "quic-v1"]
            server = lab.start("server", [program, "perf", "--run-server", *at], stdout=subprocess.PIPE)
            server.stdout.readline()  # Where it listens.
            run = lab.start("node", [program, "perf", *at, f"--{way}-bytes", str(BYTES)],
                            stdout=subprocess.PIPE)
            paths, since, last = set(), time.monotonic(), {}
            for line in run.stdout:
                last = json.loads(line)
                paths |= seen_from_outside(lab)
                if len(paths) == 2 and OUTSIDE[0] in lab.ip('router', 'addr show dev wan'):
                    lab.ip("router", f"addr del {OUTSIDE[0]}/24 dev wan")
                    lab.ip("router", f"addr add {OUTSIDE[1]}/24 dev wan")
            seconds = time.monotonic() - since
            is_whole = run.wait(10) == 0 and last.get("type") == "final" and last[f"{way}Bytes"] == BYTES
            has_moved = len(paths) >= 3 and {ip for ip, _ in paths} == set(OUTSIDE)
            yield f"{way} by QUIC over {len(paths)} mappings", seconds if is_whole and has_moved else None
