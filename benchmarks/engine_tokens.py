"""A client's counting of tokens by the engine itself, where no tokenizer of the model is at hand."""

from collections.abc import Sequence

from inference.engine import AnswerCounter, Engine, Message

__all__ = ["EngineTokens"]


class EngineTokens:
    """Counts as `engine` does; stands for `inference.tokenizer.Tokenizer`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.digest = engine.models()[0].tokenizer_digest

    def count_messages(self, messages: Sequence[Message]) -> int:
        """The tokens of a prompt."""
        return self._engine.count_tokens(messages)

    def count_text(self, text: str) -> int:
        """The tokens of a text."""
        return self._engine.count_text_tokens(text)

    def incremental(self) -> AnswerCounter:
        """A counter of a text that grows."""
        return self._engine.answer_counter()
