"""What a peer is to its owner (a room, a WHIP ingest, a WHEP player), and what the owner is to a peer.

Both are Protocols: owners are tested with peers made of a few lines, and the server with owners likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from headwater.webrtc.media import Policy, Section

GOODBYE = "it said goodbye"
DELETED = "its resource was deleted"
NOT_HEARD = "it was not heard"
"""How reasons of `PeerHandler.closed` begin where its owner wants to know who ended it; others are for people."""

State: TypeAlias = Literal["new", "connected", "closed"]


class Peer(Protocol):
    """One publisher or viewer: a WebRTC connection made from one offer. Belongs to the event loop; nothing blocks.

    Attributes:
        id: 32 hex digits that nobody guesses: the last part of its WHIP or WHEP resource's URL.
        answer: The session description for who offered.
        sections: As agreed, in the offer's order. A section's `ssrc` may become known with its first packet, and the
            tuple is then another: look sections up by `mid`.
        etag: Of the ICE session, quoted as in the header; another after an ICE restart.
        state: `new` until ICE and DTLS are through, then `connected`, in the end `closed`.
        round_trip_ms: Newest estimate, of the handshake at first, then of RTCP receiver reports; None: not known yet.
        remote: `ADDRESS:PORT` that is spoken to; empty until ICE has found it.
    """

    @property
    def id(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def sections(self) -> tuple[Section, ...]: ...
    @property
    def etag(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def round_trip_ms(self) -> float | None: ...
    @property
    def remote(self) -> str: ...

    def send_rtp(self, packet: bytes | bytearray) -> bool:
        """Encrypt and send an RTP packet that has a section's payload type and ssrc.

        Returns:
            False: not connected, or the packet cannot be sent (longer than 1,500 bytes encrypted); it is dropped.
        """

    def resend_rtp(self, section: Section, packet: bytes | bytearray) -> bool:
        """Send a packet that `send_rtp` has sent before, for a NACK: as RTX (RFC 4588) where agreed, else as it was."""

    def send_rtcp(self, compound: bytes) -> bool:
        """Encrypt and send a compound RTCP packet (RFC 3550, 6.1). False: as `send_rtp`."""

    def request_keyframe(self, section: Section) -> None:
        """Ask for a picture that needs no other (PLI, or FIR where only that was agreed).

        At most one each 0.5 s a section is sent, and what is asked for meanwhile is sent then; before the section's
        ssrc is known, it waits for that.
        """

    def trickle(self, fragment: str) -> str | None:
        """Take what a PATCH of the resource brings (RFC 9725, 4.3): candidates, or new credentials: an ICE restart.

        Returns:
            The answer's fragment for an ICE restart, else None.

        Raises:
            SdpError: it cannot be read, or is of another connection.
        """

    def close(self, reason: str) -> None:
        """Say goodbye (DTLS close_notify) and let everything go; the handler is not told. Idempotent."""

    def end(self, reason: str) -> None:
        """As `close`, but the handler is told: who is not the owner ends it so (DELETE of the resource). Idempotent."""


class PeerHandler(Protocol):
    """The owner of a peer. Called on the event loop, for every packet: be quick, never block; an exception ends it."""

    def connected(self, peer: Peer) -> None:
        """ICE and DTLS are through: what is sent from now on arrives."""

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        """An RTP packet of a section that we receive, decrypted.

        It has its codec's payload type, its section's `ssrc` and its original sequence number, also where it came as a
        retransmission. Packets come late, out of order, and (RTX) twice.
        """

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        """A compound RTCP packet, decrypted; unparsed: it may be garbage that an authenticated peer sent."""

    def closed(self, peer: Peer, reason: str) -> None:
        """The peer is gone, and not by `Peer.close`: it said goodbye (DTLS, DELETE), was not heard for
        `silence_timeout_s`, never connected, or the server stops. Called once; nothing else comes after it."""


class Acceptor(Protocol):
    """Where peers come from: `headwater.webrtc.server.WebRtcServer`."""

    def accept(self, offer: str, policy: Policy, handler: PeerHandler) -> Peer:
        """Answer an offer.

        Raises:
            SdpError: it cannot be read.
            NotServed: it asks for what the policy does not allow, or for what we do not do.
            LimitReached: `webrtc.max_peers` or `webrtc.max_connecting`.
        """

    def peer(self, identifier: str) -> Peer | None:
        """The open peer with this id."""

    def ice_server_links(self) -> Sequence[str]:
        """Values of `Link` headers that name the STUN and TURN servers of the settings (RFC 9725, 4.6)."""
