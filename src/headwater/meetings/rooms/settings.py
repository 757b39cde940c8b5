"""What the operator can set of rooms: limits on what participants can hold and send, and the waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """Limits and waits of meetings' rooms.

    Attributes:
        max_rooms: Open at one time.
        max_participants: In one room; each who publishes costs every other one a stream.
        max_joins_per_minute: Of one participant; each is kept, and told. A reload within `return_s` is none.
        max_subscriptions: Streams that one participant receives at one time: each other's camera and screen.
        max_event_streams: Pages that one participant has open on a room.
        return_s: Whose page and streams are gone without a word may come back within this; then they have left.
        publication_s: So long receivers keep their place when a publisher's stream ends, for its next one.
        camera_bps: Bits a second asked of a camera, unless a receiver can take less.
        screen_bps: The same of a shared screen, where text has to stay legible.
        least_bps: No receiver slows a publisher down below this: it would spoil the picture for all others.
    """

    max_rooms: int = 500
    max_participants: int = 50
    max_joins_per_minute: int = 20
    max_subscriptions: int = 100
    max_event_streams: int = 4
    return_s: float = 5.0
    publication_s: float = 10.0
    camera_bps: int = 1_800_000
    screen_bps: int = 3_000_000
    least_bps: int = 250_000

    def most_bps(self, source: str) -> int:
        """Bits a second that are asked of a source."""
        return self.screen_bps if source == "screen" else self.camera_bps
