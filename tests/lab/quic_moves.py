"""QUIC transfers whose NAT gives them another port, and then another address, while they go on; and such
whose path carries less than Ethernet does, from the beginning or all of a sudden, and says nothing of it."""
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


# What is too large is dropped without a word, as by a tunnel behind a firewall that drops ICMP.
PATH = """
table ip path {{
  counter dropped {{ }}
  counter large {{ }}
  chain through {{ type filter hook forward priority 0; policy accept; }}
}}
flush chain ip path through
add rule ip path through meta length > {mtu} counter name dropped drop
add rule ip path through meta length > 1280 counter name large
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


def start_transfer(lab, program, way):
    at = ["--server-address", f"{SERVER}:{PORT}", "--transport", "quic-v1"]
    server = lab.start("server", [program, "perf", "--run-server", *at], stdout=subprocess.PIPE)
    server.stdout.readline()  # Where it listens.
    return lab.start("node", [program, "perf", *at, f"--{way}-bytes", str(BYTES)], stdout=subprocess.PIPE)


def transfers(program, cable):
    """Yields what was done and how it went: seconds, or None if a byte is missing."""
    for way in ("upload", "download"):
        with Lab("pyrsia-lab-move") as lab:
            build(lab, cable)
            run = start_transfer(lab, program, way)
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


def narrow_to(lab, mtu):
    lab.exec("router", "nft -f -", input=PATH.format(mtu=mtu))


def packets(lab, counter):
    return int(re.search(r"packets (\d+)", lab.exec("router", f"nft list counter ip path {counter}"))[1])


def narrow_transfers(program, cable):
    """As transfers(), over paths whose MTU is the first number, and the second after a second."""
    for mtus in (1500,), (1300,), (1500, 1280):
        for way in ("upload", "download"):
            with Lab("pyrsia-lab-mtu") as lab:
                build(lab, cable)
                # Or a train of packets would be measured as one.
                lab.ip("node", "link set dev eth0 gso_max_segs 1")
                narrow_to(lab, mtus[0])
                run = start_transfer(lab, program, way)
                since, last = time.monotonic(), {}
                for number, line in enumerate(run.stdout):
                    last = json.loads(line)
                    if number == 0 and len(mtus) > 1:
                        narrow_to(lab, mtus[1])
                seconds = time.monotonic() - since
                is_whole = run.wait(10) == 0 and last.get("type") == "final" and last[f"{way}Bytes"] == BYTES
                # It was tried, and it was used where it could be.
                is_measured = (packets(lab, "dropped") > 0) == (mtus != (1500,)) and \
                              (packets(lab, "large") > 1000) == (mtus[0] == 1500)
                what = f"{way} by QUIC, path MTU {', then '.join(str(mtu) for mtu in mtus)}"
                yield what, seconds if is_whole and is_measured else None
