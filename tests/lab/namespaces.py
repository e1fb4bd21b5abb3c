"""Network namespaces of a lab of our own: named after this process, without any link to the
machine's network, removed at the end whatever happens."""
import atexit
import os
import signal
import subprocess
import sys


def run(command, check=True, **options):
    done = subprocess.run(command, shell=isinstance(command, str), capture_output=True, text=True, **options)
    if check and done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def is_required(program):
    """Whether its absence is a failure: by the environment's PYRSIA_REQUIRE_LAB, a list with commas."""
    return program in os.environ.get("PYRSIA_REQUIRE_LAB", "").split(",")


def finish(pool):
    """Lets the workers of a pool end by themselves. One that is just being made may not hear the SIGTERM
    that the pool's own end sends, and would be waited for without end."""
    pool.close()
    pool.join()


class Lab:
    """A set of namespaces. `with Lab() as lab:`"""

    def __init__(self, prefix="pyrsia-lab"):
        self.prefix = f"{prefix}{os.getpid()}-"
        self.names = []
        self.children = []

    def __enter__(self):
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(130))  # So that the namespaces go.
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        self.children.clear()
        for name in self.names:
            run(["ip", "netns", "del", self.prefix + name], check=False)
        self.names.clear()

    def add(self, name):
        run(["ip", "netns", "add", self.prefix + name])
        self.names.append(name)
        self.ip(name, "link set lo up")
        # br_netfilter is built into some kernels and would send bridged frames through the NAT.
        self.exec(name, "sysctl -qw net.bridge.bridge-nf-call-iptables=0", check=False)

    def exec(self, name, command, check=True, **options):
        """Runs a command inside; fails, sending nothing, if the namespace is not there."""
        return run(f"ip netns exec {self.prefix}{name} {command}", check, **options)

    def ip(self, name, arguments):
        return self.exec(name, f"ip {arguments}")

    def start(self, name, command, **options):
        child = subprocess.Popen(["ip", "netns", "exec", self.prefix + name, *command], text=True, **options)
        self.children.append(child)
        return child

    def stop(self, child):
        """Ends a program that start() began; returns its exit code."""
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child in self.children:
            self.children.remove(child)
        return child.returncode

    def link(self, a, a_device, b, b_device):
        run(f"ip link add {a_device} netns {self.prefix}{a} type veth "
            f"peer name {b_device} netns {self.prefix}{b}")
        self.ip(a, f"link set {a_device} up")
        self.ip(b, f"link set {b_device} up")

    def cable(self, program, a, a_device, b, b_device, **options):
        """As link(), but with delay, loss and rate: see cable.cpp."""
        words = [f"{key}={value}" for key, value in options.items()]
        child = subprocess.Popen([program, self.prefix + a, a_device, self.prefix + b, b_device, *words],
                                 text=True, stdout=subprocess.PIPE)
        self.children.append(child)
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError("the cable did not start")

    def make_router(self, name):
        self.exec(name, "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 "
                        "net.ipv4.conf.all.send_redirects=0")

    def nft(self, name, rules):
        self.exec(name, "nft -f -", input=rules)
        self.exec(name, "conntrack -F", check=False)
