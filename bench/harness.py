"""Runs a server and a load program, each on a core of its own, and says what the run was worth.

Everything runs in a network namespace without a way out, made here and removed at the end. In it
TCP uses cubic or reno (BBR paces loopback), and 73.0.0.1 (the servers) and 73.0.0.2 (the load) are
addresses of the loopback: public to every library, so that all of them serve AutoNAT there.
Needs root.
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import tempfile
import time

HERTZ = os.sysconf("SC_CLK_TCK")
SERVER_IP, LOAD_IP = "73.0.0.1", "73.0.0.2"
SERVER_CORE, LOAD_CORE = "0", "1"
READY_SECONDS = 60
PR_SET_PDEATHSIG = 1
PRIORITY = "-20"


class Failed(Exception):
    """A program gave no figure; the text says what it said instead."""


class Namespace:
    def __init__(self):
        self.name = f"pyrsia-bench-{os.getpid()}"
        self.congestion = "?"

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True, timeout=10)
        try:
            self._ip("link", "set", "lo", "up")
            for ip in (SERVER_IP, LOAD_IP):
                self._ip("addr", "add", f"{ip}/32", "dev", "lo")
            # Who calls one comes from the other.
            for ip, source in ((SERVER_IP, LOAD_IP), (LOAD_IP, SERVER_IP)):
                self._ip("route", "replace", "local", ip, "dev", "lo", "table", "local", "src", source)
            self.congestion = self._congestion()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=10)

    def _ip(self, *arguments):
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, timeout=10)

    def _congestion(self):
        key = "net.ipv4.tcp_congestion_control"
        for wanted in ("cubic", "reno"):
            done = subprocess.run(["ip", "netns", "exec", self.name, "sysctl", "-q", "-w", f"{key}={wanted}"],
                                  capture_output=True, timeout=10)
            if done.returncode == 0:
                return wanted
        raise Failed("neither cubic nor reno can be set: BBR would pace the loopback")

    def command(self, core, arguments):
        return ["ip", "netns", "exec", self.name, "taskset", "-c", core, *arguments]


class CabledNamespaces:
    """Two of them, the server's and the load's, with a delay between: each side is known by its core."""

    def __init__(self, cable, round_trip_ms):
        self.names = {core: f"pyrsia-bench-{os.getpid()}-{core}" for core in (SERVER_CORE, LOAD_CORE)}
        self.arguments = [cable, self.names[SERVER_CORE], "b0", self.names[LOAD_CORE], "b1",
                          f"delay={round_trip_ms / 2:g}", "seconds=3600"]
        self.cable = None

    def __enter__(self):
        try:
            for name in self.names.values():
                subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
            self.cable = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, text=True, preexec_fn=_prepare)
            os.sched_setscheduler(self.cable.pid, os.SCHED_FIFO, os.sched_param(1))  # It may not wait for others.
            if "ready" not in self.cable.stdout.readline():
                raise Failed("the cable did not start")
            for core, device, ip, ip6 in ((SERVER_CORE, "b0", SERVER_IP, "2600::1"), (LOAD_CORE, "b1", LOAD_IP, "2600::2")):
                name = self.names[core]
                subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True, timeout=10)
                subprocess.run(["ip", "-n", name, "addr", "add", f"{ip}/24", "dev", device], check=True, timeout=10)
                subprocess.run(["ip", "-n", name, "addr", "add", f"{ip6}/64", "dev", device, "nodad"], check=True,
                               timeout=10)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.cable:
            self.cable.terminate()
            self.cable.wait()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=10)

    def command(self, core, arguments):
        return ["ip", "netns", "exec", self.names[core], "taskset", "-c", core, *arguments]


class Program:
    """A started program with its output; ended, by its process id, when the `with` block ends."""

    def __init__(self, namespace, core, arguments, environment):
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            namespace.command(core, arguments), stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, preexec_fn=_prepare, env={**os.environ, **environment})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()

    def text(self):
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for(self, pattern):
        end = time.monotonic() + READY_SECONDS
        while True:
            found = re.search(pattern, self.text())
            if found:
                return found
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"not ready: {self.text()[-300:].strip()}")
            time.sleep(0.05)

    def cpu_seconds(self):
        try:
            with open(f"/proc/{self.process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / HERTZ


def _prepare():
    """A session is a scheduling group of its own; its weight among the others is set here."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # Nothing outlives us, however we end.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write(PRIORITY)
    except OSError:
        pass


def _busy_seconds():
    with open("/proc/stat") as file:
        values = [int(x) for x in file.readline().split()[1:]]
    return (values[0] + values[1] + values[2] + values[5] + values[6]) / HERTZ


def run(namespace, server, ready, load, figure, limit_seconds, environment=None, is_server_asked=False):
    """One run. `load` gets the match of `ready`; `figure` is a pattern whose groups are returned,
    under "figures", beside the CPU of both sides in % of a core and that of everything else. It is
    sought in what the load says; or in what the server says, which then ends by itself."""
    environment = environment or {}
    with Program(namespace, SERVER_CORE, server, environment) as serving:
        arguments = load(serving.wait_for(ready))
        server_before, busy_before, begin = serving.cpu_seconds(), _busy_seconds(), time.monotonic()
        with Program(namespace, LOAD_CORE, arguments, environment) as loading:
            status, usage = _wait(loading, limit_seconds)
            elapsed = time.monotonic() - begin
            own = usage.ru_utime + usage.ru_stime
            served = serving.cpu_seconds() - server_before
            text = loading.text()
        if is_server_asked:
            text = serving.wait_for(f"(?s)^.*{figure}")[0]
        if serving.process.poll() is not None and served <= 0:
            served = float("nan")
        found = re.search(figure, text)
        if status != 0 or not found:
            raise Failed((text + serving.text())[-300:].strip() or f"status {status}")
        return {"figures": [float(x) for x in found.groups()], "server": 100 * served / elapsed,
                "load": 100 * own / elapsed, "others": 100 * (_busy_seconds() - busy_before - own - served) / elapsed}


def _wait(program, limit_seconds):
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        pid, status, usage = os.wait4(program.process.pid, os.WNOHANG)
        if pid:
            program.process.returncode = status
            return status, usage
        time.sleep(0.02)
    raise Failed(f"no end within {limit_seconds} s: {program.text()[-300:].strip()}")
