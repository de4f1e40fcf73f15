"""Network namespaces with address translation between them, made for one test and removed after it.

Needs root, `ip` and `nft`. All names begin with `pnat-` and the id of the process, so that what a run left that was
killed is told from what runs now, and removed by the next one. Nothing outside of these namespaces is changed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from attrs import define, field

__all__ = ["Namespaces", "missing"]

PREFIX: Final = "pnat-"
COMMAND_TIMEOUT_S: Final = 10.0


def missing() -> str:
    """What this machine lacks for namespaces; empty if nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if lacking := [program for program in ("ip", "nft") if shutil.which(program) is None]:
        return f"network namespaces need {' and '.join(lacking)} (Debian: iproute2, nftables)"
    probe = f"{PREFIX}{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if made.returncode:
        return f"this machine makes no network namespaces: {made.stderr.decode().strip()}"
    run("ip", "netns", "delete", probe)
    return ""


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    assert not done.returncode, (words, done.stderr)
    return done.stdout


def remove_leftovers() -> None:
    """Removes the namespaces of test runs that are no more."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not (Path("/proc") / owner).exists():
            run("ip", "netns", "delete", name)


@define
class Namespaces:
    """The Internet of a test: a router, public machines each in a network of its own, and homes behind NAT."""

    made: list[str] = field(factory=list)

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        """Makes the router; removes everything on leaving."""
        remove_leftovers()
        world = cls()
        try:
            world.add("router")
            run(*world.inside("router"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
            yield world
        finally:
            for name in reversed(world.made):
                run("ip", "netns", "delete", world.full(name))

    def full(self, name: str) -> str:
        return f"{PREFIX}{os.getpid()}-{name}"

    def inside(self, name: str) -> tuple[str, ...]:
        """The words that run a command in a namespace."""
        return ("ip", "netns", "exec", self.full(name))

    def add(self, name: str) -> None:
        run("ip", "netns", "add", self.full(name))
        self.made.append(name)
        run("ip", "-n", self.full(name), "link", "set", "lo", "up")

    def public(self, name: str, network: str) -> str:
        """A machine at `network`.2, whose gateway is the router; its address."""
        self.add(name)
        self._connect(name, "router", network)
        return f"{network}.2"

    def home(self, name: str, public: str, private: str) -> str:
        """A machine at `private`.2 behind a NAT at `public`.2, which lets nothing in that was not asked for."""
        nat = f"{name}-nat"
        self.public(nat, public)
        self.add(name)
        self._connect(name, nat, private)
        run(*self.inside(nat), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules = """
            table ip nat {
                chain out { type nat hook postrouting priority srcnat; oifname "uplink" masquerade; }
                chain in { type filter hook forward priority filter; iifname "uplink" ct state new drop; }
            }
        """
        run(*self.inside(nat), "nft", "-f", "-", stdin=rules)
        return f"{private}.2"

    def _connect(self, name: str, gateway: str, network: str) -> None:
        """A cable between two namespaces: `uplink` at the one, and at the gateway an interface with its name."""
        down = name[:15]
        inner, outer = self.full(name), self.full(gateway)
        run("ip", "link", "add", "uplink", "netns", inner, "type", "veth", "peer", "name", down, "netns", outer)
        run("ip", "-n", outer, "address", "add", f"{network}.1/24", "dev", down)
        run("ip", "-n", inner, "address", "add", f"{network}.2/24", "dev", "uplink")
        run("ip", "-n", outer, "link", "set", down, "up")
        run("ip", "-n", inner, "link", "set", "uplink", "up")
        run("ip", "-n", inner, "route", "add", "default", "via", f"{network}.1")
