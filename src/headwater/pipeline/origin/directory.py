"""What the origin needs from the rest: which playback ids exist."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PlaybackInfo:
    """A livestream as its viewers may know it.

    Attributes:
        recording: Path of the newest ended session's recording, below the data folder; None where there is none.
        disabled: Nobody may watch: 404 for viewers.
    """

    livestream_id: str
    playback_id: str
    name: str
    disabled: bool
    recording: str | None


class Directory(Protocol):
    """Looks playback ids and recordings up; answers are allowed to be a second old."""

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        """The livestream of a playback id, or None."""

    async def recording(self, playback_id: str, session: str) -> str | None:
        """The recording of one of its ended sessions, by the session's name in URLs: its path below the data folder."""


async def watchable(directory: Directory, playback_id: str) -> PlaybackInfo | None:
    """The livestream of a playback id, unless nobody may watch it.

    A viewer that goes cancels its request, not the lookup: the database would drop its connection for it.
    """
    info = await asyncio.shield(directory.playback(playback_id))
    return None if info is None or info.disabled else info


async def recording_of(directory: Directory, playback_id: str, session: str) -> str | None:
    """The recording of an ended session that may be watched."""
    if await watchable(directory, playback_id) is None:
        return None
    return await asyncio.shield(directory.recording(playback_id, session))
