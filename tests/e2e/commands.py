"""The commands, their settings and the local HTTP API."""
import contextlib
import json
import os
import re
import socket
import stat
import struct
import subprocess

from harness import (Daemon, ask, clean_environment, directory, expect, expect_refusal, free_port,
                     run, wait_for)


def test_version_and_help(program):
    with directory() as cwd:
        version = run(program, "--version", cwd=cwd)
        expect(version.returncode == 0 and version.stdout.startswith("pyrsia "), version.stdout)
        for args in ([], ["node"], ["boot"], ["id"], ["status"], ["ping"], ["perf"], ["addr"], ["map"],
                     ["probe"], ["probe", "pair"], ["stun-server"]):
            text = run(program, *args, "--help", cwd=cwd)
            examples = [line for line in text.stdout.splitlines()[:6] if "pyrsia " in line]
            expect(text.returncode == 0 and len(examples) >= 3, text.stdout)


def test_id_makes_a_key_once(program):
    with directory() as cwd:
        first = run(program, "id", cwd=cwd)
        expect(first.stdout.startswith("12D3KooW"), first)
        file = cwd / "pyrsia/p2p_keypair.ser"
        expect(file.stat().st_size == 64, "size of the key file")
        expect(stat.S_IMODE(file.stat().st_mode) == 0o600, "mode of the key file")
        second = run(program, "id", "--json", cwd=cwd)
        told = json.loads(second.stdout)
        expect(told["schema"] == "pyrsia.id/1" and told["peer_id"] == first.stdout.strip(), told)
        before = file.read_bytes()
        refused = run(program, "id", "--new", cwd=cwd)
        expect_refusal(refused, 78, "exists and is not overwritten", str("p2p_keypair.ser"))
        expect(file.read_bytes() == before, "the key file has changed")


def test_key_file_by_the_original_variable(program):
    with directory() as cwd:
        made = run(program, "id", "--key", "k.ser", cwd=cwd)
        by_variable = run(program, "id", env={"PYRSIA_KEYPAIR": "  k.ser "}, cwd=cwd)
        expect(made.stdout == by_variable.stdout, (made, by_variable))
        unset = run(program, "id", env={"PYRSIA_KEYPAIR": "  "}, cwd=cwd)
        expect(unset.stdout != made.stdout, "empty must count as unset")


def test_flag_wins_over_variable_over_file(program):
    with directory() as cwd:
        for name in "abc":
            run(program, "id", "--key", name, cwd=cwd)
        ids = {name: run(program, "id", "--key", name, cwd=cwd).stdout for name in "abc"}
        (cwd / "c.toml").write_text('key = "c"\n')
        in_file = run(program, "id", "--config", "c.toml", cwd=cwd).stdout
        variable = run(program, "id", "--config", "c.toml", env={"PYRSIA_KEYPAIR": "b"}, cwd=cwd)
        flag = run(program, "id", "--config", "c.toml", "--key", "a",
                   env={"PYRSIA_KEYPAIR": "b"}, cwd=cwd)
        expect(in_file == ids["c"], in_file)
        expect(variable.stdout == ids["b"], variable)
        expect(flag.stdout == ids["a"], flag)


def test_every_checked_setting_is_a_flag_a_variable_and_a_key(program):
    """Shown by what it says of a bad value; each must name the place that the value came from."""
    bad = {"host": "x", "port": "x", "listen": "x", "peer": "x", "probe": "x", "announce": "x",
           "bootstrap_url": "x", "address_scope": "x", "global_network": "x", "log_level": "x",
           "once_timeout": "0", "port_mapping": "x", "port_mapping_protocol": "x"}
    switches = ["listen_only", "once", "json", "init_blockchain"]
    with directory() as cwd:
        for key, value in bad.items():
            flag = "--" + key.replace("_", "-")
            name = "PYRSIA_" + key.upper()
            (cwd / "a.toml").write_text(f'{key} = "{value}"\n')
            expect_refusal(run(program, "node", flag, value, cwd=cwd), 64, f"{flag}:")
            expect_refusal(run(program, "node", cwd=cwd, env={name: value}), 78, f"{name}:")
            done = run(program, "node", "--config", "a.toml", cwd=cwd, env={"PYRSIA_PORT_MAPPING": ""})
            expect_refusal(done, 78, f"a.toml: {key}:")
        for key in switches:
            name = "PYRSIA_" + key.upper()
            (cwd / "a.toml").write_text(f"{key} = 7\n")
            expect_refusal(run(program, "node", cwd=cwd, env={name: "x"}), 78, f"{name}:")
            done = run(program, "node", cwd=cwd, env={"PYRSIA_CONFIG": "a.toml"})
            expect_refusal(done, 78, "a.toml, line 1", key)


def test_settings_of_the_original_are_accepted(program):
    with directory() as cwd, Daemon(
            program, "node", "--listen-only", "--init-blockchain", "--max-provided-keys", "7",
            "--mapping-service-endpoint", "http://x/", "--pipeline-service-endpoint", "http://y/",
            cwd=cwd) as node:
        wait_for("four notes", lambda: sum("does nothing here" in e for e in node.errors) == 4)


def test_the_originals_log_variable_counts(program):
    for directives, is_told in (("off,libp2p=debug", False), ("error,pyrsia=info", True), ("nonsense", True)):
        environment = {"RUST_LOG": directives, "PYRSIA_EXTERNAL_IP": "elsewhere"}  # Ignored, with a line.
        with directory() as cwd, Daemon(program, "boot", cwd=cwd, env=environment) as boot:
            boot.get("/status")
            boot.stop()
        expect(any("elsewhere" in line for line in boot.errors) == is_told, (directives, boot.errors))


def test_http_api(program):
    with directory() as cwd, Daemon(program, "node", "--listen-only", cwd=cwd) as node:
        node.wait_listening()
        expect(node.get("/healthz").status == 200, "healthz")
        nat = node.get("/nat").json()
        expect(nat["schema"] == "pyrsia.nat/1" and nat["status"] == "unknown", nat)
        expect(set(nat) >= {"confidence", "age_s", "reason", "connected", "addresses"}, nat)
        for entry in nat["addresses"]:
            expect(set(entry) == {"address", "status", "confidence", "age_s", "reason", "source",
                                  "observers", "confirmed", "known_ip_only", "evidence"}, entry)
        peers = node.get("/peers")
        expect(peers.json() == [] and peers.headers["Content-Type"] == "application/json", peers)
        metrics = node.get("/metrics").body
        expect("# TYPE pyrsia_peers gauge\npyrsia_peers 0\n" in metrics, metrics)
        for path, method, status in (("/no", "GET", 404), ("/status", "POST", 405),
                                     ("/nat", "DELETE", 405)):
            refused = node.get(path, method)
            expect(refused.status == status, (path, refused.status))
            expect({"code", "message"} == set(refused.json()["errors"][0]), refused.body)


def test_without_listen_it_is_tcp_and_quic_on_one_port_number(program):
    with directory() as cwd, Daemon(program, "node", "--listen-only", cwd=cwd, listen=None) as node:
        at = {kind: node.wait_event("listening", lambda e: e["address"].startswith("/ip4/127.0.0.1/" + kind))["address"]
              for kind in ("tcp/", "udp/")}
        port = at["tcp/"].split("/")[4]
        expect(at["tcp/"].split("/p2p/")[0] == f"/ip4/127.0.0.1/tcp/{port}", at)
        expect(at["udp/"].split("/p2p/")[0] == f"/ip4/127.0.0.1/udp/{port}/quic-v1", at)
        expect(not any("/ip6/" in e["address"] for e in node.events if e["event"] == "listening"), node.events)


def test_listen_means_exactly_what_is_given(program):
    with directory() as cwd, Daemon(program, "node", "--listen-only", cwd=cwd) as node:
        node.wait_listening()
        wait_for("the API", lambda: node.get("/nat").status == 200)
        listening = [e["address"] for e in node.events if e["event"] == "listening"]
        expect(len(listening) == 1 and "/tcp/" in listening[0], listening)


def test_status_document_is_the_originals(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd) as boot:
        address = boot.wait_listening()
        answer = wait_for("an address", lambda: "127.0.0.1" in (a := boot.get("/status")).body and a)
        want = '{"peers_count":0,"peer_id":"%s","peer_addrs":["%s/p2p/%s"]}' % (
            boot.peer_id, address.split("/p2p/")[0], boot.peer_id)
        expect(answer.body == want, f"{answer.body}\nnot\n{want}")
        expect(answer.headers["Content-Type"] == "application/json", answer.headers)
        head = boot.get("/status", "HEAD")
        expect(head.status == 200 and head.body == "", head.body)
        expect(head.headers["Content-Length"] == answer.headers["Content-Length"], head.headers)
        expect(boot.get("/status/").status == 200, "trailing slash")


def test_external_ip_is_substituted(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd, scope="global",
                                    env={"PYRSIA_EXTERNAL_IP": " 203.0.113.7 "}) as boot:
        port = boot.wait_listening().split("/")[4]
        want = f"/ip4/203.0.113.7/tcp/{port}/p2p/{boot.peer_id}"
        wait_for(want, lambda: boot.get("/status").json()["peer_addrs"] == [want])


def test_no_address_that_others_cannot_use(program):
    with directory() as cwd, Daemon(program, "boot", cwd=cwd, scope="global") as boot:
        boot.wait_listening()
        expect(boot.get("/status").json()["peer_addrs"] == [], "loopback in a global list")


def test_without_boot_server_it_says_what_to_set(program):
    with directory() as cwd, Daemon(program, "node", cwd=cwd) as node:
        node.wait_listening()
        wait_for("the hint", lambda: any("no boot server is known" in e and "-B" in e
                                         for e in node.errors))
        expect(node.get("/healthz").status == 200, "alive")


def test_a_cache_is_enough_while_it_is_good(program):
    with directory() as cwd, Daemon(program, "boot", "--key", "boot.ser", cwd=cwd) as boot:
        boot.wait_listening()
        with Daemon(program, "node", "-B", boot.http + "/status", "--cache", "cache.json", cwd=cwd) as node:
            node.wait_event("bootstrap", lambda e: e["stage"] == "connected")
            cache = cwd / "cache.json"
            wait_for("the cache", lambda: cache.exists() and boot.peer_id in cache.read_text())
        with Daemon(program, "node", "--cache", "cache.json", cwd=cwd) as node:
            node.wait_event("bootstrap", lambda e: e["stage"] == "connected")
            expect(not any("no boot server is known" in e for e in node.errors), node.errors)
        old = json.loads((cwd / "cache.json").read_text())
        for name, text in (("expired.json", re.sub(r'("fetched_at":) *\d+', r"\1 1000000000", json.dumps(old))),
                           ("damaged.json", "{"), ("empty.json", "")):
            (cwd / name).write_text(text)
            with Daemon(program, "node", "--cache", name, cwd=cwd) as node:
                wait_for(f"the hint, {name}", lambda: any("no boot server is known" in e and "-B" in e
                                                          for e in node.errors))
                expect(node.get("/healthz").status == 200, "alive")


def test_status_command(program):
    with directory() as cwd:
        port = free_port()
        absent = run(program, "status", "-p", str(port), cwd=cwd)
        expect_refusal(absent, 69, f"no node answers at http://127.0.0.1:{port}")
        quiet = run(program, "status", "--quiet", "-p", str(port), cwd=cwd)
        expect(quiet.returncode == 69 and quiet.stderr == "", quiet)
        with Daemon(program, "node", "--listen-only", cwd=cwd, http_port=port) as node:
            known = run(program, "status", "-p", str(port), cwd=cwd)
            expect(known.returncode == 75 and node.peer_id in known.stdout, known)
            expect("NAT status  Unknown" in known.stdout, known.stdout)
            told = json.loads(run(program, "status", "--json", "-p", str(port), cwd=cwd).stdout)
            expect(told["schema"] == "pyrsia.nat/1" and told["peers_count"] == 0, told)
            quiet = run(program, "status", "--quiet", "-p", str(port), cwd=cwd)
            expect(quiet.returncode == 0 and quiet.stdout == "", quiet)
            # A proxy has no business with what is on this machine.
            beside = run(program, "status", "-p", str(port), cwd=cwd,
                         env={"http_proxy": "http://127.0.0.1:1"})
            expect(beside.returncode == 75 and beside.stdout == known.stdout, beside)


def test_ipv6_literal_for_the_api(program):
    with directory() as cwd, Daemon(program, "node", "--listen-only", "-H", "::1", cwd=cwd) as node:
        expect(node.http.startswith("http://[::1]:"), node.http)
        expect(ask(node.http + "/healthz").status == 200, "healthz")


def test_plain_lines_and_data_apart(program):
    with directory() as cwd:
        process = subprocess.Popen(
            [program, "node", "--listen-only", "-p", "0", "-L", "/ip4/127.0.0.1/tcp/0"], cwd=cwd,
            env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = [process.stdout.readline(), process.stdout.readline()]
        while "listening" not in process.stderr.readline():
            pass
        process.terminate()
        out, err = process.communicate(timeout=30)
        expect(lines[0].startswith("peer id   12D3KooW"), lines)
        expect(lines[1].startswith("HTTP API  http://127.0.0.1:"), lines)
        expect(out == "" and "\x1b" not in err, (out, err))
        expect(process.returncode == 0, process.returncode)


def test_terminal_gets_a_status_line(program):
    with directory() as cwd:
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [program, "node", "--listen-only", "-p", "0", "-L", "/ip4/127.0.0.1/tcp/0"], cwd=cwd,
            env=clean_environment({"NO_COLOR": "1"}), stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        seen = b""
        while b"connecting to nobody" not in seen:
            seen += os.read(ours, 4096)
        process.terminate()
        expect(process.wait(30) == 0, "exit code")
        os.close(ours)
        expect(b"\r\x1b[2K" in seen, "the line is not redrawn")
        expect(b"\x1b[36m" not in seen, "coloured in spite of NO_COLOR")


def test_a_stun_server_alone_is_probed(program):
    with directory() as cwd:
        server = subprocess.Popen([program, "stun-server", "--json", "--listen", "127.0.0.1:0"], cwd=cwd,
                                  env=clean_environment({}), stdout=subprocess.PIPE, text=True)
        endpoint = json.loads(server.stdout.readline())["udp"][0]
        done = run(program, "probe", "--alone", "--json", "--server", endpoint, cwd=cwd)
        told = json.loads(done.stdout)
        expect(told["schema"] == "pyrsia.probe/1" and told["server"] == endpoint, told)
        expect(told["udp"]["blocked"] is False and told["udp"]["nat"] is False, told)
        expect(told["udp"]["filtering"] is None and told["captive_portal"] is None, "unknown is not false")
        expect(done.returncode == 0 and done.stderr == "" and told["unresolved"] == [], done)
        by_uri = json.loads(run(program, "probe", "--alone", "--json", "--server", f"stun:{endpoint}", cwd=cwd).stdout)
        expect(by_uri["server"] == endpoint, by_uri)
        (cwd / "here.json").write_text(done.stdout)
        pair = run(program, "probe", "pair", "--local", "here.json", "--remote", "here.json", "--json", cwd=cwd)
        expect(json.loads(pair.stdout)["path"] == "punch" and pair.returncode == 0, pair)
        server.terminate()
        server.stdout.close()
        expect(server.wait(30) == 0, "exit code")


def test_a_node_that_knows_no_server_is_no_hindrance(program):
    port = str(free_port())
    with directory() as cwd, Daemon(program, "node", "--listen-only", cwd=cwd, http_port=port) as node:
        node.wait_listening()
        told = node.get("/probe").json()
        expect(told["servers"] == [] and told["verdict"] == "offline", told)
        asked = json.loads(run(program, "probe", "-p", port, "--json", cwd=cwd).stdout)
        expect(asked["servers"] == [], asked)
        done = run(program, "probe", "-p", port, "--json", "-B", "http://127.0.0.1:1/status", cwd=cwd)
        expect(json.loads(done.stdout)["servers"] == ["127.0.0.1:3478"], done)


def udp_port_of(node):
    """Where the node listens for QUIC."""
    told = node.wait_event("listening", lambda e: "/quic-v1" in e["address"])
    return int(re.search(r"/udp/(\d+)/", told["address"])[1])


def ask_stun(port, tries=20):
    """A binding request to this port of this machine, and the address in the answer."""
    request = struct.pack(">HHI", 1, 0, 0x2112A442) + os.urandom(12)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.settimeout(0.5)
        for _ in range(tries):
            ours.sendto(request, ("127.0.0.1", port))
            try:
                answer = ours.recv(2048)
            except TimeoutError:
                continue
            expect(answer[4:20] == request[4:20] and answer[:2] == b"\1\1", answer)
            return struct.unpack(">H", answer[26:28])[0] ^ 0x2112, ours.getsockname()[1]
    return None


def test_stun_is_answered_at_the_port_of_quic(program):
    quic = "/ip4/127.0.0.1/udp/0/quic-v1"
    with directory() as cwd:
        with Daemon(program, "node", "--listen-only", "--serve-stun", cwd=cwd, listen=quic) as node:
            seen, sent_from = ask_stun(udp_port_of(node)) or (0, 1)
            expect(seen == sent_from, (seen, sent_from))
            expect("pyrsia_stun_answered_total 1\n" in node.get("/metrics").body, "counted once")
        with Daemon(program, "node", "--listen-only", cwd=cwd, listen=quic) as node:
            expect(ask_stun(udp_port_of(node), tries=2) is None, "nobody asked it to")


@contextlib.contextmanager
def stun_server(program, cwd):
    """One with two ports; gives where it listens first."""
    server = subprocess.Popen([program, "stun-server", "--json", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"],
                              cwd=cwd, env=clean_environment({}), stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(server.stdout.readline())["udp"][0]
    finally:
        server.terminate()
        server.stdout.close()
        server.wait(30)


def test_a_path_is_told_beforehand_by_asking_the_peer(program):
    quic = "/ip4/127.0.0.1/udp/0/quic-v1"
    with directory() as cwd, directory() as there, stun_server(program, cwd) as endpoint:
        (cwd / "here.json").write_text(run(program, "probe", "--alone", "--json", "--server", endpoint, cwd=cwd).stdout)
        with Daemon(program, "node", "--listen-only", "-S", endpoint, cwd=there, listen=quic) as peer:
            address = f"/ip4/127.0.0.1/udp/{udp_port_of(peer)}/quic-v1/p2p/{peer.peer_id}"
            pair = run(program, "probe", "pair", address, "--local", "here.json", "--json", cwd=cwd)
            told = json.loads(pair.stdout)
            expect(told["path"] == "punch" and "both keep" in told["why"], pair)
            port = str(free_port())
            with Daemon(program, "node", "-P", address, "-S", endpoint, cwd=cwd, http_port=port, listen=quic) as node:
                node.wait_event("peer_connected")
                pair = run(program, "probe", "pair", peer.peer_id, "-p", port, "--json", cwd=cwd)
                # Which of them, that depends on how far the nodes' own verdicts are.
                expect(json.loads(pair.stdout)["path"] in ("punch", "direct"), pair)
                stranger = run(program, "id", "--key", "stranger.key", cwd=cwd).stdout.strip()
                nobody = run(program, "probe", "pair", stranger, "-p", port, cwd=cwd)
                expect(nobody.returncode != 0 and nobody.stdout == "", nobody)
                asked = json.loads(run(program, "probe", "-p", port, "--json", cwd=cwd).stdout)
                expect(asked["took_ms"] > 0 and asked["udp"]["round_trip_ms"] > 0, asked)
                expect(asked["gateway"]["mapping_why"] == "port mapping is off", asked["gateway"])
        with Daemon(program, "node", "--listen-only", "--hide-nat", cwd=there, listen=quic) as peer:
            address = f"/ip4/127.0.0.1/udp/{udp_port_of(peer)}/quic-v1/p2p/{peer.peer_id}"
            pair = run(program, "probe", "pair", address, "--local", "here.json", cwd=cwd)
            expect(pair.returncode == 75 and "does not tell" in pair.stderr, pair)


def test_bad_stun_and_probe_settings_are_named(program):
    with directory() as cwd:
        for args, part in ((["stun-server", "--listen", "nonsense"], "nonsense"),
                           (["stun-server", "--stun-rate", "many"], "many"),
                           (["stun-server", "--stun-member", "/ip4/1.2.3.4/tcp/1"], "/ip4/1.2.3.4/tcp/1"),
                           (["probe", "--every", "soon"], "soon"),
                           (["probe", "--server", "stun://example.org"], "stun://example.org"),
                           (["probe", "--server", "stun:"], '"stun:"'),
                           (["probe", "--server", "example.org:99999"], "example.org:99999"),
                           (["probe", *["--server", "192.0.2.1"] * 16, "--server", "192.0.2.2"], "192.0.2.2"),
                           (["probe", "pair"], "whose path"),
                           (["probe", "--alone"], "--server")):
            expect_refusal(run(program, *args, cwd=cwd), 64, part)
        (cwd / "bad.json").write_text('{"schema":"other"}')
        expect_refusal(run(program, "probe", "pair", "--local", "bad.json", "--remote", "bad.json", cwd=cwd), 64,
                       "bad.json")
