"""A WebRTC client of a few lines, on a socket of its own, in the test's event loop; and an owner that remembers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from headwater.protocols import stun
from headwater.protocols.sdp.description import parse
from headwater.webrtc import srtp
from headwater.webrtc.connection import Connection
from headwater.webrtc.dtls import Dtls, Identity
from headwater.webrtc.media import Policy, Section
from headwater.webrtc.peer import Peer
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.settings import WebRtcSettings
from tests.unit.protocols.sdp import offers

RECEIVE = Policy(receive_audio=("opus",), receive_video=("VP8",))
PATIENCE_S = 5.0


@dataclass
class Owner:
    """A peer's handler."""

    connections: int = 0
    packets: list[tuple[Section, bytes]] = field(default_factory=list)
    compounds: list[bytes] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    error: Exception | None = None

    def connected(self, peer: Peer) -> None:
        self.connections += 1

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.packets.append((section, packet))

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        self.compounds.append(compound)

    def closed(self, peer: Peer, reason: str) -> None:
        self.ended.append(reason)


class Client:
    """One end of a connection.

    Attributes:
        identity: Its certificate; another than offered makes the handshake fail.
    """

    def __init__(self, identity: Identity, *, active: bool = True) -> None:
        self.identity = identity
        self.active = active
        self.dtls: Dtls | None = None
        self._offered = identity.fingerprint
        self._socket = self._new_socket()
        self._ufrag = self._password = ""
        self._server = ("", 0)
        self._fingerprint = b""

    def offer(self, text: str | None = None) -> str:
        """An offer with this client's certificate and role."""
        found = (text or offers.publisher()).replace(offers.FINGERPRINT, f"sha-256 {self._offered.hex(':')}")
        return found.replace("a=setup:actpass", f"a=setup:{'active' if self.active else 'passive'}")

    def answered(self, answer: str) -> None:
        """Take the answer."""
        section = parse(answer).sections[0]
        self._server = ("127.0.0.1", section.port)
        self._fingerprint = bytes.fromhex(str(section.first("fingerprint")).partition(" ")[2].replace(":", ""))
        self.credentials(str(section.first("ice-ufrag")), str(section.first("ice-pwd")))

    def credentials(self, ufrag: str, password: str) -> None:
        """Those of the server, from the answer or after an ICE restart."""
        self._ufrag, self._password = ufrag, password

    async def check(self, *extra: tuple[int, bytes], nominate: bool = True, password: str = "") -> stun.Message:
        """A connectivity check, and its answer."""
        attributes = [
            (stun.USERNAME, f"{self._ufrag}:9f8+".encode()),
            (stun.PRIORITY, bytes(4)),
            (stun.ICE_CONTROLLING, bytes(8)),
            *([(stun.USE_CANDIDATE, b"")] if nominate else []),
            *extra,
        ]
        key = (password or self._password).encode()
        self.send(stun.build(stun.BINDING_REQUEST, secrets.token_bytes(12), attributes, password=key))
        while True:
            datagram = await self.receive()
            if stun.is_stun(datagram):
                return stun.parse(datagram)

    async def connect(self) -> Client:
        """ICE and DTLS."""
        assert (await self.check()).type == stun.BINDING_SUCCESS
        self.dtls = dtls = Dtls(self.identity, [("sha-256", self._fingerprint)], active=self.active)
        dtls.start()
        while True:
            for datagram in dtls.take():
                self.send(datagram)
            if dtls.keys is not None:
                break
            dtls.receive(await self.receive())
        self.outbound, self.inbound = srtp.session(dtls.keys, ours=True), srtp.session(dtls.keys, ours=False)
        return self

    def send(self, datagram: bytes) -> None:
        """To the server, as it is."""
        self._socket.sendto(datagram, self._server)

    def send_rtp(self, packet: bytes) -> bytes:
        """Encrypted; gives what was sent."""
        datagram = self.outbound.protect(packet)
        self.send(datagram)
        return datagram

    async def receive(self, within_s: float = PATIENCE_S) -> bytes:
        """The next datagram."""
        async with asyncio.timeout(within_s):
            return await asyncio.get_running_loop().sock_recv(self._socket, 2048)

    async def receive_media(self) -> bytes:
        """The next RTP or RTCP packet, decrypted."""
        while True:
            datagram = await self.receive()
            if 128 <= datagram[0] <= 191:
                is_rtcp = 192 <= datagram[1] <= 223
                return self.inbound.unprotect_rtcp(datagram) if is_rtcp else self.inbound.unprotect(datagram)

    def move(self) -> None:
        """Speak from another address from now on, as a phone does that leaves the house."""
        self._socket.close()
        self._socket = self._new_socket()

    def goodbye(self) -> None:
        """DTLS close_notify."""
        assert self.dtls is not None
        self.dtls.close()
        for datagram in self.dtls.take():
            self.send(datagram)

    def close(self) -> None:
        """Without a word."""
        self._socket.close()

    def _new_socket(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind(("127.0.0.1", 0))
        return opened


IDENTITY = Identity()


def rtp(
    sequence: int, *, payload_type: int = 96, ssrc: int = 2001, payload: bytes = b"picture", extension: bytes = b""
) -> bytes:
    """An RTP packet; `extension` is one-byte-header data (RFC 8285, 4.2)."""
    head = struct.pack("!BBHII", 0x90 if extension else 0x80, 0x80 | payload_type, sequence, 3000 * sequence, ssrc)
    if extension:
        padded = extension + bytes(-len(extension) % 4)
        head += struct.pack("!HH", 0xBEDE, len(padded) // 4) + padded
    return head + payload


@contextlib.asynccontextmanager
async def port(settings: WebRtcSettings | None = None) -> AsyncIterator[WebRtcServer]:
    """A server of the test alone; nothing may be raised into the loop."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    server = WebRtcServer(settings or WebRtcSettings())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert not raised


@contextlib.asynccontextmanager
async def joined(
    server: WebRtcServer, text: str | None = None, policy: Policy = RECEIVE, *, active: bool = True
) -> AsyncIterator[tuple[Client, Connection, Owner]]:
    """A client that is connected, its peer and the peer's owner."""
    client, owner = Client(IDENTITY, active=active), Owner()
    peer = server.accept(client.offer(text), policy, owner)
    client.answered(peer.answer)
    try:
        await client.connect()
        await until(lambda: peer.state == "connected")
        yield client, peer, owner
    finally:
        client.close()


async def until(condition: object) -> None:
    """Let the loop turn until something is so."""
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)
