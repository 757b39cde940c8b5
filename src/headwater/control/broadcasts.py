"""What the control plane needs of whoever runs the broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headwater.events import LiveSnapshot


class Broadcasts(Protocol):
    """The open sessions of this process."""

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        """The open session of a livestream as it is now, or None."""

    def live_all(self) -> Sequence[LiveSnapshot]:
        """All open sessions."""

    async def stop(self, livestream_id: str, code: str, description: str) -> None:
        """End the open session, if there is one, and tell its publisher why.

        Returns once the session's `SessionClosed` has been emitted; does nothing where no session is open.
        """


class NoBroadcasts:
    """Nothing is ever live: an API without a pipeline."""

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        return None

    def live_all(self) -> Sequence[LiveSnapshot]:
        return ()

    async def stop(self, livestream_id: str, code: str, description: str) -> None:
        return None
