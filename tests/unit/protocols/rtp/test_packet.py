"""RTP packets, header extensions, retransmissions, counters of wrapping numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtp import packet as rtp
from headwater.protocols.rtp.packet import Packet

# Opus of a browser: one-byte extensions 1 (audio level: voice, -42 dB), 2 (absolute send time) and 4 (mid "0").
BROWSER = bytes.fromhex("906f1a2b 0000b0c0 cafe1234 bede0003 10aa 22010203 4030 0000 00 00".replace(" ", "")) + b"opus"

words = st.integers(0, 0xFFFFFFFF)
packets = st.builds(
    Packet,
    st.booleans(),
    st.integers(0, 127),
    st.integers(0, 0xFFFF),
    words,
    words,
    st.binary(max_size=200),
    st.binary(max_size=20).map(lambda data: data[: len(data) // 4 * 4]),
    st.sampled_from([rtp.ONE_BYTE, rtp.TWO_BYTE]),
)


def test_a_browsers_packet() -> None:
    packet = rtp.parse(BROWSER)
    assert (packet.marker, packet.payload_type, packet.sequence) == (False, 111, 0x1A2B)
    assert (packet.timestamp, packet.ssrc, packet.payload) == (0xB0C0, 0xCAFE1234, b"opus")
    assert packet.element(1) == b"\xaa" and packet.element(4) == b"0" and packet.element(3) is None
    assert rtp.audio_level(b"\xaa") == (True, 42)
    assert rtp.element_of(BROWSER, 2) == b"\1\2\3" and rtp.payload_of(BROWSER) == b"opus"


@given(packets)
def test_what_is_written_reads_back(packet: Packet) -> None:
    assert rtp.parse(rtp.build(packet)) == packet


@given(packets, st.data())
def test_a_cut_packet_is_refused_or_shorter(packet: Packet, data: st.DataObject) -> None:
    whole = rtp.build(packet)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = rtp.parse(cut)
    except ProtocolError:
        return
    assert packet.payload.startswith(found.payload) and len(found.payload) < len(packet.payload)


@given(st.binary(max_size=100), st.integers(1, 255))
def test_garbage_parses_or_is_a_protocol_error(data: bytes, number: int) -> None:
    """And nothing that reads a packet differs on which it is."""
    outcomes = []
    for read in (
        rtp.check,
        rtp.parse,
        rtp.payload_of,
        lambda packet: rtp.element_of(packet, number),
        lambda packet: rtp.to_rtx(packet, payload_type=97, sequence=1, ssrc=2),
        lambda packet: rtp.from_rtx(packet, payload_type=96, ssrc=2),
    ):
        try:
            read(data)
            outcomes.append(True)
        except ProtocolError:
            outcomes.append(False)
    if outcomes[0]:
        assert all(outcomes)
    else:
        assert not any(outcomes[:3]) and not any(outcomes[4:])


@given(packets, st.integers(1, 30), st.integers(0, 15))
def test_padding_and_csrcs_are_no_payload(packet: Packet, padding: int, csrcs: int) -> None:
    whole = bytearray(rtp.build(packet))
    whole[0] |= 0x20 | csrcs
    whole[12:12] = bytes(4 * csrcs)
    whole += bytes(padding - 1) + bytes((padding,))
    assert rtp.parse(bytes(whole)).payload == packet.payload


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x80" + bytes(10), "11 bytes"),
        (b"\x80" + bytes(rtp.MAX_PACKET_BYTES), "2049 bytes"),
        (b"\x40" + bytes(11), "version 1"),
        (b"\x81" + bytes(11), "header"),
        (b"\x90" + bytes(11), "header extension"),
        (b"\x90" + bytes(11) + b"\xbe\xde\0\1", "header"),
        (b"\xa0" + bytes(11) + b"\0", "0 bytes of padding"),
        (b"\xa0" + bytes(11) + b"\2", "2 bytes of padding in 1"),
    ],
)
def test_broken_packets_say_what_is_wrong(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        rtp.check(data)


@given(packets, st.integers(0, 127), st.integers(0, 0xFFFF), words, words, st.booleans())
def test_a_forwarded_packet_has_a_new_header(
    packet: Packet, payload_type: int, sequence: int, timestamp: int, ssrc: int, extended: bool
) -> None:
    profile, extension = rtp.elements({4: b"mid0"})
    block = rtp.extension_block(extension, profile) if extended else b""
    out = rtp.rewrite(
        rtp.build(packet),
        payload_type=payload_type,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        extension=block,
    )
    assert rtp.element_of(out, 4) == (b"mid0" if extended else None)
    again = rtp.parse(bytes(out))
    assert again.payload == packet.payload and again.marker == packet.marker
    assert (again.payload_type, again.sequence, again.timestamp, again.ssrc) == (
        payload_type,
        sequence,
        timestamp,
        ssrc,
    )
    assert (rtp.sequence_of(out), rtp.timestamp_of(out), rtp.ssrc_of(out)) == (sequence, timestamp, ssrc)


def test_a_forwarded_packet_keeps_its_padding_and_loses_its_csrcs() -> None:
    out = rtp.rewrite(
        b"\xa1\x60\0\1" + bytes(8) + b"csrcpayload\0\2", payload_type=100, sequence=7, timestamp=8, ssrc=9
    )
    assert out == b"\xa0\x64\0\7\0\0\0\x08\0\0\0\x09payload\0\2"
    with pytest.raises(ProtocolError):
        rtp.rewrite(b"\x80\x60", payload_type=100, sequence=7, timestamp=8, ssrc=9)


@given(packets, words)
def test_a_retransmission_holds_the_packet(packet: Packet, ssrc: int) -> None:
    """RFC 4588, 4: all but payload type, sequence number and source stand as they were."""
    whole = rtp.build(packet)
    again = rtp.to_rtx(whole, payload_type=97, sequence=4711, ssrc=ssrc)
    assert (rtp.parse(again).payload_type, rtp.sequence_of(again), rtp.ssrc_of(again)) == (97, 4711, ssrc)
    assert rtp.from_rtx(again, payload_type=packet.payload_type, ssrc=packet.ssrc) == whole


def test_a_probe_in_the_retransmission_stream_holds_nothing() -> None:
    assert rtp.from_rtx(b"\xa0\x61" + bytes(10) + bytes(9) + b"\x0a", payload_type=96, ssrc=1) is None


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=6))
def test_elements_read_back(values: dict[int, bytes]) -> None:
    profile, data = rtp.elements(values)
    whole = rtp.build(Packet(False, 96, 1, 2, 3, b"payload", data, profile))
    for number, value in values.items():
        assert rtp.element_of(whole, number) == value
    assert rtp.parse(whole).payload == b"payload"


def test_an_extension_of_another_kind_has_no_elements() -> None:
    packet = Packet(False, 96, 1, 2, 3, b"", b"\x10\xaa\0\0", 0x1234)
    assert packet.element(1) is None
    assert Packet(False, 96, 1, 2, 3, b"", b"\xf0\0\x10\xaa", rtp.ONE_BYTE).element(1) is None  # 15: stop, 4.2
    assert Packet(False, 96, 1, 2, 3, b"", b"\0" * 3 + b"\x1f", rtp.ONE_BYTE).element(1) is None  # cut off


def test_rtcp_is_told_from_rtp() -> None:
    assert rtp.is_rtcp(b"\x80\xc8\0\1") and rtp.is_rtcp(b"\x81\xce")
    assert not rtp.is_rtcp(BROWSER) and not rtp.is_rtcp(b"\x80\xe0") and not rtp.is_rtcp(b"\x80")


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-300, 300), max_size=300))
def test_numbers_that_wrap_become_a_counter(first: int, steps: list[int]) -> None:
    """Whatever the order in which they come, as long as no step is half the circle."""
    unwrapper = rtp.Unwrapper(16)
    assert unwrapper.unwrap(first) == first
    newest = first
    for step in steps:
        value = newest + step
        assert unwrapper.unwrap(value & 0xFFFF) == value
        newest = max(newest, value)
        assert unwrapper.newest == newest
