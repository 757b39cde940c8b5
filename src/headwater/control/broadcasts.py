"""What the control plane needs of whoever runs the broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from headwater.analytics.viewing import Facts
from headwater.events import LiveSnapshot

Action = Literal["stop", "pause", "resume"]


class Broadcasts(Protocol):
    """The open sessions of this process."""

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        """The open session of a livestream as it is now, or None."""

    def live_all(self) -> Sequence[LiveSnapshot]:
        """All open sessions."""

    def viewings(self, livestream_id: str, limit: int) -> Sequence[Facts]:
        """How the viewing sessions that report now fare, those first that stood still longest; without names."""

    async def stop(self, livestream_id: str, code: str, description: str, *, error: str | None = None) -> None:
        """End the open session, if there is one, and tell its publisher why.

        Returns once the session's `SessionClosed` has been emitted; does nothing where no session is open.

        Args:
            error: `CODE: sentence` where the broadcast has failed.
        """

    def start_recording(self, livestream_id: str, recording_id: str, max_seconds: int | None) -> bool:
        """Record the open session from now on, and say so (`RecordingChanged`).

        Returns:
            False where no session is open, or nothing can be recorded.

        Raises:
            LimitReached: the session has too many recordings.
        """

    def steer_recording(self, livestream_id: str, recording_id: str, action: Action) -> bool:
        """Pause, resume or stop a recording of the open session; what it is already stays so.

        Returns:
            False where no such recording is running.
        """


class NoBroadcasts:
    """Nothing is ever live: an API without a pipeline."""

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        return None

    def live_all(self) -> Sequence[LiveSnapshot]:
        return ()

    def viewings(self, livestream_id: str, limit: int) -> Sequence[Facts]:
        return ()

    async def stop(self, livestream_id: str, code: str, description: str, *, error: str | None = None) -> None:
        return None

    def start_recording(self, livestream_id: str, recording_id: str, max_seconds: int | None) -> bool:
        return False

    def steer_recording(self, livestream_id: str, recording_id: str, action: Action) -> bool:
        return False
