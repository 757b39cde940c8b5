"""Livestreams by WebRTC: WHIP in, HLS out; RTMP in, WHEP out; at the other ends programs that nobody here wrote."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiortc import RTCPeerConnection
from playwright.sync_api import Page

from tests.browser import FAKE_DEVICES, chromium, watched
from tests.e2e import webrtc_pages
from tests.e2e.beep_flash import offsets_ms
from tests.e2e.support import (
    B_FRAMES,
    api,
    card_command,
    create,
    decode_complaints,
    ffmpeg_command,
    live,
    media_playlist,
    packet_times,
    played,
    renditions,
    running,
    until,
)
from tests.interop.lossy import LossyRelay
from tests.support import Server, running_server

LOSS = 0.05
"""Of media packets, each way."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all; short windows, so that ends come soon."""
    environment = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "6", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0.5"}
    with running_server(tmp_path_factory.mktemp("webrtc") / "data", env=environment) as server:
        yield server


async def offered(direction: str = "sendonly") -> str:
    """An offer of H.264, VP8 and Opus."""
    connection = RTCPeerConnection()
    try:
        for kind in ("audio", "video"):
            connection.addTransceiver(kind, direction=direction)
        await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)
    finally:
        await connection.close()


class TestWhip:
    def test_ffmpegs_muxer_publishes_and_hls_plays(self, server: Server, certificate: tuple[Path, Path]) -> None:
        """H.264 and Opus, every frame, in step; its goodbye (DELETE) ends the session as an encoder's does."""
        made = create(server)
        options = [server.http + "/webRTC/publish", made.stream_key, "4", *map(str, certificate)]
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
        assert len(packet_times(recording, "v")) >= 4 * 30 - 2
        offsets = offsets_ms(recording)
        assert len(offsets) >= 2 and all(abs(offset) < 40 for offset in offsets), offsets

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
            logged = client.get_livestream_events(made.id)
            assert "ERR_OFFER_NOT_SERVED" in str(logged)
            client.disable(made.id)
        by_path = f"{server.http}/{made.stream_key}/webRTC/publish"
        disabled = httpx.post(by_path, content=offer, headers=sdp)
        assert (disabled.status_code, disabled.json()["error"]["code"]) == (403, "ERR_LIVESTREAM_DISABLED")
        assert made.stream_key not in server.log.read_text()

    def test_a_browser_publishes_through_a_network_that_loses_packets(self, server: Server) -> None:
        """HLS plays, and another browser watches by WHEP through another such network: packets come again. A browser
        has no key frames of its own accord: segments are cut where they are asked for."""
        made = create(server)
        udp = ("127.0.0.1", int(server.ready["webrtc"].rpartition(":")[2]))
        with (
            chromium(*FAKE_DEVICES) as browser,
            httpx.Client(timeout=20) as client,
            LossyRelay(udp, LOSS) as there,
            LossyRelay(udp, LOSS, seed=2) as back,
        ):
            sender, viewer = browser.new_page(), browser.new_page()
            for page in (sender, viewer):
                page.goto(server.http + "/healthz")
            published = webrtc_pages.publish(sender, server.http + "/webRTC/publish", made.stream_key, there.port)
            assert published[0] == 201, published
            played(made.playback_url)
            url = made.playback_url.replace("manifest/video.m3u8", "webRTC/play")
            until(lambda: webrtc_pages.watch(viewer, url, back.port)[0] == 201, "watching")
            until(lambda: viewer.evaluate("document.querySelector('video').videoWidth"), "a picture")
            sent, shown = (counted(sender, "outbound-rtp"), counted(viewer, "inbound-rtp"))
            listed = until(lambda: closed_segments(client, made.playback_url), "segments", within_s=20)
            print(f"segments: {listed}; lost: {there.lost}, {back.lost}")
            assert all(1 < duration < 3.5 for duration in listed[1:]), listed
            frames = counted(sender, "outbound-rtp") - sent
            decoded = counted(viewer, "inbound-rtp") - shown
            print(f"frames: {frames} sent, {decoded} decoded")
            assert decoded > 0.85 * frames
            assert there.lost > 10 and back.lost > 10
            total = counted(sender, "outbound-rtp")
            assert client.delete(server.http + published[1]).status_code == 200
        until(lambda: not live(made.playback_url), "the session has ended", within_s=5)
        recording = max((server.data / "recordings").glob("*.mp4"), key=lambda file: file.stat().st_mtime)
        # A browser's frames vary, and ffmpeg's null output counts in whole ones: that is no complaint of the decoder.
        complaints = decode_complaints(recording).splitlines()
        assert not [line for line in complaints if "non monotonically increasing dts to muxer" not in line]
        assert len(packet_times(recording, "v")) > 0.85 * total
        assert duration_of(packet_times(recording, "a")) > 3.5


class TestWhep:
    def test_rtmp_goes_in_and_a_browser_watches(self, server: Server) -> None:
        """Picture and sound (AAC, made Opus), a second old at most; the viewer counts, and is let go."""
        made = create(server)
        url = made.playback_url.replace("manifest/video.m3u8", "webRTC/play")
        views = made.playback_url.replace("manifest/video.m3u8", "views")
        with chromium() as browser, watched(browser, server.http + "/healthz") as viewer:
            assert webrtc_pages.watch(viewer.page, url)[0] == 404
            with running(card_command(server.rtmp + made.stream_key)):
                played(made.playback_url)
                assert httpx.get(views).json() == {"liveViewers": 0}
                status, _, text = webrtc_pages.watch(viewer.page, url)
                assert status == 201, text
                until(lambda: heard_and_seen(viewer.page), "picture and sound", within_s=15)
                latencies = [viewer.latency_ms() for _ in range(10) if not viewer.page.wait_for_timeout(100)]
                known = sorted(latency for latency in latencies if latency is not None)
                assert known and known[len(known) // 2] < 1000, latencies  # some 60 where nothing else runs
                assert httpx.get(views).json() == {"liveViewers": 1}
                second = browser.new_page()
                second.goto(server.http + "/healthz")
                assert webrtc_pages.watch(second, url)[0] == 201
                until(lambda: second.evaluate("document.querySelector('video').videoWidth"), "the second's picture")
                second.close()
            with api(server) as client:
                client.stop_livestream(made.id)
            log = "\n".join(line for line in server.log.read_text().splitlines() if made.id in line)
            assert log.count("a viewer joins by WebRTC") == 2 and "is gone: the livestream has ended" in log
            assert not [each for each in viewer.complaints if "404" not in each]

    def test_b_frames_are_refused_with_that_reason(self, server: Server) -> None:
        made = create(server)
        offer = asyncio.run(offered("recvonly"))
        with running(ffmpeg_command(server.rtmp + made.stream_key, encode=B_FRAMES)):
            played(made.playback_url)
            url = made.playback_url.replace("manifest/video.m3u8", "webRTC/play")
            refused = httpx.post(url, content=offer, headers={"content-type": "application/sdp"})
            assert refused.status_code == 406 and "B-frames" in refused.json()["error"]["message"]
            assert refused.headers["access-control-allow-origin"] == "*"


def closed_segments(client: httpx.Client, playback_url: str) -> list[float]:
    """Durations of the picture's segments, once there are three."""
    segments = media_playlist(client, renditions(client, playback_url)["video"]).segments
    return [segment.duration for segment in segments] if len(segments) >= 3 else []


def counted(page: Page, kind: str) -> int:
    """Frames sent or decoded so far."""
    video = webrtc_pages.statistics(page, kind).get("video", {})
    return int(video.get("framesSent", video.get("framesDecoded", 0)))


def duration_of(packets: list[tuple[float, float]]) -> float:
    return packets[-1][0] - packets[0][0]


def heard_and_seen(page: Page) -> bool:
    """A second of pictures, and a beep of the test card."""
    found = webrtc_pages.statistics(page, "inbound-rtp")
    picture, sound = found.get("video", {}), found.get("audio", {})
    return picture.get("framesDecoded", 0) > 30 and sound.get("totalAudioEnergy", 0) > 1e-4
