"""The seam between the issuer and the network."""

from __future__ import annotations

from typing import Protocol

from generator.stream import Stream


class Transport(Protocol):
    """Sends streams and tells them what happens. Nothing here waits for an answer.

    ``send`` hands over a new stream and returns at once; ``drop`` closes the stream's connection and says nothing more to
    it; ``sweep`` is called several times a second for idle connections; ``start`` resolves names and may raise TargetError.
    """

    process_stamps: int
    reads: int

    async def start(self) -> None: ...

    def send(self, stream: Stream) -> None: ...

    def drop(self, stream: Stream) -> None: ...

    def sweep(self, now_ns: int) -> None: ...

    def take_read_lags_ns(self) -> list[int]: ...

    async def close(self) -> None: ...
