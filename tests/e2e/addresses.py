"""What an address is, what the node thinks of it, and why: `addr explain`, evidence, `addr replay`."""
import contextlib
import http.server
import json
import threading

from harness import Daemon, directory, expect, expect_refusal, free_port, run, wait_for


def explain(program, cwd, address, *more, port):
    done = run(program, "addr", "explain", address, "--json", "-p", str(port), *more, cwd=cwd)
    return done.returncode, json.loads(done.stdout)


def test_addr_explain_names_the_kind_without_a_node(program):
    with directory() as cwd:
        port = free_port()
        for address, name, source, is_told in (
                ("/ip4/100.64.3.7/tcp/44000", "shared address space of a carrier's NAT", "RFC 6598", False),
                ("192.168.1.2", "private use", "RFC 1918", False),
                ("/ip6/fe80::1/tcp/1", "link local", "RFC 4291", False),
                ("/ip4/1.1.1.1/udp/1/quic-v1", None, None, True)):
            code, told = explain(program, cwd, address, port=port)
            expect(code == 0 and told["schema"] == "pyrsia.address/1", told)
            expect(told.get("range", {}).get("name") == name, told)
            expect(told.get("range", {}).get("source") == source, told)
            expect(told["advertised"] is is_told and told["node"] is False, told)
        text = run(program, "addr", "explain", "10.0.0.1", "-p", str(port), cwd=cwd)
        expect("RFC 1918" in text.stdout and "none answers" in text.stdout, text.stdout)
        for words in ([], ["explain"], ["explain", "x", "y"], ["forget", "10.0.0.1"]):
            expect_refusal(run(program, "addr", *words, cwd=cwd), 64, "explain ADDR")
        expect_refusal(run(program, "addr", "explain", "nonsense", cwd=cwd), 64, "no multiaddr")


def test_addr_explain_asks_the_node_and_evidence_is_replayed(program):
    with directory() as cwd, \
            Daemon(program, "boot", "--key", "boot.key", cwd=cwd) as boot:
        boot.wait_listening()
        port = free_port()
        with Daemon(program, "node", "-B", boot.http + "/status", "--record-evidence", "evidence.txt", cwd=cwd,
                    http_port=port) as node:
            wait_for("the verdict", lambda: node.get("/nat").json()["status"] == "reachable")
            nat = node.get("/nat").json()
            entry = next(e for e in nat["addresses"] if e["status"] == "reachable")
            (word,) = entry["evidence"]
            expect(word["says"] == "reachable" and word["who"] == "127.0.0.0/24" and word["age_s"] < 60, word)
            expect(set(entry) >= {"confirmed", "evidence"} and "confirmed" in nat, nat)
            code, told = explain(program, cwd, entry["address"], "--address-scope", "loopback", port=port)
            expect(code == 0 and told["candidate"] and told["verdict"]["status"] == "reachable", told)
            expect(told["range"]["name"] == "loopback" and told["advertised"], told)
            text = run(program, "addr", "explain", entry["address"], "-p", str(port), cwd=cwd).stdout
            expect("verdict     reachable" in text and f" ago, {word['who']}: {word['what']}" in text, text)
            foreign = run(program, "addr", "explain", "/ip4/127.0.0.9/tcp/9", "-p", str(port), cwd=cwd).stdout
            expect("does not count it among its addresses" in foreign and "verdict" not in foreign, foreign)
            reason = nat["reason"]
        header = (cwd / "evidence.txt").read_text().splitlines()[0]
        expect(header == "pyrsia-evidence/1", header)
        again = run(program, "addr", "replay", "evidence.txt", "--json", cwd=cwd)
        replayed = json.loads(again.stdout)
        expect(replayed["schema"] == "pyrsia.replay/1" and replayed["nat"]["status"] == "reachable", replayed)
        expect(replayed["changes"][0]["new_status"] == "reachable", replayed)
        expect(replayed["nat"]["reason"].split(", last")[0] == reason.split(", last")[0], (replayed, reason))


@contextlib.contextmanager
def node_that_says(nat):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(nat).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_addr_explain_says_what_to_do(program):
    tcp, quic = "/ip4/1.1.1.1/tcp/44000", "/ip4/1.1.1.1/udp/44000/quic-v1"
    no_word = "nobody has had a word"
    for address, entry, wanted in (
            (tcp, {"status": "reachable", "confirmed": True}, "Nothing is to be done."),
            (tcp, {"status": "reachable", "confirmed": False}, "once three networks agree"),
            (tcp, {"status": "unreachable", "source": "observed"}, "Forward TCP port 44000"),
            (quic, {"status": "unreachable", "source": "observed"}, "Forward UDP port 44000"),
            (tcp, {"status": "unreachable", "source": "listen"}, "Let TCP port 44000 in"),
            (tcp, {"status": "unknown", "known_ip_only": True}, "more networks"),
            (tcp, {"status": "unknown", "reason": "nobody whom we have contacted has answered"}, no_word),
            (tcp, {"status": "unknown", "reason": "no server has been asked yet"}, no_word),
            (tcp, {}, no_word),
            ("/ip4/10.0.0.1/tcp/1", None, "Others need an address of the router"),
            ("/ip4/240.0.0.1/tcp/1", None, "Use another address."),
            (f"{tcp}/p2p/12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A/p2p-circuit", None, "relay")):
        addresses = [] if entry is None else [{"address": address, **entry}]
        with directory() as cwd, node_that_says({"schema": "pyrsia.nat/1", "addresses": addresses}) as port:
            code, told = explain(program, cwd, address, port=port)
            expect(code in (0, 20, 75) and wanted in told["advice"], (address, entry, code, told))


def test_addr_replay_refuses_what_is_no_recording(program):
    with directory() as cwd:
        (cwd / "other").write_text("hello\n")
        (cwd / "broken").write_text("pyrsia-evidence/1\n1 time\n2 nonsense\n")
        expect_refusal(run(program, "addr", "replay", "other", cwd=cwd), 78, "no recording")
        expect_refusal(run(program, "addr", "replay", "broken", cwd=cwd), 78, "line 3")
        expect_refusal(run(program, "addr", "replay", "absent", cwd=cwd), 64, "cannot be read")
        refused = run(program, "node", "--record-evidence", "no/such/file", cwd=cwd)
        expect_refusal(refused, 78, "cannot be written")
