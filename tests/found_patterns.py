"""What the default recognisers find in a text, for tests: the stretches with one label, each once, in order."""

from privacy.mention import LABELS
from privacy.patterns import default_recognisers, find_patterns

RECOGNISERS = default_recognisers()


def found(text: str, label: str) -> list[str]:
    """The stretches of `text` that are found as `label`."""
    mentions = find_patterns(text, RECOGNISERS)
    assert all(mention.label in LABELS and mention.source.startswith("pattern:") for mention in mentions)
    spans = dict.fromkeys((mention.start, mention.end) for mention in mentions if mention.label == label)
    return [text[start:end] for start, end in spans]
