"""A peer that publishes: one participant's camera with microphone, or screen, on its way to who receives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from headwater.errors import ProtocolError
from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.forwarding.timebase import Clock as PublisherClock
from headwater.meetings.rooms.forwarding.upstream import Upstream
from headwater.protocols.rtp.packet import audio_level, element_of
from headwater.protocols.rtp.rtcp import (
    Description,
    Nack,
    ReceiverReport,
    Remb,
    SenderReport,
    build,
    parse,
)
from headwater.protocols.rtp.uplink import Uplink
from headwater.webrtc.media import ABS_SEND_TIME, AUDIO_LEVEL, Codec, Kind, Section
from headwater.webrtc.peer import Peer

CNAME = "headwater"
"""Of our reports; receivers play tracks of one stream in step by their msid."""

USUAL_ROUND_TRIP_S = 0.05
"""Where it is not known yet."""


class PublicationOwner(Protocol):
    """Who is told of a publication: `source_stream.SourceStream`."""

    def opened(self, publication: Publication) -> None:
        """It is connected."""

    def ended(self, publication: Publication, reason: str) -> None:
        """Its peer has gone by itself."""

    def heard(self, level_db: int, now: float) -> None:
        """The level of a packet of sound, -127 to 0 dBov. Hot."""

    def taps(self) -> Sequence[Callable[[Kind, Codec, bytes], None]]:
        """Who else takes each packet."""

    def rtcp_taps(self) -> Iterable[Callable[[bytes], None]]:
        """Who else takes each RTCP compound."""


class Publication:
    """A peer that publishes, and its tracks. A `PeerHandler`.

    Attributes:
        tracks: By kind; empty until `use`.
    """

    def __init__(self, clock: Clock, ssrc: int, most_bps: int) -> None:
        """Nothing has come yet.

        Args:
            ssrc: Ours, in reports to the publisher.
            most_bps: Asked of the publisher where its network and all receivers take it.
        """
        self._clock = clock
        self._ssrc = ssrc
        self._joined: tuple[Peer, PublicationOwner] | None = None
        self._by_mid: dict[str, tuple[Upstream, int]] = {}
        self._sections: dict[Kind, str] = {}
        self._publisher_clock = PublisherClock()
        self._uplink = Uplink(most_bps)
        self._bound_bps = self._told_bps = most_bps
        self._sent_at = 0
        self.tracks: dict[Kind, Upstream] = {}

    @property
    def peer(self) -> Peer:
        assert self._joined is not None, "used before its peer was accepted"
        return self._joined[0]

    @property
    def _owner(self) -> PublicationOwner:
        assert self._joined is not None, "used before its peer was accepted"
        return self._joined[1]

    def use(self, peer: Peer, owner: PublicationOwner) -> None:
        """Its peer, and its owner: the offer has been answered."""
        self._joined = peer, owner
        for section in peer.sections:
            if section.direction != "recvonly" or section.codec is None or section.kind in self.tracks:
                continue
            track = Upstream(section.codec, self._publisher_clock)
            self.tracks[section.kind] = track
            self._sections[section.kind] = section.mid
            level = section.extensions.get(AUDIO_LEVEL, 0) if section.kind == "audio" else 0
            self._by_mid[section.mid] = (track, level)
            self._sent_at = section.extensions.get(ABS_SEND_TIME, self._sent_at)

    def release(self) -> None:
        """It is over: let go of the peer and of the packets that are kept, which hold each other."""
        self._joined = None
        self._by_mid.clear()
        self.tracks.clear()

    # -- PeerHandler

    def connected(self, peer: Peer) -> None:
        self._owner.opened(self)

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        """Hot: for every packet."""
        found = self._by_mid.get(section.mid)
        if found is None:
            return
        track, level = found
        now = self._clock.monotonic()
        try:
            gap = track.push(packet, now, self._clock.ntp)
            sent = element_of(packet, self._sent_at) if self._sent_at else None
            self._uplink.packet(len(packet), sent, now * 1000)
            if level:
                self._listen(packet, level, now)
        except ProtocolError:
            return  # one packet that is broken; those beside it are not
        if gap:
            self._ask_again(track, now)
        if not track.paused:
            for tap in self._owner.taps():
                tap(section.kind, track.codec, packet)

    def _listen(self, packet: bytes, level: int, now: float) -> None:
        data = element_of(packet, level)
        if data:
            self._owner.heard(-audio_level(data)[1], now)

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        try:
            reports = parse(compound)
        except ProtocolError:
            return
        now = self._clock.monotonic()
        for report in reports:
            if isinstance(report, SenderReport):
                for track in self.tracks.values():
                    if track.ssrc == report.ssrc:
                        track.reported(report, now, self._clock.ntp())
        for tap in self._owner.rtcp_taps():
            tap(compound)

    def closed(self, peer: Peer, reason: str) -> None:
        self._owner.ended(self, reason)

    # -- towards the publisher

    def keyframe(self) -> None:
        """Ask for a key frame; the peer sends at most one request each half second."""
        track = self.tracks.get("video")
        if track is None or track.paused or self.peer.state != "connected":
            return
        mid = self._sections["video"]
        section = next((each for each in self.peer.sections if each.mid == mid), None)
        if section is not None:
            self.peer.request_keyframe(section)

    def _ask_again(self, track: Upstream, now: float) -> None:
        if "nack" not in track.codec.feedback or track.ssrc is None:
            return
        round_trip = self.peer.round_trip_ms
        missing = track.gaps.due(now, USUAL_ROUND_TRIP_S if round_trip is None else round_trip / 1000)
        if missing:
            self.peer.send_rtcp(build(ReceiverReport(self._ssrc), Nack(self._ssrc, track.ssrc, tuple(missing))))

    def tick(self, now: float) -> None:
        """Ask for what is missing still, and for key frames: many times a second."""
        for track in self.tracks.values():
            if track.gaps:
                self._ask_again(track, now)
            if track.wants_keyframe(now):
                self.keyframe()
        if self._uplink.bps < self._told_bps:
            self.report(now, self._bound_bps)  # a queue grows meanwhile

    def report(self, now: float, bound_bps: int) -> None:
        """Tell the publisher how it arrives and how much may come: once a second.

        Args:
            bound_bps: What the receivers take.
        """
        self._bound_bps, self._told_bps = bound_bps, min(bound_bps, self._uplink.bps)
        blocks = [block for track in self.tracks.values() if (block := track.report(now)) is not None]
        if not blocks:
            return
        ssrcs = tuple(block.ssrc for block in blocks)
        self.peer.send_rtcp(
            build(
                ReceiverReport(self._ssrc, tuple(blocks)),
                Description(self._ssrc, CNAME),
                Remb(self._ssrc, self._told_bps, ssrcs),
            )
        )
