"""An authority of the web for one run, and a certificate of it for loopback: what secure WebSockets need."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile

import build

DAYS = "2"


@functools.cache
def folder():
    """A folder with ca, cert and key, each as .pem and .der; it is removed at the end of the run."""
    if shutil.which("openssl") is None:
        raise build.Unavailable("no openssl")
    made = tempfile.mkdtemp(prefix="pyrsia-web-tls-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=made, check=True, capture_output=True, timeout=60)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS)
    openssl("req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=pyrsia interop root",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-x509", *key, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=pyrsia interop",
            "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "keyUsage=critical,digitalSignature",
            "-addext", "extendedKeyUsage=serverAuth")
    for name in ("ca", "cert"):
        openssl("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
    # The library of js uses Node's own WebSocket, which has no option for it.
    os.environ["NODE_EXTRA_CA_CERTS"] = f"{made}/ca.pem"
    return made
