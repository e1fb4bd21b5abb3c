"""What is wrong is named in one clear line, and a running node stays alive."""
import contextlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

from harness import (Daemon, clean_environment, directory, expect, expect_refusal, free_port, run,
                     wait_for)

ID = "12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A"


def test_bad_flags_end_with_64(program):
    cases = [
        (["node", "-L", "127.0.0.1:7"], ["--listen", '"127.0.0.1:7"', "multiaddr"]),
        (["node", "-L", "/ip4/1.2.3.4/udp/5"], ["listen", "/ip4/1.2.3.4/udp/5"]),
        (["node", "-P", "/ip4/1.2.3.4/tcp/5"], ["--peer", "/p2p/<id>"]),
        (["node", "-R", "/ip4/1.2.3.4/tcp/5/p2p/QmX"], ["--probe", "QmX"]),
        (["node", "-B", "boot.example"], ["--bootstrap-url", "boot.example", "URL"]),
        (["node", "-B", "http://"], ["--bootstrap-url", "http"]),
        (["node", "-B", "http://[::1"], ["--bootstrap-url", "http://[::1"]),
        (["node", "-B", "http://[1.2.3/"], ["--bootstrap-url", "http://[1.2.3/"]),
        (["node", "-B", "http://a:x/"], ["--bootstrap-url", "http://a:x/"]),
        (["node", "-B", "http://a:65536/"], ["--bootstrap-url", "http://a:65536/"]),
        (["node", "-B", "http://:80/"], ["--bootstrap-url", "http://:80/"]),
        (["boot", "--member", "ftp://x/"], ["--member", "ftp://x/"]),
        (["node", "--announce", "nowhere"], ["--announce", "nowhere"]),
        (["node", "-H", "localhost"], ["--host", "localhost", "IP address"]),
        (["node", "-p", "99999"], ["--port", "99999", "65535"]),
        (["node", "--address-scope", "lan"], ["--address-scope", "lan"]),
        (["node", "--log-level", "loud"], ["--log-level", "loud"]),
        (["node", "--no-such-flag"], ["--no-such-flag"]),
        (["nonsense"], ["nonsense"]),
        ([], ["subcommand"]),
    ]
    with directory() as cwd:
        for args, parts in cases:
            expect_refusal(run(program, *args, cwd=cwd), 64, *parts)


def test_bad_variables_and_files_end_with_78(program):
    with directory() as cwd:
        done = run(program, "node", env={"PYRSIA_PORT": "x"}, cwd=cwd)
        expect_refusal(done, 78, "PYRSIA_PORT", '"x"')
        done = run(program, "node", env={"PYRSIA_LISTEN_ONLY": "perhaps"}, cwd=cwd)
        expect_refusal(done, 78, "PYRSIA_LISTEN_ONLY", "perhaps")
        expect_refusal(run(program, "node", "--config", "none.toml", cwd=cwd), 78, "none.toml")
        for text, parts in (("port = ", ["line 1"]), ("prot = 1\n", ["prot", "line 1"]),
                            ("\nport = [1]\n", ["port", "line 2"]),
                            ('listen = "here"\n', ["a.toml: listen", "here"]),
                            ('listen = "/dns4/x.example/tcp/1"', ["a.toml: listen", "/dns4/x.example"]),
                            ('announce = "/ip4/1.2.3.4/tcp/0"', ["a.toml: announce", "port"]),
                            ('global_network = "10.0.0.0/33"', ["a.toml: global_network", "/33"])):
            (cwd / "a.toml").write_text(text)
            expect_refusal(run(program, "node", "--config", "a.toml", cwd=cwd), 78, "a.toml", *parts)


def test_bad_key_files_end_with_78_and_stay(program):
    with directory() as cwd:
        file = cwd / "k.ser"
        run(program, "id", "--key", "k.ser", cwd=cwd)
        good = file.read_bytes()
        damaged = good[:63] + bytes([good[63] ^ 1])
        for content, mode, parts in ((b"short", 0o600, ["5 bytes", "64"]), (b"", 0o600, ["0 bytes"]),
                                     (damaged, 0o600, ["damaged"]),
                                     *((good, mode, [f"mode {mode:04o}", "chmod 600 k.ser"])
                                       for mode in (0o644, 0o604, 0o640, 0o620, 0o602))):
            file.write_bytes(content)
            file.chmod(mode)
            for command in (["id"], ["node", "-p", "0"]):
                done = run(program, *command, "--key", "k.ser", cwd=cwd)
                expect_refusal(done, 78, "key file k.ser", *parts)
            expect(file.read_bytes() == content, "the key file has changed")
        (cwd / "d").mkdir()
        expect_refusal(run(program, "id", "--key", "d", cwd=cwd), 78, "key file d", "not a file")
        file.write_bytes(b"")
        (cwd / "link").symlink_to("nowhere")
        for name, why in (("k.ser/key", "its directory"), ("link", "a link to a file that is not there")):
            expect_refusal(run(program, "id", "--key", name, cwd=cwd), 78, f"key file {name}", why)
        expect(file.read_bytes() == b"" and not (cwd / "nowhere").exists(), "something was written")


def test_unreadable_key_file_ends_with_78(program):
    with directory() as cwd:
        run(program, "id", "--key", "k.ser", cwd=cwd)
        # Root may read anything: be nobody, in a place where nobody finds the program.
        copy = cwd / "pyrsia"
        copy.write_bytes(pathlib.Path(program).read_bytes())
        copy.chmod(0o755)
        if os.geteuid() == 0:
            done = run(copy, "id", "--key", "k.ser", cwd=cwd, user=65534, group=65534)
        else:
            (cwd / "k.ser").chmod(0)
            done = run(copy, "id", "--key", "k.ser", cwd=cwd)
        expect_refusal(done, 78, "key file k.ser", "permission denied")


def test_port_in_use_ends_with_75(program):
    with directory() as cwd, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(program, "node", "--json", "--listen-only", "-p", str(port), cwd=cwd)
        expect_refusal(done, 75, "HTTP", f"127.0.0.1:{port}", "in use")
        done = run(program, "node", "--listen-only", "-p", "0", "-L",
                   f"/ip4/127.0.0.1/tcp/{port}", cwd=cwd)
        expect(done.returncode == 75, done)
        lines = [l for l in done.stderr.splitlines() if "in use" in l]
        expect(len(lines) == 1 and f"/ip4/127.0.0.1/tcp/{port}" in lines[0], done.stderr)


def test_own_id_as_peer_ends_with_64(program):
    with directory() as cwd:
        own = run(program, "id", cwd=cwd).stdout.strip()
        done = run(program, "node", "-P", f"/ip4/127.0.0.1/tcp/9/p2p/{own}", cwd=cwd)
        expect_refusal(done, 64, own, "our own peer id")


class Pages(http.server.BaseHTTPRequestHandler):
    own_id = ""

    def do_GET(self):
        name = self.path.strip("/")
        if name == "loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif name == "hang":
            time.sleep(30)
        elif name == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(300):
                    self.wfile.write(b" ")
                    time.sleep(0.1)
        elif name == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"peer_addrs":')
        elif name == "huge":
            self.send_response(200)
            self.send_header("Content-Length", str(100_000_000))
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(b" " * 100_000)
        else:
            body = {
                "not_json": "<html>",
                "no_field": "{}",
                "wrong_type": '{"peer_addrs":"x"}',
                "empty": '{"peer_addrs":[]}',
                "empty_text": '{"peer_addrs":[""]}',
                "no_p2p": '{"peer_addrs":["/ip4/127.0.0.1/tcp/9"]}',
                "bad_p2p": '{"peer_addrs":["/ip4/127.0.0.1/tcp/9/p2p/QmX"]}',
                "own_id": json.dumps({"peer_addrs": [f"/ip4/127.0.0.1/tcp/9/p2p/{Pages.own_id}"]}),
            }[name].encode()
            self.send_response(404)  # It does not matter.
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def pages():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


EXPECTED = {
    "not_json": "it is not JSON",
    "no_field": "there is no field peer_addrs",
    "wrong_type": "peer_addrs is a string",
    "empty": "did not receive a valid array of peer_addrs in JSON: it is empty",
    "empty_text": "peer_addrs[0] is empty",
    "no_p2p": "has no peer id at its end",
    "bad_p2p": "ends in an invalid hash for a peer id",
    "own_id": "every entry of peer_addrs has our own peer id",
    "loop": "redirect",
    "hang": "no complete answer within",
    "drip": "no complete answer within",
    "cut": "closed",
    "huge": "over the limit of 65536 bytes",
}


def test_every_bad_status_url_is_named_and_survived(program):
    with directory() as cwd, pages() as base:
        Pages.own_id = run(program, "id", cwd=cwd).stdout.strip()
        refused = f"http://127.0.0.1:{free_port()}/status"
        urls = [f"{base}/{name}" for name in EXPECTED] + [refused]
        flags = [flag for url in urls for flag in ("-B", url)]
        with Daemon(program, "node", *flags, cwd=cwd) as node:
            wanted = {f"{base}/{name}": why for name, why in EXPECTED.items()} | {refused: "refuse"}
            for url, why in wanted.items():
                failed = node.wait_event("bootstrap", lambda e: e["stage"] == "failed" and
                                         f"from {url}: " in e["text"])
                expect(why.lower() in failed["text"].lower(), failed)
                expect("\n" not in failed["text"], failed)
            expect(node.get("/healthz").status == 200, "alive")
            expect(node.stop()[0] == 0, node.errors)


def test_peer_with_another_identity_is_named_and_survived(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        wrong = boot.wait_listening().split("/p2p/")[0] + "/p2p/" + ID
        with Daemon(program, "node", "-P", wrong, cwd=cwd) as node:
            failed = node.wait_event("bootstrap", lambda e: e["stage"] == "failed")
            expect(f"{wrong}: another peer answers there" in failed["text"], failed)
            expect(node.get("/peers").json() == [], "connected to the wrong peer")


def test_full_disk_costs_the_files_only(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        (cwd / "full").mkdir()
        # A file system of one page, full, that only this process sees.
        script = ('mount -t tmpfs -o size=4k tmpfs full && '
                  '{ dd if=/dev/zero of=full/filler bs=4096 count=2 2>/dev/null; exec "$0" "$@"; }')
        rights = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
        prefix = ["unshare", *rights, "sh", "-c", script]
        with Daemon(program, "node", "--key", "full/k.ser", "-B", boot.http + "/status", cwd=cwd,
                    prefix=prefix) as node:
            node.wait_event("peer_connected")
            wait_for("both lines", lambda: any("the disk is full" in e for e in node.errors) and
                     any("cannot write the bootstrap cache" in e for e in node.errors))
            expect(node.get("/healthz").status == 200, "alive")


def test_full_disk_leaves_the_key_and_the_cache_as_they_were(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        flags = ["--key", "disk/k.ser", "--network-memory", "off", "-B", boot.http + "/status"]
        with Daemon(program, "node", *flags, cwd=cwd) as node:
            wait_for("the cache", lambda: (cwd / "disk/bootstrap_cache.json").exists())
        before = {file.name: file.read_bytes() for file in (cwd / "disk").iterdir()}
        expect(set(before) == {"k.ser", "bootstrap_cache.json"}, before)
        script = ('mkdir full && mount -t tmpfs -o size=64k tmpfs full && cp -p disk/* full && '
                  'mount --move full disk && { dd if=/dev/zero of=disk/filler 2>/dev/null; exec "$0" "$@"; }')
        rights = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
        with Daemon(program, "node", *flags, cwd=cwd, prefix=["unshare", *rights, "sh", "-c", script]) as again:
            wait_for("the line", lambda: any("cannot write the bootstrap cache" in e for e in again.errors))
            seen = pathlib.Path(f"/proc/{again.process.pid}/root{cwd}/disk")
            after = {file.name: file.read_bytes() for file in seen.iterdir()}
            after.pop("filler")
            expect(after == before, (before, after))
            expect(again.peer_id == node.peer_id, "another key")
            expect(again.get("/healthz").status == 200, "alive")


def test_output_that_cannot_be_written_is_no_success(program):
    with directory() as cwd:
        run(program, "id", cwd=cwd)
        for args in (["id"], ["id", "--json"], ["node", "--help"], ["--version"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([program, *args], cwd=cwd, env=clean_environment({}),
                                      stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            expect(done.returncode == 75, (args, done))
            expect(done.stderr.count("\n") == 1 and "standard output: No space left" in done.stderr,
                   (args, done.stderr))
        closed = run("/bin/sh", "-c", 'exec "$0" id >&-', program, cwd=cwd)
        expect(closed.returncode == 75 and "standard output" in closed.stderr, closed)


def test_closed_standard_streams_are_not_taken_for_sockets(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        # What it prints would go to the first sockets that it opens.
        script = 'exec "$0" node -p 0 -L /ip4/127.0.0.1/tcp/0 --address-scope loopback "$@" <&- >&- 2>&-'
        process = subprocess.Popen(["/bin/sh", "-c", script, program, "-B", boot.http + "/status"],
                                   cwd=cwd, env=clean_environment({}))
        boot.wait_event("inbound_probe", lambda e: e["stage"] == "response")
        process.terminate()
        expect(process.wait(30) == 0, process.returncode)


def test_garbage_on_the_p2p_port_is_survived(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        _, _, ip, _, port = boot.wait_listening().split("/")[:5]
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/1.0.0\n" + b"\xff" * 4096,
                        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff" + bytes(65535), b""):
            with contextlib.suppress(OSError), socket.create_connection((ip, int(port))) as peer:
                peer.sendall(garbage)
                peer.shutdown(socket.SHUT_WR)
                peer.settimeout(20)
                while peer.recv(4096):
                    pass
        expect(boot.get("/healthz").status == 200, boot.errors)
        expect(boot.process.poll() is None, boot.errors)
