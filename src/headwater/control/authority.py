"""Who may publish, and what may be played: the control plane's answers to the pipeline.

Both are asked by strangers, so both look up in batches and remember for a moment (`lookup.py`), also that there is
nothing, and forget when the API changes something in this process. Answers can be `lookup.TTL_S` old where another
process changed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headwater.control.database import Database
from headwater.control.ids import PLAYBACK_ID_LENGTH, STREAM_KEY_LENGTH, same_secret, secret_hash
from headwater.control.lookup import Lookup
from headwater.control.repository import livestreams
from headwater.control.repository.livestreams import BAD_KEY, DISABLED, ENDED, NO_KEY, KeyOwner
from headwater.control.settings import ControlSettings
from headwater.control.urls import SESSION_DIGITS
from headwater.errors import PublishRefused

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
        self._lookup: Lookup[KeyOwner] = Lookup(self._load, clock=clock)

    def forget(self) -> None:
        """Something has changed: look again."""
        self._lookup.forget()

    async def authorize(self, stream_key: str) -> Grant:
        """Decide whether the holder of a key may publish now.

        Raises:
            PublishRefusedOf: `ERR_BAD_STREAM_KEY`, `ERR_LIVESTREAM_DISABLED` or `ERR_LIVESTREAM_ENDED`.
        """
        if not stream_key:
            raise PublishRefusedOf(*NO_KEY, None)
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
            record=self._settings.record if owner.record is None else owner.record,
        )

    async def _owner(self, stream_key: str) -> KeyOwner | None:
        if len(stream_key) != STREAM_KEY_LENGTH:
            return None
        return await self._lookup.get(secret_hash(stream_key))

    async def _load(self, key_hashes: Sequence[str]) -> Mapping[str, KeyOwner]:
        async with self._database.read() as conn:
            return await livestreams.find_by_keys(conn, key_hashes)


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
        self._lookup: Lookup[Playback] = Lookup(self._load, clock=clock)
        self._recordings: Lookup[str] = Lookup(self._load_recordings, clock=clock)

    def forget(self) -> None:
        """Something has changed: look again."""
        self._lookup.forget()
        self._recordings.forget()

    async def playback(self, playback_id: str) -> Playback | None:
        """The livestream of a playback id, or None."""
        if len(playback_id) != PLAYBACK_ID_LENGTH or not _HEX.issuperset(playback_id):
            return None
        return await self._lookup.get(playback_id)

    async def _load(self, playback_ids: Sequence[str]) -> Mapping[str, Playback]:
        async with self._database.read() as conn:
            rows = await livestreams.find_by_playback_ids(conn, playback_ids)
        return {
            playback_id: Playback(row.id, row.playback_id, row.name or "", row.disabled, row.recording)
            for playback_id, row in rows.items()
        }

    async def recording(self, playback_id: str, session: str) -> str | None:
        """The recording of an ended session, by the first 12 hex digits of its id: its path below the data folder."""
        if len(playback_id) != PLAYBACK_ID_LENGTH or len(session) != SESSION_DIGITS:
            return None
        if not _HEX.issuperset(playback_id) or not _HEX.issuperset(session):
            return None
        return await self._recordings.get(playback_id + session)

    async def _load_recordings(self, keys: Sequence[str]) -> Mapping[str, str]:
        names = [(key[:PLAYBACK_ID_LENGTH], f"{key[-SESSION_DIGITS:-4]}-{key[-4:]}") for key in keys]
        async with self._database.read() as conn:
            found = await livestreams.find_recordings(conn, names)
        return {playback_id + session.replace("-", ""): path for (playback_id, session), path in found.items()}
