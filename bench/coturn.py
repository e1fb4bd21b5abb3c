"""coturn as a STUN server alone: one thread, UDP only, no log of requests."""

import pathlib
import shutil

READY = "Total General servers"


def is_missing():
    return shutil.which("turnserver") is None


def command(folder, ip, port):
    scratch = pathlib.Path(folder)
    return ["turnserver", "-n", "-S", "-m", "1", "--no-tls", "--no-dtls", "--no-tcp", "--no-cli", "-L", ip, "-p", port,
            "--log-file", "stdout", "--pidfile", str(scratch / "coturn.pid"), "--db", str(scratch / "coturn.db")]
