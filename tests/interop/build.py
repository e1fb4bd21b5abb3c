"""Builds the peer programs into a cache folder outside the tree; see README.md."""

import os
import pathlib
import platform
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
BUILD_SECONDS = 1800


class Unavailable(Exception):
    """A toolchain, or the packages for it, are not to be had here."""


def cache():
    """The folder for everything that is built; it may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    folder = pathlib.Path(os.environ.get("PYRSIA_INTEROP_CACHE") or pathlib.Path(base) / "pyrsia-interop")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command, folder, **environment):
    if shutil.which(command[0]) is None:
        raise Unavailable(f"no {command[0]}")
    try:
        done = subprocess.run(["nice", *command], cwd=folder, env={**os.environ, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than {BUILD_SECONDS} s") from None
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


def go():
    program = cache() / "bin" / "go"
    _run(["go", "build", "-o", str(program), "."], HERE / "go")
    return [str(program)]


def _cargo(folder, name):
    target = cache() / "target"  # One for both: what they share is built once.
    _run(["cargo", "build", "--quiet"], HERE / folder, CARGO_TARGET_DIR=str(target))
    return [str(target / "debug" / name)]


def rust():
    return _cargo("rust", "pyrsia-interop-rust")


def rust_050():
    return _cargo("rust-050", "pyrsia-interop-rust-050")


def js():
    """Modules are looked up from where the program lies, so it is copied beside them."""
    folder = cache() / "js"
    folder.mkdir(exist_ok=True)
    wanted = (HERE / "js" / "package.json").read_text()
    stamp = folder / "installed.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"], folder)
        stamp.write_text(wanted)
    shutil.copy(HERE / "js" / "main.mjs", folder / "main.mjs")
    return [_node(folder), str(folder / "main.mjs")]


def _node(folder):
    """The machine's own Node if it is new enough, else the one from the packages."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    packaged = folder / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    own = shutil.which("node")
    if own is not None:
        version = subprocess.run([own, "--version"], capture_output=True, text=True, timeout=20).stdout
        if int(version.lstrip("v").split(".")[0] or 0) >= (22 if packaged.exists() else 20):
            return own
    if not packaged.exists():
        raise Unavailable("no node of version 20 or later")
    return str(packaged)


BUILDERS = {"go": go, "rust": rust, "js": js, "rust-050": rust_050}
