"""The names of the package `privacy`, which are loaded when first used."""

import random
import subprocess
import sys

import pytest

import privacy


@pytest.mark.parametrize("name", privacy.__all__)
def test_every_name_is_there(name: str):
    assert getattr(privacy, name).__name__ == name


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="Nothing"):
        _ = privacy.Nothing


def test_importing_it_imports_nothing_heavy():
    code = "import sys, privacy; print([name for name in ('spacy', 'numpy', 'phonenumbers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_of_the_package():
    detector = privacy.Detector.load()
    conversation = privacy.Conversation(random.SystemRandom())
    text = "Ask Maria Kowalska."
    masked = conversation.view("host").mask(text, detector.detect(text))
    assert "Kowalska" not in masked.text
    restorer = privacy.Restorer(conversation.view("host").mapping())
    assert restorer.feed(masked.text) + restorer.finish() == text
