"""What the settings do: lists, precedence, announced addresses, log levels, the original's variables."""
import contextlib
import socket

from harness import Daemon, directory, expect, free_port, wait_for

ANNOUNCED = ("/ip4/1.2.3.4/tcp/44000", "/dns4/node.example.org/tcp/44001")


def test_what_is_announced_is_in_status_and_nat(program):
    flags = [flag for address in ANNOUNCED for flag in ("--announce", address)]
    with directory() as cwd, Daemon(program, "boot", *flags, cwd=cwd, scope="global") as boot:
        boot.wait_listening()
        told = boot.get("/status").json()["peer_addrs"]
        expect(set(told) == {f"{address}/p2p/{boot.peer_id}" for address in ANNOUNCED}, told)
        candidates = {entry["address"].split("/p2p/")[0]: entry["source"]
                      for entry in boot.get("/nat").json()["addresses"]}
        for address in ANNOUNCED:
            expect(candidates.get(address) == "announced", candidates)


def listening(node, count):
    wait_for(f"{count} listeners", lambda: len(ports_of(node)) == count)
    return ports_of(node)


def ports_of(node):
    return {e["address"].split("/p2p/")[0] for e in node.events if e["event"] == "listening"}


def test_lists_come_by_flags_variables_and_files(program):
    two = [f"/ip4/127.0.0.1/tcp/{free_port()}" for _ in range(2)]
    with directory() as cwd:
        (cwd / "a.toml").write_text(f'listen = ["{two[0]}", "{two[1]}"]\n')
        for args, env in ((["-L", two[0], "-L", two[1]], {}), (["--config", "a.toml"], {}),
                          ([], {"PYRSIA_LISTEN": f" {two[0]} ,{two[1]},"})):
            with Daemon(program, "node", "--listen-only", *args, cwd=cwd, env=env, listen=None) as node:
                expect(listening(node, 2) == set(two), (args, env, node.events))


@contextlib.contextmanager
def silent_servers(count):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        for server in servers:
            server.settimeout(60)
        yield servers


def test_lists_of_urls_are_all_asked(program):
    for kind in ("flags", "file", "variable"):
        with directory() as cwd, silent_servers(2) as servers:
            urls = [f"http://127.0.0.1:{server.getsockname()[1]}/status" for server in servers]
            (cwd / "a.toml").write_text(f'bootstrap_url = ["{urls[0]}", "{urls[1]}"]\n')
            args = {"flags": ["-B", urls[0], "-B", urls[1]], "file": ["--config", "a.toml"], "variable": []}[kind]
            env = {"PYRSIA_BOOTSTRAP_URL": ",".join(urls)} if kind == "variable" else {}
            with Daemon(program, "node", *args, cwd=cwd, env=env):
                for server in servers:
                    with server.accept()[0] as asked:
                        expect(asked.recv(4096).startswith(b"GET /status "), kind)


def address_of(boot):
    return boot.wait_listening().split("/p2p/")[0] + "/p2p/" + boot.peer_id


def expect_note(node, unused, winner):
    note = f"{unused} is not used, because {winner} is given"
    wait_for(note, lambda: any(note in line for line in node.errors), patience=20)


def test_probe_wins_over_peer(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "a", cwd=cwd) as probed, \
            Daemon(program, "boot", "--key", "b", cwd=cwd) as other:
        with Daemon(program, "node", "-R", address_of(probed), "-P", address_of(other), cwd=cwd) as node:
            expect_note(node, "--peer", "--probe")
            node.wait_event("status_changed")
            expect(node.get("/peers").json() == [probed.peer_id], node.events)
            expect(other.get("/peers").json() == [], other.events)


def test_peer_wins_over_listen_only(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "a", cwd=cwd) as boot:
        with Daemon(program, "node", "--listen-only", "-P", address_of(boot), cwd=cwd) as node:
            expect_note(node, "--listen-only", "--peer")
            node.wait_event("peer_connected", lambda e: e["peer"] == boot.peer_id)


def test_listen_only_wins_over_the_url(program):
    with directory() as cwd, silent_servers(1) as (server,):
        url = f"http://127.0.0.1:{server.getsockname()[1]}/status"
        with Daemon(program, "node", "--listen-only", "-B", url, cwd=cwd) as node:
            expect_note(node, "--bootstrap-url", "--listen-only")
            node.wait_listening()
            expect(node.get("/healthz").status == 200, "alive")
        server.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(f"asked {server.accept()}")


def test_log_levels(program):
    ignored = {"PYRSIA_EXTERNAL_IP": "elsewhere"}  # Said at the level info, when /status is asked.
    for level, is_told, has_debug in (("debug", True, True), ("info", True, False), ("error", False, False)):
        with directory() as cwd, Daemon(program, "boot", "--log-level", level, cwd=cwd, env=ignored) as boot:
            boot.get("/status")
            port = int(boot.wait_listening().split("/")[4])
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"garbage\n")  # Of which it speaks at the level debug.
                stranger.shutdown(socket.SHUT_WR)
                stranger.settimeout(20)
                while stranger.recv(4096):
                    pass
            boot.stop()
        expect(any("elsewhere" in line for line in boot.errors) == is_told, (level, boot.errors))
        expect(any(" DEBUG " in line for line in boot.errors) == has_debug, (level, boot.errors))


def test_variables_of_the_original_without_use_are_named(program):
    names = ("PYRSIA_ARTIFACT_PATH", "PYRSIA_BLOCKCHAIN_PATH", "DEV_MODE")
    with directory() as cwd:
        for value, is_told in (("on", True), (" ", False)):
            with Daemon(program, "node", "--listen-only", cwd=cwd, env=dict.fromkeys(names, value)) as node:
                node.wait_listening()
            told = [name for name in names if any(f"{name} does nothing here" in e for e in node.errors)]
            expect(told == (list(names) if is_told else []), node.errors)
