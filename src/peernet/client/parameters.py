"""How an answer is sampled: what the caller asks for, and what each host is told of it.

Rules:

1. A host is told what it needs to sample its own fragment, and nothing that it has in common with another host's by
   design: a seed is derived anew for each fragment, since the same odd number at two hosts would tie them together
   (promise P4). Derived from the seed and the whole original text, it is the same whenever the same request is made.
2. Stop texts are the user's words: they are searched for identifiers and masked for each host like a prompt.
3. `max_tokens` bounds the whole answer, so its fragments share it evenly; each has one at least.
"""

import hashlib
from typing import Final, Self

from attrs import field, frozen

from inference.engine import MAX_SEED, Parameters
from peernet.core.errors import UserError

__all__ = ["MAX_STOP_CHARS", "Sampling"]

MAX_STOP_CHARS: Final = 128
"""Half of what a host takes: masking may make a stop text longer."""


@frozen
class Sampling:
    """What the caller asks for; None is as the client is configured. Raises `UserError` for what cannot be."""

    max_tokens: int | None = None
    """Of the whole answer, at least 1. None: the configured `max_answer_tokens` for each fragment."""
    temperature_thousandths: int | None = None
    """0 (always the likeliest token) to 2000."""
    top_p_thousandths: int = 1000
    """1 to 1000 (no cut)."""
    seed: int | None = None
    """Any whole number of 64 bits."""
    stop: tuple[str, ...] = field(default=(), repr=False)
    """Each fragment's answer ends before the first of these."""

    def __attrs_post_init__(self) -> None:
        if self.seed is not None and not -(1 << 63) <= self.seed < 1 << 63:
            raise UserError(f"a seed is a whole number of 64 bits, not {self.seed}")
        if any(len(text) > MAX_STOP_CHARS for text in self.stop):
            raise UserError(f"a stop text has at most {MAX_STOP_CHARS} characters")
        try:
            Parameters(
                max_tokens=1 if self.max_tokens is None else self.max_tokens,
                temperature_thousandths=self.temperature_thousandths or 0,
                top_p_thousandths=self.top_p_thousandths,
                stop=self.stop,
            )
        except ValueError as error:
            raise UserError(f"an answer cannot be sampled so: {error}") from None

    @classmethod
    def of(
        cls,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | tuple[str, ...] | list[str] | None = None,
    ) -> Self:
        """In the units that people use: `temperature` 0 to 2, `top_p` 0 to 1, both rounded to thousandths.

        A `top_p` of 0 leaves the likeliest token, and so does one thousandth.
        """
        if temperature is not None and not 0 <= temperature <= 2:
            raise UserError(f"temperature is 0 to 2, not {temperature:g}")
        if top_p is not None and not 0 <= top_p <= 1:
            raise UserError(f"top_p is 0 to 1, not {top_p:g}")
        stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
        return cls(
            max_tokens=max_tokens,
            temperature_thousandths=None if temperature is None else round(temperature * 1000),
            top_p_thousandths=1000 if top_p is None else max(1, round(top_p * 1000)),
            seed=seed,
            stop=stops,
        )

    def for_fragment(
        self,
        ordinal: int,
        fragments: int,
        text: str,
        stop: tuple[str, ...],
        *,
        max_answer_tokens: int,
        temperature_thousandths: int,
    ) -> Parameters:
        """What the host of fragment `ordinal`, one of `fragments`, is told.

        `text` is the original request, `stop` the stop texts as masked for this host; the last two are what the
        client is configured for.
        """
        return Parameters(
            max_tokens=max_answer_tokens if self.max_tokens is None else max(1, self.max_tokens // fragments),
            temperature_thousandths=(
                temperature_thousandths if self.temperature_thousandths is None else self.temperature_thousandths
            ),
            top_p_thousandths=self.top_p_thousandths,
            seed=None if self.seed is None else _fragment_seed(self.seed, ordinal, text),
            stop=stop,
        )


def _fragment_seed(seed: int, ordinal: int, text: str) -> int:
    digest = hashlib.sha256(f"peernet seed {seed} {ordinal} ".encode() + text.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (MAX_SEED + 1)
