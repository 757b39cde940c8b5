"""A session's outputs made of what ffmpeg encoded: parts of a third of a second, segments of a second."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from headwater.media.aac import parse_asc
from headwater.media.cmaf import InitSegment, Output, Part, SegmentClosed, SegmentOpened
from headwater.media.h264 import parse_avcc
from headwater.media.parameter_sets import parameter_sets
from headwater.media.track import Track
from headwater.protocols.isobmff.boxes import box
from headwater.protocols.isobmff.fragment import AUDIO_ROW, SYNC_SAMPLE, VIDEO_ROW, build_fragment
from headwater.protocols.isobmff.movie import description_index, init_segment
from headwater.protocols.isobmff.reader import iter_boxes, read_fragments
from tests.support import require

VIDEO, AUDIO = 1, 2
FRAME_RATE = 30
PART_S = 1 / 3


@dataclass(frozen=True)
class Encoded:
    """A track's samples (sync, payload), all of one duration, and its decoder configuration."""

    track: Track
    timescale: int
    duration: int
    samples: list[tuple[bool, bytes]]


def encode(folder: Path, *, size: str = "320x240", seconds: int = 3, profile: str = "main") -> dict[int, Encoded]:
    """A test picture with a tone."""
    path = folder / f"{size}-{seconds}-{profile}.mp4"
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={FRAME_RATE}:duration={seconds}"]
    inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", profile, "-pix_fmt", "yuv420p"]
    video += ["-bf", "0", "-g", str(FRAME_RATE), "-video_track_timescale", "90000"]
    mux = ["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", str(path)]
    command = [require("ffmpeg"), "-v", "error", "-y", *inputs, *video, "-c:a", "aac", "-ac", "2", *mux]
    subprocess.run(command, check=True)
    data = path.read_bytes()
    samples: dict[int, list[tuple[bool, bytes]]] = {VIDEO: [], AUDIO: []}
    for track_id, sync, payload in _samples(data):
        samples[track_id].append((sync, payload))
    at = data.index(b"avcC")
    avcc = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    return {
        VIDEO: Encoded(Track(VIDEO, parse_avcc(avcc)), 90000, 90000 // FRAME_RATE, samples[VIDEO]),
        AUDIO: Encoded(Track(AUDIO, parse_asc(b"\x11\x90")), 48000, 1024, samples[AUDIO]),
    }


def _samples(data: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """FFmpeg puts both tracks into one moof; it is read here once for each traf, as if it had but that one."""
    moof = None
    for found in iter_boxes(data):
        if found.kind == b"moof":
            moof = found
        elif found.kind == b"mdat" and moof is not None:
            trafs = [child for child in iter_boxes(data, moof.body, moof.end) if child.kind == b"traf"]
            mfhd = data[moof.body : moof.body + 16]
            for traf in trafs:
                lone = box(b"moof", mfhd, data[traf.start : traf.end])
                gap = box(b"free", bytes(moof.end - moof.start - len(lone) - 8)) if len(trafs) > 1 else b""
                whole = lone + gap + data[found.start : found.end]
                for fragment in read_fragments(whole):
                    for sample in fragment.samples:
                        payload = whole[sample.offset : sample.offset + sample.size]
                        yield fragment.track_id, sample.sync, payload


class Player:
    """Turns encoded tracks into outputs, one second after the other; configurations may change between seconds."""

    def __init__(self) -> None:
        self.segments: dict[tuple[int, int], bytes] = {}
        self._tfdt = {VIDEO: 0, AUDIO: 0}
        self._version = {VIDEO: -1, AUDIO: -1}
        self._sequence = 0

    def configure(self, encoded: Encoded) -> InitSegment:
        track_id = encoded.track.id
        self._version[track_id] += 1
        version = self._version[track_id]
        data = init_segment(encoded.track, encoded.timescale, version)
        return InitSegment(encoded.track, version, encoded.timescale, data)

    def second(self, msn: int, *tracks: Encoded, at: int, discontinuity: bool = False) -> Iterator[Output]:
        """The segments of the media between `at` and `at` + 1 seconds, the tracks' parts taking turns."""
        turns = [list(self._segment(msn, encoded, at, discontinuity)) for encoded in tracks]
        for position in range(max(map(len, turns))):
            for outputs in turns:
                yield from islice(outputs, position, position + 1)

    def skip(self, encoded: Encoded, seconds: int) -> None:
        """A track that starts late starts at its place in time."""
        self._tfdt[encoded.track.id] += seconds * encoded.timescale

    def _segment(self, msn: int, encoded: Encoded, at: int, discontinuity: bool) -> Iterator[Output]:
        track_id, version = encoded.track.id, self._version[encoded.track.id]
        each = encoded.duration
        first, last = (-(-second * encoded.timescale // each) for second in (at, at + 1))
        step = int(PART_S * encoded.timescale / each)
        start = self._tfdt[track_id]
        yield SegmentOpened(track_id, msn, version, discontinuity, 1_700_000_000_000 + 1000 * msn, start)
        self.segments[track_id, msn] = b""
        for index, position in enumerate(range(first, last, step)):
            yield self._part(msn, index, encoded, encoded.samples[position : min(position + step, last)])
        yield SegmentClosed(track_id, msn, self._tfdt[track_id] - start)

    def _part(self, msn: int, index: int, encoded: Encoded, samples: list[tuple[bool, bytes]]) -> Part:
        track_id = encoded.track.id
        self._sequence += 1
        table: list[int] = []
        for sync, payload in samples:
            row = [
                encoded.duration,
                len(self._in_band(encoded, sync) + payload),
                SYNC_SAMPLE if sync else 0x01010000,
                0,
            ]
            table += row if track_id == VIDEO else row[:2]
        row_size = VIDEO_ROW if track_id == VIDEO else AUDIO_ROW
        place = description_index(self._version[track_id])
        payloads = [self._in_band(encoded, sync) + payload for sync, payload in samples]
        tfdt = self._tfdt[track_id]
        data = build_fragment(self._sequence, track_id, place, tfdt, row_size, table, payloads)
        duration = sum(table[0::row_size])
        self._tfdt[track_id] += duration
        self.segments[track_id, msn] += data
        return Part(track_id, msn, index, tfdt, duration, index == 0, len(data), data)

    def _in_band(self, encoded: Encoded, sync: bool) -> bytes:
        """After a change of configuration: the parameter sets, in front of each key frame."""
        if encoded.track.id != VIDEO or not sync or self._version[VIDEO] == 0:
            return b""
        return parameter_sets(encoded.track.config)
