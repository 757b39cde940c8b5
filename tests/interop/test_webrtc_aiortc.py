"""aiortc, an independent implementation, publishes by WHIP and watches by WHEP, through a lossy network too."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from headwater.webrtc.settings import WebRtcSettings
from tests.interop.webrtc_endpoint import TOKEN, Endpoint, serving, until

BEARER = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/sdp"}
VP8_ONLY = ("VP8",)


class Frames:
    """Counts what a viewer decodes."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self.count: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

        @connection.on("track")  # type: ignore[untyped-decorator]
        def track(found: MediaStreamTrack) -> None:
            self._tasks.append(asyncio.create_task(self._run(found)))

    async def _run(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.count[track.kind] += 1

    async def end(self) -> None:
        """After the connection was closed."""
        await asyncio.gather(*self._tasks)


@contextlib.asynccontextmanager
async def published(
    endpoint: Endpoint, change: Callable[[str], str] = lambda answer: answer
) -> AsyncIterator[tuple[RTCPeerConnection, httpx.Response]]:
    """aiortc's tone and picture, by WHIP."""
    connection = RTCPeerConnection()
    connection.addTrack(AudioStreamTrack())
    connection.addTrack(VideoStreamTrack())
    try:
        yield connection, await _offered(connection, endpoint.http + "/whip", change)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def watched(
    endpoint: Endpoint, change: Callable[[str], str] = lambda answer: answer
) -> AsyncIterator[tuple[Frames, httpx.Response]]:
    """A viewer by WHEP."""
    connection = RTCPeerConnection()
    connection.addTransceiver("audio", direction="recvonly")
    connection.addTransceiver("video", direction="recvonly")
    frames = Frames(connection)
    try:
        yield frames, await _offered(connection, endpoint.http + "/whep", change)
    finally:
        await connection.close()
        await frames.end()


async def _offered(connection: RTCPeerConnection, url: str, change: Callable[[str], str]) -> httpx.Response:
    await connection.setLocalDescription(await connection.createOffer())
    async with httpx.AsyncClient() as client:
        response = await client.post(url, content=connection.localDescription.sdp, headers=BEARER)
    assert response.status_code == 201, response.text
    await connection.setRemoteDescription(RTCSessionDescription(change(response.text), "answer"))
    return response


class Lossy(asyncio.DatagramProtocol):
    """A relay between clients and the port that drops datagrams, the same ones in every run."""

    def __init__(self, target: tuple[str, int], loss: float) -> None:
        self._target = target
        self._loss = loss
        self._random = random.Random(7)
        self._ways: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self.dropped = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Lossy]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            for way in [transport, *self._ways.values()]:
                way.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if not self.lost():
            asyncio.get_running_loop().create_task(self._pass(data, address))

    async def _pass(self, data: bytes, address: tuple[str, int]) -> None:
        if address not in self._ways:
            loop = asyncio.get_running_loop()
            way, _ = await loop.create_datagram_endpoint(lambda: _Back(self, address), remote_addr=self._target)
            self._ways.setdefault(address, way)
        self._ways[address].sendto(data)

    def lost(self) -> bool:
        """Is the next one?"""
        lost = self._random.random() < self._loss
        self.dropped += lost
        return lost

    def back(self, data: bytes, address: tuple[str, int]) -> None:
        """From the port to a client."""
        if not self.lost():
            self._transport.sendto(data, address)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, relay: Lossy, address: tuple[str, int]) -> None:
        self._relay = relay
        self._address = address

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self._relay.back(data, self._address)


@pytest.mark.parametrize("video", [("H264",), VP8_ONLY])
async def test_sound_and_picture_arrive(video: tuple[str, ...]) -> None:
    async with serving(receive_video=video) as endpoint:  # type: ignore[arg-type]
        async with published(endpoint) as (_, response):
            assert endpoint.bearers == [TOKEN]
            assert response.headers["content-type"] == "application/sdp"
            publisher = endpoint.publishers[0]
            await until(lambda: publisher.packets["audio"] > 10 and publisher.packets["video"] > 10)
            async with watched(endpoint) as (frames, _):
                await until(lambda: frames.count["audio"] > 20 and frames.count["video"] > 20)
            await until(lambda: endpoint.viewers[0].ended)
            assert "goodbye" in str(endpoint.viewers[0].ended)
        await until(lambda: publisher.ended)
        assert endpoint.webrtc.peers() == 0
        assert endpoint.webrtc.counts.connected == 2


async def test_a_network_that_loses_one_in_twenty() -> None:
    """Handshakes are said again, pictures asked for again."""
    async with serving(receive_video=VP8_ONLY) as endpoint, Lossy(endpoint.webrtc.address, 0.05).running() as relay:
        direct = f" {endpoint.webrtc.address[1]} typ host"

        def relayed(answer: str) -> str:
            return answer.replace(direct, f" {relay.port} typ host")

        async with published(endpoint, relayed), contextlib.AsyncExitStack() as stack:
            publisher = endpoint.publishers[0]
            await until(lambda: publisher.packets["video"] > 5)
            viewers = [await stack.enter_async_context(watched(endpoint, relayed)) for _ in range(3)]
            await until(lambda: all(frames.count["audio"] > 20 for frames, _ in viewers))
            async with asyncio.timeout(20):
                while not all(frames.count["video"] > 20 for frames, _ in viewers):
                    publisher.want_picture()  # aiortc asks for none when a picture's first packet is lost
                    await asyncio.sleep(0.1)
        assert relay.dropped > 10 and publisher.resent > 0


async def test_delete_says_goodbye() -> None:
    async with serving() as endpoint, published(endpoint) as (_, response):
        publisher = endpoint.publishers[0]
        await until(lambda: publisher.packets["audio"])
        async with httpx.AsyncClient() as client:
            deleted = await client.delete(endpoint.http + response.headers["location"], headers=BEARER)
            assert deleted.status_code == 200
            assert publisher.ended == "its resource was deleted" and endpoint.webrtc.peers() == 0
            again = await client.delete(endpoint.http + response.headers["location"], headers=BEARER)
            assert again.status_code == 404


async def test_who_falls_silent_is_gone() -> None:
    settings = WebRtcSettings(silence_timeout_s=3.0)
    async with serving(settings) as endpoint, published(endpoint) as (connection, _):
        publisher = endpoint.publishers[0]
        await until(lambda: publisher.packets["audio"])
        for component in {
            id(each.sender.transport): each.sender.transport for each in connection.getTransceivers()
        }.values():
            await component.transport._connection.close()  # the cable is cut: no goodbye
        await until(lambda: publisher.ended, 6)
        assert "not heard for 3 s" in str(publisher.ended)
