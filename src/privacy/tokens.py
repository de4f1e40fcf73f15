"""How text is cut into tokens for the recogniser: as spaCy's English does, and at the marks of code and forms.

`Name:John`, `user=ann`, `Smith|Lee` are one token each to spaCy, and a token cannot be half a name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["customised"]

_LETTER = r"[^\W\d_]"


def customised(pipeline: "Language") -> "Language":
    """`pipeline` with our tokenizer's rules; they are kept when it is written to disk."""
    from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex

    defaults = pipeline.Defaults
    marks = r"[=:|;,<>(){}\[\]\"“”\\]"
    infixes = [
        *(defaults.infixes or ()),
        rf"(?<={_LETTER}){marks}(?=\w)",
        rf"(?<=\w){marks}(?={_LETTER})",
        rf"(?<={_LETTER})[/_@#*•→+](?=\w)",
    ]
    tokenizer: Any = pipeline.tokenizer
    tokenizer.infix_finditer = compile_infix_regex(infixes).finditer
    tokenizer.prefix_search = compile_prefix_regex([*(defaults.prefixes or ()), r"[-=|•→*_@/]"]).search
    tokenizer.suffix_search = compile_suffix_regex([*(defaults.suffixes or ()), r"[-=|•→*_/]"]).search
    return pipeline
