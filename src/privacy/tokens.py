"""The tokenizer of the recogniser: spaCy's rules of the language, taken in once.

Importing this registers it with spaCy, under the name that the pipeline's `config.cfg` gives. A tokenizer that is read
from a file compiles its rules twice, and takes in its thousand special cases anew for each of them: that is a quarter
of a second whenever a client starts.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]  # spaCy's is in Cython
from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex, registry

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["RuleTokenizer", "create_tokenizer", "tokenizer_of"]


class RuleTokenizer(Tokenizer):  # type: ignore[misc]
    """spaCy's tokenizer with rules that are code: nothing of it is written beside a pipeline, or read from there."""

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Writes nothing."""

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "RuleTokenizer":
        """As it is."""
        return self


@registry.tokenizers("peernet.Tokenizer.v1")  # type: ignore[untyped-decorator]
def create_tokenizer() -> Callable[["Language"], RuleTokenizer]:
    """What spaCy calls to make a pipeline's tokenizer."""
    return tokenizer_of


def tokenizer_of(pipeline: "Language") -> RuleTokenizer:
    """The tokenizer for `pipeline`, of the rules of its language."""
    defaults = pipeline.Defaults
    return RuleTokenizer(
        pipeline.vocab,
        rules=defaults.tokenizer_exceptions,
        prefix_search=compile_prefix_regex(defaults.prefixes or ()).search,
        suffix_search=compile_suffix_regex(defaults.suffixes or ()).search,
        infix_finditer=compile_infix_regex(defaults.infixes or ()).finditer,
        token_match=defaults.token_match,
        url_match=defaults.url_match,
    )
