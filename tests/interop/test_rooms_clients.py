"""Rooms with clients that are no browsers: aiortc, and FFmpeg's `whip` muxer as PyAV brings it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.rtcrtpsender import RTCRtpSender

from headwater.events import ParticipantLeft
from tests.interop.rooms import MEETING, RoomServer


@pytest.fixture
def server() -> Iterator[RoomServer]:
    with RoomServer() as running:
        yield running


def publishing(server: RoomServer) -> bool:
    """Whether anybody does."""

    def look() -> bool:
        room = server.rooms.find(MEETING)
        return room is not None and any(stream.publication is not None for stream in room.streams())

    return server.ask(look)


class Colour(MediaStreamTrack):
    """A picture of one colour."""

    kind = "video"

    def __init__(self, red: int, green: int, blue: int) -> None:
        super().__init__()
        self._picture = np.full((240, 320, 3), (red, green, blue), np.uint8)
        self._shown = 0
        self._started = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(max(0.0, self._started + self._shown / 15 - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(self._picture, "rgb24")
        frame.pts, frame.time_base = self._shown * 6000, Fraction(1, 90_000)
        self._shown += 1
        return frame


class Client:
    """A participant made of aiortc."""

    def __init__(self, server: RoomServer, name: str) -> None:
        self._url = server.meeting
        self._headers = {"Authorization": f"Bearer {name}"}
        self._connections: list[RTCPeerConnection] = []

    async def publish(self, track: MediaStreamTrack, codec: str) -> str:
        connection = self._connection()
        only(connection.addTransceiver(track, "sendonly"), codec)
        return await self._agree(connection, "whip")

    async def receive(self, name: str, codec: str | None = None) -> MediaStreamTrack:
        connection = self._connection()
        transceiver = connection.addTransceiver("video", "recvonly")
        if codec is not None:
            only(transceiver, codec)
        await self._agree(connection, f"whep/{name}/camera")
        track: MediaStreamTrack = transceiver.receiver.track
        return track

    async def call(self, method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as http:
            return await http.request(method, httpx.URL(self._url + "/").join(path), headers=self._headers)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    def _connection(self) -> RTCPeerConnection:
        self._connections.append(RTCPeerConnection())
        return self._connections[-1]

    async def _agree(self, connection: RTCPeerConnection, path: str) -> str:
        await connection.setLocalDescription(await connection.createOffer())
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                f"{self._url}/{path}",
                content=connection.localDescription.sdp,
                headers={**self._headers, "Content-Type": "application/sdp"},
            )
        assert answer.status_code == 201, answer.text
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer.headers["location"]


def only(transceiver: RTCRtpTransceiver, codec: str) -> None:
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([each for each in codecs if each.name in (codec, "rtx")])


async def shown(track: MediaStreamTrack, red: int, green: int, blue: int) -> None:
    """Wait for a picture of this colour."""
    async with asyncio.timeout(8):
        while True:
            picture = (await track.recv()).to_ndarray(format="rgb24")
            if np.all(np.abs(picture[100, 100].astype(int) - (red, green, blue)) < 40):
                return


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_aiortc_publishes_and_receives(server: RoomServer, codec: str) -> None:
    anna, bert = Client(server, "anna"), Client(server, "bert")
    try:
        location = await anna.publish(Colour(200, 60, 60), codec)
        async with asyncio.timeout(5):
            while not publishing(server):
                await asyncio.sleep(0.05)
        await shown(await bert.receive("anna"), 200, 60, 60)
        other = {"VP8": "H264", "H264": "VP8"}[codec]
        with pytest.raises(AssertionError, match=codec):
            await bert.receive("anna", other)
        assert (await anna.call("DELETE", location)).status_code == 200
        left = [each.participant_id for each in server.events if isinstance(each, ParticipantLeft)]
        assert left == ["anna"]
    finally:
        await anna.close()
        await bert.close()


async def test_ffmpegs_whip_muxer_takes_part(server: RoomServer, tmp_path: Path) -> None:
    arguments = ("-m", "tests.interop.whip_muxer", f"{server.meeting}/whip", "cam", str(tmp_path))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    bert = Client(server, "bert")
    try:
        async with asyncio.timeout(10):
            while not publishing(server):
                assert process.returncode is None, "the muxer ended"
                await asyncio.sleep(0.1)
        await shown(await bert.receive("cam"), 0, 255, 1)
        assert (await Client(server, "cam").call("DELETE", "me")).status_code == 200
        left = [(each.participant_id, each.reason) for each in server.events if isinstance(each, ParticipantLeft)]
        assert left == [("cam", "LEFT")]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await bert.close()
