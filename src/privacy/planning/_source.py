"""The conversation that a plan cuts from: excerpts with their mentions, and shares of the last message (rule 3).

Rules: an excerpt is made of ranges of the original alone; a mention that a border cuts is clipped and stays masked.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import evolve

from privacy.exposure import content_words, share
from privacy.mention import Mention
from privacy.planning._model import GLUE, ChatMessage, Excerpt, Piece


class Source:
    """The conversation that a plan cuts from."""

    def __init__(self, messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]]) -> None:
        self.messages = messages
        self.mentions = mentions
        self.last = len(messages) - 1
        self.text = messages[-1].content
        self._words = content_words(self.text)
        self._words_of: dict[str, Counter[str]] = {}

    def excerpt(self, ranges: Iterable[tuple[int, int]], message: int) -> Excerpt:
        """Ranges of a message; those that only white space parts become one."""
        content = self.messages[message].content
        joined: list[tuple[int, int]] = []
        for start, end in sorted(ranges):
            if joined and not content[joined[-1][1] : start].strip():
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        mentions: list[Mention] = []
        place = 0
        for start, end in joined:
            # A mention that a border cuts is clipped, and so still masked.
            mentions += [
                evolve(m, start=max(m.start, start) - start + place, end=min(m.end, end) - start + place)
                for m in self.mentions[message]
                if m.start < end and m.end > start
            ]
            place += end - start + len(GLUE)
        return Excerpt(
            pieces=tuple(Piece(message, start, end) for start, end in joined),
            text=GLUE.join(content[start:end] for start, end in joined),
            mentions=tuple(mentions),
        )

    def system(self) -> tuple[Excerpt, ...]:
        """The system messages."""
        return tuple(
            self.excerpt([(0, len(message.content))], index)
            for index, message in enumerate(self.messages)
            if message.role == "system"
        )

    def share(self, texts: Iterable[str]) -> float:
        """The share of the last message in `texts`; nothing is masked yet, so that nothing is a placeholder."""
        if not self._words:
            return share(self.text, texts, placeholders=())
        given: Counter[str] = Counter()
        for text in dict.fromkeys(texts):
            if text not in self._words_of:
                self._words_of[text] = content_words(text)
            given.update(self._words_of[text])
        return (self._words & given).total() / self._words.total()
