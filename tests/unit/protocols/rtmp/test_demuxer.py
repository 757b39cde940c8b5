"""The demuxer: any split of the bytes gives the same messages; interleaved or not; limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.messages import Message, chunked, set_chunk_size
from tests.unit.protocols.rtmp.chunks import ChunkWriter, Written, basic_header

_numbers = st.sampled_from([3, 4, 6, 63, 64, 319, 320, 65_599])
_timestamps = st.sampled_from([0, 1, 40, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF)


@st.composite
def written(draw: st.DrawFn) -> Written:
    payload = bytes(draw(st.integers(0, 255)) for _ in range(3)) * draw(st.integers(0, 60))
    type_id, stream_id = draw(st.sampled_from([8, 9, 20])), draw(st.integers(0, 3))
    return Written(draw(_numbers), type_id, stream_id, draw(_timestamps), payload)


def demux(pieces: list[bytes], chunk_size: int) -> list[Message]:
    demuxer = Demuxer(max_message=100_000)
    messages = demuxer.feed(set_chunk_size(chunk_size))
    for piece in pieces:
        messages = messages + demuxer.feed(piece)
    return messages


def as_read(message: Written) -> Message:
    return message.type_id, message.stream_id, message.timestamp, message.payload


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@settings(max_examples=150)
@given(st.lists(written(), max_size=6), st.integers(1, 50), st.booleans(), st.lists(st.integers(0, 5000), max_size=8))
def test_every_header_form_reads_back_however_it_is_cut(
    messages: list[Written], chunk_size: int, compress: bool, cuts: list[int]
) -> None:
    writer = ChunkWriter(chunk_size, compress=compress)
    data = b"".join(b"".join(writer.chunks(message)) for message in messages)
    assert demux(split(data, cuts), chunk_size) == [as_read(message) for message in messages]


@settings(max_examples=150)
@given(
    st.lists(written(), min_size=1, max_size=5),
    st.integers(1, 50),
    st.randoms(),
    st.lists(st.integers(0, 5000), max_size=8),
)
def test_interleaved_messages_come_in_the_order_of_their_last_bytes(
    messages: list[Written], chunk_size: int, random: object, cuts: list[int]
) -> None:
    by_number = {message.number: message for message in messages}
    writer = ChunkWriter(chunk_size)
    waiting = {number: writer.chunks(message) for number, message in by_number.items()}
    data, expected = b"", []
    while waiting:
        number = random.choice(sorted(waiting))  # type: ignore[attr-defined]  # hypothesis' own random
        data += waiting[number].pop(0)
        if not waiting[number]:
            del waiting[number]
            expected.append(as_read(by_number[number]))
    assert demux(split(data, cuts), chunk_size) == expected


@given(st.binary(max_size=3000), st.integers(1, 200), st.integers(0, 0xFFFFFFFF), st.integers(2, 63))
def test_our_own_chunks_read_back_byte_by_byte(payload: bytes, chunk_size: int, timestamp: int, number: int) -> None:
    data = chunked(number, 9, 1, timestamp, payload, chunk_size)
    assert demux([data[at : at + 1] for at in range(len(data))], chunk_size) == [(9, 1, timestamp, payload)]


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=5))
def test_garbage_is_refused_or_asks_for_more(data: bytes, cuts: list[int]) -> None:
    demuxer = Demuxer(max_message=1000)
    try:
        for piece in split(data, cuts):
            demuxer.feed(piece)
    except ProtocolError:
        pass


@pytest.mark.parametrize("size", [5, 100, 101, 128, 129, 1000])
def test_extended_timestamps_may_be_missing_from_type_3_chunks(size: int) -> None:
    """Some encoders write the extended timestamp only behind the first header of a message."""
    payload = bytes(number % 251 for number in range(size))
    messages = [Written(6, 9, 1, 0x1234567 + 40 * number, payload) for number in range(3)]
    writer = ChunkWriter(100, compress=False, type3_extended=False)
    data = b"".join(b"".join(writer.chunks(message)) for message in messages)
    assert demux([data], 100) == [as_read(message) for message in messages]


def test_an_interleaved_message_is_not_held_up_by_a_long_one() -> None:
    """A ping between the chunks of a key frame is answered when it is here, not when the frame is."""
    frame = ChunkWriter(100).chunks(Written(6, 9, 1, 0, bytes(1000)))
    ping = ChunkWriter(100).chunks(Written(2, 4, 0, 0, bytes(6)))
    demuxer = Demuxer(max_message=100_000)
    demuxer.feed(set_chunk_size(100) + b"".join(frame[:3]))
    assert demuxer.feed(ping[0]) == [(4, 0, 0, bytes(6))]
    assert demuxer.feed(b"".join(frame[3:])) == [(9, 1, 0, bytes(1000))]


def test_a_payload_that_looks_like_headers_is_no_header() -> None:
    payload = basic_header(3, 6) * 1000
    data = b"".join(ChunkWriter(100).chunks(Written(6, 9, 1, 0, payload)))
    assert demux([data], 100) == [(9, 1, 0, payload)]


def test_a_message_over_the_limit_is_refused_at_its_header() -> None:
    with pytest.raises(ProtocolError, match="max_message"):
        Demuxer(max_message=1000).feed(chunked(6, 9, 1, 0, bytes(1001), 5000)[:12])


def test_unfinished_messages_are_limited_together() -> None:
    demuxer = Demuxer(max_message=1000, max_chunk_streams=64)
    with pytest.raises(ProtocolError, match="unfinished"):
        for number in range(3, 12):
            demuxer.feed(ChunkWriter(128).chunks(Written(number, 9, 1, 0, bytes(1000)))[0])


def test_the_65th_chunk_stream_is_refused() -> None:
    demuxer = Demuxer(max_message=1000, max_chunk_streams=64)
    for number in range(2, 66):
        demuxer.feed(b"".join(ChunkWriter(128).chunks(Written(number, 9, 1, 0, b"x"))))
    with pytest.raises(ProtocolError, match="max_chunk_streams"):
        demuxer.feed(b"".join(ChunkWriter(128).chunks(Written(66, 9, 1, 0, b"x"))))


@pytest.mark.parametrize("size", [0, 127, 0x80000000, 0xFFFFFFFF])
def test_chunk_sizes_out_of_bounds_are_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match="chunk size"):
        Demuxer(max_message=1000, min_chunk_size=128).feed(set_chunk_size(size))


def test_a_huge_chunk_size_allows_no_larger_message() -> None:
    demuxer = Demuxer(max_message=1000)
    demuxer.feed(set_chunk_size(0x7FFFFFFF))
    assert demuxer.feed(chunked(6, 9, 1, 0, bytes(1000), 5000)) == [(9, 1, 0, bytes(1000))]
    with pytest.raises(ProtocolError):
        demuxer.feed(chunked(6, 9, 1, 0, bytes(1001), 5000))


@pytest.mark.parametrize("form", [2, 3])
def test_a_chunk_stream_cannot_begin_without_a_length(form: int) -> None:
    with pytest.raises(ProtocolError, match="begins"):
        Demuxer(max_message=1000).feed(basic_header(form, 5))


@given(st.integers(1, 400), st.integers(0, 3000))
def test_a_long_message_in_small_reads_is_compared_once(cut: int, broken: int) -> None:
    """Where a header is not what it should be is found whichever read it comes with."""
    whole = bytearray(b"".join(ChunkWriter(128).chunks(Written(6, 9, 1, 0x1234567, bytes(3000)))))
    place = broken % len(whole)
    demuxer, at_once = Demuxer(max_message=5000), Demuxer(max_message=5000)
    if place > 16:
        whole[place] ^= 0xFF

    def run(reader: Demuxer, step: int) -> tuple[list[Message], bool]:
        messages: list[Message] = []
        try:
            for at in range(0, len(whole), step):
                messages += reader.feed(bytes(whole[at : at + step]))
        except ProtocolError:
            return messages, True
        return messages, False

    assert run(demuxer, cut) == run(at_once, len(whole))
