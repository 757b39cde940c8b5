"""Chromium publishes its camera by WHIP and watches by WHEP: what the page's own script would do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from headwater.webrtc.media import CodecName
from tests.browser import FAKE_DEVICES, chromium_beside
from tests.interop.webrtc_endpoint import TOKEN, Endpoint, serving, until

PAGE = f"""<!doctype html><title>WebRTC</title><video id=seen autoplay muted playsinline></video><script>
const headers = {{ Authorization: "Bearer {TOKEN}" }};
async function offer(connection, path) {{
  await connection.setLocalDescription();
  const response = await fetch(path, {{
    method: "POST", body: connection.localDescription.sdp, headers: {{ ...headers, "Content-Type": "application/sdp" }},
  }});
  if (!response.ok) throw new Error(`${{response.status}} ${{await response.text()}}`);
  connection.resource = response.headers.get("Location");
  connection.etag = response.headers.get("ETag");
  await connection.setRemoteDescription({{ type: "answer", sdp: await response.text() }});
}}
async function publish(codec) {{
  const stream = await navigator.mediaDevices.getUserMedia({{ audio: true, video: {{ width: 640, height: 360 }} }});
  window.out = new RTCPeerConnection({{ bundlePolicy: "max-bundle" }});
  for (const track of stream.getTracks()) out.addTransceiver(track, {{ direction: "sendonly", streams: [stream] }});
  if (codec) {{
    const all = RTCRtpSender.getCapabilities("video").codecs;
    const wanted = all.filter((each) => each.mimeType.endsWith(codec) || each.mimeType.endsWith("rtx"));
    out.getTransceivers().find((each) => each.sender.track.kind === "video").setCodecPreferences(wanted);
  }}
  await offer(out, "/whip");
}}
async function watch() {{
  window.back = new RTCPeerConnection({{ bundlePolicy: "max-bundle" }});
  back.addTransceiver("audio", {{ direction: "recvonly" }});
  back.addTransceiver("video", {{ direction: "recvonly" }});
  const stream = new MediaStream();
  back.ontrack = (event) => {{ stream.addTrack(event.track); seen.srcObject = stream; }};
  await offer(back, "/whep");
  const context = new AudioContext();
  window.meter = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(meter);
  window.loudest = 0;
}}
async function inbound() {{
  const wave = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(wave);
  loudest = Math.max(loudest, ...wave);
  const found = {{ width: seen.videoWidth, state: back.connectionState, loudest }};
  for (const each of (await back.getStats()).values()) {{
    if (each.type === "inbound-rtp") found[each.kind] = {{
      frames: each.framesDecoded, packets: each.packetsReceived, lost: each.packetsLost,
    }};
  }}
  return found;
}}
async function restart() {{
  out.restartIce();
  const fresh = await out.createOffer();
  await out.setLocalDescription(fresh);
  const pick = (name) => fresh.sdp.match(new RegExp(`a=${{name}}:.*`))[0];
  const fragment = [pick("ice-ufrag"), pick("ice-pwd"), "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", ""].join("\\r\\n");
  const response = await fetch(out.resource, {{
    method: "PATCH", body: fragment,
    headers: {{ ...headers, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" }},
  }});
  const text = await response.text();
  const took = (name) => text.match(new RegExp(`a=${{name}}:(.*)`))[1].trim();
  const before = out.currentRemoteDescription.sdp;
  await out.setRemoteDescription({{ type: "answer", sdp: before
    .replace(/a=ice-ufrag:.*/g, `a=ice-ufrag:${{took("ice-ufrag")}}`)
    .replace(/a=ice-pwd:.*/g, `a=ice-pwd:${{took("ice-pwd")}}`) }});
  return [response.status, out.etag, response.headers.get("ETag")];
}}
</script>"""


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def playing(found: Page) -> dict[str, Any]:
    """Wait until sound and picture of the viewer move."""
    seen: dict[str, Any] = {}
    for _ in range(200):
        seen = await found.evaluate("inbound()")
        if seen["width"] and seen.get("video", {}).get("frames", 0) > 15 and seen["loudest"] > 0.05:
            return seen
        await asyncio.sleep(0.1)
    raise AssertionError(f"sound or picture does not move: {seen}")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_camera_there_and_back(codec: CodecName) -> None:
    """The forwarded picture has its size and moves, the forwarded tone is heard; an ICE restart interrupts neither."""
    async with serving(None, Route("/", page)) as endpoint, chromium_beside(*FAKE_DEVICES) as browser:
        tab = await browser.new_page()
        await tab.goto(endpoint.http + "/")
        await tab.evaluate(f"publish('{codec}')")
        publisher = await _publishing(endpoint, codec)
        await tab.evaluate("watch()")
        seen = await playing(tab)
        assert (seen["width"], seen["state"]) == (640, "connected")
        assert seen["video"]["lost"] == 0 and seen["audio"]["lost"] == 0

        status, before, after = await tab.evaluate("restart()")
        assert (status, before) != (200, after) and status == 200
        assert publisher.peer is not None and publisher.peer.etag == after
        packets = publisher.packets["video"]
        await until(lambda: publisher.packets["video"] > packets + 30 and publisher.peer.restart is None)
        assert publisher.peer.state == "connected"

        await tab.evaluate("out.close(), back.close()")
        await until(lambda: publisher.ended)
        await tab.close()
        await until(lambda: endpoint.webrtc.peers() == 0)


async def _publishing(endpoint: Endpoint, codec: CodecName) -> Any:
    await until(lambda: endpoint.publishers and endpoint.publishers[0].packets["video"] > 10)
    publisher = endpoint.publishers[0]
    assert publisher.peer is not None
    agreed = [each.codec.name for each in publisher.peer.sections if each.codec is not None]
    assert agreed == ["opus", codec]
    return publisher


async def test_a_viewer_too_early_is_told() -> None:
    async with serving(None, Route("/", page)) as endpoint, chromium_beside() as browser:
        tab = await browser.new_page()
        await tab.goto(endpoint.http + "/")
        words = await tab.evaluate("watch().then(() => '', (error) => error.message)")
        assert words.startswith("409") and "nobody publishes" in words
