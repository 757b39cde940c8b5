"""The listener and its connections over real sockets of 127.0.0.1: admission, refusals, limits, ends."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from headwater.errors import OperatorError, PublishRefused, UnsupportedCodec
from headwater.media.track import Codec
from headwater.pipeline.ingest import IngestSettings, RtmpIngest
from headwater.pipeline.ingest.connection import RtmpConnection
from headwater.protocols.flv import PacketKind, build_audio, build_video
from headwater.protocols.rtmp.client import ClientSession, ClientState, parse_url
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.protocols.rtmp.messages import user_control
from tests.unit.ingest.gates import GOOD_KEY, CollectingGate
from tests.unit.protocols.rtmp.peers import ASC, AVCC, C2, HANDSHAKE, connect

WAIT_S = 5.0


class Publisher:
    """`ClientSession` over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str) -> None:
        self.reader, self.writer = reader, writer
        self.session = ClientSession(parse_url(url), random=os.urandom(RANDOM_SIZE))

    @classmethod
    async def open(cls, port: int, key: str = GOOD_KEY) -> Publisher:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, f"rtmp://127.0.0.1:{port}/live/{key}")

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not done():
                self.flush()
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self.session.receive_data(data)
            self.flush()

    async def publish(self) -> Publisher:
        await self.until(lambda: self.session.state is ClientState.PUBLISHING)
        return self

    async def refusal(self) -> PublishRefused:
        with pytest.raises(PublishRefused) as refusal:
            await self.until(lambda: False)
        await self.closed()
        return refusal.value

    async def closed(self) -> None:
        """The server hangs up."""
        async with asyncio.timeout(WAIT_S):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass
        self.writer.close()

    def flush(self) -> None:
        self.writer.write(self.session.data_to_send())

    def media(self, count: int = 1) -> None:
        self.session.send_video(0, build_video(PacketKind.CONFIGURATION, Codec.H264, AVCC))
        self.session.send_audio(0, build_audio(PacketKind.CONFIGURATION, Codec.AAC, ASC))
        for number in range(count):
            self.session.send_video(number * 40, build_video(PacketKind.CODED, Codec.H264, b"frame"))
        self.flush()


class Running:
    def __init__(self, ingest: RtmpIngest, gate: CollectingGate, port: int) -> None:
        self.ingest, self.gate, self.port = ingest, gate, port


@asynccontextmanager
async def running(settings: IngestSettings | None = None) -> AsyncIterator[Running]:
    gate = CollectingGate()
    ingest = RtmpIngest(gate, settings or IngestSettings(linger_s=0.2))
    _, port = await ingest.start("127.0.0.1", 0)
    try:
        yield Running(ingest, gate, port)
    finally:
        await ingest.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # the condition is of the server, which knows no test
            await asyncio.sleep(0.005)


async def test_media_reaches_the_publication() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        publisher.media(3)
        publisher.session.finish()
        publisher.flush()
        await eventually(lambda: bool(server.gate.publications[0].ends))
        publication = server.gate.publications[0]
        assert [track.id for track in publication.tracks] == [1, 2]
        assert [(unit.dts, unit.payload) for unit in publication.of(1)] == [
            (0, b"frame"),
            (40, b"frame"),
            (80, b"frame"),
        ]
        assert publication.ends == [("the publisher ended it", True)]
        await publisher.closed()


async def test_the_request_names_the_publisher() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        (request,) = server.gate.requests
        assert (request.stream_key, request.protocol, request.app) == (GOOD_KEY, "rtmp", "live")
        assert request.encoder == "FMLE/3.0 (compatible; Headwater)"
        assert request.remote == "{}:{}".format(*publisher.writer.get_extra_info("sockname"))
        publisher.writer.close()


async def test_a_wrong_key_is_refused_with_the_reason_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running() as server:
        refusal = await (await Publisher.open(server.port, "wrong-secret-key")).refusal()
    assert (refusal.code, refusal.description) == ("NetStream.Publish.BadName", "no livestream has this stream key")
    assert "ERR_BAD_STREAM_KEY" in caplog.text
    assert "wrong-secret-key" not in caplog.text


async def test_a_disabled_livestream_is_denied() -> None:
    async with running() as server:
        server.gate.failure = PublishRefused("ERR_LIVESTREAM_DISABLED", "this livestream is disabled")
        refusal = await (await Publisher.open(server.port)).refusal()
    assert (refusal.code, refusal.description) == ("NetStream.Publish.Denied", "this livestream is disabled")


async def test_what_comes_while_the_gate_decides_is_kept() -> None:
    async with running() as server:
        server.gate.delay = asyncio.Event()
        publisher = await Publisher.open(server.port)
        handing_over = asyncio.create_task(publisher.publish())
        await eventually(lambda: bool(server.gate.requests))
        publisher.session.state = ClientState.PUBLISHING  # an encoder that does not wait for the answer
        publisher.session._stream_id = 1
        publisher.media(5)
        server.gate.delay.set()
        await handing_over
        await eventually(lambda: len(server.gate.publications[0].units) == 5)
        publisher.writer.close()


async def test_a_gate_that_does_not_decide() -> None:
    async with running(IngestSettings(admit_timeout_s=0.05, linger_s=0.2)) as server:
        server.gate.delay = asyncio.Event()
        refusal = await (await Publisher.open(server.port)).refusal()
    assert "try again" in refusal.description


async def test_a_gate_that_fails_ends_only_this_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        other = await (await Publisher.open(server.port)).publish()
        server.gate.failure = RuntimeError("a bug")
        refusal = await (await Publisher.open(server.port)).refusal()
        assert refusal.description == "an internal error"
        assert "a bug" in caplog.text
        other.media()
        await eventually(lambda: len(server.gate.publications[0].units) == 1)
        other.writer.close()


async def test_a_publication_that_fails_ends_only_this_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        server.gate.publications[0].refusal = AssertionError("a bug")
        publisher.media()
        refusal = await publisher.refusal()
        assert refusal.description == "an internal error"
        assert "a bug" in caplog.text
        assert server.gate.publications[0].ends == [("ERR_INTERNAL: an internal error", False)]
        again = await (await Publisher.open(server.port)).publish()
        again.writer.close()


async def test_an_unsupported_codec_is_refused_with_the_reason() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        server.gate.publications[0].refusal = UnsupportedCodec("ERR_UNSUPPORTED_VIDEO_CODEC", "H.264 in 4:4:4")
        publisher.media()
        refusal = await publisher.refusal()
        assert (refusal.code, refusal.description) == ("NetStream.Publish.Rejected", "H.264 in 4:4:4")
        assert server.gate.publications[0].ends == [("ERR_UNSUPPORTED_VIDEO_CODEC: H.264 in 4:4:4", False)]


async def test_a_lost_connection_is_no_regular_end() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        publisher.writer.transport.abort()
        await eventually(lambda: bool(server.gate.publications[0].ends))
        assert server.gate.publications[0].ends == [("the connection was lost", False)]
        assert server.ingest.connections == 0


async def test_the_pipeline_closes_a_publisher_and_hears_no_end() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        server.gate.publishers[0].close("ERR_TAKEN_OVER", "another publisher took over")
        server.gate.publishers[0].close("ERR_TAKEN_OVER", "another publisher took over")
        refusal = await publisher.refusal()
        assert refusal.description == "another publisher took over"
        await eventually(lambda: server.ingest.connections == 0)
        assert server.gate.publications[0].ends == []


async def test_a_half_open_publisher_is_let_go() -> None:
    async with running(IngestSettings(idle_timeout_s=0.2, linger_s=0.1)) as server:
        publisher = await (await Publisher.open(server.port)).publish()
        publisher.media()
        await eventually(lambda: bool(server.gate.publications[0].ends))
        assert server.gate.publications[0].ends == [("nothing was received from the publisher", False)]
        publisher.writer.close()


async def test_a_publisher_over_the_bitrate_cap() -> None:
    async with running(IngestSettings(max_bitrate_bps=1000, idle_timeout_s=1000, linger_s=0.2)) as server:
        publisher = await (await Publisher.open(server.port)).publish()
        publisher.media(1000)
        await eventually(lambda: len(server.gate.publications[0].units) == 1000)
        connection = server.gate.publishers[0]
        assert isinstance(connection, RtmpConnection)
        connection.tick(asyncio.get_running_loop().time() + 11)
        assert "max_bitrate_bps" in (await publisher.refusal()).description


async def test_a_publisher_that_does_not_read_its_answers() -> None:
    async with running(IngestSettings(write_buffer=4096)) as server:
        publisher = await (await Publisher.open(server.port)).publish()
        pings = user_control(6, 1) * 20_000
        async with asyncio.timeout(WAIT_S):
            while not server.gate.publications[0].ends:
                publisher.writer.write(pings)
                await asyncio.sleep(0)
        assert "write_buffer" in server.gate.publications[0].ends[0][0]
        publisher.writer.close()


async def test_stopping_hangs_up_without_a_refusal_so_that_encoders_come_back() -> None:
    async with running() as server:
        publisher = await (await Publisher.open(server.port)).publish()
        await server.ingest.stop()
        with pytest.raises(EOFError):
            await publisher.until(lambda: False)
        await publisher.closed()
        assert server.gate.publications[0].ends == [("the server is stopping", False)]


async def test_stopping_while_the_gate_decides() -> None:
    async with running() as server:
        server.gate.delay = asyncio.Event()
        publisher = await Publisher.open(server.port)
        handing_over = asyncio.create_task(publisher.until(lambda: False))
        await eventually(lambda: bool(server.gate.requests))
        await server.ingest.stop()
        with pytest.raises(EOFError):
            await handing_over
        await publisher.closed()


class TestLimits:
    """Each named limit holds, and the next publisher gets in."""

    async def hangs_up(self, settings: IngestSettings, data: bytes) -> None:
        async with running(settings) as server:
            publisher = await Publisher.open(server.port)
            publisher.writer.write(data)
            await publisher.closed()
            await eventually(lambda: server.ingest.connections == 0)
            again = await (await Publisher.open(server.port)).publish()
            again.writer.close()

    async def test_a_slow_handshake(self) -> None:
        await self.hangs_up(IngestSettings(handshake_timeout_s=0.1, linger_s=0.1), b"\3")

    async def test_a_connect_and_no_publish(self) -> None:
        settings = IngestSettings(publish_timeout_s=0.1, linger_s=0.1)
        await self.hangs_up(settings, HANDSHAKE + C2 + connect())

    async def test_a_huge_message_before_the_publish(self) -> None:
        header = b"\3\0\0\0\xff\xff\xff\x14\0\0\0\0"
        await self.hangs_up(IngestSettings(linger_s=0.1), HANDSHAKE + C2 + header)

    async def test_another_protocol(self) -> None:
        await self.hangs_up(IngestSettings(linger_s=0.1), b"GET / HTTP/1.1\r\n\r\n")

    async def test_connections_of_one_address(self) -> None:
        async with running(IngestSettings(unauthenticated_per_address=2)) as server:
            first, second = [await Publisher.open(server.port) for _ in range(2)]
            await eventually(lambda: server.ingest.connections == 2)
            third = await Publisher.open(server.port)
            await third.closed()
            assert server.ingest.turned_away == {"unauthenticated_per_address": 1}
            first.writer.close()
            await eventually(lambda: server.ingest.connections == 1)
            await (await Publisher.open(server.port)).publish()
            second.writer.close()

    async def test_bytes_are_counted_while_they_come_and_after(self) -> None:
        async with running() as server:
            assert (server.ingest.bytes_received, server.ingest.serving) == (0, True)
            first, second = [await (await Publisher.open(server.port)).publish() for _ in range(2)]
            both = server.ingest.bytes_received
            assert both > 2 * len(HANDSHAKE + C2)
            first.writer.close()
            await eventually(lambda: server.ingest.connections == 1)
            assert server.ingest.bytes_received == both
            second.media(5)
            await eventually(lambda: len(server.gate.publications[1].units) == 5)
            assert server.ingest.bytes_received > both
            second.writer.close()

    async def test_admitted_publishers_do_not_count_as_strangers(self) -> None:
        async with running(IngestSettings(unauthenticated_per_address=1, unauthenticated_connections=1)) as server:
            publishers = [await (await Publisher.open(server.port)).publish() for _ in range(3)]
            assert server.ingest.connections == 3
            for publisher in publishers:
                publisher.writer.close()

    async def test_connections_in_all(self) -> None:
        async with running(IngestSettings(connections=1)) as server:
            first = await (await Publisher.open(server.port)).publish()
            second = await Publisher.open(server.port)
            await second.closed()
            first.writer.close()


async def test_a_gate_whose_database_is_away_refuses_without_a_word_about_it(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        server.gate.failure = OperatorError("no connection to the database: db.internal refused")
        refusal = await (await Publisher.open(server.port)).refusal()
    assert refusal.description == "the server cannot look up stream keys now; try again"
    assert "db.internal" in caplog.text and "db.internal" not in refusal.code + refusal.description
