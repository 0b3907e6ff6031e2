"""A slow link on loopback: forwards TCP to a port with a delay and a rate that all connections share.

    python benchmarks/link.py PORT TARGET_PORT --milliseconds 50 --megabits 200

The delay is that of a round trip, half of it each way; a new connection costs one more, as its handshake would.
The rate limits what comes back. Slow start and loss are not emulated: every connection is as fast as the link at
once.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

__all__ = ["Link"]

PIECE = 1 << 16
AHEAD = 4 << 20
"""Bytes that may be on their way in one direction of one connection."""


class Link:
    """The line's state: until when it is busy with what was sent already."""

    def __init__(self, seconds: float, bytes_per_second: float) -> None:
        self._delay = seconds / 2
        self._rate = bytes_per_second
        self._busy_until = 0.0

    async def serve(self, port: int, target: int) -> None:
        """Forward connections until cancelled."""
        server = await asyncio.start_server(
            lambda reader, writer: self._forward(reader, writer, target), "127.0.0.1", port, limit=PIECE
        )
        async with server:
            await server.serve_forever()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        await asyncio.sleep(2 * self._delay)  # the handshake
        there, back = await asyncio.open_connection("127.0.0.1", target, limit=PIECE)
        try:
            await asyncio.gather(
                self._carry(reader, back, lambda size: 0.0), self._carry(there, writer, self._reserve)
            )
        except (ConnectionError, OSError):
            pass
        finally:
            for end in (writer, back):
                end.close()

    def _reserve(self, size: int) -> float:
        """Take the line for some bytes; give how long until the last of them has left."""
        now = asyncio.get_running_loop().time()
        self._busy_until = max(now, self._busy_until) + size / self._rate
        return self._busy_until - now

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, reserve: Callable[[int], float]
    ) -> None:
        """Carry one direction: every piece arrives when the line has sent it, and the delay later."""
        clock = asyncio.get_running_loop().time
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD // PIECE)

        async def deliver() -> None:
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(due - clock())
                if not piece:
                    if sink.can_write_eof():
                        sink.write_eof()
                    return
                sink.write(piece)
                await sink.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while True:
                piece = await source.read(PIECE)
                await under_way.put((clock() + reserve(len(piece)) + self._delay, piece))
                if not piece:
                    break
            await delivering
        finally:
            delivering.cancel()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--megabits", type=float, default=200)
    options = parser.parse_args()
    link = Link(options.milliseconds / 1000, options.megabits * 1e6 / 8)
    asyncio.run(link.serve(options.port, options.target))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
