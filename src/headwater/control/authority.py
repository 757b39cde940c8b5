"""Who may publish, and what may be played: the control plane's answers to the pipeline.

Both are asked by strangers, so both remember their answers for a moment, also that there is nothing, and forget them
when the API changes something in this process. Answers can be `CACHE_TTL_S` old where another process changed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from headwater.control.cache import TtlCache
from headwater.control.database import Database
from headwater.control.ids import PLAYBACK_ID_LENGTH, STREAM_KEY_LENGTH, same_secret, secret_hash
from headwater.control.repository import livestreams
from headwater.control.repository.livestreams import BAD_KEY, DISABLED, ENDED, KeyOwner
from headwater.control.settings import ControlSettings
from headwater.errors import PublishRefused

CACHE_TTL_S = 1.0
CACHE_LIMIT = 10_000
"""Entries of each cache: more than one server's livestreams, below 5 MB."""

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to publish.

    Attributes:
        playback_id: 32 hex digits.
        name: Empty where the livestream has none.
        record: Whether the session is to be recorded.
    """

    livestream_id: str
    playback_id: str
    name: str
    account_id: str
    app_id: str
    reconnect_window_s: float
    record: bool


class PublishRefusedOf(PublishRefused):
    """A refusal that knows whose livestream it was about, for the event log.

    Attributes:
        livestream_id: None where the key named no livestream.
    """

    def __init__(self, code: str, description: str, livestream_id: str | None) -> None:
        super().__init__(code, description)
        self.livestream_id = livestream_id


class StreamKeys:
    """Stream keys and what they admit to."""

    def __init__(
        self, database: Database, settings: ControlSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._cache: TtlCache[str, KeyOwner | None] = TtlCache(CACHE_TTL_S, CACHE_LIMIT)

    def forget(self) -> None:
        """Something has changed: look again."""
        self._cache.clear()

    async def authorize(self, stream_key: str) -> Grant:
        """Decide whether the holder of a key may publish now.

        Raises:
            PublishRefusedOf: `ERR_BAD_STREAM_KEY`, `ERR_LIVESTREAM_DISABLED` or `ERR_LIVESTREAM_ENDED`.
        """
        owner = await self._owner(stream_key)
        # The lookup went by the hash; what admits is the key itself, compared in constant time.
        if owner is None or not same_secret(owner.stream_key, stream_key):
            raise PublishRefusedOf(*BAD_KEY, None)
        if owner.disabled:
            raise PublishRefusedOf(*DISABLED, owner.id)
        if owner.ended_ms is not None:
            raise PublishRefusedOf(*ENDED, owner.id)
        return Grant(
            livestream_id=owner.id,
            playback_id=owner.playback_id,
            name=owner.name or "",
            account_id=owner.account_id,
            app_id=owner.app_id,
            reconnect_window_s=self._settings.reconnect_window_s,
            record=self._settings.record,
        )

    async def _owner(self, stream_key: str) -> KeyOwner | None:
        if len(stream_key) != STREAM_KEY_LENGTH:
            return None
        key_hash = secret_hash(stream_key)
        known = self._cache.get(key_hash, self._clock())
        if known is not None:
            return known[0]
        async with self._database.read() as conn:
            owner = await livestreams.find_by_key(conn, key_hash)
        self._cache.put(key_hash, owner, self._clock())
        return owner


@dataclass(frozen=True, slots=True)
class Playback:
    """A livestream as its viewers may know it.

    Attributes:
        recording: Path of the newest ended session's recording, below the data folder; None where there is none.
        disabled: Nobody may watch.
    """

    livestream_id: str
    playback_id: str
    name: str
    disabled: bool
    recording: str | None


class Playbacks:
    """Playback ids and what they play."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._cache: TtlCache[str, Playback | None] = TtlCache(CACHE_TTL_S, CACHE_LIMIT)

    def forget(self) -> None:
        """Something has changed: look again."""
        self._cache.clear()

    async def playback(self, playback_id: str) -> Playback | None:
        """The livestream of a playback id, or None."""
        if len(playback_id) != PLAYBACK_ID_LENGTH or not _HEX.issuperset(playback_id):
            return None
        known = self._cache.get(playback_id, self._clock())
        if known is not None:
            return known[0]
        async with self._database.read() as conn:
            row = await livestreams.find_by_playback_id(conn, playback_id)
        playback = None
        if row is not None:
            playback = Playback(row.id, row.playback_id, row.name or "", row.disabled, row.recording)
        self._cache.put(playback_id, playback, self._clock())
        return playback
