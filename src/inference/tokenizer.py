"""Counting tokens as the model does: both sides of a voucher count with this, and neither asks the engine.

A model's folder holds `tokenizer.json` (in the format of the package `tokenizers`; byte-level BPE, for the models that
peernet fetches) and `tokenizer_config.json` (chat template, special tokens), which `inference.models` derives from the
GGUF's metadata, or takes from a folder that somebody has.
Both together have one digest, which stands in a host's offer: who has the same digest counts the same.

Rules:

1. A conversation's tokens are those of its rendered template up to where the answer begins. A prefix is encoded on
   its own and appended, as the tokens of an answer are: so prompt, prefix and answer add up.
2. The embedded engine gets these very tokens, not the text: what is counted is what is computed.
3. A template is somebody else's program. It runs in jinja2's immutable sandbox.

Against llama.cpp the counts are equal for every character assigned up to Unicode 14; for later ones the two hold
different tables of letters, so that rule 2 matters.

Loading takes 0.2 s for 49,152 tokens; importing this module loads neither the package nor jinja2.
"""

import hashlib
import json
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from inference.engine import Message, ModelUnusable, Unsupported

if TYPE_CHECKING:
    import jinja2
    import tokenizers

__all__ = ["CONFIG_FILE", "DIGITS_AND_GPT2", "TOKENIZER_FILE", "IncrementalCounter", "Tokenizer", "digest_of_files"]

TOKENIZER_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "tokenizer_config.json"
MAX_FILE_SIZE: Final = 64 << 20
DIGITS_AND_GPT2: Final[list[dict[str, Any]]] = [
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
]
"""The pre-tokenizer, in the format of `tokenizer.json`, for which it is known where a text can be cut."""


def digest_of_files(tokenizer: bytes, config: bytes) -> bytes:
    """The digest of a tokenizer: SHA-256 over the SHA-256 of each of the two files, in this order.

    The template is part of it, since a conversation is counted as the template renders it.
    """
    return hashlib.sha256(hashlib.sha256(tokenizer).digest() + hashlib.sha256(config).digest()).digest()


class Tokenizer:
    """A model's tokenizer and chat template."""

    def __init__(self, tokenizer: bytes, config: bytes) -> None:
        from tokenizers import Tokenizer as Encoder

        self.digest = digest_of_files(tokenizer, config)
        """32 bytes; see `digest_of_files`."""
        settings = json.loads(config)
        self.context_tokens: int = settings["model_max_length"]
        """What the model was trained for, prompt and answer together."""
        self._encoder: tokenizers.Tokenizer = Encoder.from_buffer(tokenizer)
        self._template = _compile(settings["chat_template"])
        self._special = {
            name: settings[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token") if name in settings
        }
        special = [token.content for token in self._encoder.get_added_tokens_decoder().values()]
        self._cut = _cut_pattern(special) if _is_cuttable(tokenizer) else _NOWHERE

    @classmethod
    def load(cls, model_folder: Path) -> "Tokenizer":
        """The tokenizer of an installed model; raises `ModelUnusable` where its files are missing or damaged."""
        try:
            return cls(_read(model_folder / TOKENIZER_FILE), _read(model_folder / CONFIG_FILE))
        # A file that `tokenizers` or jinja2 does not understand is a ValueError too (see `_compile`).
        except (KeyError, ValueError, TypeError) as error:
            raise ModelUnusable(
                f"the tokenizer in {model_folder} is damaged ({type(error).__name__}); "
                "install the model again with `peernet model pull`"
            ) from error

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as the model reads it, up to where the answer begins.

        Raises `Unsupported` where the template refuses the conversation (an order of roles, say).
        """
        import jinja2

        turns = [{"role": message.role, "content": message.content} for message in messages]
        refused = False
        try:
            return self._template.render(messages=turns, add_generation_prompt=True, **self._special)
        except jinja2.TemplateError:
            refused = True  # raised outside, for a template's error may quote the conversation
        assert refused
        raise Unsupported("the model's chat template refuses this conversation; check the order of its roles")

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text; special tokens that it spells out are taken for such, as llama.cpp does."""
        return self._encoder.encode(text, add_special_tokens=False).ids

    def encode_messages(self, messages: Sequence[Message], prefix: str | None = None) -> list[int]:
        """Token ids of the prompt, and of the beginning of the answer where there is one."""
        tokens = self.encode_text(self.render(messages))
        return tokens + self.encode_text(prefix) if prefix else tokens

    def count_text(self, text: str) -> int:
        """How many tokens `encode_text` gives."""
        return len(self.encode_text(text))

    def count_messages(self, messages: Sequence[Message]) -> int:
        """How many tokens `encode_messages` gives."""
        return len(self.encode_messages(messages))

    def incremental(self) -> "IncrementalCounter":
        """A counter for a text that comes in pieces."""
        return IncrementalCounter(self)

    def last_cut(self, text: str) -> int:
        """The last place where `text` can be cut and counted in two parts whatever follows it; 0 where there is none.

        See `_cut_pattern` for why.
        """
        cut = 0
        for match in self._cut.finditer(text):
            cut = match.start()
        return cut


class IncrementalCounter:
    """Counts a text that comes in pieces: after each, the total is exactly `count_text` of the whole so far.

    The total may fall, where a piece completes a token. What stands before the last safe cut is counted once; text
    without any (a long run of letters, or all of it with a tokenizer that we know little of) is counted again with
    each piece.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._settled = 0
        self._tail = ""
        self.total = 0
        """Tokens of everything fed so far."""

    def feed(self, delta: str) -> int:
        """Takes the next piece and gives the new total."""
        self._tail += delta
        cut = self._tokenizer.last_cut(self._tail)
        if cut:
            self._settled += self._tokenizer.count_text(self._tail[:cut])
            self._tail = self._tail[cut:]
        self.total = self._settled + self._tokenizer.count_text(self._tail)
        return self.total


_NOWHERE: Final = re.compile(r"(?!)")


def _is_cuttable(tokenizer: bytes) -> bool:
    """Whether texts are parted as `_cut_pattern` takes for granted; of other tokenizers nothing is assumed."""
    stored = json.loads(tokenizer)
    return stored.get("normalizer") is None and stored.get("pre_tokenizer") == {
        "type": "Sequence",
        "pretokenizers": DIGITS_AND_GPT2,
    }


def _cut_pattern(special_tokens: Sequence[str]) -> re.Pattern[str]:
    """Matches at every place that is a border between pre-tokens whatever follows; BPE never merges across those.

    The pre-tokenizer sets digits apart and then matches GPT-2's pattern,

        's|'t|'re|'ve|'m|'ll|'d| ?letters| ?numbers| ?others|whitespace not before text|whitespace

    in which white space stands only at the beginning, and a letter is never followed by another kind of character.
    So a border lies between a character that is no white space and a space or line feed, and between a letter and
    a punctuation mark. Nothing before such a border looks beyond it, and matching starts afresh behind it. The
    classes here are narrow on purpose: characters on whose kind every version of Unicode agrees.

    Special tokens are cut out first, so a border must not lie within one: marks that one contains are left out, and
    with a special token that contains white space there are no borders at all.
    """
    inner = {character for token in special_tokens for character in token[1:]}
    if any(token != token.strip() or any(c.isspace() for c in token) for token in special_tokens):
        return _NOWHERE
    marks = "".join(mark for mark in ".,;:!?)]}，。、；：！？」』）" if mark not in inner)
    letters = "A-Za-z\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5"
    solid = re.escape(string.punctuation) + "0-9" + letters
    return re.compile(rf"(?<=[{solid}])(?=[ \n])|(?<=[{letters}])(?=[{re.escape(marks)}])")


def _compile(template: str) -> "jinja2.Template":
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    # Block handling as chat templates expect it; a prompt is no HTML.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals["raise_exception"] = raise_exception
    try:
        return environment.from_string(template)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"the chat template has an error in line {error.lineno}") from error


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_SIZE:
            raise ModelUnusable(f"{path} has {size} bytes, which no tokenizer has; remove it and pull the model again")
        return path.read_bytes()
    except OSError as error:
        raise ModelUnusable(
            f"cannot read {path} ({error.strerror}); install the model with `peernet model pull`"
        ) from error
