"""What a page does to publish by WHIP and to watch by WHEP, in a browser's own words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

PUBLISH = """
async ([url, key]) => {
  const camera = { width: 640, height: 360, frameRate: 30 };
  const stream = await navigator.mediaDevices.getUserMedia({ video: camera, audio: true });
  const connection = window.connection = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  }
  return await window.negotiate(connection, url, { authorization: `Bearer ${key}` });
}
"""

WATCH = """
async (url) => {
  const connection = window.connection = new RTCPeerConnection();
  for (const kind of ["video", "audio"]) connection.addTransceiver(kind, { direction: "recvonly" });
  const video = document.querySelector("video") ?? document.body.appendChild(document.createElement("video"));
  video.autoplay = true;
  connection.ontrack = (event) => { video.srcObject = event.streams[0]; };
  return await window.negotiate(connection, url, {});
}
"""

NEGOTIATE = """
() => { window.negotiate = async (connection, url, headers) => {
  await connection.setLocalDescription(await connection.createOffer());
  const body = connection.localDescription.sdp;
  const type = { "content-type": "application/sdp" };
  const response = await fetch(url, { method: "POST", body, headers: { ...type, ...headers } });
  const text = await response.text();
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


def publish(page: Page, url: str, key: str) -> list[Any]:
    """Publish the fake camera and microphone: status, resource, and what the answer says."""
    page.evaluate(NEGOTIATE)
    found: list[Any] = page.evaluate(PUBLISH, [url, key])
    return found


def watch(page: Page, url: str) -> list[Any]:
    """Watch in the page's only video element: status, resource, and what the answer says."""
    page.evaluate(NEGOTIATE)
    found: list[Any] = page.evaluate(WATCH, url)
    return found


def statistics(page: Page, kind: str) -> dict[str, Any]:
    """`inbound-rtp` or `outbound-rtp` statistics, by `audio` and `video`."""
    found: dict[str, Any] = page.evaluate(STATISTICS, kind)
    return found
