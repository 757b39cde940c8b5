"""Init segments and fragments that are well formed and hold no real media, and a session's outputs made of them."""

from __future__ import annotations

import struct
from fractions import Fraction

from headwater.media.cmaf import InitSegment, Output, Part, SegmentClosed, SegmentOpened
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.protocols.isobmff.boxes import box
from headwater.protocols.isobmff.movie import init_segment

VIDEO, AUDIO = 1, 2
# High profile, level 1.3, 320x240: SPS and PPS as libx264 writes them.
AVCC = bytes.fromhex("0164000dffe100196764000dacd94141fb0110000003001000000303c0f142996001000668ebe3cb22c0fdf8f800")
TIMESCALES = {VIDEO: 90000, AUDIO: 48000}


def track(track_id: int, version: int = 0) -> Track:
    """The first video or audio track of a livestream; a later version has another profile byte."""
    if track_id == VIDEO:
        return Track(VIDEO, VideoConfig(Codec.H264, AVCC, 320, 240, "avc1.64000d", Fraction(30000, 1001)))
    record = bytes([0x11, 0x90 + 8 * version])
    return Track(AUDIO, AudioConfig(Codec.AAC, record, 48000, 2 + version, 1024, "mp4a.40.2"))


def init(track_id: int, version: int = 0) -> InitSegment:
    """As the packager makes them."""
    made, timescale = track(track_id, version), TIMESCALES[track_id]
    return InitSegment(made, version, timescale, init_segment(made, timescale, version))


def fragment(track_id: int, tfdt: int, durations: list[int], payload: bytes) -> bytes:
    """moof + mdat."""
    samples = b"".join(struct.pack(">II", duration, len(payload) // len(durations)) for duration in durations)
    tfhd = box(b"tfhd", struct.pack(">II", 0x020000, track_id))
    time = box(b"tfdt", struct.pack(">IQ", 1 << 24, tfdt))

    def moof(data_offset: int) -> bytes:
        trun = box(b"trun", struct.pack(">IIi", 0x301, len(durations), data_offset), samples)
        return box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", tfhd, time, trun))

    return moof(len(moof(0)) + 8) + box(b"mdat", payload)


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

    def pause(self, track_id: int, ticks: int) -> None:
        """Time in which the track has nothing."""
        self._tfdt[track_id] += ticks
