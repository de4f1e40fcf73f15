"""A bootstrap node's folder with issuer keys, made before the node runs; and credits that it has signed by then."""

from contextlib import ExitStack
from pathlib import Path

import trio

from bootstrap.issuing import CreditIssuer
from bootstrap.issuing_store import IssuingStore
from bootstrap.keeper import LedgerKeeper
from bootstrap.log import Submission
from peernet.client.purse import Purse
from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import BOUGHT, blinded_credits
from peernet.core.suite import MixedSuite
from peernet.node.home import Home
from peernet.node.peer import now_s

__all__ = ["BLINDED", "fund_purse", "prepare_issuer"]

EPOCH_S = 90 * 24 * 3600
BLINDED: list[bytes] = []
"""Everything that an issuer of this process was given to sign."""


async def prepare_issuer(home: Path, origin: str, purses: dict[Path, int], *, free_grants: bool = False) -> None:
    """Makes the node's log and issuer keys in `home`, and puts so many credits of 10,000 into each purse."""
    folders = Home.at(home)
    folders.config.mkdir(mode=0o700, parents=True)
    grants = "" if free_grants else "grants_per_minute = 0\n"
    (folders.config / "config.toml").write_text(f"[bootstrap]\nissue_credits = true\n{grants}")
    with ExitStack() as stack:
        log = LedgerKeeper.open(stack, folders, origin, MixedSuite()).log
        store = stack.enter_context(IssuingStore(folders.state / "issuing.sqlite", create=True))

        async def submit(submission: Submission) -> int:
            await trio.lowlevel.checkpoint()
            return log.append_one(submission, now_s())

        async def prove(index: int) -> bytes:
            await trio.lowlevel.checkpoint()
            return log.inclusion_proof(index)

        issuer = CreditIssuer(store, log, submit, prove, EPOCH_S, (BOUGHT,))
        await issuer.renew()
        for place, (path, count) in enumerate(purses.items()):
            await fund_purse(issuer, origin, path, count, bytes([place + 1]) * 32)


async def fund_purse(issuer: CreditIssuer, origin: str, path: Path, count: int, seed: bytes) -> None:
    """As a portal and a wallet do together."""
    issued = issuer.keys()
    key = next(key.entry for key in issued if key.entry.denomination_microcredits == 10_000)
    made = blinded_credits(PublicKey.from_bytes(key.modulus), key.key_id, seed, count)
    blinded = [one.blinded for one in made]
    BLINDED.extend(blinded)
    signed = await issuer.sign(key.key_id[:16] + seed[:16], BOUGHT, 10_000, blinded)
    purse = Purse(path)
    purse.add_keys(origin, [key])
    purse.add_credits([one.finish(signature) for one, signature in zip(made, signed, strict=True)])
    purse.close()
