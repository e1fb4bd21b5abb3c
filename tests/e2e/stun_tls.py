"""STUN over TLS: our server asked by OpenSSL, our client by our server and by coturn's."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys

from harness import Daemon, clean_environment, directory, expect, expect_refusal, free_port, run, wait_for
from websockets import authority, certificate

CERTIFICATE = ("--tls-cert", "one.pem", "--tls-key", "one-key.pem")


def ask_by_openssl(cwd, port):
    """The answer to a binding request that `openssl s_client` carried; and the request."""
    request = struct.pack(">HHI", 1, 0, 0x2112A442) + os.urandom(12)
    client = subprocess.Popen(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-CAfile", "ca.pem",
                               "-verify_return_error", "-verify_ip", "127.0.0.1"], cwd=cwd, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        client.stdin.write(request)
        client.stdin.flush()
        head = client.stdout.read(20)
        return head + client.stdout.read(struct.unpack(">H", head[2:4])[0]), request
    finally:
        client.kill()
        client.wait()
        client.stdin.close()
        client.stdout.close()


def probe(program, cwd, server, *more):
    done = run(program, "probe", "--alone", "--json", "--server", f"stuns:{server}", *more, cwd=cwd)
    return json.loads(done.stdout)["tls"], done


def test_stun_over_tls_is_answered(program):
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "one", "IP:127.0.0.1")
        server = subprocess.Popen([program, "stun-server", "--json", "-L", "127.0.0.1:0", "--stun-tls-listen",
                                   "127.0.0.1:0", *CERTIFICATE], cwd=cwd, env=clean_environment({}),
                                  stdout=subprocess.PIPE, text=True)
        try:
            endpoint = json.loads(server.stdout.readline())["tls"][0]
            answer, request = ask_by_openssl(cwd, endpoint.rsplit(":", 1)[1])
            expect(answer[:2] == b"\1\1" and answer[4:20] == request[4:], answer)
            told, done = probe(program, cwd, endpoint, "--tls-ca", "ca.pem")
            expect(told["works"] is True and told["mapped"].startswith("127.0.0.1:"), done)
            told, done = probe(program, cwd, endpoint)  # It is nobody that this machine trusts.
            expect(told["works"] is False and told["mapped"] is None, done)
        finally:
            server.terminate()
            server.stdout.close()
            expect(server.wait(30) == 0, "exit code")


def test_a_boot_server_answers_stun_over_tls(program):
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "one", "IP:127.0.0.1")
        port = free_port()
        with Daemon(program, "boot", "--stun-listen", "", "--stun-tls-listen", f"127.0.0.1:{port}", *CERTIFICATE,
                    cwd=cwd) as boot:
            boot.wait_listening()
            told, done = probe(program, cwd, f"127.0.0.1:{port}", "--tls-ca", "ca.pem")
            expect(told["works"] is True, done)
        expect_refusal(run(program, "stun-server", "--stun-tls-listen", "127.0.0.1:1", cwd=cwd), 64, "--tls-cert")


def test_coturn_answers_us_over_tls(program):
    if not shutil.which("turnserver"):
        print("turnserver is not installed: STUN over TLS with it is SKIPPED", file=sys.stderr)
        return
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "one", "IP:127.0.0.1")
        plain, secure = free_port(), free_port()
        coturn = subprocess.Popen(["turnserver", "-n", "-S", "--no-cli", "--no-dtls", "-L", "127.0.0.1", "-p", str(plain),
                                   "--tls-listening-port", str(secure), "--cert", "one.pem", "--pkey", "one-key.pem",
                                   "--log-file", "stdout", "--pidfile", str(cwd / "pid"), "--db", str(cwd / "db")],
                                  cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def is_there():
            with socket.socket() as ours:
                return ours.connect_ex(("127.0.0.1", secure)) == 0
        try:
            wait_for("coturn's TLS listener", is_there)
            told, done = probe(program, cwd, f"127.0.0.1:{secure}", "--tls-ca", "ca.pem")
            expect(told["works"] is True and told["mapped"].startswith("127.0.0.1:"), done)
        finally:
            coturn.kill()
            coturn.wait()
