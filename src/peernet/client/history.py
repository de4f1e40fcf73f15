"""A conversation that was held elsewhere, taken up here: which host would have had which part of it.

A caller hands over all messages of a conversation. No host of ours has seen the earlier ones, and the last one may
make no sense without them. Rules:

1. Each earlier turn is planned as if it had been asked here, under the same exposure policy: a host is sent no more of
   it than it would have been sent then.
2. The answer to a turn that would have been split is cut by the headings of its parts. Where it has none, or where the
   policy refuses the turn, the turn goes to nobody; the plan's `history_dropped` says so.
3. Everything is screened, detected and linked before any of it is masked: the session's business, as ever.
"""

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from peernet.core.errors import UserError
from privacy.mention import Mention
from privacy.planning import ChatMessage, Excerpt, ExposurePolicy, History, Piece, Plan, PlanRefused, plan

__all__ = ["Recalled", "conversation_of", "recall"]

GLUE = "\n\n"
_ROLES = ("system", "user", "assistant")


@frozen
class Recalled:
    """One exchange of an earlier turn, for the host in `slot`."""

    slot: int
    sent: Excerpt
    answer: Excerpt


def conversation_of(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """`messages` as a conversation to be answered: system messages first, then user and assistant in turn.

    Messages of one role that follow each other become one. Raises `UserError` where the last one is not the user's, or
    a role is unknown.
    """
    unknown = next((message.role for message in messages if message.role not in _ROLES), None)
    if unknown is not None:
        raise UserError(f"a message has the role {unknown!r}: there are {', '.join(_ROLES)}")
    if not messages or messages[-1].role != "user":
        raise UserError("the last message is not the user's: end the conversation with what to answer")
    turns: list[ChatMessage] = []
    for message in messages:
        if message.role == "system":
            continue
        if turns and turns[-1].role == message.role:
            turns[-1] = ChatMessage(message.role, turns[-1].content + GLUE + message.content)
        else:
            turns.append(message)
    return [*(message for message in messages if message.role == "system"), *turns]


def recall(
    messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]], hosts: int, policy: ExposurePolicy
) -> list[Recalled]:
    """What each of `hosts` slots would know of the turns before the last message, in their order."""
    history = History()
    recalled: list[Recalled] = []
    for index, message in enumerate(messages):
        if message.role == "assistant" and (index == 0 or messages[index - 1].role != "user"):
            # It opened the conversation: whoever gets the first turn knows what it answers.
            recalled.append(Recalled(0, _excerpt(messages, mentions, index, 0, 0), _whole(messages, mentions, index)))
        if message.role != "user" or index == len(messages) - 1:
            continue
        try:
            made = plan(messages[: index + 1], mentions[: index + 1], hosts, policy, history)
        except PlanRefused:
            continue
        for fragment, answer in _answers(made, messages, mentions, index + 1):
            recalled.append(Recalled(made.fragments[fragment].slot, made.fragments[fragment].prompt, answer))
            history.record(recalled[-1].slot, recalled[-1].sent.text, answer.text)
    return recalled


def _answers(
    made: Plan, messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]], index: int
) -> Iterator[tuple[int, Excerpt]]:
    """Each fragment's part of the answer `messages[index]`; nothing where the answer does not show its parts."""
    if len(made.fragments) == 1:
        yield 0, _whole(messages, mentions, index)
        return
    places = _places(made, messages[index].content)
    for ordinal, (start, end) in enumerate(places):
        yield ordinal, _excerpt(messages, mentions, index, start, end)


def _places(made: Plan, answer: str) -> list[tuple[int, int]]:
    """The ranges of an answer's parts, by their headings; none where one of them is missing."""
    starts: list[tuple[int, int]] = []
    place = 0
    for fragment in made.fragments:
        heading = f"{fragment.heading}{GLUE}"
        at = answer.find(heading, place) if fragment.heading else -1
        if at < 0 or (at > 0 and answer[at - 1] != "\n"):
            return []
        place = at + len(heading)
        starts.append((at, place))
    ends = [at for at, _ in starts[1:]] + [len(answer)]
    return [(start, start + len(answer[start:end].rstrip())) for (_, start), end in zip(starts, ends, strict=True)]


def _whole(messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]], index: int) -> Excerpt:
    return _excerpt(messages, mentions, index, 0, len(messages[index].content))


def _excerpt(
    messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]], index: int, start: int, end: int
) -> Excerpt:
    """A range of a message; a mention that a border cuts is clipped, and so still masked."""
    return Excerpt(
        pieces=(Piece(index, start, end),),
        text=messages[index].content[start:end],
        mentions=tuple(
            evolve(mention, start=max(mention.start, start) - start, end=min(mention.end, end) - start)
            for mention in mentions[index]
            if mention.start < end and mention.end > start
        ),
    )
