"""Two network namespaces joined by one cable, for what libraries only do between public addresses.

The namespaces have no way out: no uplink, no default route. Their names carry this process's id,
and they are removed when the `with` block ends, however it ends (run.py turns SIGTERM into an
exception). Needs root.
"""

import os
import subprocess

# Public to every library; nobody is asked there. What leaves has the first.
ADDRESSES = {"a": ["73.0.0.1", "73.0.0.3"], "b": ["73.0.0.2"]}


def available():
    """Returns why namespaces cannot be used here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    probe = f"pyrsia-interop-{os.getpid()}-probe"
    try:
        done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        return done.stderr.strip()
    subprocess.run(["ip", "netns", "del", probe], check=False, timeout=10)
    return None


class Namespaces:
    def __init__(self):
        self.prefix = f"pyrsia-interop-{os.getpid()}-"

    def __enter__(self):
        try:
            for side in ADDRESSES:
                self._ip("netns", "add", self.prefix + side)
            # Made inside the namespaces: the machine's own network never sees the cable.
            self._ip("-n", self.prefix + "a", "link", "add", "cable", "type", "veth",
                     "peer", "name", "cable", "netns", self.prefix + "b")
            for side, addresses in ADDRESSES.items():
                name = self.prefix + side
                self._ip("-n", name, "link", "set", "lo", "up")
                for address in addresses:
                    self._ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
                self._ip("-n", name, "link", "set", "cable", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for side in ADDRESSES:
            subprocess.run(["ip", "netns", "del", self.prefix + side], check=False,
                           stderr=subprocess.DEVNULL, timeout=10)

    def prefix_of(self, side):
        """What to put before a command; it fails, and sends nothing, where the namespace is gone."""
        return ["ip", "netns", "exec", self.prefix + side]

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, timeout=10)
