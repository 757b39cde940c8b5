"""The little of ISO BMFF that the check needs: tracks of an init segment, and the samples of fragments.

    init      ftyp  moov ── trak ── tkhd, mdia ── mdhd, hdlr, minf ── stbl ── stsd
                         └─ mvex ── trex
    fragment  [styp] [sidx] [emsg] [prft] moof ── traf ── tfhd, tfdt, trun    mdat

Pure; independent of this project's own box code on purpose. Raises ProtocolError for what cannot be read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from headwater.errors import ProtocolError

MAX_BOXES = 20_000  # of one resource; a 10 s segment of 20 ms fragments has about 3,000
MAX_SAMPLES = 200_000  # of one resource: ten minutes at 300 a second
MAX_TRACKS = 32
MAX_EDITS = 16  # of one track; one or two are usual
NON_SYNC = 0x0001_0000  # sample_is_non_sync_sample (ISO/IEC 14496-12, 8.8.3.1)


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """One trak of an init segment.

    Attributes:
        codec: The sample entry's four characters.
        width, height: In pixels, 0 for sound.
        shift: Media time of the first edit (elst), in the track's timescale: presentation begins there.
    """

    id: int
    timescale: int
    handler: str
    codec: str
    width: int = 0
    height: int = 0
    default_duration: int = 0
    default_size: int = 0
    default_flags: int = 0
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample; times in the track's timescale, `crc` over its bytes (CRC-32: to compare, not to defend)."""

    dts: int
    duration: int
    size: int
    composition_offset: int
    sync: bool
    crc: int


@dataclass(slots=True)
class TrackRun:
    """All samples of one track in a resource, in order.

    Attributes:
        jumps: (expected, found) decode times where a fragment does not go on where the one before it ended.
    """

    track_id: int
    samples: list[Sample] = field(default_factory=list)
    jumps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.samples[0].dts

    @property
    def end(self) -> int:
        return self.samples[-1].dts + self.samples[-1].duration


@dataclass(frozen=True, slots=True)
class InitInfo:
    tracks: dict[int, TrackHeader]


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The samples of a part or segment by track id; tracks without samples are left out."""

    runs: dict[int, TrackRun]
    fragments: int


def looks_like_mp4(data: bytes) -> bool:
    """Whether bytes begin with a box that may begin a part, segment or init segment."""
    return data[4:8] in (b"ftyp", b"styp", b"moof", b"sidx", b"emsg", b"prft", b"moov", b"free")


class _Budget:
    """Counts boxes of one resource, so that a hostile one ends early."""

    def __init__(self) -> None:
        self.boxes = 0
        self.samples = 0

    def walk(self, data: memoryview, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int, int]]:
        """(type, box start, payload start, box end) of each box in data[start:end]."""
        end = len(data) if end is None else end
        position = start
        while position < end:
            self.boxes += 1
            if self.boxes > MAX_BOXES:
                raise ProtocolError(f"more than {MAX_BOXES} boxes")
            if position + 8 > end:
                raise ProtocolError(f"{end - position} bytes left over at byte {position}")
            size, kind = struct.unpack_from(">I4s", data, position)
            payload = position + 8
            if size == 1:
                if position + 16 > end:
                    raise ProtocolError(f"box {kind!r} at byte {position} is cut short")
                (size,) = struct.unpack_from(">Q", data, position + 8)
                payload = position + 16
            elif size == 0:
                size = end - position
            if size < payload - position or position + size > end:
                raise ProtocolError(f"box {kind!r} at byte {position} says {size} bytes, {end - position} are there")
            yield kind, position, payload, position + size
            position += size


def parse_init(data: bytes) -> InitInfo:
    """The tracks of an init segment.

    Raises:
        ProtocolError: It has no moov, no track, or boxes that do not fit.
    """
    try:
        return _parse_init(memoryview(data))
    except struct.error as error:
        raise ProtocolError(f"a box is cut short: {error}") from None


def _parse_init(view: memoryview) -> InitInfo:
    budget = _Budget()
    tracks: dict[int, TrackHeader] = {}
    defaults: dict[int, tuple[int, int, int]] = {}
    for kind, _, start, end in budget.walk(view):
        if kind != b"moov":
            continue
        for inner, _, inner_start, inner_end in budget.walk(view, start, end):
            if inner == b"trak":
                track = _parse_track(budget, view, inner_start, inner_end)
                tracks[track.id] = track
                if len(tracks) > MAX_TRACKS:
                    raise ProtocolError(f"more than {MAX_TRACKS} tracks")
            elif inner == b"mvex":
                for leaf, _, leaf_start, _end in budget.walk(view, inner_start, inner_end):
                    if leaf == b"trex":
                        track_id, _, *values = struct.unpack_from(">6I", view, leaf_start)[1:]
                        defaults[track_id] = (values[0], values[1], values[2])
    if not tracks:
        raise ProtocolError("no moov with a track")
    return InitInfo({i: _with_defaults(t, defaults.get(i, (0, 0, 0))) for i, t in tracks.items()})


def _with_defaults(track: TrackHeader, defaults: tuple[int, int, int]) -> TrackHeader:
    duration, size, flags = defaults
    return replace(track, default_duration=duration, default_size=size, default_flags=flags)


def _parse_track(budget: _Budget, view: memoryview, start: int, end: int) -> TrackHeader:
    track_id, timescale, handler, codec, width, height, shift = 0, 0, "", "", 0, 0, 0
    pending = [(start, end)]
    while pending:
        for kind, _, body, stop in budget.walk(view, *pending.pop()):
            if kind in (b"mdia", b"minf", b"stbl", b"edts"):
                pending.append((body, stop))
            elif kind == b"tkhd":
                (track_id,) = struct.unpack_from(">I", view, body + (20 if view[body] == 1 else 12))
            elif kind == b"mdhd":
                (timescale,) = struct.unpack_from(">I", view, body + (20 if view[body] == 1 else 12))
            elif kind == b"elst":
                shift = _first_edit(view, body)
            elif kind == b"hdlr":
                handler = bytes(view[body + 8 : body + 12]).decode("latin-1")
            elif kind == b"stsd":
                codec = bytes(view[body + 12 : body + 16]).decode("latin-1")
                if handler == "vide":
                    width, height = struct.unpack_from(">HH", view, body + 8 + 8 + 24)
    if not track_id or not timescale:
        raise ProtocolError("a track without an id or a timescale")
    return TrackHeader(track_id, timescale, handler, codec, width, height, shift=shift)


def _first_edit(view: memoryview, body: int) -> int:
    """Media time of the first edit that shows media (ISO/IEC 14496-12, 8.6.6), 0 where there is none."""
    head, count = struct.unpack_from(">II", view, body)
    code, size = (">Qq", 20) if head >> 24 == 1 else (">Ii", 12)
    for index in range(min(count, MAX_EDITS)):
        _, media_time = struct.unpack_from(code, view, body + 8 + index * size)
        if media_time >= 0:
            return int(media_time)
    return 0


def parse_media(data: bytes, init: InitInfo | None) -> MediaInfo:
    """The samples of a part or segment.

    Args:
        data: Whole moof and mdat boxes, any number of them.
        init: Gives the defaults (trex) where the fragments leave values out.

    Raises:
        ProtocolError: No moof, boxes that do not fit, or samples that lie outside the data.
    """
    try:
        return _parse_media(memoryview(data), init)
    except struct.error as error:
        raise ProtocolError(f"a box is cut short: {error}") from None


def _parse_media(view: memoryview, init: InitInfo | None) -> MediaInfo:
    budget, fragments = _Budget(), 0
    runs: dict[int, TrackRun] = {}
    for kind, moof, start, end in budget.walk(view):
        if kind != b"moof":
            continue
        fragments += 1
        for inner, _, inner_start, inner_end in budget.walk(view, start, end):
            if inner == b"traf":
                _parse_traf(budget, view, moof, inner_start, inner_end, init, runs)
    if not fragments:
        raise ProtocolError("no moof")
    return MediaInfo({i: r for i, r in runs.items() if r.samples}, fragments)


def _parse_traf(
    budget: _Budget,
    view: memoryview,
    moof: int,
    start: int,
    end: int,
    init: InitInfo | None,
    runs: dict[int, TrackRun],
) -> None:
    header: _TrackFragment | None = None
    clock: int | None = None
    for kind, _, body, stop in budget.walk(view, start, end):
        if kind == b"tfhd":
            header = _TrackFragment.read(view, body, moof, init)
        elif kind == b"tfdt":
            clock = struct.unpack_from(">Q" if view[body] == 1 else ">I", view, body + 4)[0]
        elif kind == b"trun":
            if header is None:
                raise ProtocolError("trun before tfhd")
            run = runs.setdefault(header.track_id, TrackRun(header.track_id))
            if len(runs) > MAX_TRACKS:
                raise ProtocolError(f"more than {MAX_TRACKS} tracks")
            if clock is None:
                raise ProtocolError("a track fragment without tfdt")
            if run.samples and run.end != clock:
                run.jumps.append((run.end, clock))
            clock = header.read_run(budget, view, body, stop, clock, run)


@dataclass(slots=True)
class _TrackFragment:
    """tfhd, with the init segment's defaults filled in; `data_at` is where the next run's bytes begin."""

    track_id: int
    base: int
    duration: int
    size: int
    flags: int
    data_at: int | None = None

    @classmethod
    def read(cls, view: memoryview, body: int, moof: int, init: InitInfo | None) -> _TrackFragment:
        flags, track_id = struct.unpack_from(">II", view, body)
        track = init.tracks.get(track_id) if init else None
        position = body + 8
        base = moof
        if flags & 0x000001:
            (base,) = struct.unpack_from(">Q", view, position)
            position += 8
        if flags & 0x000002:
            position += 4
        values = [track.default_duration, track.default_size, track.default_flags] if track else [0, 0, 0]
        for index, bit in enumerate((0x000008, 0x000010, 0x000020)):
            if flags & bit:
                (values[index],) = struct.unpack_from(">I", view, position)
                position += 4
        return cls(track_id, base, *values)

    def read_run(self, budget: _Budget, view: memoryview, body: int, stop: int, clock: int, run: TrackRun) -> int:
        """Add one trun's samples; returns the decode time after it."""
        head, count = struct.unpack_from(">II", view, body)
        version, flags = head >> 24, head & 0xFFFFFF
        budget.samples += count
        if budget.samples > MAX_SAMPLES:
            raise ProtocolError(f"more than {MAX_SAMPLES} samples")
        position = body + 8
        data = self.data_at if self.data_at is not None else self.base
        if flags & 0x000001:
            data = self.base + struct.unpack_from(">i", view, position)[0]
            position += 4
        first_flags: int | None = None
        if flags & 0x000004:
            (first_flags,) = struct.unpack_from(">I", view, position)
            position += 4
        present = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
        if position + 4 * sum(present) * count > stop:
            raise ProtocolError("trun has fewer entries than it says")
        for index in range(count):
            values = [self.duration, self.size, self.flags, 0]
            for field_index, there in enumerate(present):
                if there:
                    code = ">i" if field_index == 3 and version else ">I"
                    (values[field_index],) = struct.unpack_from(code, view, position)
                    position += 4
            if index == 0 and first_flags is not None and not present[2]:
                values[2] = first_flags
            if data < 0 or data + values[1] > len(view):
                raise ProtocolError(f"a sample reaches to byte {data + values[1]} of {len(view)}")
            crc = zlib.crc32(view[data : data + values[1]])
            run.samples.append(Sample(clock, values[0], values[1], values[3], not values[2] & NON_SYNC, crc))
            clock += values[0]
            data += values[1]
        self.data_at = data
        return clock
