"""The client session, against our own server session and against servers that refuse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import CallerError, ProtocolError, PublishRefused
from headwater.protocols.rtmp import commands
from headwater.protocols.rtmp.client import ClientSession, ClientState, Finished, Publishing, PublishUrl, parse_url
from headwater.protocols.rtmp.events import Metadata, PublishEnded, PublishRequested
from headwater.protocols.rtmp.messages import user_control
from headwater.protocols.rtmp.server import ServerSession, SessionLimits
from tests.unit.protocols.rtmp.peers import RANDOM

URL = parse_url("rtmp://example.com/live/key?x=1")


def converse(client: ClientSession, server: ServerSession, cut: int = 1 << 20) -> tuple[list[object], list[object]]:
    """Carry bytes both ways, in pieces of `cut`, until both are silent; the publish is admitted."""
    of_client: list[object] = []
    of_server: list[object] = []
    while True:
        sent, answered = client.data_to_send(), server.data_to_send()
        if not sent and not answered:
            return of_client, of_server
        for at in range(0, len(sent), cut):
            events = server.receive_data(sent[at : at + cut], 0)
            of_server += events
            if any(isinstance(event, PublishRequested) for event in events):
                server.accept_publish(0)
        for at in range(0, len(answered), cut):
            of_client += client.receive_data(answered[at : at + cut])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4000), st.sampled_from([128, 4096, 60_000]))
def test_it_publishes_to_our_own_server(cut: int, chunk_size: int) -> None:
    client = ClientSession(URL, random=RANDOM, chunk_size=chunk_size)
    server = ServerSession(SessionLimits(), random=RANDOM, now=0)
    assert converse(client, server, cut) == ([Publishing()], [PublishRequested("live", "key?x=1", client_name())])
    client.send_metadata({"width": 1280})
    client.send_video(0xFFFFFF, bytes(70_000))
    client.send_audio(1 << 32, b"a")
    client.finish()
    of_client, of_server = converse(client, server, cut)
    assert of_server == [
        Metadata({"width": 1280.0}),
        (9, 1, 0xFFFFFF, bytes(70_000)),
        (8, 1, 0, b"a"),
        PublishEnded("FCUnpublish"),
    ]
    assert of_client == [Finished()]
    assert client.state is ClientState.FINISHED


def client_name() -> str:
    return "FMLE/3.0 (compatible; Headwater)"


def test_a_refusal_comes_as_code_and_description() -> None:
    client, server = ClientSession(URL, random=RANDOM), ServerSession(SessionLimits(), random=RANDOM, now=0)
    with pytest.raises(PublishRefused) as refusal:
        for _ in range(10):
            if any(isinstance(event, PublishRequested) for event in server.receive_data(client.data_to_send(), 0)):
                server.reject("NetStream.Publish.BadName", "no livestream has this stream key")
            client.receive_data(server.data_to_send())
    assert refusal.value.code == "NetStream.Publish.BadName"
    assert refusal.value.description == "no livestream has this stream key"


def shaken_hands() -> ClientSession:
    client = ClientSession(URL, random=RANDOM)
    client.receive_data(b"\3" + bytes(1536 * 2))
    client.data_to_send()
    return client


def test_a_refused_connect() -> None:
    with pytest.raises(PublishRefused, match=r"NetConnection\.Connect\.Rejected"):
        shaken_hands().receive_data(commands.error(1, "NetConnection.Connect.Rejected", "no", chunk_size=128))


def test_an_error_to_release_stream_is_no_refusal() -> None:
    assert shaken_hands().receive_data(commands.error(2, "NetConnection.Call.Failed", "what?", chunk_size=128)) == []


def test_a_stream_number_that_is_none() -> None:
    with pytest.raises(ProtocolError, match="createStream"):
        shaken_hands().receive_data(commands.result(4, None, None, chunk_size=128))


def test_a_ping_is_answered() -> None:
    client = shaken_hands()
    client.receive_data(user_control(6, 7))
    assert client.data_to_send() == user_control(7, 7)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("rtmp://h/live/key", PublishUrl(False, "h", 1935, "live", "key")),
        ("rtmps://h/live/key", PublishUrl(True, "h", 443, "live", "key")),
        ("rtmp://h:19350/a/b/key?k=v", PublishUrl(False, "h", 19350, "a/b", "key?k=v")),
        ("rtmp://[::1]/live/key", PublishUrl(False, "::1", 1935, "live", "key")),
    ],
)
def test_urls_are_taken_apart(url: str, parts: PublishUrl) -> None:
    assert parse_url(url) == parts


def test_the_tc_url_has_no_key() -> None:
    assert parse_url("rtmps://[::1]/live/key").tc_url == "rtmps://[::1]:443/live"


@pytest.mark.parametrize("url", ["http://h/live/key", "rtmp://h/live", "rtmp:///live/key", "rtmp://h:x/live/k", "key"])
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    """A URL may hold the key."""
    with pytest.raises(CallerError) as error:
        parse_url(url)
    assert "live/k" not in str(error.value)
