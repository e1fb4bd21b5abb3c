"""A 0.50 node that starts as the original does: `/status`, first address, probe, verdict.

The boot server is our program `pyrsia boot`; or, to try the harness without it, a node of another
kind with a `/status` written here. And `pyrsia node` as it is shipped, with boot servers of the
other kinds.
"""

import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time

import netns
from peer import Failure, Peer

STATUS_PORT = 7888
NODE_PORT = 44000


def rows(run, namespaces, boot_program, among):
    """`boot_program` is our `pyrsia`; without it, and `among` the others, a node with a `/status`."""
    names = [name for name in (("go", "rust", "js") if among else ("pyrsia",)) if name in run.programs]
    boot = names[0] if names else "go" if among else "pyrsia"
    for row, reachable in (("bootstrap reachable", True), ("bootstrap not", False)):
        column = f"rust-050→{boot}"
        if boot_program:
            run.one(row, column, ("rust-050",), True, lambda reachable=reachable:
                    _against_ours(run, namespaces, boot_program, reachable))
        else:
            run.one(row, column, (boot, "rust-050"), True, lambda reachable=reachable:
                    _against_node(run, namespaces, boot, reachable))


def our_rows(run, namespaces, program, only):
    """`program` is our `pyrsia`; rows whose name contains `only`."""
    for row, reachable in (("node reachable", True), ("node not", False)):
        for kind in [name for name in ("go", "rust", "js", "rust-050") if name in run.programs and only in row]:
            run.one(row, f"pyrsia→{kind}", (kind,), True, lambda kind=kind, reachable=reachable:
                    _ours_joins(run, namespaces, program, kind, reachable))


def _url():
    return f"http://{netns.ADDRESSES['b'][0]}:{STATUS_PORT}/status"


def _boot_address():
    return f"/ip4/{netns.ADDRESSES['b'][0]}/tcp/{NODE_PORT}"


def _against_ours(run, namespaces, program, reachable):
    """The boot server as it is shipped, with its own `/status`."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile(mode="w+") as log:
        command = [program, "boot", "-H", netns.ADDRESSES["b"][0], "-L", _boot_address(),
                   "--key", f"{folder}/boot.key", "--json"]
        server = subprocess.Popen([*namespaces.prefix_of("b"), *command], cwd=folder, stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_for_status(namespaces, server, log)
            with _original(run, namespaces, reachable) as node:
                _joins(node, reachable)
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(5)
    return "boot server"


def _wait_for_status(namespaces, server, log):
    asking = f"import urllib.request; urllib.request.urlopen({_url()!r}, timeout=2)"
    for _ in range(40):
        done = subprocess.run([*namespaces.prefix_of("b"), sys.executable, "-c", asking],
                              capture_output=True, timeout=20)
        if done.returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.25)
    log.seek(0)
    said = " | ".join(log.read().splitlines()[-3:])
    raise Failure(f"the boot server answers no /status (exit code {server.poll()}): {said}")


def _against_node(run, namespaces, boot, reachable):
    serving = ["--key-seed", "2", "--autonat-server", "--listen", _boot_address()]
    with run.peer(boot, serving, namespaces.prefix_of("b")) as server, \
         _Status(server, namespaces), _original(run, namespaces, reachable) as node:
        _joins(node, reachable, server)
    return "/status of the harness"


def _original(run, namespaces, reachable):
    flags = ["--key-seed", "1", "--bootstrap-url", _url(), "--listen" if reachable else "--announce",
             f"/ip4/{netns.ADDRESSES['a'][0]}/tcp/{NODE_PORT}"]
    return Peer("rust-050", run.programs["rust-050"], flags, namespaces.prefix_of("a"))


def _joins(node, reachable, server=None):
    found = node.event("bootstrapped")
    if not found["ok"]:
        raise Failure(f"rust-050 did not bootstrap: {found['error']}")
    node.event("connected", timeout=20, peer=found["peer"], direction="outbound")
    if server is not None:
        server.event("connected", timeout=20, peer=node.id, direction="inbound")
    node.event("status_changed", timeout=45, new="public" if reachable else "private")


class _OurNode(Peer):
    """`pyrsia node`, which prints events but takes no commands."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._errors = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(self._command, cwd=self._folder.name, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=self._errors, text=True, bufsize=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.id = self.event("started", timeout=30)["peer_id"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._reader.join(5)
        self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()


def _ours_joins(run, namespaces, program, kind, reachable):
    """It learns its verdict, and once the boot server has asked it for a probe it is fully connected."""
    address = f"/ip4/{netns.ADDRESSES['a'][0]}/tcp/{NODE_PORT}"
    where = ["-L", address] if reachable else ["-L", "/ip4/127.0.0.1/tcp/0", "--announce", address]
    flags = ["node", "--json", "-p", "0", "-B", _url(), "--port-mapping", "off", *where]
    serving = ["--key-seed", "2", "--autonat-server", "--listen", _boot_address()]
    with run.peer(kind, serving, namespaces.prefix_of("b")) as server, _Status(server, namespaces), \
         _OurNode("pyrsia", [program], flags, namespaces.prefix_of("a")) as node:
        node.event("bootstrap", stage="connected")
        server.event("connected", peer=node.id, direction="inbound")
        wanted = "reachable" if reachable else "unreachable"
        changed = node.event("status_changed", timeout=45, old_status="unknown")
        if changed["new_status"] != wanted:
            raise Failure(f"with {kind} we are {changed['new_status']}: {changed['reason']}")
        said = server.call("autonat", peer=node.id)
        if said["status"] != "public":
            raise Failure(f"{kind} asked pyrsia: {said}")
        node.event("inbound_probe", stage="request", peer=server.id)
        node.event("connected", peer=server.id)


class _Status:
    """`/status` for a node that has none."""

    def __init__(self, server, namespaces):
        document = {"peers_count": 0, "peer_id": server.id, "peer_addrs": [server.address]}
        self._command = [*namespaces.prefix_of("b"), sys.executable, __file__, json.dumps(document)]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._process.stdout.readline()  # It says when it listens.

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait(5)
        self._process.stdout.close()


def _serve(document):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = document.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer((netns.ADDRESSES["b"][0], STATUS_PORT), Handler) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
