"""A session made by hand: what a packager would say, without media in it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from headwater.media.cmaf import InitSegment, Output, Part, Playable, SegmentClosed, SegmentOpened
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.origin import Origin, OriginSettings
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.paths import session_name
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.recorder.recording import RecordingReader

PLAYBACK_ID = "0123456789abcdef0123456789abcdef"
SESSION_ID = "11111111-2222-3333-4444-555555555555"
BASE = f"/{PLAYBACK_ID}/{session_name(SESSION_ID)}"
MULTIVARIANT = f"/{PLAYBACK_ID}/manifest/video.m3u8"
EPOCH_MS = 1_800_000_000_000

VIDEO = Track(1, VideoConfig(Codec.H264, b"", 1280, 720, "avc1.64001f", Fraction(30)))
AUDIO = Track(2, AudioConfig(Codec.AAC, b"", 48000, 2, 1024, "mp4a.40.2"))


class Listing:
    """A directory of one livestream; it counts how often it is asked."""

    def __init__(self) -> None:
        self.info: PlaybackInfo | None = PlaybackInfo("livestream", PLAYBACK_ID, "test", False, None)
        self.recordings: dict[str, str] = {}  # by the session's name

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        return self.info if self.info is not None and playback_id == self.info.playback_id else None

    async def recording(self, playback_id: str, session: str) -> str | None:
        return self.recordings.get(session) if await self.playback(playback_id) is not None else None


class Feed:
    """One session with a video track and, unless `audio` is False, an audio track; timescale 1000, parts of 500 ms.

    Segments have four parts; the target duration is 2 s. `first_msn` is 100.

    Attributes:
        offset: Where the next part stands in the recording file; None: nothing records.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        audio: bool = True,
        recorder: RecordingReader | None = None,
        part_bytes: int = 1000,
        session_id: str = SESSION_ID,
        first_msn: int = 100,
    ) -> None:
        info = PlaybackInfo("livestream", PLAYBACK_ID, "test", False, None)
        self.origin = origin
        self.program: LiveProgram = origin.open(info, session_id, recorder=recorder)
        self.tracks = [VIDEO, AUDIO] if audio else [VIDEO]
        self.msn = first_msn
        self.parts = 0
        self.part_bytes = part_bytes
        self.version = 0
        self.offset: int | None = None
        self._time = 0
        self.apply(*(InitSegment(track, 0, 1000, b"init of %d" % track.id) for track in self.tracks))

    def apply(self, *outputs: Output) -> None:
        self.program.apply(outputs)

    def playable(self) -> None:
        targets = {track.id: 500.0 for track in self.tracks}
        self.apply(Playable(2, targets, tuple(targets)))

    def open(self, *, discontinuity: bool = False) -> None:
        for track in self.tracks:
            self.apply(
                SegmentOpened(track.id, self.msn, self.version, discontinuity, EPOCH_MS + self._time, self._time)
            )
        self.parts = 0

    def part(self, *, independent: bool | None = None, duration: int = 500) -> None:
        starts = self.parts == 0 if independent is None else independent
        for track in self.tracks:
            data = self.bytes_of(track.id, self.msn, self.parts)
            independent = starts or track is AUDIO
            size = len(data)
            self.apply(Part(track.id, self.msn, self.parts, self._time, duration, independent, size, data, self.offset))
            self.offset = None if self.offset is None else self.offset + size
        self.parts += 1
        self._time += duration

    def bytes_of(self, track_id: int, msn: int, part: int) -> bytes:
        text = b"%d.%d.%d " % (track_id, msn, part)
        return (text * (self.part_bytes // len(text) + 1))[: self.part_bytes]

    def close(self) -> None:
        for track in self.tracks:
            self.apply(SegmentClosed(track.id, self.msn, 500 * self.parts))
        self.msn += 1

    def gap(self) -> None:
        """A segment for which there is no media."""
        self.open()
        for track in self.tracks:
            self.apply(SegmentClosed(track.id, self.msn, 2000))
        self._time += 2000
        self.msn += 1

    def segments(self, count: int, *, discontinuity: bool = False) -> None:
        """Whole segments; `discontinuity` stands before the first of them."""
        for index in range(count):
            self.open(discontinuity=discontinuity and index == 0)
            for _ in range(4):
                self.part()
            self.close()

    def live(self, segments: int = 1) -> Feed:
        """Playable, with so many whole segments and an open one of no parts yet."""
        self.segments(segments)
        self.playable()
        self.open()
        return self


class Ask:
    """A request without a socket."""

    def __init__(self, target: str, method: str = "GET", remote: str = "192.0.2.1", **headers: str) -> None:
        path, _, query = target.partition("?")
        self.method, self.path, self.query, self.remote = method.encode(), path.encode(), query.encode(), remote
        self._headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

    def header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)


def make_origin(folder: Path, **settings: float) -> Origin:
    return Origin(Listing(), OriginSettings(**settings), data_dir=folder)  # type: ignore[arg-type]
