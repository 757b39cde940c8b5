"""Answers to strangers: looked up together, one question to the database at a time, and remembered for a moment.

    get(key) ─► remembered? ─► waiting ──┐ all that wait, as one batch
                                         └─► load(keys) ─► remembered: what is there, and what is not, apart

However many keys a stranger makes up, they cost one connection and some milliseconds a batch; those that are known are
remembered where made-up ones cannot push them out, and wait for a batch or two where they have to be looked up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from headwater.control.cache import TtlCache

V = TypeVar("V")

TTL_S = 1.0
REMEMBERED_LIMIT = 10_000
"""Entries of what is there, and of what is not: more than one server's livestreams, below 5 MB."""

BATCH_SIZES = (1, 16, 256)
"""Keys of one question, filled up with the last one: few statements, which drivers keep prepared."""


class Lookup(Generic[V]):
    """Finds values by key.

    Args:
        load: Asks the database for some keys (at least one, some perhaps twice); what is missing in its answer is not
            there.
    """

    def __init__(
        self,
        load: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._clock = clock
        self._there: TtlCache[str, V] = TtlCache(TTL_S, REMEMBERED_LIMIT)
        self._missing: TtlCache[str, None] = TtlCache(TTL_S, REMEMBERED_LIMIT)
        self._waiting: dict[str, asyncio.Future[V | None]] = {}
        self._loading: asyncio.Task[None] | None = None
        self._changes = 0

    def forget(self) -> None:
        """Something has changed: look again. What is being looked up now is not remembered."""
        self._changes += 1
        self._there.clear()
        self._missing.clear()

    async def get(self, key: str) -> V | None:
        """The value of a key, at most `TTL_S` old; None where there is none.

        Raises:
            What `load` raises.
        """
        now_s = self._clock()
        found = self._there.get(key, now_s)
        if found is not None:
            return found[0]
        if self._missing.get(key, now_s) is not None:
            return None
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._loading is None:
                self._loading = asyncio.create_task(self._load_all(), name="lookup")
        return await asyncio.shield(answer)  # one who goes away does not take it from the others

    async def _load_all(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[: BATCH_SIZES[-1]]
                await self._answer({key: self._waiting.pop(key) for key in keys})
        finally:
            self._loading = None

    async def _answer(self, batch: Mapping[str, asyncio.Future[V | None]]) -> None:
        """Answer all of a batch, whatever happens."""
        changes = self._changes
        try:
            found = await self._load(_filled(list(batch)))
        except Exception as error:
            for answer in batch.values():
                answer.set_exception(error)
                answer.exception()  # whoever asked may have gone: nobody else is to hear of it
            return
        except BaseException:
            for answer in batch.values():
                answer.cancel()
            raise
        now_s = self._clock()
        for key, answer in batch.items():
            value = found.get(key)
            if changes == self._changes:
                self._remember(key, value, now_s)
            answer.set_result(value)

    def _remember(self, key: str, value: V | None, now_s: float) -> None:
        if value is None:
            self._missing.put(key, None, now_s)
        else:
            self._there.put(key, value, now_s)


def _filled(keys: list[str]) -> list[str]:
    size = next(size for size in BATCH_SIZES if size >= len(keys))
    return keys + keys[-1:] * (size - len(keys))
