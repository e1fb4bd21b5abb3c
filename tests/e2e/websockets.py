"""Secure WebSockets: certificates of the web in files."""
import contextlib
import json
import os
import subprocess

from harness import Daemon, directory, expect, expect_refusal, run, wait_for


def openssl(cwd, *words):
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True, timeout=60)


def authority(cwd):
    openssl(cwd, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=root")


def certificate(cwd, name, names):
    """NAME.pem and NAME-key.pem, for the given names."""
    openssl(cwd, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{name}-key.pem", "-out", f"{name}.pem", "-subj", "/CN=server", "-CA", "ca.pem",
            "-CAkey", "ca-key.pem", "-addext", f"subjectAltName={names}",
            "-addext", "basicConstraints=critical,CA:FALSE")


@contextlib.contextmanager
def boot(program, cwd, *more):
    with Daemon(program, "boot", "--key", "boot.key", "-L", "/ip4/127.0.0.1/tcp/0", "--stun-listen", "",
                "--address-scope", "loopback", *more, cwd=cwd) as daemon:
        daemon.wait_listening()
        yield daemon


def secure_address(daemon):
    def found():
        status = daemon.get("/status").json()
        every = [a for a in status["peer_addrs"] if "/tls/ws" in a]
        return every[0] if every else None
    return wait_for("a secure address", found)


def test_a_node_with_a_certificate_is_reached_over_wss(program):
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "one", "IP:127.0.0.1")
        with boot(program, cwd, "--tls-cert", "one.pem", "--tls-key", "one-key.pem") as daemon:
            address = secure_address(daemon)
            done = run(program, "ping", "-c", "1", "--json", "--tls-ca", "ca.pem", address, cwd=cwd)
            expect(done.returncode == 0, done)
            told = json.loads(done.stdout.splitlines()[0])
            expect(told["transport"] == "wss" and told["security"] == "/noise", told)
            old = address.replace("/tls/ws", "/wss")
            done = run(program, "ping", "-c", "1", "--tls-ca", "ca.pem", old, cwd=cwd)
            expect(done.returncode == 0 and "wss" in done.stdout, done)
            done = run(program, "ping", "-c", "1", address, cwd=cwd)
            expect_refusal(done, 20, "cannot prove who it is", "the certificate of 127.0.0.1", "local issuer")
            by_name = address.replace("/tls/ws", "/tls/sni/other.example/ws")
            done = run(program, "ping", "-c", "1", "--tls-ca", "ca.pem", by_name, cwd=cwd)
            expect_refusal(done, 20, "the certificate of other.example", "hostname mismatch")


def test_a_certificate_that_is_replaced_is_read_again(program):
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "now", "DNS:elsewhere.example")
        with boot(program, cwd, "--tls-cert", "now.pem", "--tls-key", "now-key.pem") as daemon:
            address = secure_address(daemon)
            ping = lambda: run(program, "ping", "-c", "1", "--tls-ca", "ca.pem", address, cwd=cwd).returncode == 0
            expect(not ping(), "the first certificate is for another name")
            certificate(cwd, "next", "IP:127.0.0.1")
            for name in ("-key.pem", ".pem"):
                os.replace(cwd / f"next{name}", cwd / f"now{name}")
            wait_for("the new certificate", ping, patience=40)


def test_files_of_tls_that_are_no_good_end_with_78(program):
    with directory() as cwd:
        authority(cwd)
        certificate(cwd, "one", "IP:127.0.0.1")
        certificate(cwd, "two", "IP:127.0.0.1")
        (cwd / "empty.pem").write_text("")
        (cwd / "text.pem").write_text("hello")
        (cwd / "folder.pem").mkdir()
        cases = [
            (["--tls-cert", "one.pem"], ["--tls-cert", "one.pem", "needs tls-key"]),
            (["--tls-key", "one-key.pem"], ["--tls-key", "needs tls-cert"]),
            (["--tls-cert", "none.pem", "--tls-key", "one-key.pem"], ["--tls-cert", "none.pem", "does not exist"]),
            (["--tls-cert", "folder.pem", "--tls-key", "one-key.pem"], ["--tls-cert", "cannot be read"]),
            (["--tls-cert", "empty.pem", "--tls-key", "one-key.pem"], ["--tls-cert", "is empty"]),
            (["--tls-cert", "text.pem", "--tls-key", "one-key.pem"], ["--tls-cert", "no certificate"]),
            (["--tls-cert", "one.pem", "--tls-key", "text.pem"], ["--tls-key", "no private key"]),
            (["--tls-cert", "one.pem", "--tls-key", "two-key.pem"], ["--tls-key", "not the key of the certificate"]),
            (["--tls-ca", "text.pem"], ["--tls-ca", "text.pem", "no certificate"]),
        ]
        for flags, parts in cases:
            expect_refusal(run(program, "node", *flags, cwd=cwd), 78, *parts)
        done = run(program, "node", "-L", "/ip4/127.0.0.1/tcp/0/tls/ws", cwd=cwd)
        expect_refusal(done, 64, "--listen", "needs tls-cert and tls-key")
        (cwd / "a.toml").write_text('tls_ca = "none.pem"\n')
        done = run(program, "node", "--config", "a.toml", cwd=cwd)
        expect_refusal(done, 78, "a.toml: tls_ca", "does not exist")
        done = run(program, "ping", "--tls-ca", "none.pem",
                   "/ip4/127.0.0.1/tcp/1/p2p/12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A", cwd=cwd)
        expect_refusal(done, 78, "--tls-ca", "does not exist")
