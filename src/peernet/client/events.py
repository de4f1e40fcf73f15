"""What happens to a prompt, as it happens: one frozen class an event, for whoever draws it.

They hold the user's own text where the user is shown it, and so never leave the client's process.
"""

from attrs import field, frozen

from peernet.core.ledger.policy import Finality
from peernet.core.metering import Receipt
from privacy.exposure import ExposureReceipt

__all__ = [
    "Answered",
    "Event",
    "FragmentContinued",
    "FragmentDone",
    "FragmentFailed",
    "FragmentPlanned",
    "FragmentReport",
    "FragmentRestarted",
    "FragmentSent",
    "FragmentText",
    "LaneFunded",
    "Masked",
    "PeersFound",
    "Planned",
    "ReceiptProven",
    "RingBuilt",
    "Screened",
]


@frozen
class PeersFound:
    """The directory's peers that can be used."""

    relays: int
    hosts: int
    model: str


@frozen
class Screened:
    """The prompt passed the screening."""


@frozen
class Masked:
    """What was found in the prompt: its label and text, for the user's eyes."""

    mentions: tuple[tuple[str, str], ...] = field(repr=False)
    counts: dict[str, int]
    notices: tuple[str, ...] = ()
    """What masking could not do, in fixed sentences of ours."""


@frozen
class FragmentPlanned:
    """One fragment, as its host will get it."""

    ordinal: int
    host: str
    text_sent: str = field(repr=False)
    share: float
    surrogates: tuple[str, ...] = field(default=(), repr=False)
    """What in `text_sent` may be a realistic name in place of another; tags speak for themselves."""


@frozen
class Planned:
    """The plan: `mode` is `tasks` or `whole`."""

    mode: str
    policy: str
    profile: str
    fragments: tuple[FragmentPlanned, ...]
    reason: str
    profile_asked: str = ""
    """Another than `profile` where the network was too small for it."""
    notices: tuple[str, ...] = ()
    """What the user should know before anything is sent, in fixed sentences of ours."""


@frozen
class LaneFunded:
    """A lane for one fragment is in a log."""

    ordinal: int
    cap_microcredits: int
    finality: Finality


@frozen
class RingBuilt:
    """A ring stands: peer ids, guard first, without the host."""

    ordinal: int
    host: str
    out: tuple[str, ...]
    back: tuple[str, ...]
    build_s: float


@frozen
class FragmentSent:
    """A fragment leaves for its host: from now on that has seen it."""

    ordinal: int
    host: str
    share: float
    """Of the request's content words: all that this host has been sent of it so far."""
    standby: bool
    """Whether it came in for another host."""


@frozen
class FragmentText:
    """The next piece of a fragment's answer, names restored."""

    ordinal: int
    text: str = field(repr=False)


@frozen
class FragmentRestarted:
    """A host failed; the fragment starts again on another, and what it had shown is void."""

    ordinal: int
    failed_host: str
    host: str
    reason: str


@frozen
class FragmentContinued:
    """An attempt failed in mid-answer; `host` goes on from what was shown, which stays.

    `host` is `failed_host` where its ring alone had broken.
    """

    ordinal: int
    failed_host: str
    host: str
    reason: str
    words: int
    """How many were shown."""


@frozen
class FragmentFailed:
    """A fragment could not be answered, or not to its end: what was shown of it stays, unless it was withheld."""

    ordinal: int
    reason: str


@frozen
class FragmentDone:
    """A fragment's answer is whole."""

    ordinal: int
    host: str
    prompt_tokens: int
    answer_tokens: int
    amount_microcredits: int
    first_token_s: float


@frozen
class ReceiptProven:
    """A receipt stands in the log, and its proof was verified here."""

    ordinal: int
    receipt: Receipt = field(repr=False)
    index: int
    size: int
    checkpoint: bytes = field(repr=False)


@frozen
class AnswerText:
    """The next piece of the whole answer, in its order: what came so far is never taken back."""

    text: str = field(repr=False)


@frozen
class FragmentReport:
    """What became of one fragment."""

    ordinal: int
    host: str
    mode: str
    share: float
    """Of the request's content words, as its last host got it."""
    text_sent: str = field(repr=False)
    """The prompt, byte for byte, as that host's engine got it."""
    out: tuple[str, ...]
    back: tuple[str, ...]
    prompt_tokens: int
    """As paid for, over all attempts; so are the next two. What a host went on from was part of its prompt."""
    answer_tokens: int
    amount_microcredits: int
    restarts: int
    """How often it began anew, which made void what was shown."""
    continuations: int
    """How often it went on from what was shown."""
    receipt_index: int | None
    """The last host's receipt: its place in the log, its proof verified; None when there is none."""
    failure: str | None
    failure_reason: str | None = None
    """One word for why, for programs: of `core.serving`'s reasons where a host gave it."""
    finish_reason: str = "stop"
    """`stop`, or `length` when the answer was cut at its bound."""
    unfinished: bool = False
    """Whether it failed, and part of its answer stands all the same."""
    receipt_log: str | None = None
    """The log that the receipt is in."""
    finality: Finality | None = None
    """How far the receipt's checkpoint is cosigned; None without one."""


@frozen
class Answered:
    """The whole answer, with what is worth knowing of how it came about."""

    text: str = field(repr=False)
    exposure: ExposureReceipt
    fragments: tuple[FragmentReport, ...]
    identifiers: dict[str, int]
    """How many different ones were masked, by label."""
    log_origin: str
    """The log of the receipts; of several, their names."""
    log_size: int
    """Entries under the newest checkpoint that was verified."""
    first_token_s: float | None
    total_s: float

    @property
    def complete(self) -> bool:
        """Whether every fragment was answered."""
        return all(fragment.failure is None for fragment in self.fragments)

    @property
    def finish_reason(self) -> str:
        """`length` when some fragment's answer was cut at its bound, else `stop`."""
        cut = any(fragment.finish_reason == "length" for fragment in self.fragments)
        return "length" if cut else "stop"

    @property
    def prompt_tokens(self) -> int:
        """As metered, over all fragments: what the answering hosts were sent, masked, with earlier turns."""
        return sum(fragment.prompt_tokens for fragment in self.fragments)

    @property
    def answer_tokens(self) -> int:
        """As metered, over all fragments: what the answering hosts wrote, before the originals were put back."""
        return sum(fragment.answer_tokens for fragment in self.fragments)


Event = (
    PeersFound
    | Screened
    | Masked
    | Planned
    | LaneFunded
    | RingBuilt
    | FragmentSent
    | FragmentText
    | FragmentRestarted
    | FragmentContinued
    | FragmentFailed
    | FragmentDone
    | ReceiptProven
    | AnswerText
    | Answered
)
