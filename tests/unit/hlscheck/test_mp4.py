"""The MP4 reader against files written by other code, cut short and damaged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.hlscheck import mp4
from tests.unit.hlscheck import boxes

INIT = boxes.init(1, 24_000, b"avc1", width=640, height=360)
SAMPLES = [
    boxes.Sample(1000, b"one", True),
    boxes.Sample(1000, b"three", False, 2000),
    boxes.Sample(500, b"", False, -500),
]


def test_an_init_segment_is_read() -> None:
    track = mp4.parse_init(INIT).tracks[1]
    assert (track.timescale, track.handler, track.codec) == (24_000, "vide", "avc1")
    assert (track.width, track.height) == (640, 360)


@pytest.mark.parametrize("version", [0, 1])
def test_an_edit_list_shifts(version: int) -> None:
    """An empty edit, then one that begins at media time 2002."""
    code = ">IiI" if version == 0 else ">QqI"
    edits = struct.pack(code, 5, -1, 0x10000) + struct.pack(code, 0, 2002, 0x10000)
    edts = boxes.box(b"edts", boxes.full(b"elst", version, 0, struct.pack(">I", 2), edits))
    track = mp4._parse_track(mp4._Budget(), memoryview(edts + _track_boxes()), 0, len(edts + _track_boxes()))
    assert (track.shift, track.timescale) == (2002, 24_000)


def _track_boxes() -> bytes:
    """What the trak of INIT holds."""
    start = INIT.index(b"trak") - 4
    size = int.from_bytes(INIT[start : start + 4], "big")
    return INIT[start + 8 : start + size]


def test_a_sound_track_has_no_size() -> None:
    track = mp4.parse_init(boxes.init(2, 48_000, b"mp4a")).tracks[2]
    assert (track.handler, track.codec, track.width) == ("soun", "mp4a", 0)


def test_fragments_are_read() -> None:
    """Two fragments that follow each other are one run; a third one that jumps is noted."""
    data = boxes.fragment(1, 100, SAMPLES) + boxes.fragment(1, 2600, SAMPLES) + boxes.fragment(1, 9000, SAMPLES)
    media = mp4.parse_media(data, mp4.parse_init(INIT))
    run = media.runs[1]
    assert media.fragments == 3
    assert [s.dts for s in run.samples] == [100, 1100, 2100, 2600, 3600, 4600, 9000, 10_000, 11_000]
    assert [(s.size, s.sync, s.composition_offset) for s in run.samples[:3]] == [
        (3, True, 0),
        (5, False, 2000),
        (0, False, -500),
    ]
    assert (run.start, run.end, run.jumps) == (100, 11_500, [(5100, 9000)])


def test_a_changed_byte_is_a_changed_sample() -> None:
    data = boxes.fragment(1, 0, SAMPLES)
    ours, theirs = mp4.parse_media(data, None), mp4.parse_media(data.replace(b"three", b"threE"), None)
    assert ours.runs[1].samples != theirs.runs[1].samples


def test_defaults_of_the_init_segment_apply() -> None:
    """A tfhd and trun without durations, sizes and flags take trex's."""
    trex = struct.pack(">IIIII", 1, 1, 1000, 4, boxes.NON_SYNC)
    data = boxes.fragment(1, 0, SAMPLES)
    init = INIT.replace(struct.pack(">IIIII", 1, 1, 0, 0, 0), trex)
    trun = boxes.full(b"trun", 0, 0x000001, struct.pack(">Ii", 2, 0))
    tfhd = boxes.full(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
    tfdt = boxes.full(b"tfdt", 0, 0, struct.pack(">I", 7))
    data = boxes.box(b"moof", boxes.box(b"traf", tfhd, tfdt, trun)) + boxes.box(b"mdat", b"12345678")
    run = mp4.parse_media(data, mp4.parse_init(init)).runs[1]
    assert [(s.dts, s.duration, s.size, s.sync) for s in run.samples] == [(7, 1000, 4, False), (1007, 1000, 4, False)]


@pytest.mark.parametrize("cut", range(1, len(boxes.fragment(1, 0, SAMPLES)), 7))
def test_a_fragment_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(ProtocolError):
        mp4.parse_media(boxes.fragment(1, 0, SAMPLES)[:cut], None)


def test_too_many_samples_are_refused() -> None:
    """A count that the trun cannot hold ends before anything is read, whatever it says."""
    trun = boxes.full(b"trun", 0, 0, struct.pack(">I", 2**32 - 1))
    tfhd = boxes.full(b"tfhd", 0, 0, struct.pack(">I", 1))
    tfdt = boxes.full(b"tfdt", 0, 0, struct.pack(">I", 0))
    with pytest.raises(ProtocolError, match="samples"):
        mp4.parse_media(boxes.box(b"moof", boxes.box(b"traf", tfhd, tfdt, trun)), None)


def test_too_many_boxes_are_refused() -> None:
    with pytest.raises(ProtocolError, match="boxes"):
        mp4.parse_media(boxes.box(b"free") * (mp4.MAX_BOXES + 1), None)


@given(st.data())
def test_damage_parses_or_raises_protocol_error(data: st.DataObject) -> None:
    """Any damaged file either parses or raises ProtocolError, nothing else."""
    whole = bytearray(data.draw(st.sampled_from([INIT, boxes.fragment(1, 5, SAMPLES), b""])))
    for _ in range(data.draw(st.integers(0, 6)) if whole else 0):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole) + data.draw(st.binary(max_size=20))
    for parse in (mp4.parse_init, lambda b: mp4.parse_media(b, None)):
        try:
            parse(damaged)
        except ProtocolError:
            pass
