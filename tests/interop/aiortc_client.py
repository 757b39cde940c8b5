"""A participant made of aiortc: publishes a colour, receives pictures."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.rtcrtpsender import RTCRtpSender


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
    """A participant made of aiortc.

    Args:
        url: Of the meeting: `http://HOST/meet/ID`.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
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
