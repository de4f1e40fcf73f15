"""A client's counting of tokens by the engine itself, where no tokenizer of the model is at hand."""

from collections.abc import Sequence

from inference.engine import Engine, Message

__all__ = ["EngineTokens"]


class EngineTokens:
    """Counts as `engine` does; stands for `inference.tokenizer.Tokenizer`, and for its incremental counter."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._text = ""
        self.digest = engine.models()[0].tokenizer_digest

    def count_messages(self, messages: Sequence[Message]) -> int:
        """The tokens of a prompt."""
        return self._engine.count_tokens(messages)

    def count_text(self, text: str) -> int:
        """The tokens of a text."""
        return self._engine.count_text_tokens(text)

    def incremental(self) -> "EngineTokens":
        """A counter of a text that grows."""
        return EngineTokens(self._engine)

    def feed(self, delta: str) -> int:
        """The tokens of all that came so far."""
        self._text += delta
        return self.count_text(self._text)
