"""VP8 and Opus in RTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtp import opus, vp8
from headwater.protocols.rtp.jitter import JitterBuffer
from headwater.protocols.rtp.packet import Packet
from headwater.protocols.rtp.sending import Source
from headwater.protocols.rtp.unit import Unit
from tests.unit.protocols.rtp.networks import disordered, parsed

KEY = bytes.fromhex("f0c000 9d012a 8002 6801".replace(" ", ""))  # 640x360
frames = st.lists(
    st.one_of(st.binary(max_size=500).map(lambda rest: KEY + rest), st.binary(max_size=500).map(lambda b: b"\x11" + b)),
    min_size=1,
    max_size=12,
)


def packed(stream: list[bytes], max_payload: int = 100, first: int = 0xFFF8) -> list[Packet]:
    packetizer = vp8.Packetizer(max_payload, first_picture=0x7FFE)
    source = Source(1, 97, 90_000, first_sequence=first, first_timestamp=0xFFFFFF00)
    return [
        packet
        for index, frame in enumerate(stream)
        for packet in parsed(source.packets(packetizer.packetize(frame), index * 3000))
    ]


def put_together(packets: list[Packet]) -> list[Unit]:
    buffer, depacketizer = JitterBuffer(), vp8.Depacketizer()
    ordered = [one for index, packet in enumerate(packets) for one in buffer.push(packet, index)]
    return [unit for packet in (*ordered, *buffer.tick(1e9)) for unit in depacketizer.push(packet)]


@given(frames, st.integers(20, 1500), st.integers(0, 0xFFFF), st.integers())
def test_packed_sent_in_disorder_and_put_together(stream: list[bytes], max_payload: int, first: int, seed: int) -> None:
    packets = packed(stream, max_payload, first)
    assert all(len(packet.payload) <= max_payload for packet in packets)
    units = put_together(disordered(packets, seed))
    assert [unit.payload for unit in units] == stream
    assert all(unit.complete and not unit.after_loss for unit in units)
    assert [unit.key for unit in units] == [frame.startswith(KEY) for frame in stream]


@given(frames, st.integers(), st.floats(0.01, 0.5))
def test_what_is_complete_is_true_and_what_is_lost_is_told(stream: list[bytes], seed: int, loss: float) -> None:
    expected = 0
    for unit in put_together(disordered(packed(stream), seed, loss=loss)):
        index = ((unit.timestamp + 0x100) & 0xFFFFFFFF) // 3000
        if unit.complete:
            assert unit.payload == stream[index]
        if not unit.after_loss:
            assert index == expected and unit.complete
        expected = index + 1


@given(st.lists(st.binary(max_size=20), max_size=30), st.data())
def test_garbage_is_a_protocol_error_and_harms_only_itself(payloads: list[bytes], data: st.DataObject) -> None:
    depacketizer = vp8.Depacketizer()
    for index, payload in enumerate(payloads):
        packet = Packet(data.draw(st.booleans()), 96, index, data.draw(st.sampled_from([0, 1, 2])), 1, payload)
        try:
            depacketizer.push(packet)
        except ProtocolError:
            pass
    frame = Packet(True, 96, len(payloads), 777, 1, b"\x10" + KEY + b"frame")
    units = [unit for unit in depacketizer.push(frame) if unit.timestamp == 777]
    assert [(unit.payload, unit.complete) for unit in units] == [(KEY + b"frame", True)]


@pytest.mark.parametrize(
    ("descriptor", "size"),
    [
        ("10", 1),
        ("9000", 2),
        ("908012", 3),
        ("90808123", 4),
        ("90e0812301 20".replace(" ", ""), 6),
        ("904001", 3),
        ("902020", 3),
        ("903020", 3),
    ],
)
def test_payload_descriptors(descriptor: str, size: int) -> None:
    """RFC 7741, 4.2: X with picture number (7 or 15 bits), TL0PICIDX, TID and KEYIDX."""
    data = bytes.fromhex(descriptor)
    assert vp8.descriptor_bytes(data + b"x") == size == len(data)
    for cut in range(size + 1):
        with pytest.raises(ProtocolError):
            vp8.descriptor_bytes(data[:cut])


def test_the_size_of_a_key_frame() -> None:
    assert vp8.key_frame_size(KEY) == (640, 360)
    with pytest.raises(ProtocolError):
        vp8.key_frame_size(b"\x11" + KEY[1:])


def test_opus_packets_come_as_they_are() -> None:
    depacketizer = opus.Depacketizer()
    assert [unit.payload for unit in depacketizer.push(Packet(False, 111, 1, 960, 3, b"\xfcsound"))] == [b"\xfcsound"]
    (after,) = depacketizer.push(Packet(False, 111, 3, 2880, 3, b"\xfcsound"))
    assert after.after_loss and after.timestamp == 2880
    assert not depacketizer.push(Packet(False, 111, 4, 3840, 3, b""))
    for broken in (b"\xff", b"\xfc" * 1501):
        with pytest.raises(ProtocolError):
            depacketizer.push(Packet(False, 111, 5, 3840, 3, broken))
    assert opus.stereo(b"\xfc") and not opus.stereo(b"\xf8") and opus.packetize(b"\xfc") == [b"\xfc"]
