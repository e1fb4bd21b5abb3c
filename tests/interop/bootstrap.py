"""A 0.50 node that starts as the original does: `/status`, first address, probe, verdict.

The boot server is ours, or, to try the harness, a go node with a `/status` written here.
"""

import http.server
import json
import subprocess
import sys

import netns
from peer import Failure, Peer

STATUS_PORT = 7888
NODE_PORT = 44000


def rows(run, namespaces, ours):
    boot = ours or next((kind for kind in ("go", "rust", "js") if kind in run.programs), "go")
    for row, reachable in (("bootstrap reachable", True), ("bootstrap not", False)):
        run.one(row, f"rust-050→{boot}", (boot, "rust-050"),
                lambda reachable=reachable: _bootstrap(run, namespaces, boot, reachable))


def _bootstrap(run, namespaces, boot, reachable):
    here, there = netns.ADDRESSES["a"], netns.ADDRESSES["b"]
    url = f"http://{there}:{STATUS_PORT}/status"
    serving = ["--key-seed", "2", "--autonat-server", "--listen", f"/ip4/{there}/tcp/{NODE_PORT}"]
    if boot == "pyrsia":
        serving += ["--status", f"{there}:{STATUS_PORT}"]
    flags = ["--key-seed", "1", "--bootstrap-url", url]
    flags += ["--listen" if reachable else "--announce", f"/ip4/{here}/tcp/{NODE_PORT}"]
    with run.peer(boot, serving, namespaces.prefix_of("b")) as server, \
         _Status(boot, server, namespaces):
        with Peer("rust-050", run.programs["rust-050"], flags, namespaces.prefix_of("a")) as node:
            found = node.event("bootstrapped")
            if not found["ok"]:
                raise Failure(f"rust-050 did not bootstrap: {found['error']}")
            node.event("connected", timeout=20, peer=server.id, direction="outbound")
            server.event("connected", timeout=20, peer=node.id, direction="inbound")
            wanted = "public" if reachable else "private"
            node.event("status_changed", timeout=45, new=wanted)
    return None


class _Status:
    """`/status` for a node that has none."""

    def __init__(self, boot, server, namespaces):
        self._command = None
        if boot != "pyrsia":
            document = {"peers_count": 0, "peer_id": server.id, "peer_addrs": [server.address]}
            self._command = [*namespaces.prefix_of("b"), sys.executable, __file__, json.dumps(document)]

    def __enter__(self):
        if self._command:
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
            self._process.stdout.readline()  # It says when it listens.

    def __exit__(self, *_):
        if self._command:
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

    with http.server.HTTPServer((netns.ADDRESSES["b"], STATUS_PORT), Handler) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
