"""Starts the program in a directory of its own, reads what it prints, asks its HTTP API."""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60  # Seconds until something that must happen is given up, on a slow machine too.


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory(prefix="pyrsia-e2e-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


def clean_environment(extra):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYRSIA_")}
    kept.pop("http_proxy", None), kept.pop("HTTP_PROXY", None)
    kept["PYRSIA_PORT_MAPPING"] = "off"  # No packet leaves loopback.
    return kept | extra


def run(program, *args, env=None, cwd, timeout=PATIENCE, prefix=(), **kwargs):
    """Runs to the end; returns the CompletedProcess."""
    return subprocess.run(
        [*prefix, program, *args], env=clean_environment(env or {}), cwd=cwd, timeout=timeout,
        capture_output=True, text=True, **kwargs)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_refusal(done, code, *parts):
    """It ended with `code` and exactly one line on stderr, which has all `parts` in it."""
    lines = done.stderr.strip().splitlines()
    expect(done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}")
    expect(len(lines) == 1, f"not one line: {done.stderr}")
    for part in parts:
        expect(part in lines[0], f"no {part!r} in {lines[0]!r}")
    expect(done.stdout == "", f"stdout: {done.stdout}")


def wait_for(what, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


def free_port():
    """Below the ports that the kernel hands out, so that no connection takes it meanwhile."""
    for _ in range(100):
        port = random.randrange(15000, 30000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def ask(url, method="GET"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=20) as answer:
            return Response(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Response(error.code, error.headers, error.read().decode())


class Daemon:
    """A running `node` or `boot` with --json. Use as a context manager: at its end it is stopped if it
    runs yet, and must end with code 0, which it does not if a sanitizer has found something or its
    stop hangs."""

    def __init__(self, program, command, *args, cwd, http_port=0, env=None, prefix=(),
                 listen="/ip4/127.0.0.1/tcp/0", scope="loopback"):
        given = {"-p": http_port, "-L": listen, "--address-scope": scope}  # None: not given at all.
        flags = [text for flag, value in given.items() if value is not None for text in (flag, str(value))]
        line = [*prefix, program, command, "--json", *flags, *args]
        self.events, self.errors = [], []
        self.expected_code = 0
        self.process = subprocess.Popen(
            line, cwd=cwd, env=clean_environment(env or {}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._readers = [threading.Thread(target=self._read_events, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_events(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def __enter__(self):
        started = self.wait_event("started")
        self.http, self.peer_id = started["http"], started["peer_id"]
        return self

    def __exit__(self, failure=None, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = f"none within {PATIENCE} s"
        self.process.wait()
        for reader in self._readers:
            reader.join(5)
        if failure is None:  # The first failure tells more.
            expect(code == self.expected_code, f"exit code {code}: " + "\n".join(self.errors))

    def wait_event(self, name, where=lambda event: True):
        def found():
            expect(self.process.poll() is None or self.events, f"ended: {self.errors}")
            return next((e for e in list(self.events) if e.get("event") == name and where(e)), None)
        try:
            return wait_for(name, found)
        except AssertionError as error:
            raise AssertionError(f"{error}; events {self.events}; stderr {self.errors}") from None

    def wait_listening(self):
        return self.wait_event("listening")["address"]

    def get(self, path, method="GET"):
        return ask(self.http + path, method)

    def kill(self):
        """As a crash would end it."""
        self.expected_code = -signal.SIGKILL
        self.process.kill()

    def stop(self, by=signal.SIGTERM):
        """Returns the exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(by)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began
