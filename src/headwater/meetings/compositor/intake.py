"""The thread that takes what the parent sends, and keeps the meeting as it is now.

    socket ─► Reader ─► Intake.message ─► streams ─► frames, mix

`Meeting` is what the output clock sees: the newest snapshot, and the streams by who sends what.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headwater.errors import ProtocolError
from headwater.meetings.compositor import wire
from headwater.meetings.compositor.sound import Mixer
from headwater.meetings.compositor.streams import AudioStream, Counters, VideoStream
from headwater.meetings.compositor.timing import SenderClock
from headwater.meetings.tap import RoomSnapshot, SourceName
from headwater.protocols.rtp import packet, rtcp

TICK_S = 0.01
"""How often time passes for what waits in order."""

READ_BYTES = 256 * 1024

VideoKey = tuple[str, SourceName]
AudioKey = tuple[str, SourceName]


@dataclass
class Meeting:
    """What there is to show and to hear; written by the intake, read by the output clock."""

    snapshot: RoomSnapshot = field(default_factory=RoomSnapshot)
    videos: dict[VideoKey, VideoStream] = field(default_factory=dict)
    mixer: Mixer = field(default_factory=Mixer)
    counters: Counters = field(default_factory=Counters)


class Intake:
    """Messages in, streams fed.

    Args:
        ask: Sends a request for a key frame, by track number.
    """

    def __init__(self, meeting: Meeting, ask: Callable[[int], None]) -> None:
        self._meeting = meeting
        self._ask = ask
        self._tracks: dict[int, wire.Track] = {}
        self._streams: dict[int, VideoStream | AudioStream] = {}
        self._senders: dict[tuple[str, SourceName], SenderClock] = {}

    def message(self, kind: int, body: bytes) -> None:
        """Take one message.

        Raises:
            ProtocolError: the parent sent what is none.
        """
        if kind == wire.Type.RTP:
            number, arrival_us = wire.RTP_HEAD.unpack_from(body)
            self._rtp(number, arrival_us / 1e6, body[wire.RTP_HEAD.size :])
        elif kind == wire.Type.RTCP:
            self._rtcp(int.from_bytes(body[: wire.TRACK_HEAD.size], "big"), body[wire.TRACK_HEAD.size :])
        elif kind == wire.Type.STATE:
            self._state(wire.read(body, RoomSnapshot))
        elif kind == wire.Type.TRACK:
            track = wire.read(body, wire.Track)
            self._end(track.number)
            self._tracks[track.number] = track

    def tick(self, now_s: float) -> None:
        """Let time pass for what waits."""
        for stream in self._streams.values():
            stream.tick(now_s)

    def _rtp(self, number: int, arrival_s: float, data: bytes) -> None:
        track = self._tracks.get(number)
        if track is None or len(data) < packet.HEADER_BYTES:
            return
        stream = self._streams.get(number)
        ssrc = packet.ssrc_of(data)
        if stream is None or (stream.ssrc is not None and stream.ssrc != ssrc):
            stream = self._begin(track)
        stream.push(data, arrival_s)

    def _begin(self, track: wire.Track) -> VideoStream | AudioStream:
        """A stream's first packet, or the first of another source in its place."""
        key = track.participant, track.source
        clock = self._senders.setdefault(key, SenderClock()).track(track.clock_rate)
        counters = self._meeting.counters
        stream: VideoStream | AudioStream
        if track.kind == "video":
            number = track.number
            stream = VideoStream(track.codec, clock, counters, lambda: self._ask(number))
            self._meeting.videos = {**self._meeting.videos, key: stream}
        else:
            self._meeting.mixer.remove(key)
            stream = AudioStream(key, clock, counters, self._meeting.mixer)
        self._streams[track.number] = stream
        return stream

    def _rtcp(self, number: int, compound: bytes) -> None:
        track = self._tracks.get(number)
        if track is None:
            return
        try:
            packets = rtcp.parse(compound)
        except ProtocolError:
            self._meeting.counters.broken_packets += 1
            return
        for report in packets:
            if isinstance(report, rtcp.SenderReport):
                self._report(track, report)

    def _report(self, track: wire.Track, report: rtcp.SenderReport) -> None:
        """Of any of the sender's streams: the SSRC says which."""
        for number, stream in self._streams.items():
            other = self._tracks[number]
            if stream.ssrc == report.ssrc and (other.participant, other.source) == (track.participant, track.source):
                stream.clock.report(report.ntp, report.timestamp)

    def _state(self, snapshot: RoomSnapshot) -> None:
        here = {one.id for one in snapshot.participants}
        for number in [number for number, track in self._tracks.items() if track.participant not in here]:
            self._end(number)
            del self._tracks[number]
        for gone in [key for key in self._senders if key[0] not in here]:
            del self._senders[gone]
        self._meeting.snapshot = snapshot

    def _end(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        track = self._tracks[number]
        key = track.participant, track.source
        if isinstance(stream, AudioStream):
            self._meeting.mixer.remove(key)
        elif self._meeting.videos.get(key) is stream:
            self._meeting.videos = {other: video for other, video in self._meeting.videos.items() if other != key}


def run(
    source: socket.socket,
    intake: Intake,
    stopping: threading.Event,
    reader: wire.Reader,
    first: Sequence[tuple[int, bytes]] = (),
) -> None:
    """Feed an intake until the parent closes its end or `stopping` is set. Blocks: for a thread.

    Args:
        reader: Of `source`.
        first: Messages that were read already.

    Raises:
        ProtocolError: the parent sent what is no message.
    """
    for kind, body in first:
        intake.message(kind, body)
    ticked_s = time.monotonic()
    while not stopping.is_set():
        readable, _, _ = select.select([source], [], [], TICK_S)
        if readable:
            try:
                data = source.recv(READ_BYTES)
            except ConnectionError:
                return
            if not data:
                return
            for kind, body in reader.feed(data):
                intake.message(kind, body)
        now_s = time.monotonic()
        if now_s - ticked_s >= TICK_S:
            ticked_s = now_s
            intake.tick(now_s)
