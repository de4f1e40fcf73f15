"""What one bootstrap node keeps on its disk for the ledger, opened in order: its log, its mirrors, and their keys.

Three keys, each under a name of its own: the log's, the witness's and the validator's. A database is made together
with the key that signs what is in it, and never again: what begins anew under an old key has forgotten what that key
signed.
"""

from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from bootstrap.cosigning import CosignedLog, OtherNode, Submit
from bootstrap.issuing_store import IssuingStore
from bootstrap.log import Log
from bootstrap.mirror import Cosigner, Mirror, MirrorFolder
from bootstrap.reading import LogReader
from bootstrap.service import BootstrapConfig, BootstrapService
from bootstrap.store import LedgerStore, SqlStore
from bootstrap.validator import ValidatorService
from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.ledger.messages import WITNESS_PROTOCOL, AddCheckpoint, WitnessMessages
from peernet.core.ledger.policy import LedgerPolicy, PolicyMember
from peernet.core.suite import CipherSuite
from peernet.net.addresses import PeerAddress, parse_peer_address
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.node.home import Home
from peernet.node.peer import Peer

__all__ = ["LedgerKeeper", "open_ledger_store"]


@frozen
class LedgerKeeper:
    """One node's log and cosigners, on an open store."""

    log: Log
    witness: Cosigner
    validator: Cosigner
    mirrors: MirrorFolder
    suite: CipherSuite
    fresh: bool
    """Whether the log was made just now."""
    issuing: Path
    """Where the issuer's keys are, if this node issues credits."""

    @classmethod
    def open(
        cls, stack: ExitStack, home: Home, origin: str, suite: CipherSuite, *, database: str = ""
    ) -> "LedgerKeeper":
        """Opens what is there, or makes all of it the first time; `stack` closes it.

        `database` is a `postgresql://` URL; empty for the file in the home.

        Raises `UserError` when a part is missing, `LedgerCorrupt` when one is damaged, `RemoteProtocolError` for an
        origin that cannot name a log.
        """
        fresh = not home.has_seed("log")
        store = stack.enter_context(_open_store(home, database))
        log = Log(store, origin, home.seed("log"), suite)
        mirrors = MirrorFolder(home.state / "mirrors")
        mirrors.prepare(new=not home.has_seed("validator"))
        return cls(
            log,
            Cosigner(f"{origin}/witness", home.seed("witness")),
            Cosigner(f"{origin}/validator", home.seed("validator")),
            mirrors,
            suite,
            fresh,
            home.state / "issuing.sqlite",
        )

    def member(self, url: str) -> PolicyMember:
        """What this node adds to a policy."""
        return PolicyMember(self.log.verifier_key, self.witness.key(self.suite), self.validator.key(self.suite), url)

    def service(self, stack: ExitStack, peer: Peer, config: BootstrapConfig, policy: LedgerPolicy) -> BootstrapService:
        """The services of this node among those of `policy`; `stack` closes the mirrors.

        Raises `UserError` when a mirror is missing, or an address of the policy is none.
        """
        others = [(member, _node_of(member)) for member in policy.members() if member.log != self.log.verifier_key]
        mirrors = {}
        for member, node in others:
            store = stack.enter_context(self.mirrors.open(member.log.name))
            mirror = Mirror(store, member.log, self.witness, self.validator, self.suite)
            mirrors[member.log.name] = (mirror, LogReader(peer.swarm, node))
        cosigners = [
            OtherNode(member.log.name, (member.witness, member.validator), _submit_to(peer.swarm, node))
            for member, node in others
        ]
        own = (self.witness, self.validator)
        cosigned = CosignedLog(self.log, policy, own, cosigners, self.suite, fresh=self.fresh)
        validator = ValidatorService(peer, mirrors, cosigned.heard_from)
        issuing = None
        if config.issue_credits:
            issuing = stack.enter_context(IssuingStore(self.issuing, create=not self.issuing.exists()))
        return BootstrapService(peer, config, self.log, cosigned, validator, issuing)


def _node_of(member: PolicyMember) -> PeerAddress:
    return parse_peer_address(member.url)


def _submit_to(swarm: Swarm, node: PeerAddress) -> Submit:
    async def submit(request: AddCheckpoint) -> object:
        async with await swarm.open_stream(node.peer, [node.address], WITNESS_PROTOCOL, optimistic=True) as stream:
            messages = MessageStream(stream, WitnessMessages)
            await messages.send(request)
            await stream.close_sending()
            reply: object = await messages.receive()
        if reply is None:
            raise ConnectionFailed("the node closed the stream before it answered")
        return reply

    return submit


def open_ledger_store(where: str, *, create: bool = False) -> SqlStore:
    """The store at a path or a `postgresql://` URL; raises as the two kinds of store do."""
    if where.startswith(("postgresql://", "postgres://")):
        from bootstrap.postgres_store import PostgresLedgerStore

        return PostgresLedgerStore(where, create=create)
    return LedgerStore(Path(where), create=create)


def _open_store(home: Home, url: str) -> SqlStore:
    """The ledger's database: made together with the log's key, and never silently made anew after that."""
    path = home.state / "ledger.sqlite"
    if url:
        return _checked(open_ledger_store(url, create=not home.has_seed("log")), home)
    first_time = not home.has_seed("log") and not path.exists()
    if not first_time and not path.exists():
        raise UserError(
            f"the ledger {path} is missing, though the key that signs it is here: restore it from a backup. A log "
            "that begins again under the same key has forked; for a new network choose another --home"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _checked(LedgerStore(path, create=first_time), home)


def _checked(store: SqlStore, home: Home) -> SqlStore:
    if store.checkpoint() is not None and not home.has_seed("log"):
        store.close()
        raise UserError(
            f"there is a ledger at {store.place}, and not the key that signs it (log.key in {home.config / 'keys'}): "
            "restore the key from a backup, for nobody could verify the log under another one"
        )
    return store
