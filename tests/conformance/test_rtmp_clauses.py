"""Adobe's RTMP 1.0, clause by clause, with the examples of its text."""

from __future__ import annotations

import pytest

from headwater.errors import ProtocolError
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.messages import Message, set_chunk_size
from tests.unit.protocols.rtmp.chunks import basic_header
from tests.unit.protocols.rtmp.peers import C2, HANDSHAKE, Peer, command, connect


def header(form: int, number: int, field: int, length: int = 0, type_id: int = 0, stream_id: int = 0) -> bytes:
    data = basic_header(form, number)
    if form < 3:
        data += min(field, 0xFFFFFF).to_bytes(3, "big")
    if form < 2:
        data += length.to_bytes(3, "big") + bytes((type_id,))
    if form == 0:
        data += stream_id.to_bytes(4, "little")
    return data + (field.to_bytes(4, "big") if field >= 0xFFFFFF and form < 3 else b"")


def demux(data: bytes) -> list[Message]:
    return Demuxer(max_message=1 << 20).feed(data)


class TestClause5_2Handshake:
    """C0, C1, C2 in; S0, S1, S2 out, and nothing before its time."""

    def test_s0_s1_s2_follow_c1(self) -> None:
        peer = Peer()
        peer.session.receive_data(HANDSHAKE[:1536], 0)
        assert peer.session.data_to_send() == b""
        peer.session.receive_data(HANDSHAKE[1536:], 0)
        answer = peer.session.data_to_send()
        assert (len(answer), answer[0]) == (1 + 2 * 1536, 3)
        assert answer[1537:] == HANDSHAKE[1:]

    def test_commands_may_follow_c2_at_once(self) -> None:
        peer = Peer()
        peer.send(HANDSHAKE)
        peer.send(C2 + connect())
        assert peer.commands()[0][0] == "_result"


class TestClause5_3_1_1BasicHeader:
    """Chunk stream ids of one, two and three bytes."""

    @pytest.mark.parametrize(("number", "size"), [(2, 1), (63, 1), (64, 2), (319, 2), (320, 3), (65_599, 3)])
    def test_each_form(self, number: int, size: int) -> None:
        assert len(basic_header(0, number)) == size
        assert demux(header(0, number, 7, 1, 8, 1) + b"x") == [(8, 1, 7, b"x")]

    def test_three_bytes_may_name_what_two_could(self) -> None:
        """64 to 319 have two forms (5.3.1.1); both name the same chunk stream."""
        data = header(0, 64, 7, 1, 8, 1) + b"x" + bytes((0xC1, 0, 0)) + b"y"
        assert demux(data) == [(8, 1, 7, b"x"), (8, 1, 14, b"y")]


class TestClause5_3_1_2MessageHeader:
    """What each type leaves out is that of the chunk before."""

    def test_example_1_of_5_3_2_1_audio(self) -> None:
        """Four audio messages of 32 bytes, 20 ms apart: types 0, 2, 3, 3."""
        audio = bytes(32)
        data = header(0, 3, 1000, 32, 8, 12345) + audio + header(2, 3, 20) + audio
        data += (header(3, 3, 0) + audio) * 2
        assert demux(data) == [(8, 12345, time, audio) for time in (1000, 1020, 1040, 1060)]

    def test_example_2_of_5_3_2_2_a_message_in_three_chunks(self) -> None:
        video = bytes(range(256)) + bytes(51)
        data = header(0, 4, 1000, 307, 9, 12346) + video[:128] + header(3, 4, 0) + video[128:256] + header(3, 4, 0)
        assert demux(data + video[256:]) == [(9, 12346, 1000, video)]

    def test_type_1_changes_length_and_type(self) -> None:
        data = header(0, 4, 1000, 1, 9, 1) + b"a" + header(1, 4, 40, 2, 8) + b"bc"
        assert demux(data) == [(9, 1, 1000, b"a"), (8, 1, 1040, b"bc")]

    def test_5_3_1_2_4_type_3_after_type_0_adds_its_timestamp(self) -> None:
        data = header(0, 4, 23, 1, 8, 1) + b"a" + header(3, 4, 0) + b"b" + header(3, 4, 0) + b"c"
        assert [message[2] for message in demux(data)] == [23, 46, 69]

    def test_times_wrap_at_32_bits(self) -> None:
        data = header(0, 4, 0xFFFFFFF0, 1, 8, 1) + b"a" + header(2, 4, 0x20) + b"b"
        assert [message[2] for message in demux(data)] == [0xFFFFFFF0, 0x10]


class TestClause5_3_1_3ExtendedTimestamp:
    """Four bytes more where the field is 0xFFFFFF."""

    @pytest.mark.parametrize("time", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
    def test_at_its_edges(self, time: int) -> None:
        assert demux(header(0, 4, time, 1, 8, 1) + b"a") == [(8, 1, time, b"a")]

    def test_it_is_repeated_in_type_3_chunks(self) -> None:
        extended = (0x1234567).to_bytes(4, "big")
        payload = bytes(300)
        data = header(0, 4, 0x1234567, 300, 9, 1) + payload[:128]
        data += header(3, 4, 0) + extended + payload[128:256] + header(3, 4, 0) + extended + payload[256:]
        assert demux(data) == [(9, 1, 0x1234567, payload)]

    def test_deltas_may_be_extended(self) -> None:
        data = header(0, 4, 5, 1, 8, 1) + b"a" + header(2, 4, 0x1000000) + b"b" + header(2, 4, 1) + b"c"
        assert [message[2] for message in demux(data)] == [5, 0x1000005, 0x1000006]


class TestClause5_4_1SetChunkSize:
    def test_it_holds_from_the_next_chunk_on(self) -> None:
        data = header(0, 4, 0, 200, 9, 1) + bytes(128) + set_chunk_size(1000) + header(3, 4, 0) + bytes(72)
        data += header(0, 4, 0, 1000, 9, 1) + bytes(1000)
        assert [len(message[3]) for message in demux(data)] == [200, 1000]

    @pytest.mark.parametrize("size", [0, 0x80000000])
    def test_zero_and_a_set_first_bit_are_wrong(self, size: int) -> None:
        with pytest.raises(ProtocolError):
            demux(set_chunk_size(size))


class TestClause5_4_2Abort:
    def test_the_part_that_came_is_dropped(self) -> None:
        abort = header(0, 2, 0, 4, 2, 0) + (4).to_bytes(4, "big")
        data = header(0, 4, 0, 200, 9, 1) + bytes(128) + abort + header(0, 4, 5, 1, 9, 1) + b"x"
        assert demux(data) == [(9, 1, 5, b"x")]

    def test_what_is_not_under_way_cannot_be_aborted(self) -> None:
        abort = header(0, 2, 0, 4, 2, 0) + (99).to_bytes(4, "big")
        assert demux(abort) == []


class TestClause7_1_1CommandMessage:
    @pytest.mark.parametrize("type_id", [17, 20])
    def test_both_encodings(self, type_id: int) -> None:
        peer = Peer().shake_hands()
        peer.send(connect() + command("createStream", 2, None, type_id=type_id))
        assert peer.commands()[-1] == ["_result", 2.0, None, 1.0]


class TestClause7_2_1_1Connect:
    def test_the_answer_has_the_transaction_and_success(self) -> None:
        peer = Peer().shake_hands()
        peer.send(connect())
        (answer,) = peer.commands()
        assert answer[:2] == ["_result", 1.0]
        assert isinstance(answer[3], dict)
        assert answer[3]["code"] == "NetConnection.Connect.Success"

    def test_window_and_bandwidth_come_before_it(self) -> None:
        peer = Peer().shake_hands()
        peer.send(connect())
        assert [message[0] for message in peer.answers] == [5, 6, 20]
