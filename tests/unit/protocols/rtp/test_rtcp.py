"""RTCP compounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtp import rtcp
from headwater.protocols.rtp.rtcp import (
    Bye,
    Description,
    Fir,
    Nack,
    Pli,
    ReceiverReport,
    Remb,
    ReportBlock,
    Rtcp,
    SenderReport,
)

words = st.integers(0, 0xFFFFFFFF)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
blocks = st.lists(
    st.builds(ReportBlock, words, st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1), words, words, words),
    max_size=4,
).map(tuple)
sequences = st.builds(
    lambda first, steps: tuple((first + step) & 0xFFFF for step in sorted(steps)),
    st.integers(0, 0xFFFF),
    st.sets(st.integers(0, 300), min_size=1, max_size=40),
)
packets = st.one_of(
    st.builds(SenderReport, words, st.integers(0, (1 << 64) - 1), words, words, words, blocks),
    st.builds(ReceiverReport, words, blocks),
    st.builds(Description, words, texts),
    st.builds(Bye, st.lists(words, max_size=4).map(tuple), texts),
    st.builds(Nack, words, words, sequences),
    st.builds(Pli, words, words),
    st.builds(Fir, words, st.lists(st.tuples(words, st.integers(0, 255)), max_size=3).map(tuple)),
    st.builds(Remb, words, st.integers(0, (1 << 18) - 1).map(lambda rate: rate << 7), st.just((1, 2))),
)


@given(st.lists(packets, min_size=1, max_size=5))
def test_what_is_written_reads_back(compound: list[Rtcp]) -> None:
    written = rtcp.build(*compound)
    if len(written) <= rtcp.MAX_COMPOUND_BYTES:
        assert rtcp.parse(written) == compound


@given(st.binary(max_size=200))
def test_garbage_parses_or_is_a_protocol_error(data: bytes) -> None:
    try:
        rtcp.parse(data)
    except ProtocolError:
        pass


@given(st.lists(packets, min_size=1, max_size=3), st.data())
def test_damaged_compounds_parse_or_are_protocol_errors(compound: list[Rtcp], data: st.DataObject) -> None:
    written = bytearray(rtcp.build(*compound))
    for _ in range(data.draw(st.integers(1, 3))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    try:
        rtcp.parse(bytes(written[: data.draw(st.integers(0, len(written)))]))
    except ProtocolError:
        pass


def test_a_nack_names_sixteen_more_by_bits() -> None:
    """RFC 4585, 6.2.1: PID and BLP, over the wrap of the numbers too."""
    nack = Nack(1, 2, (65530, 65531, 10, 11, 30))
    written = rtcp.build(nack)
    assert written == bytes.fromhex("81cd0005 00000001 00000002 fffa8001 000b0000 001e0000".replace(" ", ""))
    assert rtcp.parse(written) == [nack]


def test_what_is_unknown_is_passed_over() -> None:
    app = bytes.fromhex("80cc0002 00000001 41424344".replace(" ", ""))
    transport_cc = bytes.fromhex("8fcd0003 00000001 00000002 00000000".replace(" ", ""))
    assert rtcp.parse(app + transport_cc + rtcp.build(Pli(1, 2))) == [Pli(1, 2)]


def test_padding_and_descriptions_of_other_kinds() -> None:
    padded = bytes.fromhex("a1ce0003 00000001 00000002 00000004".replace(" ", ""))
    assert rtcp.parse(padded) == [Pli(1, 2)]
    tool = bytes.fromhex("81ca0004 00000001 0603464647 0101 41 00000000".replace(" ", ""))
    assert rtcp.parse(tool) == [Description(1, "A")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x80\xc9", "2 bytes"),
        (bytes(rtcp.MAX_COMPOUND_BYTES + 4), "2052 bytes"),
        (b"\x80\xc9\0\1", "ends within a packet"),
        (b"\x80\xc9\0\1\0\0\0\0\x80\xc9", "head"),
        (b"\x40\xc9\0\1\0\0\0\0", "version 1"),
        (b"\x81\xc9\0\1\0\0\0\0", "receiver report of 4 bytes; it has at least 28"),
        (b"\xa0\xc9\0\1\0\0\0\7", "7 bytes of padding in 4"),
        (b"\x80\xcc\0\0" * (rtcp.MAX_PACKETS + 1), "more than 64 packets"),
        (b"\x81\xcd\0\x64" + bytes(8) + b"\0\0\xff\xff" * 98, "1024 packets"),
    ],
)
def test_broken_compounds_say_what_is_wrong(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        rtcp.parse(data)


@given(st.integers(0, 2_000_000_000_000))
def test_times_read_back(wall_ms: int) -> None:
    assert abs(rtcp.wall_ms_of(rtcp.ntp_of(wall_ms)) - wall_ms) < 0.001


def test_the_round_trip_is_what_the_receiver_did_not_hold() -> None:
    """RFC 3550, figure 2: report sent at 10:00.125, held 5.25 s, heard again at 10:11.375."""
    sent = rtcp.ntp_of(1_000_000_000_125.0)
    block = ReportBlock(1, 0, 0, 0, 0, rtcp.middle(sent), int(5.25 * 65536))
    assert rtcp.round_trip_ms(block, rtcp.ntp_of(1_000_000_006_125.0)) == pytest.approx(750, abs=0.1)
    assert rtcp.round_trip_ms(ReportBlock(1, 0, 0, 0, 0), sent) is None
