"""Questions that may take long: to a database that hangs, a disk behind a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Probe(Generic[T]):
    """One question, asked once at a time, each answer waited for within a bound.

    Who asks while an answer is still awaited waits for that one: a question that hangs does not pile up.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], bound_s: float) -> None:
        self._ask = ask
        self._bound_s = bound_s
        self._task: asyncio.Task[T] | None = None

    async def answer(self) -> T:
        """Ask.

        Raises:
            TimeoutError: with a sentence; the question goes on.
            Exception: what the question raises.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        done, _ = await asyncio.wait({self._task}, timeout=self._bound_s)
        if not done:
            raise TimeoutError(f"no answer within {self._bound_s:g} s")
        return self._task.result()

    async def _run(self) -> T:
        return await self._ask()

    def cancel(self) -> None:
        """Nobody asks any more."""
        if self._task is not None:
            self._task.cancel()
