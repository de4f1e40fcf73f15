"""P5: bootstrap nodes get no text, masked or not, and nobody keeps any: no file, no log, no database."""

from pathlib import Path

import pytest
import structlog

from tests.policy.whole_network import detector, running_network
from tests.swarm.scripted_peer import Script

pytestmark = pytest.mark.swarm

QUESTION = "Which quokkasail would suit a boat?"
MARKER = "quokkasail"
"""A word of the prompt; it identifies nobody, and so reaches the host."""
ANSWER = "A small marlinjib would."
ANSWER_MARKER = "marlinjib"


async def test_text_is_at_client_and_host_only_and_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []
    structlog.configure(processors=[_write_down(logged)])
    try:
        await _ask(tmp_path, monkeypatch, logged, capfd)
    finally:
        structlog.reset_defaults()


async def _ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    finder = detector()
    script = Script({MARKER: ANSWER})
    async with running_network(tmp_path, monkeypatch, script) as network, network.client(finder) as client:
        async with client.conversation() as session:
            answered = await session.ask(QUESTION, lambda _: None)
        assert ANSWER_MARKER in answered.text
        # The measure itself can see.
        assert any(MARKER in seen for seen in network.of("host").values())
        for name, seen in (network.of("bootstrap") | network.of("relay")).items():
            assert MARKER not in seen, name
            assert ANSWER_MARKER not in seen, name
    # Written on the way, or on ending.
    files = network.files()
    assert any(name.endswith(".sqlite") for name in files)
    for name, content in files.items():
        assert MARKER.encode() not in content.lower(), name
        assert ANSWER_MARKER.encode() not in content.lower(), name
    printed = capfd.readouterr()
    for said in (*logged, printed.out, printed.err):
        assert MARKER not in said
        assert ANSWER_MARKER not in said


def _write_down(logged: list[str]):
    def write(_logger: object, _method: str, event: dict[str, object]) -> str:
        logged.append(repr(event))
        return repr(event)

    return write
