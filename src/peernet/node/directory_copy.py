"""A copy of the directory: fetched from whoever has it, kept if it verifies, and opened.

Clients and serving peers both have one. What is kept is the newest that a quorum of the configured bootstrap nodes has
signed, whoever handed it over. The seal is checked before the body is taken, and the rest in a thread, since a large
directory has thousands of signatures.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import trio

from peernet.core.directory import (
    MAX_AGE_S,
    MAX_KEPT_AGE_S,
    Directory,
    SignedDirectory,
    check_age,
    check_seal,
    open_directory,
)
from peernet.core.directory_transfer import (
    DIRECTORY_PROTOCOL,
    DirectoryAnswer,
    DirectoryHead,
    DirectoryHistory,
    DirectoryMessages,
    DirectoryPart,
    GetDirectory,
    IncomingDirectory,
    NothingNewer,
    Wanted,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm

__all__ = ["DirectoryCopy", "receive_directory", "send_directory"]

FETCH_TIMEOUT_S: Final = 60.0
MESSAGE_TIMEOUT_S: Final = 5.0
"""How long the next message of a directory may take."""


class DirectoryCopy:
    """What one node has of the directory.

    Args:
        trusted: the keys of the configured bootstrap nodes, a quorum of which must sign.
        suite: the primitives.
        now_s: the wall clock, seconds since the epoch.
    """

    def __init__(self, trusted: Collection[bytes], suite: CipherSuite, now_s: Callable[[], int]) -> None:
        self.trusted = frozenset(trusted)
        self._suite = suite
        self._now_s = now_s
        self.history = DirectoryHistory()
        self.directory = Directory(0, ())
        self._changed = trio.Event()

    @property
    def newest(self) -> SignedDirectory | None:
        """What is kept; None before there is any."""
        return self.history.newest

    @property
    def age_s(self) -> int:
        """How long ago it was signed; since 1970, where there is none."""
        return self._now_s() - self.directory.issued_at_s

    async def wait_changed(self) -> None:
        """Waits for a newer one."""
        await self._changed.wait()

    async def adopt(self, signed: SignedDirectory, *, max_age_s: int = MAX_AGE_S) -> bool:
        """Keeps a directory if it is newer; raises `RemoteProtocolError` if it is not to be trusted."""
        opening = partial(
            open_directory,
            signed,
            self.trusted,
            self._now_s(),
            self._suite,
            max_age_s=max_age_s,
            known=self.directory.bodies,
        )
        opened = await trio.to_thread.run_sync(opening)
        if self.newest is not None and opened.issued_at_s <= self.directory.issued_at_s:
            return False
        self.history.add(signed)
        self.directory = opened
        self._changed.set()
        self._changed = trio.Event()
        return True

    async def restore(self, signed: SignedDirectory) -> bool:
        """Keeps one that was kept before: it may be older than what others are believed."""
        return await self.adopt(signed, max_age_s=MAX_KEPT_AGE_S)

    async def fetch(self, swarm: Swarm, peer: PeerId, addresses: Sequence[Address]) -> bool:
        """Asks a peer for a newer one; whether it had one, which is kept now.

        Raises `ConnectionFailed` when the peer gives no answer, `RemoteProtocolError` for one that is not in order.
        """
        try:
            with trio.fail_after(FETCH_TIMEOUT_S):
                signed = await self._fetch(swarm, peer, addresses)
                return signed is not None and await self.adopt(signed)
        except trio.TooSlowError as error:
            raise ConnectionFailed(f"{peer} is too slow with its directory") from error

    async def _fetch(self, swarm: Swarm, peer: PeerId, addresses: Sequence[Address]) -> SignedDirectory | None:
        with trio.fail_after(MESSAGE_TIMEOUT_S):
            stream = await swarm.open_stream(peer, addresses, DIRECTORY_PROTOCOL, optimistic=True)
        async with stream:
            messages = MessageStream(stream, DirectoryMessages)
            request = self.history.request
            await messages.send(request)
            await stream.close_sending()
            with trio.fail_after(MESSAGE_TIMEOUT_S):
                head = await messages.receive()
            if isinstance(head, NothingNewer):
                return None
            if not isinstance(head, DirectoryHead):
                raise RemoteProtocolError("a directory was due", reason="bad_message")
            check_seal(head.seal, self.trusted, self._suite)
            check_age(head.seal.issued_at_s, self._now_s())
            return await receive_directory(messages, head, self.history, request)


async def receive_directory(
    messages: MessageStream, head: DirectoryHead, history: DirectoryHistory, request: GetDirectory
) -> SignedDirectory:
    """The directory behind a head that answered `request`; raises `RemoteProtocolError` or `trio.TooSlowError`."""
    incoming = IncomingDirectory(head, history.base(request.digest), request.digest)
    while not incoming.complete:
        with trio.fail_after(MESSAGE_TIMEOUT_S):
            part = await messages.receive()
        if part is None:
            raise ConnectionFailed("the stream ended within a directory")
        if not isinstance(part, DirectoryPart):
            raise RemoteProtocolError("the next part of a directory was due", reason="bad_message")
        incoming.take(part)
    return await trio.to_thread.run_sync(incoming.finish)


async def send_directory(messages: MessageStream, wanted: Wanted, history: DirectoryHistory | None = None) -> None:
    """Sends what was wanted, made now unless `history` has kept it."""
    answer: DirectoryAnswer | None = None if history is None else history.kept(wanted)
    if answer is None:
        answer = await trio.to_thread.run_sync(wanted.answer)
        if history is not None:
            history.keep(wanted, answer)
    await messages.send(answer.head)
    for part in answer.parts():
        await messages.send(part)
