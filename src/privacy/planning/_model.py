"""What a plan is made of: the policy it obeys, the excerpts it sends, and the fragments and slots they go by.

Rules: nothing changes once it is made; text is in no `repr`; ranges count code points of the original, `end` excluded.
"""

from enum import StrEnum
from typing import Final, Literal

from attrs import field, frozen, validators

from peernet.core.errors import UserError
from privacy.exposure import Mode
from privacy.mention import Mention

GLUE: Final = "\n\n"
"""What stands between two pieces of a fragment that did not touch in the original."""


class PlanRefused(UserError):
    """The exposure policy forbids every way to send this request; the message says what can be done."""


class Level(StrEnum):
    """How much of a prompt one host may see."""

    STRICT = "strict"
    STANDARD = "standard"
    OPEN = "open"


@frozen
class ExposurePolicy:
    """The user's bound on what one host sees."""

    level: Level = Level.STANDARD
    max_share: float = field(default=0.5, validator=validators.and_(validators.gt(0.0), validators.le(1.0)))
    """The largest share of content words, 0 to 1, that one host should get: binding under `strict`."""


@frozen
class ChatMessage:
    """One message of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str = field(repr=False)


@frozen
class Piece:
    """A range of one message of the original, in code points, `end` excluded."""

    message: int
    start: int
    end: int


@frozen
class Excerpt:
    """Pieces of the original, joined by `GLUE`, with the mentions in them at their new places."""

    pieces: tuple[Piece, ...]
    text: str = field(repr=False)
    mentions: tuple[Mention, ...] = field(repr=False)


@frozen
class Fragment:
    """What one host gets of a request."""

    ordinal: int
    """Its place in the request, from 0."""
    slot: int
    """The host it goes to, from 0: the same number is the same host over the whole conversation."""
    prompt: Excerpt
    """Its tasks with the background that they need, in the order of the original: a user message."""
    context: tuple[Piece, ...]
    """Those pieces of `prompt` that are background."""
    share: float
    """The fraction of the message's content words in `prompt`, before masking."""
    heading: str = field(default="", repr=False)
    """What its answer is shown under; stays on the client."""
    joint: str = field(default=GLUE, repr=False)
    """What stands between its answer and the one before."""
    repeated_lines: int = 0
    """How many lines, the header of a table, were sent with every fragment, so that its answer may repeat them."""

    @property
    def id(self) -> str:
        """A name that is unique in the plan."""
        return f"f{self.ordinal}"


Structure = Literal["list", "paragraphs", "text", "sections", "whole"]
"""`text`: answers that follow each other as the parts of the text did. `sections`: each under its titles."""
WhyWhole = Literal[
    "", "open", "one_task", "no_task", "dependent", "shared", "too_many_parts", "needs_all", "one_matter"
]


@frozen
class Plan:
    """Who gets what, and how the answers go together."""

    mode: Mode
    policy: ExposurePolicy
    fragments: tuple[Fragment, ...]
    """In the order of the request."""
    structure: Structure
    system: tuple[Excerpt, ...]
    """The system messages, for every host."""
    largest_share: float
    """Of the slot that gets most, over all of its fragments."""
    why_whole: WhyWhole = ""
    why_shards: str = ""
    """What was cut, and into how many parts, for people; no word of the text."""
    history_dropped: bool = False
    """Whether some host does not know all of the earlier turns."""

    @property
    def exceeds_max_share(self) -> bool:
        """Whether some host gets more than the policy would have it."""
        return self.largest_share > self.policy.max_share

    @property
    def reason(self) -> str:
        """Why the request was planned as it is, for people; empty for tasks of which none was cut."""
        return self.why_shards or self.why_whole.replace("_", " ")

    @property
    def notices(self) -> tuple[str, ...]:
        """What the receipt should say about this plan."""
        said = {
            "One host got the whole request: it cannot be split.": self.mode == "whole" and self.why_whole != "open",
            "One host got the whole request: the policy is open.": self.why_whole == "open",
            "A host got more than the policy's share: the parts or the hosts do not allow less.": (
                self.mode != "whole" and self.exceeds_max_share
            ),
            "Each host got the instruction and a part of the text: what one part says of another, no host saw.": (
                bool(self.why_shards)
            ),
            "Earlier turns went only to the hosts that had them before.": self.history_dropped,
            "The system message went to every host.": bool(self.system) and self.mode != "whole",
        }
        return tuple(notice for notice, holds in said.items() if holds)

    def texts(self, slot: int) -> tuple[str, ...]:
        """What the host in `slot` gets, before masking."""
        return tuple(fragment.prompt.text for fragment in self.fragments if fragment.slot == slot)
