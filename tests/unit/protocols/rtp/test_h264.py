"""H.264 in RTP: what is packed is put together again, whatever is lost on the way."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.media.h264 import parse_avcc
from headwater.protocols.rtp import h264
from headwater.protocols.rtp.h264 import Depacketizer, Packetizer
from headwater.protocols.rtp.jitter import JitterBuffer
from headwater.protocols.rtp.packet import Packet
from headwater.protocols.rtp.sending import Source
from headwater.protocols.rtp.unit import Unit
from tests.unit.protocols.rtp.networks import disordered, parsed

SPS = bytes.fromhex("6742c01fda014016e9b808080a000007d20001d4c11e306540")  # baseline 1280x720
SPS2 = bytes.fromhex("6764001facd9405005bb011000000300100000030300f18319a0")  # high 1280x720
PPS = bytes.fromhex("68ce3c80")
RECORD = h264.build_avcc([SPS], [PPS])


def nal(kind: int, body: bytes, first: bool = True) -> bytes:
    """A NAL unit; a slice's first bit is first_mb_in_slice 0."""
    return bytes((0x60 | kind, 0x80 if first else 0x40)) + body


def joined(*nals: bytes) -> bytes:
    return b"".join(len(one).to_bytes(4, "big") + one for one in nals)


bodies = st.binary(max_size=400)
pictures = st.builds(
    lambda key, seis, slices: (
        key,
        joined(
            *(nal(6, sei) for sei in seis),
            *(nal(5 if key else 1, body, first=index == 0) for index, body in enumerate(slices)),
        ),
    ),
    st.booleans(),
    st.lists(bodies, max_size=2),
    st.lists(bodies, min_size=1, max_size=4),
)
streams = st.lists(pictures, min_size=1, max_size=12)


def packed(
    stream: list[tuple[bool, bytes]], max_payload: int = 100, first: int = 0xFFF0, start: int = 0xFFFF0000
) -> list[Packet]:
    packetizer = Packetizer(max_payload)
    packetizer.configure(RECORD)
    source = Source(1, 96, 90_000, first_sequence=first, first_timestamp=start)
    return [
        packet
        for index, (key, payload) in enumerate(stream)
        for packet in parsed(source.packets(packetizer.packetize(payload, key=key), index * 3000))
    ]


def put_together(packets: list[Packet]) -> tuple[list[Unit], Depacketizer]:
    buffer, depacketizer = JitterBuffer(), Depacketizer()
    units: list[Unit] = []
    for index, packet in enumerate(packets):
        for ordered in buffer.push(packet, index):
            units += depacketizer.push(ordered)
    for ordered in buffer.tick(1e9):
        units += depacketizer.push(ordered)
    return units, depacketizer


def slices(payload: bytes) -> list[bytes]:
    return [one for one in h264.split_nals(payload) if one[0] & 31 in (1, 5)]


@given(streams, st.integers(60, 1500), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers())
def test_packed_sent_in_disorder_and_put_together(
    stream: list[tuple[bool, bytes]], max_payload: int, first: int, start: int, seed: int
) -> None:
    """Every size of packet, every beginning of the numbers, duplicates and disorder: nothing changes."""
    packets = packed(stream, max_payload, first, start)
    assert all(len(packet.payload) <= max_payload for packet in packets)
    units, depacketizer = put_together(disordered(packets, seed))
    assert [unit.payload for unit in units] == [payload for _, payload in stream]
    known = False
    for index, (unit, (key, _)) in enumerate(zip(units, stream, strict=True)):
        known = known or key
        assert unit.complete and not unit.after_loss and unit.key == (key and known)
        assert unit.timestamp == (start + index * 3000) & 0xFFFFFFFF
    assert depacketizer.record == (RECORD if known else None)


@given(streams, st.integers(), st.floats(0.01, 0.5))
def test_what_is_complete_is_true_and_what_is_lost_is_told(
    stream: list[tuple[bool, bytes]], seed: int, loss: float
) -> None:
    """Of a stream with losses, complete units are as they were sent, and none after a hole hides it."""
    units, _ = put_together(disordered(packed(stream), seed, loss=loss))
    by_time = {(0xFFFF0000 + index * 3000) & 0xFFFFFFFF: index for index in range(len(stream))}
    expected = 0
    for unit in units:
        index = by_time[unit.timestamp]
        if unit.complete:
            assert slices(unit.payload) == slices(stream[index][1])
        if not unit.after_loss:
            assert unit.payload == stream[index][1]
            assert index == expected and unit.complete
        expected = index + 1


@given(st.lists(st.binary(max_size=80), max_size=30), st.data())
def test_garbage_is_a_protocol_error_and_harms_only_itself(payloads: list[bytes], data: st.DataObject) -> None:
    depacketizer = Depacketizer()
    for index, payload in enumerate(payloads):
        packet = Packet(data.draw(st.booleans()), 96, index, data.draw(st.sampled_from([0, 1, 2])), 1, payload)
        try:
            depacketizer.push(packet)
        except ProtocolError:
            pass
    picture = [(True, joined(nal(5, b"picture")))]
    after = packed(picture, first=len(payloads), start=777)
    units = [unit for packet in after for unit in depacketizer.push(packet) if unit.timestamp == 777]
    assert [(unit.payload, unit.complete) for unit in units] == [(picture[0][1], True)]


def test_small_nal_units_travel_together() -> None:
    payloads = Packetizer(100).packetize(joined(nal(6, b"sei"), nal(1, b"slice")), key=False)
    assert payloads == [b"\x78\0\5\x66\x80sei\0\7\x61\x80slice"]


def test_a_large_nal_unit_is_cut_to_even_pieces() -> None:
    payloads = Packetizer(100).packetize(joined(nal(1, bytes(150))), key=False)
    assert [len(payload) for payload in payloads] == [78, 77]
    assert payloads[0][:2] == b"\x7c\x81" and payloads[1][:2] == b"\x7c\x41"


def test_parameter_sets_come_from_the_session_description_too() -> None:
    sprop = ",".join(b64encode(one).decode() for one in (SPS, PPS))
    depacketizer = Depacketizer(sprop)
    assert depacketizer.record == RECORD
    unit = Packet(True, 96, 1, 2, 3, nal(5, b"picture"))
    assert [unit.key for unit in depacketizer.push(unit)] == [True]
    for broken in ("!", "Zw", "A" * 9000, b64encode(b"\x67").decode()):
        with pytest.raises(ProtocolError):
            Depacketizer(broken)


def test_a_key_frame_without_parameter_sets_is_none() -> None:
    units = Depacketizer().push(Packet(True, 96, 1, 2, 3, nal(5, b"picture")))
    assert [unit.key for unit in units] == [False]


def test_a_key_frame_whose_parameter_sets_are_lost_is_not_complete() -> None:
    """They may have been others; where they never came in band, there is nothing to lose."""
    key = (True, joined(nal(5, b"picture" * 30)))
    sets, *first = packed([key])
    again = packed([key, key], start=777)[len(first) + 2 :]
    depacketizer = Depacketizer()
    assert [unit.complete for packet in (sets, *first, *again) for unit in depacketizer.push(packet)] == [True, False]
    outside = Depacketizer(",".join(b64encode(one).decode() for one in (SPS, PPS)))
    assert [unit.complete for packet in (*first, *again) for unit in outside.push(packet)] == [True, True]


def test_a_changed_parameter_set_makes_a_new_record() -> None:
    depacketizer = Depacketizer()
    for sequence, sets in enumerate(((SPS, PPS), (SPS2, PPS))):
        for one in sets:
            depacketizer.push(Packet(False, 96, sequence, sequence, 3, one))
    record = depacketizer.record
    assert record == h264.build_avcc([SPS2], [PPS])
    assert parse_avcc(record).codecs == "avc1.64001f" and record[-4:] == b"\xfd\xf8\xf8\0"
    assert (parse_avcc(RECORD).width, parse_avcc(RECORD).height) == (1280, 720)


def test_a_marker_that_is_lost_does_not_join_two_pictures() -> None:
    depacketizer = Depacketizer()
    first = Packet(False, 96, 1, 100, 3, nal(1, b"one"))
    second = Packet(True, 96, 2, 200, 3, nal(1, b"two"))
    assert not depacketizer.push(first)
    assert [(unit.timestamp, unit.complete) for unit in depacketizer.push(second)] == [(100, True), (200, True)]


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\x79abc", "structure 25"),
        (b"\x7c\x80", "without a fragment"),
        (b"\x78\0\5abc", "STAP-A"),
        (b"\x78\0\0", "STAP-A"),
        (b"\x67abc" + bytes(2000), "parameter set of 2004"),
    ],
)
def test_broken_payloads_say_what_is_wrong(payload: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        Depacketizer().push(Packet(True, 96, 1, 2, 3, payload))


def test_an_access_unit_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h264, "MAX_UNIT_BYTES", 1000)
    depacketizer = Depacketizer()
    depacketizer.push(Packet(False, 96, 1, 2, 3, b"\x7c\x81" + bytes(600)))
    with pytest.raises(ProtocolError, match="1000 bytes"):
        depacketizer.push(Packet(False, 96, 2, 2, 3, b"\x7c\x01" + bytes(600)))
    monkeypatch.setattr(h264, "MAX_NALS", 2)
    with pytest.raises(ProtocolError, match="2 NAL units"):
        for sequence in range(3, 7):
            depacketizer.push(Packet(False, 96, sequence, 2, 3, nal(1, b"")))


def test_start_codes_for_decoders() -> None:
    assert h264.annex_b(joined(nal(5, b"x")), RECORD) == b"".join(b"\0\0\0\1" + one for one in (SPS, PPS, nal(5, b"x")))
    with pytest.raises(ProtocolError):
        h264.annex_b(b"\0\0\0\5abc")
