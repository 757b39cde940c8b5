"""A peer that receives: one participant's camera with sound, or screen, on its way to one other."""

from __future__ import annotations

from typing import Protocol

from headwater.errors import ProtocolError
from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.forwarding.allowance import Allowance
from headwater.meetings.rooms.forwarding.downstream import Downstream
from headwater.meetings.rooms.forwarding.upstream import Upstream
from headwater.meetings.rooms.publication import CNAME
from headwater.protocols.rtp.rtcp import (
    Description,
    Fir,
    Nack,
    Pli,
    ReceiverReport,
    Remb,
    SenderReport,
    build,
    parse,
)
from headwater.webrtc.media import Kind, Section
from headwater.webrtc.peer import Peer


class SubscriptionOwner(Protocol):
    """Who is told of a subscription: `source_stream.SourceStream`."""

    def joined(self, subscription: Subscription) -> None:
        """It is connected: what it asked for can be sent."""

    def left(self, subscription: Subscription, reason: str) -> None:
        """Its peer has gone by itself."""

    def keyframe(self) -> None:
        """The receiver asks for one."""


class Subscription:
    """A peer that receives. A `PeerHandler`.

    Attributes:
        receiver: Participant's id.
        allowance: What it can take.
        tracks: What is sent, by kind; empty until `use`.
    """

    def __init__(self, clock: Clock, receiver: str) -> None:
        self._clock = clock
        self._joined: tuple[Peer, SubscriptionOwner] | None = None
        self._by_ssrc: dict[int, tuple[Downstream, Section]] = {}
        self._counted: tuple[int, float] | None = None
        self.allowance = Allowance()
        self.receiver = receiver
        self.tracks: dict[Kind, Downstream] = {}

    @property
    def peer(self) -> Peer:
        assert self._joined is not None, "used before its peer was accepted"
        return self._joined[0]

    @property
    def _owner(self) -> SubscriptionOwner:
        assert self._joined is not None, "used before its peer was accepted"
        return self._joined[1]

    def use(self, peer: Peer, owner: SubscriptionOwner, first: int) -> None:
        """Its peer, and its owner: the offer has been answered. `first`: sequence number, below 32768."""
        self._joined = peer, owner
        for section in peer.sections:
            if section.direction != "sendonly" or section.codec is None or section.ssrc is None:
                continue
            track = Downstream(
                payload_type=section.codec.payload_type,
                ssrc=section.ssrc,
                clock_rate=section.codec.clock_rate,
                first=first,
                send=peer.send_rtp,
            )
            self.tracks[section.kind] = track
            self._by_ssrc[section.ssrc] = (track, section)

    def release(self) -> None:
        """It is over: let go of the peer, which holds this."""
        self._joined = None
        self._by_ssrc.clear()
        self.tracks.clear()

    # -- PeerHandler

    def connected(self, peer: Peer) -> None:
        self._owner.joined(self)

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        """Who receives does not send."""

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        try:
            packets = parse(compound)
        except ProtocolError:
            return
        now = self._clock.monotonic()
        for packet in packets:
            match packet:
                case Nack():
                    self._resend(packet, now)
                case Pli():
                    if packet.media_ssrc in self._by_ssrc:
                        self._owner.keyframe()
                case Fir():
                    if any(ssrc in self._by_ssrc for ssrc, _ in packet.commands):
                        self._owner.keyframe()
                case Remb():
                    self.allowance.estimated(packet.bitrate)
                case ReceiverReport() | SenderReport():
                    for block in packet.blocks:
                        if block.ssrc in self._by_ssrc:
                            self.allowance.lost(block.fraction_lost / 256)

    def _resend(self, nack: Nack, now: float) -> None:
        found = self._by_ssrc.get(nack.media_ssrc)
        if found is None:
            return
        track, section = found
        for sequence in nack.sequences:
            packet = track.missed(sequence, now)
            if packet is not None:
                self.peer.resend_rtp(section, packet)

    def closed(self, peer: Peer, reason: str) -> None:
        self._owner.left(self, reason)

    # -- towards the receiver

    def weigh(self, most: int, now: float) -> float | None:
        """Bits a second that the receiver can take, at most; None: no bound is known. To be asked once a second."""
        bits = 8 * sum(track.octets for track in self.tracks.values())
        counted, self._counted = self._counted, (bits, now)
        if counted is not None and now > counted[1]:
            self.allowance.update((bits - counted[0]) / (now - counted[1]), most)
        return self.allowance.bits_per_s

    def report(self, upstreams: dict[Kind, Upstream], ntp: int) -> None:
        """Tell the receiver which of its timestamps is now: once a second."""
        for kind, track in self.tracks.items():
            upstream = upstreams.get(kind)
            report = track.sender_report(upstream.timebase.at(ntp), ntp) if upstream is not None else None
            if report is not None:
                self.peer.send_rtcp(build(report, Description(report.ssrc, CNAME)))
