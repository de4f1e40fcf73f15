"""Earlier turns, slot by slot: what each host was sent and wrote, and nothing that another one was (rule 6).

Rules: in memory only; texts stand as the host knows them, with its own placeholders; no `repr` shows them.
"""

from privacy.planning._model import ChatMessage


class History:
    """What each slot's host was sent and wrote in earlier turns, masked as it knows it. Its `repr` shows no text."""

    def __init__(self) -> None:
        self._transcripts: dict[int, list[ChatMessage]] = {}

    def __repr__(self) -> str:
        return "<History>"

    def record(self, slot: int, sent: str, answer: str) -> None:
        """One exchange with the host in `slot`, both texts with its own placeholders in them."""
        self._transcripts.setdefault(slot, []).extend((ChatMessage("user", sent), ChatMessage("assistant", answer)))

    def transcript(self, slot: int) -> tuple[ChatMessage, ...]:
        """What goes before the next fragment to `slot`: nothing that its host has not seen or written."""
        return tuple(self._transcripts.get(slot, ()))

    def slots(self) -> tuple[int, ...]:
        """Those with a transcript, ascending."""
        return tuple(sorted(self._transcripts))

    def wipe(self) -> None:
        """Forgets everything."""
        self._transcripts.clear()
