"""`pyrsia status`: what answers at the port is a node, something else, or nobody."""
import contextlib
import json
import socket
import threading

from harness import Daemon, directory, expect, expect_refusal, free_port, run


@contextlib.contextmanager
def stranger(answer, ends=True):
    """Answers each request with these bytes, but for one of /peers, which gets an empty list. If it does
    not end, the connection stays open."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as kept:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client = listener.accept()[0]
                    is_peers = client.recv(4096).startswith(b"GET /peers ")
                    client.sendall(page("[]") if is_peers else answer)
                    kept.callback(client.close)
                    if ends:
                        client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield str(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def page(body, status="200 OK", more=""):
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def test_status_of_what_is_no_node_is_69(program):
    other = "what answers there is not a pyrsia node"
    late = "no complete answer within"
    nat = json.dumps({"schema": "pyrsia.nat/1", "status": "reachable", "peer_id": "x"})
    cases = [
        (page("<html>"), True, other),
        (page('{"status":"reachable"}'), True, other),
        (page('{"schema":"other/1","status":"reachable"}'), True, other),
        (page('{"schema":1}'), True, other),
        (page(nat, "404 Not Found"), True, other),
        (page("[]"), True, other),
        (page('{"schema":' + "[" * 100_000), True, other),
        (page(" " * 2_000_000), True, other),
        (page("", "302 Found", "Location: /nat\r\n"), True, other),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, other),
        (b"", True, "Empty reply"),
        (page(nat)[:-5], True, "5 bytes remaining"),
        (page(nat)[:-5], False, late),
        (b"", False, late),
    ]
    with directory() as cwd:
        for answer, ends, why in cases:
            with stranger(answer, ends) as port:
                done = run(program, "status", "-p", port, cwd=cwd)
                expect_refusal(done, 69, f"no node answers at http://127.0.0.1:{port}: ", why)
        with stranger(page(nat)) as port:  # What the strangers lack is all that it takes.
            expect(run(program, "status", "-p", port, cwd=cwd).returncode == 0, "reachable")
