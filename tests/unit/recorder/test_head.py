from __future__ import annotations

import struct

import pytest

from headwater.errors import LimitReached
from headwater.pipeline.recorder.head import HEAD_SIZE, Ending, SeekPoint, build_head
from headwater.protocols.isobmff.reader import find_box, iter_boxes
from tests.unit.recorder.synthetic import AUDIO, VIDEO, init


def references(head: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    """(where the first reference starts, its time, [(size, duration)])"""
    sidx = find_box(head, "sidx")
    assert sidx is not None
    time, first_offset = struct.unpack_from(">QQ", head, sidx.body + 12)
    (count,) = struct.unpack_from(">H", head, sidx.body + 30)
    words = struct.unpack_from(f">{3 * count}I", head, sidx.body + 32)
    assert sidx.body + 32 + 12 * count == sidx.end
    return sidx.end + first_offset, time, list(zip(words[::3], words[1::3], strict=True))


@pytest.mark.parametrize("count", [0, 1, 2, 1000, 50_000])
def test_ending(count: int) -> None:
    """The head fills its region; its index reaches from the first segment to the end of the file, however long."""
    points = [SeekPoint(HEAD_SIZE + 100 + 1000 * n, 180_000 * n) for n in range(count)]
    size = HEAD_SIZE + 100 + 1000 * count
    head = build_head([init(VIDEO), init(AUDIO)], Ending(2000 * count, VIDEO, 90_000, points, 180_000 * count, size))
    assert len(head) == HEAD_SIZE
    kinds = [found.kind for found in iter_boxes(head)]
    assert kinds == [b"ftyp", b"moov", *([b"sidx"] if count else []), b"free"]
    mehd = find_box(head, "moov/mvex/mehd")
    assert mehd is not None
    assert struct.unpack_from(">Q", head, mehd.body + 4) == (2000 * count,)
    if count:
        start, time, listed = references(head)
        assert (start, time) == (points[0].offset, 0)
        assert start + sum(each for each, _ in listed) == size
        assert sum(duration for _, duration in listed) == 180_000 * count
        positions = {point.offset for point in points}
        assert all(start + sum(each for each, _ in listed[:n]) in positions for n in range(len(listed)))


def test_nothing_is_better_than_a_wrong_index() -> None:
    """Two segments 3 GB apart cannot be listed (31 bits): no index."""
    points = [SeekPoint(HEAD_SIZE, 0), SeekPoint(3_000_000_000, 1)]
    head = build_head([init(VIDEO)], Ending(1, VIDEO, 90_000, points, 2, 3_000_000_100))
    assert find_box(head, "sidx") is None


def test_late_configuration() -> None:
    """Each version of a track's configuration has its sample entry."""
    head = build_head([init(VIDEO), init(VIDEO, 1), init(AUDIO), init(VIDEO, 2)])
    counts = []
    moov = find_box(head, "moov")
    assert moov is not None
    for trak in iter_boxes(head, moov.body, moov.end):
        if trak.kind == b"trak":
            stsd = find_box(head, "mdia/minf/stbl/stsd", trak.body, trak.end)
            assert stsd is not None
            counts.append(struct.unpack_from(">I", head, stsd.body + 4)[0])
    assert counts == [3, 1]


def test_too_many_tracks() -> None:
    """What does not fit is a limit with a name."""
    tracks = [init(VIDEO, version) for version in range(64)]
    many = [
        type(init)(type(init.track)(number, init.track.config), init.version, init.timescale, init.data)
        for number in range(1, 9)
        for init in tracks
    ]
    with pytest.raises(LimitReached, match="HEAD_SIZE"):
        build_head(many)
