"""One peer: ICE-lite, then DTLS, then SRTP, over a port that it shares with all others.

    new ──(a check with our password: their address)──► handshake ──(DTLS: their certificate)──► connected
     └────── connect_timeout_s, or a handshake that fails ──┴──► closed ◄── goodbye, silence_timeout_s ──┘

Who sends from an address that no check came from is not heard. The server calls in; the owner's handler is called out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pylibsrtp

from headwater.errors import ProtocolError
from headwater.protocols.sdp.answer import Transport, write_answer, write_fragment
from headwater.protocols.sdp.fragment import read_fragment
from headwater.protocols.sdp.negotiation import Agreed
from headwater.protocols.sdp.offer import Offer
from headwater.webrtc import feedback, rtx, srtp
from headwater.webrtc.dtls import Dtls, Identity
from headwater.webrtc.media import Section
from headwater.webrtc.peer import GOODBYE, PeerHandler, State
from headwater.webrtc.settings import WebRtcSettings
from headwater.webrtc.sources import Sources
from headwater.webrtc.udp import RemoteAddress, UdpPort

log = logging.getLogger(__name__)

KEYFRAME_INTERVAL_S = 0.5
"""Between key frame requests of one section: an encoder that is asked at every loss sends key frames alone."""
REPORTS_KEPT = 16
"""Sender reports whose echo may still come: one a second and section is sent, and echoed within some round trips."""


class Registry(Protocol):
    """What a connection needs of the server that it belongs to."""

    def renamed(self, connection: Connection) -> None: ...
    def gone(self, connection: Connection) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """One ICE session: a restart makes another.

    Attributes:
        theirs: The user name fragment of who offered.
    """

    ufrag: str
    pwd: str
    theirs: str

    @classmethod
    def new(cls, theirs: str) -> Session:
        """With 64 bits of name, so that nobody finds another's by chance, and 128 of password (RFC 8839, 5.4)."""
        return cls(secrets.token_hex(8), secrets.token_hex(16), theirs)


class Connection:
    """A peer (`headwater.webrtc.peer.Peer`), from the server's side."""

    def __init__(
        self,
        registry: Registry,
        port: UdpPort[Connection],
        identity: Identity,
        offer: Offer,
        agreed: Sequence[Agreed],
        handler: PeerHandler,
        settings: WebRtcSettings,
        addresses: Sequence[tuple[str, int]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.state: State = "new"
        self.round_trip_ms: float | None = None
        self.remote = ""
        self.anonymous = False
        self.opened_at = self.heard_at = loop.time()
        self.addresses: OrderedDict[RemoteAddress, None] = OrderedDict()
        self.ice = Session.new(offer.ice_ufrag)
        self.restart: Session | None = None
        self.etag = _etag()
        self._registry = registry
        self.port = port
        self._identity = identity
        self._offer = offer
        self._handler = handler
        self._settings = settings
        self._loop = loop
        self._sources = Sources([each.section for each in agreed if each.section is not None])
        self._tag = next((each for each in self.sections if each.codec is not None), self.sections[0])
        self._transport = Transport(
            secrets.randbits(62),
            self.ice.ufrag,
            self.ice.pwd,
            addresses,
            identity.fingerprint,
            active=offer.setup == "passive",
        )
        self.answer = write_answer(offer, agreed, self._transport)
        self._ssrc = secrets.randbits(32)
        self._remote: RemoteAddress = None
        self._nominated = False
        self._dtls: Dtls | None = None
        self._dtls_timer: asyncio.TimerHandle | None = None
        self._flight_at: float | None = None
        self._inbound: pylibsrtp.Session | None = None
        self._outbound: pylibsrtp.Session | None = None
        self._known: set[bytes] = set()
        self._rtx_sequence: dict[str, int] = {}
        self._asked: dict[str, asyncio.TimerHandle] = {}
        self._ask_again: set[str] = set()
        self._fir_count = 0
        self._reports: OrderedDict[int, float] = OrderedDict()

    # What the owner sees (peer.Peer)

    @property
    def sections(self) -> tuple[Section, ...]:
        return self._sources.sections

    def send_rtp(self, packet: bytes | bytearray) -> bool:
        if self._outbound is None:
            return False
        try:
            protected = self._outbound.protect(bytes(packet))
        except (srtp.SrtpError, ValueError):
            return False  # its number is older than what libsrtp remembers, or it is too long
        return self.port.transmit(protected, self._remote)

    def resend_rtp(self, section: Section, packet: bytes | bytearray) -> bool:
        codec = section.codec
        if codec is None or codec.rtx_payload_type is None or section.rtx_ssrc is None:
            return self.send_rtp(packet)
        sequence = self._rtx_sequence.get(section.mid)
        if sequence is None:
            sequence = secrets.randbits(15)  # RFC 3550, 5.1: random; below half, so that it does not wrap at once
        self._rtx_sequence[section.mid] = (sequence + 1) & 0xFFFF
        return self.send_rtp(rtx.wrap(packet, codec.rtx_payload_type, section.rtx_ssrc, sequence))

    def send_rtcp(self, compound: bytes) -> bool:
        if self._outbound is None:
            return False
        try:
            protected = self._outbound.protect_rtcp(compound)
        except (srtp.SrtpError, ValueError):
            return False
        for report in feedback.sender_reports(compound):
            self._reports[report] = time.monotonic()
            if len(self._reports) > REPORTS_KEPT:
                self._reports.popitem(last=False)
        return self.port.transmit(protected, self._remote)

    def request_keyframe(self, section: Section) -> None:
        if self.state == "closed":
            return
        mid = section.mid
        if mid in self._asked:
            self._ask_again.add(mid)
            return
        found = next((each for each in self.sections if each.mid == mid), None)
        if found is None or found.direction != "recvonly" or found.codec is None:
            return
        sent = found.ssrc is not None and self._ask(found.codec.feedback, found.ssrc)
        if not sent:
            self._ask_again.add(mid)
        self._asked[mid] = self._loop.call_later(KEYFRAME_INTERVAL_S, self._may_ask, found)

    def trickle(self, fragment: str) -> str | None:
        found = read_fragment(fragment)
        newest = self.restart or self.ice
        if found.ice_ufrag is None or found.ice_ufrag == newest.theirs:
            return None
        self.restart = Session.new(found.ice_ufrag)
        self.etag = _etag()
        self._registry.renamed(self)
        self._transport = replace(self._transport, ice_ufrag=self.restart.ufrag, ice_pwd=self.restart.pwd)
        return write_fragment(self._tag.mid, self._tag.kind, self._transport)

    def close(self, reason: str) -> None:
        if self.state == "closed":
            return
        log.debug("a peer is closed: %s", reason)
        self.state = "closed"
        if self._dtls is not None:
            self._dtls.close()
            self._flush(self._remote)
        if self._dtls_timer is not None:
            self._dtls_timer.cancel()
        for timer in self._asked.values():
            timer.cancel()
        self._asked.clear()
        self._inbound = self._outbound = self._dtls = self._dtls_timer = None
        for address in self.addresses:
            self.port.lost(self, address)
        self._registry.gone(self)

    def end(self, reason: str) -> None:
        if self.state == "closed":
            return
        if self.state == "new":
            log.info("a WebRTC connection did not come about: %s", reason)
        self.close(reason)
        try:
            self._handler.closed(self, reason)
        except Exception:
            log.exception("a peer's owner failed at its end")

    # What the server brings

    def password(self, ufrag: str) -> bytes:
        """Ours of the ICE session with this fragment of ours."""
        session = self.restart if self.restart is not None and self.restart.ufrag == ufrag else self.ice
        return session.pwd.encode()

    def checked(self, address: RemoteAddress, ufrag: str, *, nominates: bool) -> None:
        """A connectivity check with our password has come (RFC 8445, 7.3)."""
        self.heard_at = self._loop.time()
        if self.restart is not None and self.restart.ufrag == ufrag:
            self.ice, self.restart = self.restart, None
            self._registry.renamed(self)
        if address not in self.addresses:
            self._make_room()
            self.addresses[address] = None
        self.port.found(self, address)  # each time: another peer may have claimed it since
        if self._remote is None or (nominates and self._remote != address):
            self._remote = address
            self.remote = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
        if nominates and not self._nominated:
            self._nominated = True
            if self._transport.active:
                self._start_dtls(address)

    def handshake(self, datagram: bytes, address: RemoteAddress) -> None:
        """DTLS has come from an address that a check came from."""
        if self._dtls is None:
            if self._transport.active:
                return  # nothing is expected before our own first flight
            self._dtls = Dtls(self._identity, self._offer.fingerprints, active=False)
        dtls = self._dtls
        through = dtls.keys is not None
        if not through and self._flight_at is not None:
            self.round_trip_ms = (time.monotonic() - self._flight_at) * 1000
        try:
            dtls.receive(datagram)
        except ProtocolError as error:
            self._flush(address)  # the alert, which says why
            self.end(str(error))
            return
        self._flush(address)
        if dtls.closed:
            self.end(GOODBYE)
        elif not through and dtls.keys is not None:
            self._connected(dtls)

    def media(self, datagram: bytes) -> None:
        """SRTP or SRTCP has come from an address that a check came from."""
        if self._inbound is None or not 12 <= len(datagram) <= srtp.MAX_PACKET_BYTES:
            return
        is_rtcp = 192 <= datagram[1] <= 223  # RFC 5761, 4
        source = datagram[4:8] if is_rtcp else datagram[8:12]
        if source not in self._known and len(self._known) >= self._settings.max_ssrcs:
            return  # libsrtp keeps some KB a source
        try:
            packet = self._inbound.unprotect_rtcp(datagram) if is_rtcp else self._inbound.unprotect(datagram)
        except srtp.SrtpError:
            return
        self.heard_at = self._loop.time()
        self._known.add(source)
        if is_rtcp:
            self._take_rtcp(packet)
        else:
            self._take_rtp(packet)

    # Behind

    def _take_rtp(self, packet: bytes) -> None:
        section = self._sources.find(packet)
        if section is None or section.codec is None:
            return
        number = packet[1] & 0x7F
        if number == section.codec.payload_type:
            self._handler.rtp(self, section, packet)
        elif number == section.codec.rtx_payload_type and section.ssrc is not None:
            original = rtx.unwrap(packet, section.codec.payload_type, section.ssrc)
            if original is not None:
                self._handler.rtp(self, section, original)

    def _take_rtcp(self, compound: bytes) -> None:
        if self._reports:
            for echo, delay in feedback.echoes(compound):
                sent = self._reports.get(echo)
                if sent is not None:
                    self.round_trip_ms = max(0.0, (time.monotonic() - sent - delay / 65536) * 1000)
        self._handler.rtcp(self, compound)

    def _make_room(self) -> None:
        while len(self.addresses) >= self._settings.max_addresses:
            oldest = next(each for each in self.addresses if each != self._remote)
            del self.addresses[oldest]
            self.port.lost(self, oldest)

    def _start_dtls(self, address: RemoteAddress) -> None:
        self._dtls = Dtls(self._identity, self._offer.fingerprints, active=True)
        try:
            self._dtls.start()
        except ProtocolError as error:
            self.end(str(error))
            return
        self._flush(address)

    def _flush(self, address: RemoteAddress) -> None:
        """Send what DTLS has to say, and be there when it has to be said again."""
        assert self._dtls is not None
        datagrams = self._dtls.take()
        if address is not None:
            for datagram in datagrams:
                self.port.transmit(datagram, address)
        if datagrams and self._flight_at is None:
            self._flight_at = time.monotonic()
        if self._dtls_timer is not None:
            self._dtls_timer.cancel()
            self._dtls_timer = None
        left = self._dtls.seconds_left() if self.state != "closed" else None
        if left is not None:
            self._dtls_timer = self._loop.call_later(left, self._say_again)

    def _say_again(self) -> None:
        if self._dtls is None:
            return
        self._dtls_timer = None
        self._flight_at = None  # whose answer comes next is not known
        try:
            self._dtls.timeout()
        except ProtocolError as error:
            self.end(str(error))
            return
        self._flush(self._remote)
        self._flight_at = None

    def _connected(self, dtls: Dtls) -> None:
        assert dtls.keys is not None
        try:
            self._inbound = srtp.session(dtls.keys, ours=False)
            self._outbound = srtp.session(dtls.keys, ours=True)
        except ProtocolError as error:
            self.end(str(error))
            return
        self.state = "connected"
        self._handler.connected(self)

    def _ask(self, agreed: frozenset[str], ssrc: int) -> bool:
        if "ccm fir" in agreed and "nack pli" not in agreed:
            self._fir_count += 1
            return self.send_rtcp(feedback.full_intra(self._ssrc, ssrc, self._fir_count))
        return self.send_rtcp(feedback.picture_loss(self._ssrc, ssrc))

    def _may_ask(self, section: Section) -> None:
        self._asked.pop(section.mid, None)
        if section.mid in self._ask_again:
            self._ask_again.discard(section.mid)
            self.request_keyframe(section)


def _etag() -> str:
    return f'"{secrets.token_hex(8)}"'
