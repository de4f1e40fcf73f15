"""The ledger's policy: which logs count, who cosigns them, and how many cosignatures make a checkpoint final.

```
log <vkey> [<url>]
witness <name> <vkey> [<url>]
group <name> all|any|<k> <name>...          (of witnesses and groups above it)
quorum <name>|none
```

Rules:

1. Exactly one quorum line; a name is defined once, above its first use, and is a member of one group at most, so that
   nobody counts twice.
2. A log's key is of type 0x01 and a witness's of type 0x04, and no two lines have the same public key.
3. A checkpoint is **final** when one of the logs signed it and the quorum cosigned it. Without a quorum
   (`quorum none`) nothing but the log's word stands behind it.

What our networks write: a `log`, a consistency-only `witness` and a replaying validator for every bootstrap node, and
one group of all the validators, `2f + 1` of `3f + 1`. The url is the node's peer address. A validator's cosignature
says what a tlog-mirror's does, and that every rule holds for every entry up to this size.

Source: C2SP tlog-policy, tlog-cosignature and tlog-mirror; design section 8.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.notes import COSIGNER_KEY, LOG_KEY, VerifierKey, open_note
from peernet.core.quorum import quorum_of
from peernet.core.suite import CipherSuite

__all__ = [
    "Finality",
    "LedgerPolicy",
    "PolicyGroup",
    "PolicyLog",
    "PolicyMember",
    "PolicyWitness",
    "compose_policy",
    "one_log_policy",
    "parse_policy",
]

MAX_POLICY_SIZE: Final = 1 << 16
MAX_DEFINED: Final = 128
"""Logs, witnesses and groups, each."""
NO_QUORUM: Final = "none"
VALIDATORS: Final = "validators"
"""What our networks call their quorum."""


@frozen
class PolicyLog:
    """A log whose entries count."""

    key: VerifierKey
    url: str = ""
    """Where its node is: a peer address."""

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.key.name


@frozen
class PolicyWitness:
    """A cosigner: a witness, or a validator."""

    name: str
    key: VerifierKey
    url: str = ""


@frozen
class PolicyGroup:
    """So many of these."""

    name: str
    needed: int
    members: tuple[str, ...]


@frozen
class Finality:
    """How far a checkpoint is cosigned."""

    final: bool
    cosigned: tuple[str, ...]
    """The members of the quorum that stand behind it."""
    needed: int
    """How many of them the policy asks for; 0 where it asks for nobody."""
    members: int

    def describe(self) -> str:
        """As people read it."""
        if not self.needed:
            return "on the log's word alone"
        if self.final:
            return f"final ({len(self.cosigned)} of {self.members})"
        return f"not final: {len(self.cosigned)} of the {self.needed} needed"


@frozen
class PolicyMember:
    """What one bootstrap node puts into a policy: its three keys, and where it is."""

    log: VerifierKey
    witness: VerifierKey
    validator: VerifierKey
    url: str


@frozen
class LedgerPolicy:
    """A policy whose names and keys fit together."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...] = ()
    groups: tuple[PolicyGroup, ...] = ()
    quorum: str = NO_QUORUM

    def log(self, origin: str) -> PolicyLog:
        """The log of that name; raises `RemoteProtocolError` (`unknown_log`) for one that does not count."""
        for log in self.logs:
            if log.origin == origin:
                return log
        raise RemoteProtocolError("the policy does not name this log", reason="unknown_log")

    def log_of_note(self, note: bytes) -> PolicyLog:
        """The log that a checkpoint says to be of; nothing is verified. Raises as `log` does."""
        return self.log(read_unverified(note).origin)

    def finality(self, note: bytes, suite: CipherSuite, *, opened_by_log: bool = False) -> Finality:
        """How far a checkpoint of one of the logs is cosigned.

        `opened_by_log` says that the log's signature has been verified, in these very bytes: where nobody else is
        asked for, that is then all there is to know. Raises `RemoteProtocolError` as `open_note` does: a wrong
        signature of a known key spoils the note.
        """
        if opened_by_log and self.quorum == NO_QUORUM and not self.witnesses:
            return self.judge(())
        log = self.log_of_note(note)
        opened = open_note(note, (log.key, *(witness.key for witness in self.witnesses)), suite)
        keys = {signer.key for signer in opened.signers}
        if log.key not in keys:
            raise RemoteProtocolError("a checkpoint is not signed by its log", reason="unsigned")
        return self.judge(witness.name for witness in self.witnesses if witness.key in keys)

    def judge(self, cosigners: Iterable[str]) -> Finality:
        """What cosignatures of these witnesses come to."""
        if self.quorum == NO_QUORUM:
            return Finality(final=True, cosigned=(), needed=0, members=0)
        stands = set(cosigners)
        groups = {group.name: group for group in self.groups}
        for group in self.groups:
            # A group only has members that are defined above it.
            if sum(member in stands for member in group.members) >= group.needed:
                stands.add(group.name)
        top = groups.get(self.quorum, PolicyGroup(self.quorum, 1, (self.quorum,)))
        cosigned = tuple(member for member in top.members if member in stands)
        return Finality(self.quorum in stands, cosigned, top.needed, len(top.members))

    def members(self) -> tuple[PolicyMember, ...]:
        """The bootstrap nodes of a policy that `compose_policy` made; others' policies may have none."""
        witnesses = {witness.name: witness for witness in self.witnesses}
        found = []
        for log in self.logs:
            witness, validator = (witnesses.get(f"{log.origin}/{role}") for role in ("witness", "validator"))
            if witness is not None and validator is not None:
                found.append(PolicyMember(log.key, witness.key, validator.key, log.url))
        return tuple(found)

    def text(self) -> str:
        """The policy as a file has it."""
        lines = [_line("log", log.key.text(), log.url) for log in self.logs]
        lines += [_line("witness", witness.name, witness.key.text(), witness.url) for witness in self.witnesses]
        lines += [_line("group", group.name, str(group.needed), *group.members) for group in self.groups]
        return "".join(f"{line}\n" for line in [*lines, _line("quorum", self.quorum)])


def one_log_policy(key: VerifierKey, url: str = "") -> LedgerPolicy:
    """The policy of those who know a log's key and nothing else: its word counts."""
    return LedgerPolicy((PolicyLog(key, url),))


def compose_policy(members: Sequence[PolicyMember]) -> LedgerPolicy:
    """The policy of these bootstrap nodes.

    Raises `RemoteProtocolError` (`bad_policy`) when two share a key or a name.
    """
    ordered = sorted(members, key=lambda member: member.log.name)
    witnesses = [
        PolicyWitness(key.name, key, member.url) for member in ordered for key in (member.witness, member.validator)
    ]
    validators = tuple(member.validator.name for member in ordered)
    policy = LedgerPolicy(
        tuple(PolicyLog(member.log, member.url) for member in ordered),
        tuple(witnesses),
        (PolicyGroup(VALIDATORS, quorum_of(len(validators)), validators),),
        VALIDATORS,
    )
    # Read again, so that what is written is what anybody would accept.
    return parse_policy(policy.text())


def parse_policy(text: str) -> LedgerPolicy:
    """The policy in `text`; raises `RemoteProtocolError` (`bad_policy`) with the line that is wrong."""
    if len(text.encode()) > MAX_POLICY_SIZE:
        raise _bad(f"a policy of over {MAX_POLICY_SIZE} bytes")
    if any((character < " " and character not in "\t\n") or character == "\x7f" for character in text):
        raise _bad("a policy has control characters but tab and newline")
    parser = _Parser()
    for number, line in enumerate(text.split("\n"), start=1):
        # Nothing but spaces and tabs parts words: other white space may stand in a name.
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if words and not words[0].startswith("#"):
            try:
                parser.take(words)
            except RemoteProtocolError as error:
                raise _bad(f"line {number}: {error}") from error
    return parser.policy()


class _Parser:
    """The policy as far as it has been read."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[PolicyGroup] = []
        self._names: set[str] = set()
        self._grouped: set[str] = set()
        self._keys: set[bytes] = set()
        self._quorum: str | None = None

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) <= 1:
                self._take_log(key, *url)
            case ["witness", name, key, *url] if len(url) <= 1:
                self._define(name)
                self._witnesses.append(PolicyWitness(name, self._key(key, COSIGNER_KEY), *url))
            case ["group", name, needed, *members] if members:
                self._take_group(name, needed, members)
            case ["quorum", name]:
                self._take_quorum(name)
            case _:
                raise _bad(f"{words[0]!r} is not log, witness, group or quorum, or has not as many words as it should")
        if max(len(self._logs), len(self._witnesses), len(self._groups)) > MAX_DEFINED:
            raise _bad(f"over {MAX_DEFINED} logs, witnesses or groups")

    def policy(self) -> LedgerPolicy:
        if self._quorum is None:
            raise _bad("a policy has no quorum line")
        return LedgerPolicy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _take_log(self, text: str, url: str = "") -> None:
        key = self._key(text, LOG_KEY)
        if any(log.origin == key.name for log in self._logs):
            raise _bad(f"two logs are called {key.name}")
        self._logs.append(PolicyLog(key, url))

    def _take_group(self, name: str, needed: str, members: list[str]) -> None:
        for member in members:
            if member not in self._names:
                raise _bad(f"{member} is not defined above")
            if member in self._grouped:
                raise _bad(f"{member} is a member twice")
            self._grouped.add(member)
        self._define(name)
        count = {"any": 1, "all": len(members)}.get(needed)
        if count is None:
            if not (needed.isascii() and needed.isdigit()) or needed.startswith("0") or len(needed) > 3:
                raise _bad(f"{needed!r} is not all, any or a number")
            count = int(needed)
        if count > len(members):
            raise _bad(f"{count} of {len(members)} cannot be had")
        self._groups.append(PolicyGroup(name, count, tuple(members)))

    def _take_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise _bad("there is a quorum line already")
        if name != NO_QUORUM and name not in self._names:
            raise _bad(f"{name} is not defined above")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == NO_QUORUM or name in self._names:
            raise _bad(f"{name} is defined already")
        self._names.add(name)

    def _key(self, text: str, algorithm: int) -> VerifierKey:
        key = VerifierKey.parse(text)
        if key.algorithm != algorithm:
            raise _bad(f"the key of {key.name} is of type 0x{key.algorithm:02x}, not 0x{algorithm:02x}")
        if key.public_key in self._keys:
            raise _bad(f"the public key of {key.name} stands on another line, too")
        self._keys.add(key.public_key)
        return key


def _line(*words: str) -> str:
    return " ".join(word for word in words if word)


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason="bad_policy")
