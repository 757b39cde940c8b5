"""The server session: what encoders send is answered as they expect; limits and waits hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols import amf0
from headwater.protocols.rtmp.events import Event, Metadata, PublishEnded, PublishRequested, TimedOut
from headwater.protocols.rtmp.messages import acknowledgement, chunked, user_control, window_acknowledgement_size
from headwater.protocols.rtmp.server import ServerSession, SessionLimits, State
from tests.unit.protocols.rtmp.peers import (
    AMF3_ENCODER,
    C2,
    FFMPEG,
    GSTREAMER,
    HANDSHAKE,
    OBS,
    RANDOM,
    Peer,
    command,
    connect,
    refused,
)

ENCODERS = {"OBS": OBS, "ffmpeg": FFMPEG, "GStreamer": GSTREAMER, "AMF3": AMF3_ENCODER}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_gets_to_publish(name: str) -> None:
    peer = Peer().publish(ENCODERS[name])
    assert peer.events == [PublishRequested("live", "key", "FMLE/3.0")]
    assert peer.session.state is State.PUBLISHING
    assert [status["code"] for status in peer.statuses()] == ["NetStream.Publish.Start"]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_command_with_a_transaction_is_answered(name: str) -> None:
    peer = Peer().publish(ENCODERS[name])
    sent = [piece for piece in ENCODERS[name] if piece[7] in (17, 20)]
    answered = [values[1] for values in peer.commands() if values[0] == "_result"]
    assert len(answered) == len(sent) - 1  # publish is answered by onStatus
    assert answered == sorted(answered, key=str)


def test_the_chunk_size_is_announced_with_connect() -> None:
    """ffmpeg sends with what it is told; later would be after its first chunks."""
    peer = Peer().shake_hands()
    peer.send(connect())
    assert [message[0] for message in peer.answers] == [5, 6, 20]  # Set Chunk Size is applied by the reader
    assert peer._reader.chunk_size == SessionLimits().chunk_size


@settings(max_examples=40)
@given(st.lists(st.integers(0, 6000), max_size=10))
def test_any_split_of_a_publish_gives_the_same_events(cuts: list[int]) -> None:
    data = HANDSHAKE + C2 + b"".join(OBS) + chunked(6, 9, 1, 40, bytes(5000), 4096)
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    session = ServerSession(SessionLimits(), random=RANDOM, now=0)
    events: list[Event] = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        events += session.receive_data(data[start:end], 0)
    assert events == [PublishRequested("live", "key", "FMLE/3.0"), (9, 1, 40, bytes(5000))]


def test_enhanced_abilities_are_answered_to_who_names_its_own() -> None:
    peer = Peer().shake_hands()
    peer.send(connect(fourCcList=["hvc1"], capsEx=1.0))
    information = peer.commands()[0][3]
    assert isinstance(information, dict)
    assert "hvc1" in information["fourCcList"]
    assert information["capsEx"] == 14.0


def test_media_is_handed_out_only_while_publishing() -> None:
    peer = Peer().shake_hands()
    frame = chunked(6, 9, 1, 0, b"x", 128)
    assert list(peer.send(connect() + frame)) == []
    peer = Peer().publish()
    assert list(peer.send(frame)) == [(9, 1, 0, b"x")]
    peer.send(command("deleteStream", 7, None, 1.0))
    assert list(peer.send(frame)) == []


@pytest.mark.parametrize("lead", [("@setDataFrame", "onMetaData"), ("onMetaData",)])
@pytest.mark.parametrize("type_id", [18, 15])
def test_metadata_comes_in_every_wrapping(lead: tuple[str, ...], type_id: int) -> None:
    peer = Peer().publish()
    payload = (b"\0" if type_id == 15 else b"") + amf0.encode_all(*lead, amf0.EcmaArray(width=1280))
    assert list(peer.send(chunked(4, type_id, 1, 0, payload, 4096))) == [Metadata({"width": 1280.0})]


def test_nested_and_self_referring_metadata_is_left_out() -> None:
    peer = Peer().publish()
    values = b"\x08\0\0\0\0" + b"\0\1w" + amf0.encode_all(1) + b"\0\4self\x07\0\0" + b"\0\1n\x03\0\0\x09" + b"\0\0\x09"
    payload = amf0.encode_all("onMetaData") + values
    assert list(peer.send(chunked(4, 18, 1, 0, payload, 4096))) == [Metadata({"w": 1.0})]


def test_huge_metadata_is_skipped_and_a_huge_command_refused() -> None:
    peer = Peer().publish()
    huge = amf0.encode_all("onMetaData", {"x": "y" * 70_000})
    assert list(peer.send(chunked(4, 18, 1, 0, huge, 4096))) == []
    assert "command of" in refused(peer, chunked(4, 20, 1, 0, huge, 4096))


def test_other_script_data_is_skipped() -> None:
    peer = Peer().publish()
    assert list(peer.send(chunked(4, 18, 1, 0, amf0.encode_all("onTextData", {"text": "x"}), 4096))) == []


def test_an_aggregate_is_taken_apart() -> None:
    peer = Peer().publish()
    first = b"\x08\0\0\1\0\0\x64\0\0\0\0" + b"a" + bytes(4)
    second = b"\x09\0\0\1\0\0\x78\0\0\0\0" + b"v" + bytes(4)
    assert list(peer.send(chunked(4, 22, 1, 1000, first + second, 4096))) == [(8, 0, 1000, b"a"), (9, 0, 1020, b"v")]
    assert "aggregate" in refused(peer, chunked(4, 22, 1, 1000, first[:11], 4096))


@pytest.mark.parametrize(
    ("goodbye", "name"),
    [
        (command("FCUnpublish", 6, None, "key", chunk_size=4096), "FCUnpublish"),
        (command("deleteStream", 7, None, 1.0, chunk_size=4096), "deleteStream"),
        (command("closeStream", 0, None, stream_id=1, chunk_size=4096), "closeStream"),
    ],
)
def test_each_goodbye_ends_the_publish_once(goodbye: bytes, name: str) -> None:
    peer = Peer().publish()
    assert list(peer.send(goodbye)) == [PublishEnded(name)]
    assert list(peer.send(goodbye)) == []
    assert peer.statuses()[-1]["code"] == "NetStream.Unpublish.Success"


def test_deleting_another_stream_ends_nothing() -> None:
    peer = Peer().publish()
    assert list(peer.send(command("deleteStream", 7, None, 3.0, chunk_size=4096))) == []


def test_a_refusal_says_why_on_the_publish_stream() -> None:
    """ffmpeg prints the description of an onStatus of level error; OBS stops at these codes."""
    peer = Peer().shake_hands()
    for data in OBS:
        peer.send(data)
    peer.session.reject("NetStream.Publish.BadName", "no such key")
    new = peer.read()
    assert [message[1] for message in new] == [1, 1]
    refusal = {"level": "error", "code": "NetStream.Publish.BadName", "description": "no such key"}
    assert peer.statuses() == [refusal]
    assert peer.statuses("onFCPublish") == [refusal]
    assert list(peer.send(b"anything")) == []


def test_play_is_refused_politely() -> None:
    peer = Peer().shake_hands()
    peer.send(connect() + command("createStream", 2, None) + command("play", 0, None, "x", stream_id=1))
    assert peer.statuses()[0]["code"] == "NetStream.Play.Failed"
    assert peer.session.state is State.IDLE


def test_a_second_publish_on_the_connection_is_refused() -> None:
    peer = Peer().publish()
    assert list(peer.send(command("publish", 9, None, "other", stream_id=1, chunk_size=4096))) == []
    assert peer.statuses()[-1]["code"] == "NetStream.Publish.BadName"


def test_a_publish_after_the_goodbye_is_refused() -> None:
    """In one read with it, too: the session of before may still be ending."""
    peer = Peer().publish()
    goodbye = command("FCUnpublish", 6, None, "key", chunk_size=4096)
    again = command("publish", 9, None, "key", stream_id=1, chunk_size=4096)
    assert list(peer.send(goodbye + again)) == [PublishEnded("FCUnpublish")]
    assert peer.session.state is State.CLOSED


def test_a_refusal_before_connect_answers_connect() -> None:
    peer = Peer().shake_hands()
    peer.session.reject("NetStream.Publish.Rejected", "the server is stopping")
    peer.read()
    (answer,) = peer.commands()
    assert answer[:2] == ["_error", 1.0]
    assert isinstance(answer[3], dict)
    assert (answer[3]["code"], answer[3]["description"]) == ("NetConnection.Connect.Rejected", "the server is stopping")


def test_a_refusal_within_the_handshake_is_silent() -> None:
    peer = Peer()
    peer.session.reject("NetStream.Publish.Rejected", "the server is stopping")
    assert peer.session.data_to_send() == b""
    assert peer.session.state is State.CLOSED


def test_an_unknown_command_is_answered_with_an_error() -> None:
    peer = Peer().shake_hands()
    peer.send(connect() + command("selfDestruct", 9, None))
    assert peer.commands()[-1][:2] == ["_error", 9.0]


def test_streams_are_limited() -> None:
    peer = Peer().shake_hands()
    peer.send(connect() + b"".join(command("createStream", number, None) for number in range(2, 12)))
    assert [values[0] for values in peer.commands()].count("_error") == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (command("publish", 5, None, "key"), "before connect"),
        (connect() + connect(), "twice"),
        (chunked(3, 20, 0, 0, b"", 128), "without a name"),
        (chunked(3, 20, 0, 0, amf0.encode_all(True), 128), "without a name"),
        (chunked(3, 20, 0, 0, b"\x02\xff", 128), "cut short"),
        (connect() + command("publish", 5, None, "k" * 2000), "name of 2000"),
        (chunked(3, 20, 0, 0, bytes(16 * 1024 + 1), 128)[:20], "max_message"),
    ],
)
def test_nonsense_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused(Peer().shake_hands(), data)


def test_bytes_before_the_publish_are_limited() -> None:
    peer = Peer(SessionLimits(max_unauthenticated_bytes=10_000)).shake_hands()
    with pytest.raises(ProtocolError, match="max_unauthenticated_bytes"):
        for _ in range(100):
            peer.send(chunked(4, 8, 1, 0, bytes(100), 128))


def test_the_message_limit_rises_with_the_publish() -> None:
    peer = Peer().publish()
    assert len(peer.send(chunked(6, 9, 1, 0, bytes(1 << 20), 4096))) == 1
    assert "max_message" in refused(peer, chunked(6, 9, 1, 0, bytes((8 << 20) + 1), 4096)[:20])


class TestAcknowledgement:
    """What was received is acknowledged within the window that the publisher asks for."""

    def test_none_is_sent_unasked(self) -> None:
        peer = Peer().publish()
        peer.send(chunked(6, 9, 1, 0, bytes(100_000), 4096))
        assert not [message for message in peer.answers if message[0] == 3]

    def test_one_comes_before_the_window_is_full(self) -> None:
        peer = Peer().publish()
        peer.send(window_acknowledgement_size(100_000))
        peer.send(chunked(6, 9, 1, 0, bytes(60_000), 4096))
        received = peer.session.bytes_received
        assert peer.answers[-1] == (3, 0, 0, received.to_bytes(4, "big"))

    def test_the_count_wraps_at_32_bits(self) -> None:
        assert acknowledgement((1 << 32) + 5)[-4:] == b"\0\0\0\5"


def test_a_ping_is_answered() -> None:
    peer = Peer().publish()
    peer.send(user_control(6, 0x01020304))
    assert peer.answers[-1] == (4, 0, 0, b"\0\7\1\2\3\4")


class TestTimeouts:
    """Every wait has an end; a silent publisher is pinged first."""

    def test_a_slow_handshake(self) -> None:
        peer = Peer(now=100.0)
        peer.send(HANDSHAKE[:10])
        assert list(peer.wait(4.9)) == []
        assert peer.session.next_timeout() == 105.0
        (event,) = peer.wait(0.1)
        assert isinstance(event, TimedOut)
        assert event.limit == "handshake_timeout_s"

    def test_a_handshake_and_nothing_more(self) -> None:
        peer = Peer().shake_hands()
        assert list(peer.wait(14)) == []
        (event,) = peer.wait(1)
        assert isinstance(event, TimedOut)
        assert event.limit == "publish_timeout_s"

    def test_a_publish_and_no_media(self) -> None:
        peer = Peer().publish()
        assert list(peer.wait(19)) == []
        (event,) = peer.wait(1)
        assert isinstance(event, TimedOut)
        assert event.limit == "first_media_timeout_s"

    def test_a_half_open_publisher_is_noticed_within_5_s(self) -> None:
        peer = Peer().publish()
        peer.send(chunked(6, 9, 1, 0, b"x", 128))
        events: list[Event] = []
        for _ in range(9):  # the listener looks twice a second
            events += peer.wait(0.5)
        assert [event.limit for event in events if isinstance(event, TimedOut)] == ["idle_timeout_s"]
        assert [message for message in peer.answers if message[0] == 4 and message[3][:2] == b"\0\6"]

    def test_a_publisher_that_answers_pings_may_be_silent_for_longer(self) -> None:
        peer = Peer().publish()
        peer.send(chunked(6, 9, 1, 0, b"x", 128))
        waited = 0.0
        events: list[Event] = []
        while not events:
            before = len(peer.answers)
            events += peer.wait(0.5)
            waited += 0.5
            if any(message[0] == 4 for message in peer.answers[before:]):
                peer.send(user_control(7, 0))
        assert isinstance(events[0], TimedOut)
        assert (events[0].limit, waited) == ("stall_timeout_s", 20.0)

    def test_media_keeps_a_publish_alive(self) -> None:
        peer = Peer().publish()
        for _ in range(100):
            peer.send(chunked(6, 9, 1, 0, b"x", 128))
            assert list(peer.wait(1)) == []

    def test_a_closed_session_waits_for_nothing(self) -> None:
        peer = Peer()
        peer.session.close()
        assert peer.session.next_timeout() is None
        assert list(peer.wait(1000)) == []
