"""What the control plane needs of whoever has the recordings' files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headwater.control.repository.recordings import RecordingRow


class Named(Protocol):
    """A recording as its files are found."""

    @property
    def path(self) -> str | None:
        """Below the data folder."""

    @property
    def session_id(self) -> str: ...


class Files(Protocol):
    """The files of this server's recordings."""

    async def size(self, recording: Named) -> int:
        """Bytes of a recording's file; 0 where there is none."""

    async def remove(self, recordings: Sequence[Named]) -> None:
        """Delete the files of recordings whose rows say that they are gone.

        Whoever reads one at that moment reads it to its end. What cannot be deleted is logged.
        """

    async def clip(self, clip: RecordingRow, source: RecordingRow) -> None:
        """Have a clip made of a recording that is there; what comes of it is told as of every recording.

        Raises:
            LimitReached: too many wait.
        """


class NoFiles:
    """Nothing is kept: an API without a pipeline."""

    async def size(self, recording: Named) -> int:
        return 0

    async def remove(self, recordings: Sequence[Named]) -> None:
        return None

    async def clip(self, clip: RecordingRow, source: RecordingRow) -> None:
        return None
