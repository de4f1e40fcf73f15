"""What this node asks hosts to see how fast they serve: ordinary questions about ordinary things, and nobody's data.

A question is put together from parts, so that there are many thousands: a short one from a form and a subject, a long
one from a task and a passage of plain sentences in a drawn order. A host that has read this file can recognise the
parts (docs/operating.md says what follows from that). Answers are bounded, so that a question costs little.
"""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import field, frozen

__all__ = ["MAX_ANSWER_TOKENS", "Chance", "Question", "draw_question"]

MAX_ANSWER_TOKENS: Final = 64
MIN_ANSWER_TOKENS: Final = 40
SENTENCES: Final = (12, 18)
"""How many a long question has: enough for some hundred tokens in any tokenizer."""

T = TypeVar("T")


class Chance(Protocol):
    """What of `random.Random` is used here."""

    def random(self) -> float:
        """A number from 0 up to 1."""
        ...

    def randint(self, a: int, b: int) -> int:
        """A whole number from `a` to `b`, both included."""
        ...

    def choice(self, _: Sequence[T], /) -> T:
        """One of these."""
        ...

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """So many different ones, in a random order."""
        ...


@frozen
class Question:
    """One of them."""

    text: str = field(repr=False)
    max_tokens: int
    """Of the answer."""


SUBJECTS: Final = (
    "baking bread", "a bicycle chain", "beeswax", "boiling eggs", "a brick wall", "candles", "a cast-iron pan",
    "a chess opening", "clay pots", "clouds", "coffee beans", "compost", "copper pipes", "cotton", "dew on grass",
    "dry stone walls", "a fishing net", "fog", "a garden pond", "ginger", "glass", "hail", "a hand saw", "hedges",
    "honey", "icicles", "ink", "a kite", "knots in rope", "leaves in autumn", "lemon peel", "lichen", "a loom",
    "a magnet", "maple syrup", "a map's scale", "mint", "moss", "mushrooms", "oak wood", "oats", "olive oil",
    "paper", "pendulum clocks", "pickled cabbage", "a pulley", "rainbows", "rice", "rust", "sand dunes", "sea salt",
    "a sewing machine", "shadows at noon", "silk", "slate roofs", "snow", "soap", "sourdough", "steam", "a sundial",
    "tea leaves", "thunder", "tides", "a tin whistle", "tomato plants", "a water mill", "wet cement", "whetstones",
    "wild garlic", "a wind turbine", "wool", "a wooden boat", "yeast",
)  # fmt: skip
FORMS: Final = (
    "What should I know about {0}?", "Explain {0} to a child.", "Give me three facts about {0}.",
    "How would you describe {0} to somebody who has never seen it?", "What has {0} to do with {1}?",
    "Write two sentences about {0}.", "Which mistakes do people make with {0}?", "Is there a saying about {0}?",
    "What is a good title for a short text about {0} and {1}?", "Compare {0} and {1} in a few words.",
    "I am preparing a talk about {0}. How could I begin?", "Why do people care about {0}?",
    "Name something that goes well with {0}, and say why.", "What would change without {0}?",
    "Write a riddle whose answer is {0}.", "Which tools does one need for {0}?",
)  # fmt: skip
TASKS: Final = (
    "Sum this up in two sentences.", "What is this text about?", "Put this into simpler words.",
    "Find a title for this.", "What is missing from these notes?", "Which of these points matters most, and why?",
    "Make a short list of the main points.", "Write the next sentence.",
)  # fmt: skip
PASSAGE: Final = (
    "The path along the river is dry again, and most of the puddles have gone.",
    "In the shed there are two ladders, a wheelbarrow without a wheel, and a box of old nails.",
    "Beans want warm soil, so it is better to wait until the nights are milder.",
    "A dough that rests overnight in a cool place tastes better than one that is hurried.",
    "The roof of the barn was mended with slates that were left over from the house.",
    "Rain barrels should be covered, since leaves fall in and the water turns brown.",
    "Whoever sharpens a knife on a wet stone keeps the same angle from one end to the other.",
    "Bees fly when it is warm enough, and stay at home on windy days.",
    "Logs that were split in spring burn well after two summers under a roof.",
    "The old clock runs slow in winter, when the pendulum is shorter than one would think.",
    "Potatoes keep in the dark, and onions in a net where the air moves.",
    "Paint sticks to a wall that is clean and dry, and peels off from any other.",
    "A kite with a longer tail is calmer, but it needs more wind to rise.",
    "The soup is thin at first, and thickens when the barley has swollen.",
    "Nobody remembers who planted the row of lime trees behind the mill.",
    "Snow lies longer on the north side of the hill, where the sun comes late.",
    "To make ink from oak galls one needs iron, gum, and some patience.",
    "Apples from the upper branches are sweeter, and harder to reach.",
    "A chain that was oiled too much collects sand, and wears out sooner.",
    "The tide comes in over the flat sand faster than a person walks.",
    "Wool shrinks when it is washed hot, and stretches when it hangs wet.",
    "The market is on the square, unless it rains, and then it is in the hall.",
    "A pot that dries too quickly cracks, so all of them stand under a cloth for a week.",
    "When the kettle sings, the water is not boiling yet.",
    "A boat that leaks a little swells after a day in the water, and is tight again.",
    "The hedge has to be cut before birds begin to build their nests.",
    "Bread that is a day old makes better toast than a fresh loaf.",
    "The stones of the wall are laid without mortar, the large ones at the bottom.",
    "Moss grows where the bark is always damp, and lichen where it is not.",
    "Two people carry the table more easily than one drags it.",
)


def draw_question(chance: Chance) -> Question:
    """One of them, short or long with the same chance."""
    tokens = chance.randint(MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS)
    if chance.random() < 0.5:
        first, second = chance.sample(SUBJECTS, 2)
        return Question(chance.choice(FORMS).format(first, second), tokens)
    sentences = chance.sample(PASSAGE, chance.randint(*SENTENCES))
    task = chance.choice(TASKS)
    passage = " ".join(sentences)
    return Question(f"{task}\n\n{passage}" if chance.random() < 0.5 else f"{passage}\n\n{task}", tokens)
