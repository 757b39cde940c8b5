"""Who is told of what goes on in a room: pages of participants, and broadcasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headwater.meetings.rooms.room import Participant
from headwater.meetings.rooms.source_stream import SourceStream

YOUNG_S = 9.0
"""As `webrtc.silence_timeout_s`: a page younger than this was opened after a connection that is taken for lost now fell
silent. An older one may be as lost."""


@dataclass(eq=False)
class Page:
    """A page that is told what goes on.

    Attributes:
        wake: Called when there is something new to be told.
        opened_s: When it began to listen.
        goodbye: Why it is over; None while it goes on.
    """

    participant: Participant
    wake: Callable[[], None]
    opened_s: float
    goodbye: str | None = None


@dataclass(eq=False)
class Watcher:
    """A broadcast.

    Attributes:
        changed: Called at each change.
        tapped: Called for each source that is published.
    """

    changed: Callable[[], None]
    tapped: Callable[[SourceStream], None]


class Audience:
    """The pages and broadcasts of one room."""

    def __init__(self) -> None:
        self.pages: set[Page] = set()
        self.watchers: list[Watcher] = []

    def changed(self) -> None:
        """Something in the room has changed."""
        for page in self.pages:
            page.wake()
        for watcher in self.watchers:
            watcher.changed()

    def published(self, stream: SourceStream) -> None:
        """A source is there, or there again."""
        for watcher in self.watchers:
            watcher.tapped(stream)

    def dismiss(self, peer_id: str, reason: str) -> None:
        """A stay has ended: its pages say goodbye."""
        for page in self.pages:
            if page.participant.peer_id == peer_id:
                page.goodbye = reason
                page.wake()

    def pages_of(self, participant_id: str) -> int:
        """How many pages a participant has open."""
        return sum(page.participant.id == participant_id for page in self.pages)

    def came_back(self, participant: Participant, now: float) -> bool:
        """Whether a page was opened since a connection fell silent, after a reload or on another network."""
        return any(page.participant is participant and now - page.opened_s < YOUNG_S for page in self.pages)
