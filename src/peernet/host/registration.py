"""Registering a host with a portal: the agreement is fetched, read, signed with both keys, and sent.

Rules:

1. What is signed is the digest of the text that was shown, as computed here.
2. Nothing is sent before a person, or the option that names the version, said yes to that text.
3. What is declared is what this machine says of itself; models by the digests of their weights.
4. Which portal it was is remembered in the state folder, for the host's reports.

Source: promise P7; `core.host_statements` has what is signed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from peernet._version import __version__
from peernet.core.errors import UserError
from peernet.core.host_statements import HostAgreement, sign, sign_payout_key
from peernet.core.identity import Keypair
from peernet.core.suite import CipherSuite
from peernet.host.portal_client import PortalClient, PortalUnreachable, printable
from peernet.node.home import replace_file

__all__ = ["Machine", "Offered", "Registered", "fetch_agreement", "find_machine", "register", "registered", "remember"]

FILE: Final = "portal.json"
MAX_FILE_SIZE: Final = 4096
MAX_GPUS: Final = 16
_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")
_DRM: Final = Path("/sys/class/drm")


@frozen
class Machine:
    """What a host's machine is."""

    cores: int
    memory_mib: int
    gpus: tuple[str, ...]


@frozen
class Offered:
    """An agreement that a portal shows."""

    version: str
    text: str
    digest: bytes
    """SHA-256 of the text."""


@frozen
class Registered:
    """Where this host is registered, and as what."""

    portal: str
    host: str


def find_machine(nvidia: Path = _NVIDIA, drm: Path = _DRM) -> Machine:
    """This machine, as far as it can be found out without asking anybody."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (ValueError, OSError):
        memory_mib = 0
    gpus = [
        *(_line_of(path / "information", "Model:") for path in sorted(nvidia.glob("*"))),
        *(_line_of(path, "") for path in sorted(drm.glob("card*/device/product_name"))),
    ]
    return Machine(cores, memory_mib, tuple(gpu for gpu in gpus if gpu)[:MAX_GPUS])


def _line_of(path: Path, mark: str) -> str:
    """What stands behind `mark` in a small file of the system."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = next((line.removeprefix(mark) for line in lines if line.startswith(mark)), "")
    return printable(" ".join(found.split()))[:100]


async def fetch_agreement(portal: PortalClient) -> Offered:
    """The agreement in force at a portal; raises `UserError`."""
    answer = await portal.get("/api/v1/agreement")
    version, text = answer.get("version"), answer.get("text")
    if not isinstance(version, str) or not isinstance(text, str) or not version or not text:
        raise PortalUnreachable(f"what answers at {portal.origin} shows no agreement")
    if printable(text, lines=True) != text or printable(version) != version:
        raise PortalUnreachable(f"the agreement of {portal.origin} holds characters that cannot be shown")
    return Offered(version, text, hashlib.sha256(text.encode()).digest())


async def register(
    portal: PortalClient,
    offered: Offered,
    *,
    code: str,
    name: str,
    identity: Keypair,
    payout: Keypair,
    machine: Machine,
    engine: str,
    models: Sequence[tuple[str, str]],
    suite: CipherSuite,
    agreed: Callable[[Offered], bool],
) -> Registered:
    """Signs what was offered once `agreed`, and sends it; raises `UserError`.

    Args:
        portal: where.
        offered: what `fetch_agreement` returned.
        code: what the portal showed to the person.
        name: the host's.
        identity: the peer key.
        payout: the payout key, which must be another one.
        machine: what is declared.
        engine: what computes.
        models: names, and digests of weights in hexadecimal digits.
        suite: the primitives.
        agreed: shows the agreement to a person, and returns whether they accept it.
    """
    if not agreed(offered):
        raise UserError("the agreement was not accepted: nothing was sent")
    statement = HostAgreement(
        portal=portal.origin,
        version=offered.version,
        digest=offered.digest,
        code=code.strip().upper(),
        peer_key=identity.public_key,
        payout_key=payout.public_key,
    )
    body: dict[str, object] = {
        "portal": statement.portal,
        "version": statement.version,
        "digest": statement.digest.hex(),
        "code": statement.code,
        "peer_id": str(identity.peer_id),
        "payout_key": statement.payout_key.hex(),
        "signature": sign(statement, identity.seed, suite).hex(),
        "payout_signature": sign_payout_key(statement, payout.seed, suite).hex(),
        "name": name,
        "cores": machine.cores,
        "memory_mib": machine.memory_mib,
        "gpus": list(machine.gpus),
        "engine": engine,
        "software": f"peernet/{__version__}",
        "models": [f"{model} {digest}" for model, digest in models],
    }
    answer = await portal.post("/api/v1/hosts", body)
    host = answer.get("host")
    if not isinstance(host, str) or not host.isalnum() or not host.isascii() or len(host) > 40:
        raise PortalUnreachable(f"{portal.origin} took the registration, and did not say as what")
    return Registered(portal.origin, host)


def remember(state: Path, made: Registered) -> None:
    """Writes down where the host is registered."""
    replace_file(state / FILE, json.dumps({"portal": made.portal, "host": made.host}).encode())


def registered(state: Path) -> Registered | None:
    """Where this host is registered; None where it is nowhere. Raises `UserError` for a damaged file."""
    path = state / FILE
    try:
        with path.open("rb") as file:
            value: Any = json.loads(file.read(MAX_FILE_SIZE))
        return Registered(str(value["portal"]), str(value["host"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read: remove it, and register the host again") from error
