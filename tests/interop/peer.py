"""One peer program, driven by JSON lines (README.md has the protocol)."""

import json
import os
import subprocess
import tempfile
import threading
import time


class Failure(Exception):
    """What a scenario found wrong."""


class Peer:
    """A running program. Every wait is bounded; leaving the `with` block ends the process."""

    def __init__(self, kind, command, flags=(), prefix=()):
        self.kind = kind
        self._command = [*prefix, *command, *flags]
        self._lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._connections = 0
        self._next_id = 0

    def __enter__(self):
        self._errors = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._errors, text=True, bufsize=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            hello = self.event("listening", timeout=30)
        except BaseException:
            self.__exit__()
            raise
        self.id = hello["peer"]
        self.addresses = hello["addresses"]
        return self

    def __exit__(self, *_):
        try:
            self.call("quit", timeout=3)
            self._process.wait(3)
        except (Failure, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(5)
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    @property
    def address(self):
        return f"{self.addresses[0]}/p2p/{self.id}"

    def _read(self):
        for line in self._process.stdout:
            if os.environ.get("PYRSIA_INTEROP_TRACE"):
                print(f"    {self.kind}< {line.rstrip()}", flush=True)
            try:
                value = json.loads(line)
            except ValueError:
                value = {"event": "noise", "text": line.rstrip()}
            with self._changed:
                self._connections += {"connected": 1, "disconnected": -1}.get(value.get("event"), 0)
                self._lines.append(value)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self, wanted, what, timeout):
        """Takes the first line for which `wanted` holds out of those that have come or will come."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for index, line in enumerate(self._lines):
                    if wanted(line):
                        return self._lines.pop(index)
                left = end - time.monotonic()
                if self._ended:
                    raise Failure(f"{self.kind} ended before {what}: {self.last_words()}")
                if left <= 0:
                    raise Failure(f"{self.kind}: no {what} in {timeout} s")
                self._changed.wait(left)

    def last_words(self):
        self._errors.seek(0)
        return " | ".join(self._errors.read().splitlines()[-3:]) or "it wrote no error"

    def event(self, name, timeout=15, **fields):
        def wanted(line):
            return line.get("event") == name and all(line.get(k) == v for k, v in fields.items())
        return self._wait(wanted, f"event {name} {fields or ''}", timeout)

    def is_quiet(self, timeout=3):
        """Waits until every connection that was told of has ended, then drops what nobody asked for."""
        end = time.monotonic() + timeout
        with self._changed:
            while self._connections > 0 and not self._ended and time.monotonic() < end:
                self._changed.wait(0.1)
            self._lines.clear()
            return self._connections == 0 and not self._ended

    def ask(self, cmd, timeout=60, **arguments):
        """Sends a command and returns its reply, whatever it says."""
        self._next_id += 1
        number = self._next_id
        line = json.dumps({"id": number, "cmd": cmd, **arguments})
        if os.environ.get("PYRSIA_INTEROP_TRACE"):
            print(f"    {self.kind}> {line}", flush=True)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise Failure(f"{self.kind} is gone: {self.last_words()}") from None
        return self._wait(lambda r: r.get("event") == "reply" and r.get("id") == number,
                          f"reply to {cmd}", timeout)

    def call(self, cmd, timeout=60, **arguments):
        """Sends a command that must succeed."""
        reply = self.ask(cmd, timeout, **arguments)
        if not reply.get("ok"):
            raise Failure(f"{self.kind} {cmd}: {' '.join(str(reply.get('error')).split())[:200]}")
        return reply
