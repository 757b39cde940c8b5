"""Reads boxes and fragments back, bounded: for recovery, thumbnails and tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from

from headwater.errors import ProtocolError

MAX_BOXES = 10_000
"""Most boxes of one container: far above a moov of many tracks, low enough that garbage ends soon."""

MAX_SAMPLES = 100_000
"""Most samples of one fragment: a minute of audio in the shortest frames."""

_NON_SYNC = 0x00010000
_TFHD_OPTIONAL = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box stands: `start` of its size field, `body` behind its header, `end` behind it all."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a fragment: `offset` into the bytes that were read; times in the track's timescale."""

    offset: int
    size: int
    dts: int
    duration: int
    composition_offset: int
    sync: bool

    @property
    def pts(self) -> int:
        return self.dts + self.composition_offset


@dataclass(frozen=True, slots=True)
class Fragment:
    """One moof + mdat: `size` is that of both."""

    sequence: int
    track_id: int
    description_index: int
    tfdt: int
    duration: int
    samples: tuple[Sample, ...]
    size: int


def read_box_header(data: bytes, at: int = 0, limit: int | None = None) -> Box | None:
    """The box whose header stands at `at`, or None: more bytes are needed for the header.

    The box itself may reach beyond `data`, unless `limit` is given: then it must end there or before.

    Raises:
        ProtocolError: its size cannot be.
    """
    if at + 8 > len(data):
        return None
    size, kind = unpack_from(">I4s", data, at)
    body = at + 8
    if size == 1:
        if at + 16 > len(data):
            return None
        (size,) = unpack_from(">Q", data, body)
        body = at + 16
    if size < body - at:
        raise ProtocolError(f"box {kind!r} with size {size}")  # size 0, "to the end", is for files without fragments
    if limit is not None and at + size > limit:
        raise ProtocolError(f"box {kind!r} of {size} bytes reaches beyond what holds it")
    return Box(kind, at, body, at + size)


def iter_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that stand between `start` and `end`, one behind the other.

    Raises:
        ProtocolError: they do not fill it, or there are more than `MAX_BOXES`.
    """
    end = len(data) if end is None else end
    for _ in range(MAX_BOXES):
        if start == end:
            return
        found = read_box_header(data, start, end)
        if found is None:
            raise ProtocolError("bytes behind the last box that are no box")
        yield found
        start = found.end
    raise ProtocolError(f"more than {MAX_BOXES} boxes in one container")


def find_box(data: bytes, path: str, start: int = 0, end: int | None = None) -> Box | None:
    """The first box by its path, e.g. `moov/trak/mdia/mdhd`; only plain containers can be gone into."""
    found: Box | None = None
    for kind in path.split("/"):
        found = next((child for child in iter_boxes(data, start, end) if child.kind == kind.encode()), None)
        if found is None:
            return None
        start, end = found.body, found.end
    return found


def read_fragments(data: bytes) -> Iterator[Fragment]:
    """The fragments of a part, a segment or a file, in order; other boxes are passed over."""
    moof: Box | None = None
    for found in iter_boxes(data):
        if found.kind == b"moof":
            moof = found
        elif found.kind == b"mdat" and moof is not None:
            yield _read_fragment(data, moof, found)
            moof = None


def read_fragment(data: bytes) -> Fragment:
    """The first fragment in `data`.

    Raises:
        ProtocolError: there is none, or it is broken.
    """
    fragment = next(read_fragments(data), None)
    if fragment is None:
        raise ProtocolError("no fragment (moof and mdat)")
    return fragment


def first_sync_sample(data: bytes) -> Sample | None:
    """The first sample at which decoding can start."""
    return next((s for fragment in read_fragments(data) for s in fragment.samples if s.sync), None)


def _read_fragment(data: bytes, moof: Box, mdat: Box) -> Fragment:
    mfhd = _fields(data, _need(data, "mfhd", moof), 4)
    traf = _need(data, "traf", moof)
    track_id, index, defaults = _read_tfhd(data, _need(data, "tfhd", traf))
    tfdt = _read_tfdt(data, _need(data, "tfdt", traf))
    samples: list[Sample] = []
    dts = tfdt
    for trun in iter_boxes(data, traf.body, traf.end):
        if trun.kind == b"trun":
            dts = _read_trun(data, trun, moof.start, dts, defaults, samples)
    if any(s.offset < mdat.body or s.offset + s.size > mdat.end for s in samples):
        raise ProtocolError("samples that stand outside their mdat")
    return Fragment(
        sequence=mfhd[1],
        track_id=track_id,
        description_index=index,
        tfdt=tfdt,
        duration=dts - tfdt,
        samples=tuple(samples),
        size=mdat.end - moof.start,
    )


def _need(data: bytes, kind: str, parent: Box) -> Box:
    found = find_box(data, kind, parent.body, parent.end)
    if found is None:
        raise ProtocolError(f"{parent.kind!r} without {kind}")
    return found


def _fields(data: bytes, found: Box, least: int) -> tuple[int, ...]:
    """A full box's content as 32-bit numbers: version and flags first; at least `least` bytes behind them."""
    length = found.end - found.body
    if length < 4 + least:
        raise ProtocolError(f"box {found.kind!r} ends too early")
    return tuple(unpack_from(f">{length // 4}I", data, found.body))


def _read_tfhd(data: bytes, tfhd: Box) -> tuple[int, int, tuple[int, int, int]]:
    """Track id, description index, and default duration, size and flags."""
    words = _fields(data, tfhd, 4)
    flags = words[0] & 0xFFFFFF
    present = {}
    at = 2
    for flag, size in _TFHD_OPTIONAL:
        if flags & flag:
            if at + size // 4 > len(words):
                raise ProtocolError("tfhd ends too early")
            present[flag] = words[at]
            at += size // 4
    return words[1], present.get(0x2, 1), (present.get(0x8, 0), present.get(0x10, 0), present.get(0x20, 0))


def _read_tfdt(data: bytes, tfdt: Box) -> int:
    words = _fields(data, tfdt, 4)
    if words[0] >> 24 == 0:
        return words[1]
    if len(words) < 3:
        raise ProtocolError("tfdt ends too early")
    return words[1] << 32 | words[2]


def _read_trun(
    data: bytes, trun: Box, base: int, dts: int, defaults: tuple[int, int, int], samples: list[Sample]
) -> int:
    """Add a run's samples; returns the decode time behind them."""
    words = _fields(data, trun, 4)
    flags, count = words[0] & 0xFFFFFF, words[1]
    at = 2 + bool(flags & 0x1) + bool(flags & 0x4)
    fields = [bool(flags & flag) for flag in _TRUN_FIELDS]
    width = sum(fields)
    if count + len(samples) > MAX_SAMPLES or at + count * width > len(words):
        raise ProtocolError(f"trun with {count} samples, for which it has no room")
    offset = base + (_signed(words[2]) if flags & 0x1 else 0)
    first_flags = words[at - 1] if flags & 0x4 else None
    for number in range(count):
        row = iter(words[at + number * width : at + (number + 1) * width])
        duration, size, sample_flags = (
            next(row) if present else default for present, default in zip(fields, defaults, strict=False)
        )
        if number == 0 and first_flags is not None:
            sample_flags = first_flags
        composition_offset = _signed(next(row)) if fields[3] else 0
        samples.append(Sample(offset, size, dts, duration, composition_offset, not sample_flags & _NON_SYNC))
        offset += size
        dts += duration
    return dts


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
