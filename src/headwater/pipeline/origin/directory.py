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
    """Looks playback ids up; answers are allowed to be a second old."""

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        """The livestream of a playback id, or None."""


async def watchable(directory: Directory, playback_id: str) -> PlaybackInfo | None:
    """The livestream of a playback id, unless nobody may watch it.

    A viewer that goes cancels its request, not the lookup: the database would drop its connection for it.
    """
    info = await asyncio.shield(directory.playback(playback_id))
    return None if info is None or info.disabled else info
