"""The UDP port, or several, and their peers.

    STUN (first byte 0 to 3)      by our user name fragment, then our password: says whose address it is
    DTLS (20 to 63)               by address
    SRTP, SRTCP (128 to 191)      by address                                                 (RFC 7983)

What comes from an address that no peer has checked from is dropped at the cost of one lookup; nothing is kept for it
and nothing is answered. A server without peers waits in the kernel: it has a socket, no task and no timer.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence

from headwater.errors import LimitReached, ProtocolError
from headwater.protocols import stun
from headwater.protocols.sdp.errors import SdpError
from headwater.protocols.sdp.negotiation import negotiate
from headwater.protocols.sdp.offer import read_offer
from headwater.webrtc.addresses import candidates
from headwater.webrtc.connection import Connection
from headwater.webrtc.dtls import Identity
from headwater.webrtc.links import check_servers, ice_server_links
from headwater.webrtc.media import Policy
from headwater.webrtc.peer import NOT_HEARD, PeerHandler
from headwater.webrtc.settings import WebRtcSettings
from headwater.webrtc.udp import Counts, RemoteAddress, UdpPort

log = logging.getLogger(__name__)

SWEEP_S = 0.5
"""How often peers are looked at for silence, while there are any."""


class WebRtcServer:
    """Every publisher and viewer (`headwater.webrtc.peer.Acceptor`), over one UDP port or a few.

    Attributes:
        address: Of the first port, once it is open.
    """

    def __init__(self, settings: WebRtcSettings) -> None:
        self.settings = settings
        self.counts = Counts()
        self.address = ("", 0)
        self._identity: Identity | None = None
        self._ports: list[UdpPort[Connection]] = []
        self._hosts: list[str] = []
        self._peers: dict[str, Connection] = {}
        self._by_ufrag: dict[str, Connection] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Open the port, and `port_count - 1` that follow it (any free ones, where it is 0).

        Returns:
            Address and port of the first.

        Raises:
            OSError: one cannot be had.
            OperatorError: `public_addresses`, `stun_servers` or `turn_servers` cannot be used.
        """
        check_servers(self.settings)
        try:
            for number in range(self.settings.port_count):
                opening: UdpPort[Connection] = UdpPort(self._received, self.counts, self.settings.receive_buffer_bytes)
                await opening.open(host, port + number if port else 0)
                self._ports.append(opening)
            self._hosts = candidates(self.settings.public_addresses, self._ports[0].address[0])
        except BaseException:
            self._close()
            raise
        self._identity = Identity()
        self.address = self._ports[0].address
        return self.address

    async def stop(self) -> None:
        """Say goodbye to every peer, tell their owners, close the port. Idempotent."""
        for peer in list(self._peers.values()):
            peer.end("the server stops")
        self._close()

    def accept(self, offer: str, policy: Policy, handler: PeerHandler) -> Connection:
        """Answer an offer: `headwater.webrtc.peer.Acceptor.accept`."""
        if not self._ports or self._identity is None:
            raise LimitReached("server.webrtc", "WebRTC is not served here")
        if len(offer) > self.settings.max_offer_bytes:
            raise SdpError(f"the offer is longer than {self.settings.max_offer_bytes} bytes")
        self._check_room(anonymous=policy.anonymous)
        read = read_offer(offer)
        ssrcs = {section.ssrc for section in read.sections} | {section.rtx_ssrc for section in read.sections}
        agreed = negotiate(read, policy, lambda: _new_ssrc(ssrcs))
        loop, port = asyncio.get_running_loop(), self._ports[self.counts.accepted % len(self._ports)]
        addresses = [(host, port.address[1]) for host in self._hosts]
        peer = Connection(self, port, self._identity, read, agreed, handler, self.settings, addresses, loop)
        peer.anonymous = policy.anonymous
        self._peers[peer.id] = peer
        self._by_ufrag[peer.ice.ufrag] = peer
        self.counts.accepted += 1
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_S, self._sweep)
        return peer

    def peer(self, identifier: str) -> Connection | None:
        """The open peer with this id."""
        return self._peers.get(identifier)

    def peers(self) -> int:
        """How many there are."""
        return len(self._peers)

    def ice_server_links(self) -> Sequence[str]:
        """Values of `Link` headers: `headwater.webrtc.peer.Acceptor.ice_server_links`."""
        return ice_server_links(self.settings, time.time())

    # What connections need (connection.Registry)

    def renamed(self, connection: Connection) -> None:
        """Its ICE sessions are others now."""
        for ufrag in [ufrag for ufrag, owner in self._by_ufrag.items() if owner is connection]:
            del self._by_ufrag[ufrag]
        for session in (connection.ice, connection.restart):
            if session is not None:
                self._by_ufrag[session.ufrag] = connection

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        self._peers.pop(connection.id, None)
        for session in (connection.ice, connection.restart):
            if session is not None:
                self._by_ufrag.pop(session.ufrag, None)
        if not self._peers and self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    # Behind

    def _close(self) -> None:
        for port in self._ports:
            port.close()
        self._ports.clear()

    def _check_room(self, *, anonymous: bool) -> None:
        """Half of the room, and of the door, is kept for those who have a key or a token."""
        if anonymous:
            strangers = [peer for peer in self._peers.values() if peer.anonymous]
            if len(strangers) >= self.settings.max_peers // 2:
                raise LimitReached("webrtc.max_peers", "there are too many viewers already")
            if sum(peer.state == "new" for peer in strangers) >= self.settings.max_connecting // 2:
                raise LimitReached("webrtc.max_connecting", "too many others are connecting; try again in some seconds")
        if len(self._peers) >= self.settings.max_peers:
            raise LimitReached(
                "webrtc.max_peers", f"there are {self.settings.max_peers} publishers and viewers already"
            )
        connecting = sum(peer.state == "new" for peer in self._peers.values())
        if connecting >= self.settings.max_connecting:
            raise LimitReached(
                "webrtc.max_connecting", f"{connecting} others are connecting; try again in some seconds"
            )

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_S, self._sweep)
        now = loop.time()
        for peer in list(self._peers.values()):
            if peer.state == "new" and now - peer.opened_at >= self.settings.connect_timeout_s:
                peer.end(_why_not_connected(peer, self.settings.connect_timeout_s))
            elif peer.state == "connected" and now - peer.heard_at >= self.settings.silence_timeout_s:
                peer.end(f"{NOT_HEARD} for {now - peer.heard_at:.0f} s")

    def _received(self, port: UdpPort[Connection], datagram: bytes, address: RemoteAddress) -> None:
        self.counts.received += 1
        first = datagram[0] if datagram else 255
        if first < 4:
            self._stun(port, datagram, address)
            return
        peer = port.by_address.get(address)
        if peer is None:
            self.counts.dropped_unknown += 1
            return
        try:
            if 128 <= first <= 191:
                peer.media(datagram)
            elif 20 <= first <= 63:
                self._handshake(peer, datagram, address)
            else:
                self.counts.dropped_unknown += 1
        except Exception:
            log.exception("a peer's owner failed; the peer is closed")
            peer.end("an error inside the server")

    def _handshake(self, peer: Connection, datagram: bytes, address: RemoteAddress) -> None:
        before = peer.state
        peer.handshake(datagram, address)
        if before == "new" and peer.state == "connected":
            self.counts.connected += 1

    def _stun(self, port: UdpPort[Connection], datagram: bytes, address: RemoteAddress) -> None:
        try:
            message = stun.parse(datagram)
        except ProtocolError:
            self.counts.dropped_stun += 1
            return
        ufrag = (message.username() or "").partition(":")[0]
        peer = self._by_ufrag.get(ufrag)
        if (
            peer is None
            or peer.port is not port
            or message.type != stun.BINDING_REQUEST
            or not message.authentic(peer.password(ufrag))
        ):
            self.counts.dropped_stun += 1
            return
        port.transmit(_answer(message, peer.password(ufrag), address), address)
        if stun.ICE_CONTROLLED in message.attributes or message.not_understood():
            return
        peer.checked(address, ufrag, nominates=stun.USE_CANDIDATE in message.attributes)


def _answer(message: stun.Message, password: bytes, address: RemoteAddress) -> bytes:
    """The response to an authentic connectivity check (RFC 8445, 7.3)."""
    unknown = message.not_understood()
    kind, attribute = stun.BINDING_ERROR, (stun.ERROR_CODE, b"")
    if unknown:
        numbers = b"".join(number.to_bytes(2, "big") for number in unknown)
        error = (stun.ERROR_CODE, stun.error_code(420, "Unknown Attribute"))
        attributes = [error, (stun.UNKNOWN_ATTRIBUTES, numbers)]
        return stun.build(kind, message.transaction, attributes, password=password)
    if stun.ICE_CONTROLLED in message.attributes:  # RFC 8445, 6.1.1: the lite side never controls
        attribute = (stun.ERROR_CODE, stun.error_code(487, "Role Conflict"))
    else:
        kind = stun.BINDING_SUCCESS
        attribute = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(address[0], address[1], message.transaction))
    return stun.build(kind, message.transaction, [attribute], password=password)


def _new_ssrc(used: set[int | None]) -> int:
    while True:
        ssrc = secrets.randbits(32)
        if ssrc not in used:
            used.add(ssrc)
            return ssrc


def _why_not_connected(peer: Connection, seconds: float) -> str:
    where = "no check came to our UDP port: is it reachable, and webrtc.public_addresses right?"
    if peer.addresses:
        where = "checks came, but the DTLS handshake did not end"
    return f"it did not connect within {seconds:g} s: {where}"
