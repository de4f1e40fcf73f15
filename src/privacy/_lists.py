"""The word lists that come with the package (`data/*.txt`): lines, of which those with `#` are comments."""

from importlib import resources

__all__ = ["lines_of", "words_of"]


def lines_of(name: str) -> list[str]:
    """The lines of the list `name` that are no comments and not empty."""
    text = resources.files("privacy").joinpath("data", f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def words_of(name: str) -> list[str]:
    """The words of a list that has several a line."""
    return [word for line in lines_of(name) for word in line.split()]
