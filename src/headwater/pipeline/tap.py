"""A second way for a session's media: access units as they come, beside the packager, while somebody wants them."""

from __future__ import annotations

from typing import Protocol

from headwater.media.access_unit import AccessUnit
from headwater.media.track import Track


class Tap(Protocol):
    """Who wants them. Called in the event loop, for each access unit: be quick, never block, never raise."""

    def configure(self, track: Track) -> None:
        """A track, or its new configuration. Those that there are already come first."""

    def push(self, unit: AccessUnit) -> None:
        """One access unit of a configured track."""

    def discontinuity(self) -> None:
        """The publisher is gone, or another has come: times begin anew with the next access unit."""

    def end(self, reason: str) -> None:
        """The session has ended; nothing else comes."""
