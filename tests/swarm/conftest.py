"""What modules of swarms ask for."""

from collections.abc import Iterator

import pytest

from tests.swarm.forking import forking


@pytest.fixture(scope="module")
def forked() -> Iterator[None]:
    """All processes that the tests of a module start are forked."""
    with forking():
        yield
