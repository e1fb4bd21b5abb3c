"""SIGTERM ends it, whatever it is waiting for: with code 0, which it has only within 2 s."""
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.request

from harness import Daemon, ask, clean_environment, directory, expect, free_port, wait_for

ID = "12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A"


def expect_clean_stop(daemon, by=signal.SIGTERM):
    code, _ = daemon.stop(by)
    expect(code == 0, f"exit code {code}: {daemon.errors}")


def test_signals_end_it_within_two_seconds(program):
    for by in (signal.SIGTERM, signal.SIGINT):
        with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
            boot.wait_listening()
            with urllib.request.urlopen(boot.http + "/events", timeout=20) as events:
                events.readline()
                expect_clean_stop(boot, by)


@contextlib.contextmanager
def port_without_answer():
    """Of a listener whose queue is full: the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(16):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.5)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                waiting.close()
                yield listener.getsockname()[1]
                return
    raise AssertionError("its queue is never full")


def is_dialing(port):
    """True while a SYN to this port of 127.0.0.1 is under way."""
    entries = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines())
    return any(e[2] == f"0100007F:{port:04X}" and e[3] == "02" for e in entries)


def test_sigterm_while_an_address_does_not_answer(program):
    with directory() as cwd, port_without_answer() as port:
        for flag in ("-P", "-R"):
            with Daemon(program, "node", flag, f"/ip4/127.0.0.1/tcp/{port}/p2p/{ID}", cwd=cwd) as node:
                wait_for("a dial", lambda: is_dialing(port))
                expect_clean_stop(node)


def test_sigterm_while_a_peer_says_nothing(program):
    with directory() as cwd, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        peer = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}/p2p/{ID}"
        with Daemon(program, "node", "-P", peer, cwd=cwd) as node:
            with silent.accept()[0]:
                expect_clean_stop(node)


def test_sigterm_while_a_status_url_hangs(program):
    with directory() as cwd, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/status"
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"):
            with Daemon(program, "node", "-B", url, cwd=cwd) as node:
                with silent.accept()[0] as asked:
                    asked.recv(4096)
                    asked.sendall(answer)
                    expect_clean_stop(node)


def test_sigterm_with_peers_connected(program):
    with contextlib.ExitStack() as stack:
        there, here, beside = (stack.enter_context(directory()) for _ in range(3))
        boot = stack.enter_context(Daemon(program, "boot", cwd=there))
        boot.wait_listening()
        nodes = [stack.enter_context(Daemon(program, "node", "-B", boot.http + "/status", cwd=cwd))
                 for cwd in (here, beside)]
        for node in nodes:
            node.wait_event("status_changed")
        expect_clean_stop(nodes[0])
        expect_clean_stop(boot)
        nodes[1].wait_event("peer_disconnected")
        expect_clean_stop(nodes[1])


class Pipe:
    """Nobody reads what the program writes, until read_on()."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.text = ""

    def read_on(self):
        def read():
            while part := os.read(self.reading, 65536):
                self.text += part.decode()
        threading.Thread(target=read, daemon=True).start()


def test_readers_that_are_asleep_hold_nothing_up(program):
    urls = [f"http://127.0.0.1:{free_port()}/{i}{'x' * 6000}" for i in range(20)]
    flags = ["-L", "/ip4/127.0.0.1/tcp/0", *(flag for url in urls for flag in ("-B", url))]
    for awake in (True, False):
        out, err, port = Pipe(), Pipe(), free_port()
        with directory() as cwd:
            node = subprocess.Popen([program, "node", "--json", "-p", str(port), *flags], cwd=cwd,
                                    stdout=out.writing, stderr=err.writing, env=clean_environment({}))
            os.close(out.writing), os.close(err.writing)
            try:
                def failures():
                    with contextlib.suppress(OSError):
                        lines = ask(f"http://127.0.0.1:{port}/metrics").body.splitlines()
                        return sum(int(line.split()[-1]) for line in lines
                                   if line.startswith("pyrsia_bootstrap_failures_total"))
                wait_for("every URL tried", lambda: (failures() or 0) >= len(urls))
                if awake:
                    out.read_on(), err.read_on()
                    wait_for("a word on what was lost", lambda: "lines of stdout were lost" in err.text)
                    expect(all(line.endswith("}") for line in out.text.splitlines()[:-1]), out.text)
            finally:
                node.terminate()
            expect(node.wait(60) == 0, node.returncode)
