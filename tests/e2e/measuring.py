"""`pyrsia ping` and `pyrsia perf`."""
import json
import re
import signal
import subprocess

from harness import (Daemon, clean_environment, directory, expect, expect_refusal, free_port, run,
                     wait_for)

NOBODY = "12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A"  # Nobody's: key 00 01 .. 1f.


def with_peer(boot):
    address = boot.wait_listening()
    return address if "/p2p/" in address else f"{address}/p2p/{boot.peer_id}"


def test_ping_tells_path_and_times(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        (cwd / "here").mkdir()
        done = run(program, "ping", "--count", "2", with_peer(boot), cwd=cwd / "here")
        expect(done.returncode == 0 and done.stderr == "", done)
        lines = done.stdout.splitlines()
        expect(len(lines) == 3, done.stdout)
        answer = (r" +%d  \d+\.\d{3} ms  tcp, /(noise|tls/1\.0\.0), /yamux/1\.0\.0, direct, "
                  r"/ip4/127\.0\.0\.1/tcp/\d+ -> /ip4/127\.0\.0\.1/tcp/\d+")
        for number in (1, 2):
            expect(re.fullmatch(answer % number, lines[number - 1]), lines[number - 1])
        expect(re.fullmatch(r"2 sent, 2 answered; min/avg/max [\d.]+/[\d.]+/[\d.]+ ms", lines[2]),
               lines[2])
        expect(not list((cwd / "here").iterdir()), "a key was kept that nobody asked for")


def test_ping_over_every_transport(program):
    more = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws"]
    flags = [text for address in more for text in ("-L", address)]
    with directory() as cwd, Daemon(program, "boot", *flags, cwd=cwd) as boot:
        def listening():
            return [e["address"] for e in boot.events if e.get("event") == "listening"]
        wait_for("three listeners", lambda: len(listening()) == 3)
        seen = {}
        for address in listening():
            to = address if "/p2p/" in address else f"{address}/p2p/{boot.peer_id}"
            done = run(program, "ping", "--count", "1", "--json", to, cwd=cwd)
            expect(done.returncode == 0, done)
            answer, _ = map(json.loads, done.stdout.splitlines())
            seen[answer["transport"]] = (answer["security"], answer["muxer"], answer["remote"])
        expect(set(seen) == {"tcp", "quic-v1", "ws"}, seen)
        expect(seen["quic-v1"][2].endswith("/quic-v1") and seen["ws"][2].endswith("/ws"), seen)
        expect("yamux" in seen["ws"][1] and "yamux" not in seen["quic-v1"][1], seen)


def test_ping_json(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        run(program, "id", "--key", "k", cwd=cwd)
        done = run(program, "ping", "--count", "1", "--json", "--key", "k", with_peer(boot), cwd=cwd)
        expect(done.returncode == 0, done)
        answer, summary = map(json.loads, done.stdout.splitlines())
        expect(answer["schema"] == "pyrsia.ping/1" and answer["event"] == "answer", answer)
        expect(answer["peer_id"] == boot.peer_id and answer["transport"] == "tcp", answer)
        expect(answer["is_relayed"] is False and answer["milliseconds"] > 0, answer)
        expect(answer["remote"] == with_peer(boot).split("/p2p/")[0], answer)
        expect(set(answer) >= {"number", "security", "muxer", "local"}, answer)
        expect(summary["event"] == "summary" and summary["answered"] == summary["sent"] == 1, summary)
        expect(summary["min_ms"] <= summary["avg_ms"] <= summary["max_ms"], summary)
        own = run(program, "id", "--key", "k", cwd=cwd).stdout.strip()
        wait_for("the peer with the key", lambda: any(
            e.get("event") == "peer_connected" and e.get("peer") == own or own in json.dumps(e)
            for e in boot.events))


def test_ping_of_nobody(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        port = free_port()
        closed = f"/ip4/127.0.0.1/tcp/{port}/p2p/{NOBODY}"
        expect_refusal(run(program, "ping", closed, cwd=cwd), 20, closed)
        impostor = with_peer(boot).split("/p2p/")[0] + "/p2p/" + NOBODY
        expect_refusal(run(program, "ping", impostor, cwd=cwd), 20, impostor)
        expect_refusal(run(program, "ping", cwd=cwd), 64, "whom?")
        expect_refusal(run(program, "ping", "/ip4/127.0.0.1/tcp/1", cwd=cwd), 64, "/p2p/<id>")
        expect_refusal(run(program, "ping", "--count", "0", closed, cwd=cwd), 64, "--count")


def perf_both_ways(program, transport, listener):
    with directory() as cwd:
        port = free_port()
        at = ["--server-address", f"127.0.0.1:{port}", "--transport", transport]
        server = subprocess.Popen(
            [program, "perf", "--run-server", *at], cwd=cwd, env=clean_environment({}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().strip()
            expect(address.startswith(f"{listener.format(port)}/p2p/12D3KooW"), address)
            for where in (at, [address]):
                done = run(program, "perf", *where, "--upload-bytes", "3000000",
                           "--download-bytes", "2000000", cwd=cwd)
                expect(done.returncode == 0 and done.stderr == "", done)
                lines = [json.loads(line) for line in done.stdout.splitlines()]
                expect(all(set(line) == {"type", "timeSeconds", "uploadBytes", "downloadBytes"}
                           for line in lines), lines)
                *between, final = lines
                expect(final["type"] == "final" and final["uploadBytes"] == 3000000, lines)
                expect(final["downloadBytes"] == 2000000 and final["timeSeconds"] > 0, lines)
                expect(all(line["type"] == "intermediary" for line in between), lines)
            nothing = run(program, "perf", address, cwd=cwd)
            expect(nothing.returncode == 0 and '"uploadBytes":0' in nothing.stdout, nothing)
            server.send_signal(signal.SIGTERM)
            expect(server.wait(30) == 0, server.stderr.read())
        finally:
            server.kill()
            server.wait()
        gone = run(program, "perf", address, "--upload-bytes", "1", cwd=cwd)
        expect_refusal(gone, 20, address)


def test_perf_both_ways(program):
    perf_both_ways(program, "tcp", "/ip4/127.0.0.1/tcp/{}")


def test_perf_both_ways_over_quic(program):
    perf_both_ways(program, "quic-v1", "/ip4/127.0.0.1/udp/{}/quic-v1")


def test_perf_is_not_served_by_nodes(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        refused = run(program, "perf", with_peer(boot), "--upload-bytes", "1", cwd=cwd)
        expect_refusal(refused, 20, with_peer(boot))


def test_siblings_are_checked(program):
    with directory() as cwd:
        refused = run(program, "boot", "--sibling", "/ip4/127.0.0.1/tcp/1", cwd=cwd)
        expect_refusal(refused, 64, "--sibling", "/p2p/<id>")
        refused = run(program, "node", "--sibling", "/ip4/127.0.0.1/tcp/1", cwd=cwd)
        expect(refused.returncode == 64, refused)


def test_siblings_find_each_other(program):
    with directory() as cwd:
        for name in "ab":
            (cwd / name).mkdir()
        ids = {name: run(program, "id", cwd=cwd / name).stdout.strip() for name in "ab"}
        ports = {name: free_port() for name in "ab"}
        at = {name: f"/ip4/127.0.0.1/tcp/{ports[name]}" for name in "ab"}
        with Daemon(program, "boot", "--sibling", f"{at['b']}/p2p/{ids['b']}", cwd=cwd / "a",
                    listen=at["a"]) as a:
            with Daemon(program, "boot", "--sibling", f"{at['a']}/p2p/{ids['a']}", cwd=cwd / "b",
                        listen=at["b"]):
                wait_for("the sibling", lambda: ids["b"] in a.get("/peers").body)
