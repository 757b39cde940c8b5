"""What was answered: plain integers, added to where an answer is written, read by whoever asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any


class Tally:
    """Answers so far. Whoever writes one adds to both in line: a call would cost more than the sums.

    Attributes:
        classes: How many, by the first digit of the status; 0 is never used.
        body_bytes: Bytes of their bodies; an answer to HEAD has none.
    """

    __slots__ = ("body_bytes", "classes")

    def __init__(self) -> None:
        self.classes = [0] * 10
        self.body_bytes = 0


class Tallied:
    """An ASGI application whose answers are counted."""

    def __init__(self, app: Callable[..., Awaitable[None]], tally: Tally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        tally = self._tally

        async def counted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                tally.classes[message["status"] // 100] += 1
            elif message["type"] == "http.response.body":
                tally.body_bytes += len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, counted)
