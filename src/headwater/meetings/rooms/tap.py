"""A meeting as a broadcast hears and sees it: what `headwater.meetings.tap.Tap` promises is kept by these.

A broadcast may begin before anybody is there and outlive a session: it follows the meeting from one room to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from headwater.meetings.rooms.open_room import OpenRoom
from headwater.meetings.rooms.source_stream import SourceStream, Tapping
from headwater.meetings.rooms.state import snapshot
from headwater.meetings.tap import RoomSnapshot, TapListener
from headwater.webrtc.media import Codec, Kind


class Follower:
    """A listener on its way through the sessions of one meeting."""

    def __init__(self, listener: TapListener) -> None:
        self._listener = listener
        self._tapped: dict[SourceStream, Tapping] = {}
        self._end: Callable[[], None] | None = None
        self._title = ""

    def enter(self, room: OpenRoom | None) -> None:
        """Listen to this room from now on; None: to silence, before an empty room."""
        self.leave()
        if room is None:
            self._listener.state(RoomSnapshot(self._title))
            return
        self._end = room.watch(partial(self._changed, room), self._tap)
        self._changed(room)

    def leave(self) -> None:
        """Hear nothing any more."""
        if self._end is not None:
            self._end()
            self._end = None
        for stream, tapping in self._tapped.items():
            stream.tap(tuple(each for each in stream.tapping if each is not tapping))
        self._tapped.clear()

    def _tap(self, stream: SourceStream) -> None:
        if stream not in self._tapped:
            self._tapped[stream] = _tapping(stream, self._listener)
            stream.tap((*stream.tapping, self._tapped[stream]))
        stream.keyframe()

    def _changed(self, room: OpenRoom) -> None:
        here = set(room.streams())
        for stream in [each for each in self._tapped if each not in here]:
            del self._tapped[stream]
        seen = snapshot(room.room)
        self._title = seen.title or self._title
        self._listener.state(replace(seen, title=self._title))


def _tapping(stream: SourceStream, listener: TapListener) -> Tapping:
    participant_id, source = stream.participant.id, stream.source

    def rtp(kind: Kind, codec: Codec, packet: bytes) -> None:
        listener.rtp(participant_id, source, kind, codec, packet)

    return Tapping(rtp, partial(listener.rtcp, participant_id, source))
