"""What a recording knows beside its media, as records: in the MP4 (uuid boxes) and in the index beside it.

A record on its own is `length:u32 crc32:u32 payload`, the payload MessagePack. In the MP4 it is the body of a `uuid`
box, which every player skips:

    session                     once, first of all
    init                        before the first fragment that needs it
    open                        before the first fragment of a segment
    playable                    when it is known

so that the MP4 alone is enough to make the index again. The index holds the same `session`, `init` and `playable`, and
a `segment` for each closed one, with where its bytes stand; `end` comes last, when nothing will be added.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from headwater.media.cmaf import InitSegment, SegmentOpened
from headwater.media.track import AudioConfig, Track, VideoConfig
from headwater.pipeline.recorder.recording import RecordedSegment

LAYOUT_VERSION = 1  # what `session` names; raised when an older reader could not read the file
MAX_RECORD_SIZE = 1 << 20  # a segment of an hour in parts of 200 ms that never touch each other has 400 KB of extents

RECORD_UUID = bytes.fromhex("9f3c1f6e5a7b4d0c8e214b6d9a70c1e5")  # ours alone: made at random
_FRAME = struct.Struct(">II")
_UUID_HEADER = struct.Struct(">I4s16s")
UUID_HEADER_SIZE = _UUID_HEADER.size


class SessionRecord(msgspec.Struct, tag="session", array_like=True, frozen=True):
    """Whose recording it is."""

    session_id: str
    layout_version: int = LAYOUT_VERSION


class InitRecord(msgspec.Struct, tag="init", array_like=True, frozen=True):
    """An `InitSegment`; one of `video` and `audio` is set."""

    track_id: int
    version: int
    timescale: int
    data: bytes
    video: VideoConfig | None
    audio: AudioConfig | None
    track_timescale: int
    language: str
    name: str

    @classmethod
    def of(cls, init: InitSegment) -> InitRecord:
        track = init.track
        video = track.config if isinstance(track.config, VideoConfig) else None
        audio = track.config if isinstance(track.config, AudioConfig) else None
        return cls(
            track.id, init.version, init.timescale, init.data, video, audio, track.timescale, track.language, track.name
        )

    def init_segment(self) -> InitSegment:
        config = self.video or self.audio
        assert config is not None, "the decoder lets no record through without a configuration"
        track = Track(self.track_id, config, self.track_timescale, self.language, self.name)
        return InitSegment(track, self.version, self.timescale, self.data)


class OpenRecord(msgspec.Struct, tag="open", array_like=True, frozen=True):
    """A `SegmentOpened`: the fragments of this track that follow belong to it."""

    track_id: int
    msn: int
    init_version: int
    discontinuity: bool
    program_date_time_ms: int
    tfdt: int

    @classmethod
    def of(cls, opened: SegmentOpened) -> OpenRecord:
        return cls(
            opened.track_id,
            opened.msn,
            opened.init_version,
            opened.discontinuity,
            opened.program_date_time_ms,
            opened.tfdt,
        )


class SegmentRecord(msgspec.Struct, tag="segment", array_like=True, frozen=True):
    """A closed segment and where its bytes stand: `extents` as in `RecordedSegment`."""

    track_id: int
    msn: int
    tfdt: int
    duration: int
    init_version: int
    discontinuity: bool
    program_date_time_ms: int
    extents: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """Where its last byte stands in the file, plus one."""
        return max((offset + size for offset, size in self.extents), default=0)

    def recorded(self) -> RecordedSegment:
        return RecordedSegment(
            self.msn,
            self.tfdt,
            self.duration,
            self.init_version,
            self.discontinuity,
            self.program_date_time_ms,
            self.extents,
        )


class PlayableRecord(msgspec.Struct, tag="playable", array_like=True, frozen=True):
    """The session's EXT-X-TARGETDURATION."""

    target_duration_s: int


class EndRecord(msgspec.Struct, tag="end", array_like=True, frozen=True):
    """Nothing will be added; the size of the whole MP4."""

    file_size: int


Record: TypeAlias = SessionRecord | InitRecord | OpenRecord | SegmentRecord | PlayableRecord | EndRecord


def _encode_fraction(value: Any) -> str:
    assert isinstance(value, Fraction)
    return str(value)


def _decode_fraction(kind: type, value: Any) -> Any:
    assert kind is Fraction
    return Fraction(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_fraction)
_decoder = msgspec.msgpack.Decoder(Record, dec_hook=_decode_fraction)


def frame(record: Record) -> bytes:
    """One record as it stands in the index."""
    payload = _encoder.encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def box(record: Record) -> bytes:
    """One record as it stands in the MP4."""
    body = frame(record)
    return _UUID_HEADER.pack(UUID_HEADER_SIZE + len(body), b"uuid", RECORD_UUID) + body


def unframe(data: bytes, position: int) -> tuple[Record, int] | None:
    """The record at `position` and where the next one starts; None where none is whole and intact."""
    if position + _FRAME.size > len(data):
        return None
    length, checksum = _FRAME.unpack_from(data, position)
    start = position + _FRAME.size
    if length > MAX_RECORD_SIZE or start + length > len(data):
        return None
    payload = memoryview(data)[start : start + length]
    if zlib.crc32(payload) != checksum:
        return None
    try:
        record = _decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, ZeroDivisionError):  # the latter two from a Fraction
        return None
    if isinstance(record, InitRecord) and (record.video is None) == (record.audio is None):
        return None
    return record, start + length


def unframe_all(data: bytes) -> Iterator[tuple[Record, int]]:
    """The intact records from the start of an index, each with where it ends."""
    position = 0
    while (found := unframe(data, position)) is not None:
        yield found
        position = found[1]
