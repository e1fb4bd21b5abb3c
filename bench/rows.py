"""What is measured: the rows of the table, and how each program is asked for its figure."""

from dataclasses import dataclass, field

import coturn
import nginx
from harness import LOAD_IP, SERVER_IP

PEER_LISTEN = f"/ip4/{SERVER_IP}/tcp/0"
QUIC_LISTEN = f"/ip4/{SERVER_IP}/udp/0/quic-v1"
LOAD_LISTEN = f"/ip4/{LOAD_IP}/tcp/0"
LIMIT_PORT = "5580"
STATUS_PORT = "7888"
STATUS_CONNECTIONS = "64"
STUN_IP, STUN_PORT = "127.0.0.1", "3478"  # stun_load sends to 127.0.0.0/8 only.


@dataclass
class Row:
    name: str
    unit: str
    workload: list  # Of pyrsia_bench and its like, the name first; empty: not for them.
    figure: str  # Its groups are figures.
    limit: str = ""  # Its program.
    limit_flags: tuple = ()
    way: str = "noise"  # What is below the streams: noise or tls over TCP, or quic.
    is_ratio_judged: bool = True  # By floor and target; else the figure itself is.
    floor: float | None = None
    target: float | None = None
    least: float = 0  # The figure's own floor, where the ratio is judged.
    is_less_better: bool = False
    is_per_server_core: bool = False
    is_cabled: bool = False  # Between two namespaces, with a delay.
    also: tuple = ()  # Addresses that are dialed as well: nobody is there.
    seconds: int = 5
    part_of: str = ""  # The row before it, whose runs give this figure too.
    which: int = 0  # Of the figures of a run.
    not_of: dict = field(default_factory=dict)  # Peer: why it has no figure.
    peer_at_once: dict = field(default_factory=dict)  # Peer: its own count, if another.

    def judge(self, figure, ratio):
        value = ratio if self.is_ratio_judged else figure
        if self.floor is None or value is None:
            return ""
        better = (lambda a, b: a <= b) if self.is_less_better else (lambda a, b: a >= b)
        if figure < self.least:
            return "FLOOR MISSED"
        if better(value, self.target):
            return "target"
        return "ok" if better(value, self.floor) else "FLOOR MISSED"


PER_SECOND = r"result per_second=([\d.]+)"
IDLE = r"result rss_bytes=(-?[\d.]+) cpu_percent=([\d.]+)"
GBPS = r"result gbps=([\d.]+)"
DEAD_QUIC, DEAD_QUIC6, DEAD_TCP6 = ("/ip4/73.0.0.9/udp/4001/quic-v1", "/ip6/2600::9/udp/4001/quic-v1",
                                    "/ip6/2600::9/tcp/4001")
RTT_MS, REST = 50, 1.05  # Of the cable; what all else may cost.
CPU = 1  # Beside each GBPS: CPU seconds of both sides for a gigabyte.
TLS_LIMIT = ("-c", "aes128", "-f", "16384")
QUIC_LIMIT = ("-g", "-b", "44", "-c", "aes128")


def bulk(name, at_once, way, limit, flags, floor=None, target=None):
    """Bytes one way and the other, and the CPU that the first costs."""
    unit = f"Gbit/s, {at_once} stream{'s' if at_once > 1 else ''}, {way}"
    load = ["--at-once", str(at_once)]
    bounds = {"floor": floor, "target": target}
    return [
        Row(name, unit + ", up", ["throughput", *load], GBPS, limit, flags, way, **bounds),
        Row(f"{name}-down", unit + ", down", ["download", *load], GBPS, limit, flags, way, **bounds),
        Row(f"{name}-cpu", f"CPU s of both sides a GB up, {way}", ["throughput", *load], GBPS, limit, flags, way,
            is_ratio_judged=False, is_less_better=True, part_of=name, which=CPU),
    ]


ROWS = [
    Row("handshake", "Noise handshakes/s", ["handshake", "--at-once", "32"], PER_SECOND, "hs_ref",
        not_of={"js": "its handshake is not to be had without a whole node"}),
    Row("setup", "connections with identify/s", ["setup", "--at-once", "32"], PER_SECOND, "hs_ref",
        floor=0.55, target=0.74),
    *bulk("stream", 1, "noise", "tcp_blast", ("-c", "chacha"), 0.76, 0.94),
    *bulk("streams", 10, "noise", "tcp_blast", ("-c", "chacha")),
    *bulk("tls-stream", 1, "tls", "tcp_blast", TLS_LIMIT, 0.55, 0.68),
    *bulk("tls-streams", 10, "tls", "tcp_blast", TLS_LIMIT),
    *bulk("quic-stream", 1, "quic", "udp_blast", QUIC_LIMIT, 0.42, 0.66),
    *bulk("quic-streams", 10, "quic", "udp_blast", QUIC_LIMIT),
    Row("tls-setup", "connections with identify/s, TLS", ["setup", "--at-once", "32"], PER_SECOND, "hs_ref", way="tls"),
    Row("quic-setup", "connections with identify/s, QUIC", ["setup", "--at-once", "32"], PER_SECOND, "hs_ref",
        way="quic", is_ratio_judged=False, floor=900, target=1200),
    *[Row(name, f"ms to the first byte, {RTT_MS} ms RTT, {way}", ["first-byte", "--at-once", "10"],
          r"result ms=([\d.]+)", way=way, is_ratio_judged=False, is_less_better=True, is_cabled=True,
          floor=floor * RTT_MS * REST, target=target * RTT_MS * REST)
      for name, way, floor, target in (("first-byte", "noise", 4, 3), ("tls-first-byte", "tls", 4, 3),
                                       ("quic-first-byte", "quic", 2, 2))],
    *[Row(name, f"ms to the first byte by TCP over IPv4, {RTT_MS} ms RTT, silent: {what}",
          ["first-byte", "--at-once", "10"], r"result ms=([\d.]+)", is_ratio_judged=False, is_less_better=True,
          is_cabled=True, also=also)
      for name, what, also in (("dead-quic", "QUIC", (DEAD_QUIC,)), ("dead-ipv6", "IPv6", (DEAD_TCP6,)),
                               ("dead-most", "QUIC and IPv6", (DEAD_QUIC, DEAD_QUIC6, DEAD_TCP6)))],
    Row("autonat", "AutoNAT v1 dial-backs/s", ["autonat", "--at-once", "32", "--listen", LOAD_LISTEN], PER_SECOND,
        "hs_ref", is_ratio_judged=False, floor=800, target=1200,
        not_of={"js": "its server never answers (tests/interop/README.md)"}),
    Row("autonat2", "AutoNAT v2 dial-backs/s", ["autonat2", "--at-once", "32", "--listen", LOAD_LISTEN], PER_SECOND,
        "hs_ref", is_ratio_judged=False, floor=700, target=1000),
    Row("status", "GET /status per s and server core", [], r"Requests/sec:\s+([\d.]+)", "http_ref", floor=0.62,
        target=0.87, is_per_server_core=True),
    Row("stun", "STUN Binding answers/s", [], r"invalid=0 .* rps=([\d.]+)", "stun_ref", floor=0.73, target=0.87,
        least=190_000),
    Row("idle-rss", "bytes RSS an idle connection", ["idle", "--at-once", "1000"], IDLE,
        is_ratio_judged=False, floor=12 * 1024, target=6 * 1024, is_less_better=True, seconds=20,
        peer_at_once={"js": "300"}),
    Row("idle-cpu", "% CPU of 1 000 idle connections", ["idle", "--at-once", "1000"], IDLE,
        is_ratio_judged=False, floor=1, target=0.2, is_less_better=True, seconds=20, part_of="idle-rss", which=1),
    Row("quic-idle-rss", "bytes RSS an idle QUIC connection", ["idle", "--at-once", "1000"], IDLE, way="quic",
        is_ratio_judged=False, floor=72 * 1024, target=48 * 1024, is_less_better=True, seconds=20,
        peer_at_once={"js": "300"}),
    Row("quic-idle-cpu", "% CPU of 1 000 idle QUIC connections", ["idle", "--at-once", "1000"], IDLE, way="quic",
        is_ratio_judged=False, floor=1, target=0.2, is_less_better=True, seconds=20, part_of="quic-idle-rss", which=1),
]


def peer_run(row, program, name, seconds):
    """Arguments of harness.run() for one of the programs with our workloads."""
    server = "handshake-server" if row.workload[0] == "handshake" else "server"
    listen = QUIC_LISTEN if row.way == "quic" else PEER_LISTEN
    security = ["--security", "tls" if row.way == "tls" else "noise"]
    workload = [*row.workload, *security, *(word for address in row.also for word in ("--also", address))]
    if name in row.peer_at_once:
        workload[workload.index("--at-once") + 1] = row.peer_at_once[name]
    return {
        "server": [*program, server, "--listen", listen, *security],
        "ready": r"ready (/\S+)\s",
        "load": lambda match: [*program, *workload, "--seconds", str(seconds), "--to", match[1]],
        "figure": row.figure,
        "limit_seconds": seconds + 90,
    }


def limit_run(row, folder, seconds, document):
    """The same for the limit program of a row."""
    program = f"{folder}/{row.limit}"
    life = str(seconds + 60)
    if row.limit in ("tcp_blast", "udp_blast"):
        common = ["-p", LIMIT_PORT, *row.limit_flags]
        life = [] if row.limit == "tcp_blast" else ["-t", str(seconds + 10)]
        run = _plain([program, "recv", *common, *life], [program, "send", *common, "-t", str(seconds)],
                     r"Gbps=([\d.]+)", seconds)
        # What was sent may be lost on the way: what counts is what came.
        return {**run, "is_server_asked": row.limit == "udp_blast"}
    if row.limit == "hs_ref":
        common = ["-p", LIMIT_PORT, "-n", "32"]
        return _plain([program, "server", *common, "-T", life], [program, "client", *common, "-t", str(seconds)],
                      r"rate=([\d.]+)", seconds)
    if row.limit == "stun_ref":
        return _plain([program, "-p", STUN_PORT, "-T", life], stun_load(folder, seconds), row.figure, seconds)
    return _plain([program, "-p", STATUS_PORT, "-T", life, document], wrk("127.0.0.1", seconds), row.figure, seconds)


def status_run(row, pyrsia, folder, seconds):
    """The same for the real boot server."""
    server = [pyrsia, "boot", "-H", SERVER_IP, "-p", STATUS_PORT, "-L", PEER_LISTEN, "--cache", "", "--key",
              f"{folder}/key"]
    ready = rf"http://{SERVER_IP}:{STATUS_PORT}"
    return {**_plain(server, wrk(SERVER_IP, seconds), row.figure, seconds), "ready": ready}


def stun_run(row, pyrsia, limits, seconds):
    """The same for our STUN server: its limit for a source is counted, but never reached."""
    server = [pyrsia, "stun-server", "-L", f"{STUN_IP}:{STUN_PORT}", "--stun-rate", "2000000"]
    return {**_plain(server, stun_load(limits, seconds), row.figure, seconds), "ready": "STUN over UDP"}


def coturn_run(row, limits, folder, seconds):
    """The same for coturn."""
    server = coturn.command(folder, STUN_IP, STUN_PORT)
    return {**_plain(server, stun_load(limits, seconds), row.figure, seconds), "ready": coturn.READY}


def stun_load(limits, seconds):
    """32 source ports with 64 requests in flight each."""
    return [f"{limits}/stun_load", "-a", STUN_IP, "-p", STUN_PORT, "-s", "32", "-w", "64", "-t", str(seconds)]


def nginx_run(row, folder, seconds, document):
    """The same for nginx, with our document."""
    server = nginx.command(folder, SERVER_IP, STATUS_PORT, document)
    return {**_plain(server, wrk(SERVER_IP, seconds), row.figure, seconds), "ready": nginx.READY}


def wrk(ip, seconds):
    return ["wrk", "-t1", f"-c{STATUS_CONNECTIONS}", f"-d{seconds}s", f"http://{ip}:{STATUS_PORT}/status"]


def _plain(server, load, figure, seconds):
    return {"server": server, "ready": "ready", "load": lambda _: load, "figure": figure,
            "limit_seconds": seconds + 60}
