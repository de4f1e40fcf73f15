"""spaCy is imported without its command line, and is whole for everybody else; each in a process of its own."""

import subprocess
import sys
import textwrap


def _run(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_command_line_is_left_out_and_can_be_had_later():
    said = _run(
        """
        import sys
        from privacy._lean_spacy import import_spacy
        spacy = import_spacy()
        left_out = "spacy.cli" not in sys.modules and "typer" not in sys.modules
        version = spacy.info(silent=True)["spacy_version"]
        import spacy.cli
        print(left_out, version == spacy.__version__, callable(spacy.cli.app), spacy.blank("en")("a b")[1])
        """
    )
    assert said == "True True True b"


def test_a_command_line_that_is_there_already_stays():
    said = _run(
        """
        import sys
        import spacy.cli
        before = sys.modules["spacy.cli"]
        from privacy._lean_spacy import import_spacy
        print(import_spacy().cli is before, sys.modules["spacy.cli"] is before)
        """
    )
    assert said == "True True"


def test_a_spacy_that_wants_more_of_it_gets_it():
    said = _run(
        """
        import importlib.abc, sys
        class Wanting(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                # As if spaCy itself did "from spacy.cli.info import get_markdown" on its way.
                if name == "spacy.glossary" and not hasattr(sys.modules["spacy.cli.info"], "get_markdown"):
                    raise ImportError("cannot import name 'get_markdown'")
                return None
        sys.meta_path.insert(0, Wanting())
        from privacy._lean_spacy import import_spacy
        import_spacy()
        print(hasattr(sys.modules["spacy.cli"], "app"))
        """
    )
    assert said == "True"
