"""A WHIP endpoint, and a WHEP endpoint that forwards what it gets: what the engine is tried with.

Forwarding here is the simplest there is: every packet to every viewer, with the viewer's payload type and source; what
is missing is asked for, and what viewers miss is sent again, twice each: these get lost too, and nobody asks further.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute

from headwater.errors import ProtocolError
from headwater.protocols.rtp import rtcp
from headwater.webrtc.media import CodecName, Outgoing, Policy, Section
from headwater.webrtc.peer import Peer
from headwater.webrtc.resources import Refused, endpoint_routes
from headwater.webrtc.rtx import header_bytes
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.settings import WebRtcSettings

TOKEN = "a-token"


@dataclass
class Publisher:
    """Takes what a publisher sends and gives it to viewers."""

    viewers: list[Peer] = field(default_factory=list)
    packets: Counter[str] = field(default_factory=Counter)
    sent: dict[bytes, tuple[Section, bytes]] = field(default_factory=dict)
    resent: int = 0
    _next: dict[str, int] = field(default_factory=dict)
    peer: Peer | None = None
    compounds: int = 0
    ended: str | None = None

    def connected(self, peer: Peer) -> None:
        self.peer = peer

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        self.packets[section.kind] += 1
        self._ask_again(peer, section, int.from_bytes(packet[2:4], "big"))
        for viewer in self.viewers:
            for outgoing in viewer.sections:
                if outgoing.kind == section.kind and outgoing.codec is not None and outgoing.ssrc is not None:
                    changed = rewritten(packet, outgoing.codec.payload_type, outgoing.ssrc)
                    viewer.send_rtp(changed)
                    self.sent[changed[2:4] + changed[8:12]] = (outgoing, changed)

    def _ask_again(self, peer: Peer, section: Section, sequence: int) -> None:
        expected = self._next.get(section.mid, sequence)
        missing = (sequence - expected) & 0xFFFF
        if missing > 0x7FFF:
            return  # it comes late: it was asked for
        self._next[section.mid] = (sequence + 1) & 0xFFFF
        if section.kind == "video" and section.ssrc is not None and 0 < missing < 50:
            wanted = tuple((expected + number) & 0xFFFF for number in range(missing))
            for _ in range(2):
                peer.send_rtcp(rtcp.build(rtcp.ReceiverReport(1), rtcp.Nack(1, section.ssrc, wanted)))

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        self.compounds += 1

    def closed(self, peer: Peer, reason: str) -> None:
        self.ended = reason

    def want_picture(self) -> None:
        """Ask for a key frame."""
        assert self.peer is not None
        for section in self.peer.sections:
            if section.kind == "video":
                self.peer.request_keyframe(section)


@dataclass
class Viewer:
    """Joins a publisher's viewers once it is connected."""

    publisher: Publisher
    compounds: list[bytes] = field(default_factory=list)
    ended: str | None = None

    def connected(self, peer: Peer) -> None:
        self.publisher.viewers.append(peer)
        self.publisher.want_picture()

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        raise AssertionError("a viewer sends no media")

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        self.compounds.append(compound)
        try:
            found = rtcp.parse(compound)
        except ProtocolError:
            return
        for each in found:
            if isinstance(each, rtcp.Pli | rtcp.Fir):
                self.publisher.want_picture()
            elif isinstance(each, rtcp.Nack):
                self._resend(peer, each)

    def _resend(self, peer: Peer, nack: rtcp.Nack) -> None:
        for sequence in nack.sequences:
            kept = self.publisher.sent.get(struct.pack("!HI", sequence, nack.media_ssrc))
            if kept is not None:
                self.publisher.resent += peer.resend_rtp(*kept) + peer.resend_rtp(*kept)

    def closed(self, peer: Peer, reason: str) -> None:
        self.ended = reason
        with contextlib.suppress(ValueError):
            self.publisher.viewers.remove(peer)


def rewritten(packet: bytes, payload_type: int, ssrc: int) -> bytes:
    """An RTP packet for a viewer, without header extensions: their numbers would be the publisher's."""
    start = header_bytes(packet)
    head = struct.pack("!BB", packet[0] & 0xE0, (packet[1] & 0x80) | payload_type)
    return head + packet[2:8] + ssrc.to_bytes(4, "big") + packet[start:]


@dataclass
class Endpoint:
    """Both endpoints: `/whip` and `/whep`, one publisher."""

    webrtc: WebRtcServer
    receive_video: Sequence[CodecName] = ("H264", "VP8")
    publishers: list[Publisher] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    bearers: list[str | None] = field(default_factory=list)
    http: str = ""

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        self.bearers.append(bearer)
        if bearer != TOKEN:
            raise Refused(401, "ERR_TOKEN", "the token is not known")
        if request.url.path == "/whip":
            return self.publish(offer)
        return self.view(offer)

    def publish(self, offer: str) -> Peer:
        """Take a publisher."""
        publisher = Publisher()
        peer = self.webrtc.accept(offer, Policy(("opus",), self.receive_video), publisher)
        self.publishers.append(publisher)
        return peer

    def view(self, offer: str) -> Peer:
        """Take a viewer of the newest publisher."""
        publisher = self.publishers[-1] if self.publishers else None
        if publisher is None or publisher.peer is None:
            raise Refused(409, "ERR_NOT_LIVE", "nobody publishes", {"Retry-After": "1"})
        tracks = [
            Outgoing(each.kind, each.codec.name, "live", each.kind, each.codec.parameters, optional=True)
            for each in publisher.peer.sections
            if each.codec is not None and each.direction == "recvonly"
        ]
        viewer = Viewer(publisher)
        peer = self.webrtc.accept(offer, Policy(send=tracks), viewer)
        self.viewers.append(viewer)
        return peer

    def routes(self) -> list[BaseRoute]:
        """Of both."""
        return [
            *endpoint_routes("/whip", self, self.webrtc, resource_path="/whip/{resource}"),
            *endpoint_routes("/whep", self, self.webrtc, resource_path="/whep/{resource}"),
        ]


@contextlib.asynccontextmanager
async def webrtc_server(settings: WebRtcSettings | None = None) -> AsyncIterator[WebRtcServer]:
    """The UDP port alone."""
    server = WebRtcServer(settings or WebRtcSettings())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def serving(
    settings: WebRtcSettings | None = None, *routes: BaseRoute, receive_video: Sequence[CodecName] = ("H264", "VP8")
) -> AsyncIterator[Endpoint]:
    """Both endpoints over HTTP, and the routes of a page."""
    async with webrtc_server(settings) as webrtc:
        endpoint = Endpoint(webrtc, receive_video)
        app = Starlette(routes=[*endpoint.routes(), *routes])
        config = uvicorn.Config(app, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        endpoint.http = f"http://127.0.0.1:{listening.getsockname()[1]}"
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield endpoint
        finally:
            server.should_exit = True
            await task
            listening.close()


async def until(condition: object, within_s: float = 20.0) -> None:
    """Wait for something that others bring about."""
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)
