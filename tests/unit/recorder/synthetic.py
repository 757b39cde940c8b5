"""Init segments and fragments that are well formed and hold no real media, and a session's outputs made of them."""

from __future__ import annotations

import struct

from headwater.media.cmaf import InitSegment, Output, Part, SegmentClosed, SegmentOpened
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.recorder import boxes

VIDEO, AUDIO = 1, 2
TIMESCALES = {VIDEO: 90000, AUDIO: 48000}


def track(track_id: int) -> Track:
    """The first video or audio track of a livestream."""
    if track_id == VIDEO:
        return Track(VIDEO, VideoConfig(Codec.H264, b"\1\2\3", 320, 240, "avc1.64001f"))
    return Track(AUDIO, AudioConfig(Codec.AAC, b"\x11\x90", 48000, 2, 1024, "mp4a.40.2"))


def init(track_id: int, version: int = 0) -> InitSegment:
    """ftyp + moov with one sample entry, which tells the version."""
    entry = boxes.make(b"mp4v", bytes([version]) * 20)
    stsd = boxes.make(b"stsd", struct.pack(">II", 0, 1), entry)
    tkhd = boxes.make(b"tkhd", struct.pack(">IIIII", 3, 0, 0, track_id, 0))
    trak = boxes.make(b"trak", tkhd, boxes.make(b"mdia", boxes.make(b"minf", boxes.make(b"stbl", stsd))))
    trex = boxes.make(b"trex", struct.pack(">6I", 0, track_id, 1, 0, 0, 0))
    moov = boxes.make(b"moov", trak, boxes.make(b"mvex", trex))
    return InitSegment(track(track_id), version, TIMESCALES[track_id], boxes.make(b"ftyp", b"cmfc" + bytes(4)) + moov)


def fragment(track_id: int, tfdt: int, durations: list[int], payload: bytes) -> bytes:
    """moof + mdat."""
    samples = b"".join(struct.pack(">II", duration, len(payload) // len(durations)) for duration in durations)
    tfhd = boxes.make(b"tfhd", struct.pack(">II", 0x020000, track_id))
    time = boxes.make(b"tfdt", struct.pack(">IQ", 1 << 24, tfdt))

    def moof(data_offset: int) -> bytes:
        trun = boxes.make(b"trun", struct.pack(">IIi", 0x301, len(durations), data_offset), samples)
        return boxes.make(b"moof", boxes.make(b"mfhd", bytes(8)), boxes.make(b"traf", tfhd, time, trun))

    return moof(len(moof(0)) + 8) + boxes.make(b"mdat", payload)


class Script:
    """Makes one session's outputs, keeping the bytes of each segment to compare with."""

    def __init__(self) -> None:
        self.segments: dict[tuple[int, int], bytes] = {}
        self._tfdt = {VIDEO: 0, AUDIO: 0}
        self._opened_at = {VIDEO: 0, AUDIO: 0}
        self._index = {VIDEO: 0, AUDIO: 0}

    def open(self, track_id: int, msn: int, *, version: int = 0, discontinuity: bool = False) -> Output:
        self.segments[track_id, msn] = b""
        self._opened_at[track_id] = self._tfdt[track_id]
        self._index[track_id] = 0
        return SegmentOpened(track_id, msn, version, discontinuity, 1_700_000_000_000 + msn, self._tfdt[track_id])

    def part(self, track_id: int, msn: int, payload: bytes, durations: list[int]) -> Part:
        data = fragment(track_id, self._tfdt[track_id], durations, payload)
        index, tfdt = self._index[track_id], self._tfdt[track_id]
        self.segments[track_id, msn] += data
        self._index[track_id] += 1
        self._tfdt[track_id] += sum(durations)
        return Part(track_id, msn, index, tfdt, sum(durations), index == 0, len(data), data)

    def close(self, track_id: int, msn: int) -> Output:
        return SegmentClosed(track_id, msn, self._tfdt[track_id] - self._opened_at[track_id])
