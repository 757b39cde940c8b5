"""Livestreams by WebRTC: WHIP in, HLS out; RTMP in, WHEP out; at the other ends programs that nobody here wrote."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiortc import RTCPeerConnection

from tests.e2e.beep_flash import offsets_ms
from tests.e2e.support import (
    api,
    create,
    decode_complaints,
    live,
    packet_times,
    played,
    running,
    until,
)
from tests.support import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all; short windows, so that ends come soon."""
    environment = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "6", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0.5"}
    with running_server(tmp_path_factory.mktemp("webrtc") / "data", env=environment) as server:
        yield server


async def offered() -> str:
    """An offer of H.264, VP8 and Opus to send."""
    connection = RTCPeerConnection()
    try:
        for kind in ("audio", "video"):
            connection.addTransceiver(kind, direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)
    finally:
        await connection.close()


class TestWhip:
    def test_ffmpegs_muxer_publishes_and_hls_plays(self, server: Server, certificate: tuple[Path, Path]) -> None:
        """H.264 and Opus, every frame, in step; its goodbye (DELETE) ends the session as an encoder's does."""
        made = create(server)
        options = [server.http + "/webRTC/publish", made.stream_key, "6", *map(str, certificate)]
        with running([sys.executable, "-m", "tests.e2e.whip_ffmpeg", *options]) as process:
            played(made.playback_url)
            text = httpx.get(made.playback_url).text
            assert 'CODECS="avc1.42c01e,opus"' in text and "RESOLUTION=640x360" in text
            with api(server) as client:
                assert client.get_active_livestreams_for_livestream_id(made.id).livestream.status == "LIVE"
            assert process.wait(20) == 0, process.communicate()[1]
        until(lambda: not live(made.playback_url), "the session has ended", within_s=5)
        (recording,) = (server.data / "recordings").glob("*.mp4")
        assert decode_complaints(recording) == ""
        assert len(packet_times(recording, "v")) >= 6 * 30 - 2
        offsets = offsets_ms(recording)
        assert len(offsets) >= 4 and all(abs(offset) < 40 for offset in offsets), offsets

    def test_refusals_are_in_words(self, server: Server) -> None:
        """No key, a wrong key, a body that is no offer, a livestream that is disabled."""
        url, sdp = server.http + "/webRTC/publish", {"content-type": "application/sdp"}
        made = create(server)
        offer = asyncio.run(offered())
        bearer = {"authorization": f"Bearer {made.stream_key}"}
        assert httpx.post(url, content=offer, headers=sdp).status_code == 401
        wrong = httpx.post(url, content=offer, headers={**sdp, "authorization": "Bearer wrong"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "ERR_BAD_STREAM_KEY")
        broken = httpx.post(url, content="v=0", headers={**sdp, **bearer})
        assert broken.status_code == 400
        vp8 = httpx.post(url, content=offer.replace("H264", "H265"), headers={**sdp, **bearer})
        assert vp8.status_code == 406 and "H264 can be received here" in vp8.json()["error"]["message"]
        with api(server) as client:
            client.disable(made.id)
        by_path = f"{server.http}/{made.stream_key}/webRTC/publish"
        disabled = httpx.post(by_path, content=offer, headers=sdp)
        assert (disabled.status_code, disabled.json()["error"]["code"]) == (403, "ERR_LIVESTREAM_DISABLED")
        assert made.stream_key not in server.log.read_text()
