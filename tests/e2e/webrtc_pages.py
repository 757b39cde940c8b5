"""What a page does to publish by WHIP and to watch by WHEP, in a browser's own words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

PUBLISH = """
async ([url, key, port]) => {
  const camera = { width: 640, height: 360, frameRate: 30 };
  const stream = await navigator.mediaDevices.getUserMedia({ video: camera, audio: true });
  const connection = window.connection = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  }
  return await window.negotiate(connection, url, { authorization: `Bearer ${key}` }, port);
}
"""

WATCH = """
async ([url, port]) => {
  const connection = window.connection = new RTCPeerConnection();
  for (const kind of ["video", "audio"]) connection.addTransceiver(kind, { direction: "recvonly" });
  const video = document.querySelector("video") ?? document.body.appendChild(document.createElement("video"));
  video.autoplay = true;
  connection.ontrack = (event) => { video.srcObject = event.streams[0]; };
  return await window.negotiate(connection, url, {}, port);
}
"""

NEGOTIATE = """
() => { window.negotiate = async (connection, url, headers, port) => {
  await connection.setLocalDescription(await connection.createOffer());
  const body = connection.localDescription.sdp;
  const type = { "content-type": "application/sdp" };
  const response = await fetch(url, { method: "POST", body, headers: { ...type, ...headers } });
  let text = await response.text();
  if (port) text = text.replace(/^(a=candidate:.* 127[.]0[.]0[.]1) [0-9]+/gm, `$1 ${port}`);
  if (response.status === 201) await connection.setRemoteDescription({ type: "answer", sdp: text });
  return [response.status, response.headers.get("location"), text];
}; }
"""

STATISTICS = """
async (type) => {
  const found = {};
  (await window.connection.getStats()).forEach((entry) => { if (entry.type === type) found[entry.kind] = entry; });
  return found;
}
"""


def publish(page: Page, url: str, key: str, port: int = 0) -> list[Any]:
    """Publish the fake camera and microphone, by way of `port` if one is given: status, resource, the answer."""
    page.evaluate(NEGOTIATE)
    found: list[Any] = page.evaluate(PUBLISH, [url, key, port])
    return found


def watch(page: Page, url: str, port: int = 0) -> list[Any]:
    """Watch in the page's only video element, by way of `port` if one is given: status, resource, the answer."""
    page.evaluate(NEGOTIATE)
    found: list[Any] = page.evaluate(WATCH, [url, port])
    return found


def statistics(page: Page, kind: str) -> dict[str, Any]:
    """`inbound-rtp` or `outbound-rtp` statistics, by `audio` and `video`."""
    found: dict[str, Any] = page.evaluate(STATISTICS, kind)
    return found
