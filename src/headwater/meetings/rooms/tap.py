"""A room as a broadcast hears and sees it; what `headwater.meetings.tap.Tap` promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from headwater.meetings.rooms.open_room import OpenRoom
from headwater.meetings.rooms.source_stream import SourceStream, Tapping
from headwater.meetings.rooms.state import snapshot
from headwater.meetings.tap import SourceName, TapListener
from headwater.webrtc.media import Codec, Kind


class RoomTap:
    """The tap of one open room; it stays silent once the session has ended."""

    def __init__(self, room: OpenRoom) -> None:
        self._room = room

    def subscribe(self, listener: TapListener) -> Callable[[], None]:
        tapped: dict[SourceStream, Tapping] = {}

        def tap(stream: SourceStream) -> None:
            if stream not in tapped:
                tapped[stream] = _tapping(stream, listener)
                stream.tap((*stream.tapping, tapped[stream]))
            stream.keyframe()

        def end() -> None:
            end_watch()
            for stream, tapping in tapped.items():
                stream.tap(tuple(each for each in stream.tapping if each is not tapping))
            tapped.clear()

        def changed() -> None:
            here = set(self._room.streams())
            for stream in [each for each in tapped if each not in here]:
                del tapped[stream]
            listener.state(snapshot(self._room.room))

        end_watch = self._room.watch(changed, tap)
        changed()
        return end

    def request_keyframe(self, participant_id: str, source: SourceName) -> None:
        for stream in self._room.streams():
            if stream.participant.id == participant_id and stream.source == source:
                stream.keyframe()


def _tapping(stream: SourceStream, listener: TapListener) -> Tapping:
    participant_id, source = stream.participant.id, stream.source

    def rtp(kind: Kind, codec: Codec, packet: bytes) -> None:
        listener.rtp(participant_id, source, kind, codec, packet)

    return Tapping(rtp, partial(listener.rtcp, participant_id, source))
