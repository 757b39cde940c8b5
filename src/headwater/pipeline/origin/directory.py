"""What the origin needs from the rest: which playback ids exist."""

from __future__ import annotations

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
