"""A publisher that came by WHIP: its peer on one side, its `Publication` on the other.

    PeerHandler.rtp  ─► RtpSource ─► VideoTrack, AudioTrack ─► Publication.push
    PeerHandler.rtcp ─► sender reports ─► one timeline for sound and picture
    in return: NACK for what is missing, PLI at the start, after losses, and where segments are to be cut; reports

Sound that comes before the first picture is dropped, for `LEAD_MS` at most: a session that began with sound alone would
have to change its leading track when the picture comes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from headwater.errors import HeadwaterError, ProtocolError, UnsupportedCodec
from headwater.pipeline.ingest.gate import Publication
from headwater.pipeline.ingest.rtp_source import Depacketizer, RtpSource
from headwater.pipeline.ingest.rtp_tracks import AudioTrack, VideoTrack
from headwater.protocols.rtp import h264, opus, rtcp
from headwater.protocols.rtp.timeline import Timeline
from headwater.protocols.rtp.unit import Unit
from headwater.protocols.rtp.uplink import Uplink
from headwater.webrtc.media import ABS_SEND_TIME, Section
from headwater.webrtc.peer import Peer

LEAD_MS = 3000.0
"""How long sound waits for a picture that has been agreed on."""

QUICK_S = 0.01
"""How often packets that wait are looked at; a lost packet then costs at most this on top of the round trip."""

REPORT_S = 1.0
"""Between receiver reports: browsers estimate their bandwidth by them."""

START_REPORTS = 5
"""The first reports come five times as often, so that a browser's picture is soon as good as the network allows."""

KEYFRAME_AHEAD_MS = 60.0
"""A key frame is asked for this long before it is due: the request's way, and that of an encoder."""

BITRATE_BPS = 12_000_000
"""What a publisher is told that may come (REMB) where the operator sets no `ingest.max_bitrate_bps`: 1080p60 at its
best. Without being told, browsers take half a minute to leave 300 kbit/s. Queues (`Uplink`) and losses, which they see
themselves, bring them down."""

BITRATE_WINDOW_S = 10.0
"""Over which `ingest.max_bitrate_bps` is a mean."""

GOODBYES = frozenset({"it said goodbye", "its resource was deleted"})
"""Reasons of a peer's end that are the publisher's own will."""

_log = logging.getLogger("headwater.ingest")


@dataclass(frozen=True, slots=True)
class PublisherLimits:
    """What of `IngestSettings` and `PackagerSettings` concerns a publisher by WHIP."""

    first_media_timeout_s: float = 20.0
    stall_timeout_s: float = 20.0
    max_bitrate_bps: int = 0
    keyframe_interval_ms: int = 2000


class WhipPublisher:
    """A `PeerHandler` and a `Publisher`. Made before its peer; `begin` when both are there."""

    def __init__(
        self,
        limits: PublisherLimits,
        gone: Callable[[WhipPublisher], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`gone` is called once, when it has ended; `clock` gives seconds."""
        self._clock = clock
        self._limits = limits
        self._gone = gone
        self._peer: Peer | None = None
        self._publication: Publication | None = None
        self._log: logging.Logger | logging.LoggerAdapter[logging.Logger] = _log
        self._sources: dict[str, RtpSource] = {}
        self._sections: dict[str, Section] = {}
        self._video: VideoTrack | None = None
        self._audio: AudioTrack | None = None
        self._sound_ms: float | None = None
        self._ssrc = secrets.randbits(32)
        self._uplink = Uplink(limits.max_bitrate_bps or BITRATE_BPS)
        self._told_bps = self._uplink.bps
        self._quick: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._reports = 0
        self._began_s = self._heard_s = self._rate_s = 0.0
        self._heard_bytes = self._rate_bytes = 0
        self.ended = False

    def begin(self, peer: Peer, publication: Publication) -> None:
        """Both are there: media of the peer goes to the publication from now on."""
        self._peer, self._publication = peer, publication
        self._log = logging.LoggerAdapter(_log, publication.about)
        timeline = Timeline()
        for section in sorted(peer.sections, key=lambda section: section.kind != "audio"):  # the sound leads
            if section.direction == "recvonly" and section.codec is not None:
                self._sections[section.mid] = section
                self._sources[section.mid] = self._source(section, timeline, publication)
        self._began_s = self._heard_s = self._rate_s = self._clock()
        if peer.state == "connected":
            self._ask()
        self._look()

    def _source(self, section: Section, timeline: Timeline, publication: Publication) -> RtpSource:
        assert section.codec is not None
        sent_at = section.extensions.get(ABS_SEND_TIME, 0)
        if section.kind == "audio":
            self._audio = AudioTrack(publication)
            return RtpSource(
                timeline,
                section.codec.clock_rate,
                opus.Depacketizer,
                self._take_audio,
                uplink=self._uplink,
                sent_at=sent_at,
            )
        self._video = VideoTrack(publication, self._ask)
        sprop = section.codec.parameters.get("sprop-parameter-sets", "")

        def depacketizer() -> h264.Depacketizer:
            try:
                return h264.Depacketizer(sprop)
            except ProtocolError:
                return h264.Depacketizer()  # they come in band too, or nothing can be decoded

        return RtpSource(
            timeline, section.codec.clock_rate, depacketizer, self._video.take, uplink=self._uplink, sent_at=sent_at
        )

    def _take_audio(self, depacketizer: Depacketizer, unit: Unit, time_ms: float, now_ms: float) -> None:
        assert self._audio is not None
        if self._video is not None and self._video.key_s is None:
            if self._sound_ms is None:
                self._sound_ms = now_ms
            if now_ms - self._sound_ms < LEAD_MS:
                return
        self._audio.take(unit, time_ms)

    # -- PeerHandler --------------------------------------------------------------------------------------------

    def connected(self, peer: Peer) -> None:
        self._log.info("publisher connected by WebRTC: remote=%s", peer.remote)
        self._ask()

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        """Hot."""
        source = self._sources.get(section.mid)
        if source is None:
            return
        try:
            source.packet(packet, self._clock() * 1000)
        except Exception as error:
            self._fail(error)
            return
        if source.waiting and self._quick is None and not self.ended:
            self._quick = asyncio.get_running_loop().call_later(QUICK_S / 2, self._hurry)

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        try:
            found = rtcp.parse(compound)
        except ProtocolError:
            return  # the next one will do
        now_ms = self._clock() * 1000
        for report in found:
            if isinstance(report, rtcp.SenderReport):
                for source in self._sources.values():
                    source.sender_report(report, now_ms)

    def closed(self, peer: Peer, reason: str) -> None:
        """The peer is gone by itself."""
        self._end(reason, regular=reason in GOODBYES)

    # -- Publisher ----------------------------------------------------------------------------------------------

    def close(self, code: str, description: str) -> None:
        """The pipeline ends it. WebRTC has no words for why: the log and the event log do."""
        if not self.ended:
            self._log.info("publish closed: code=%s reason=%s", code, description)
        self._publication = None
        self.stop(description)

    def round_trip_ms(self) -> float | None:
        return self._peer.round_trip_ms if self._peer is not None else None

    def request_keyframe(self) -> None:
        self._ask()

    # -- the end ------------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End it from our side. Idempotent."""
        self._end(reason, regular=False)
        if self._peer is not None:
            self._peer.close(reason)

    def _fail(self, error: Exception) -> None:
        """An error ends this publisher and no other."""
        if isinstance(error, UnsupportedCodec):
            self._log.warning("publish refused: code=%s: %s", error.code, error.description)
            reason = f"{error.code}: {error.description}"
        elif isinstance(error, HeadwaterError):
            self._log.warning("publish refused: %s", error)
            reason = f"ERR_PROTOCOL: {error}"
        else:
            self._log.error("internal error in a publish by WebRTC", exc_info=error)
            reason = "ERR_INTERNAL: an internal error"
        self.stop(reason)

    def _end(self, reason: str, *, regular: bool) -> None:
        if self.ended:
            return
        self.ended = True
        for timer in (self._quick, self._slow):
            if timer is not None:
                timer.cancel()
        self._quick = self._slow = None
        publication, self._publication = self._publication, None
        if publication is not None:
            self._log.info("publish ended: reason=%s", reason)
            try:
                publication.end(reason, regular=regular)
            except Exception:
                self._log.exception("internal error at the end of a publish")
        self._sources.clear()
        self._gone(self)

    # -- what is told in return ---------------------------------------------------------------------------------

    def _ask(self) -> None:
        """A key frame is wanted; the peer keeps the pace of the requests."""
        peer = self._peer
        if peer is not None and not self.ended:
            for section in self._sections.values():
                if section.kind == "video":
                    peer.request_keyframe(section)

    def _hurry(self) -> None:
        """Packets wait for others: ask for those, and give them up in time."""
        self._quick = None
        peer = self._peer
        if self.ended or peer is None:
            return
        now_ms = self._clock() * 1000
        waiting = False
        try:
            for source in self._sources.values():
                source.tick(now_ms)
                wanted = source.wanted(now_ms, peer.round_trip_ms)
                if wanted and source.ssrc is not None:
                    nack = rtcp.Nack(self._ssrc, source.ssrc, tuple(wanted))
                    peer.send_rtcp(rtcp.build(rtcp.ReceiverReport(self._ssrc), nack))
                waiting = waiting or source.waiting
        except Exception as error:
            self._fail(error)
            return
        if waiting and not self.ended:
            self._quick = asyncio.get_running_loop().call_later(QUICK_S, self._hurry)

    def _look(self) -> None:
        """Reports, the pace of key frames, and whether media still comes."""
        if self.ended:
            return
        now_s = self._clock()
        try:
            self._report(now_s * 1000)
            self._pace(now_s)
            self._check(now_s)
        except Exception as error:
            self._fail(error)
            return
        self._slow = asyncio.get_running_loop().call_later(REPORT_S / 5, self._look)

    def _report(self, now_ms: float) -> None:
        self._reports += 1
        due = not self._reports % 5 or self._reports <= START_REPORTS * 5
        bps = self._uplink.bps
        if self._peer is None or not (due or bps < self._told_bps):
            return
        self._told_bps = bps
        blocks = [block for source in self._sources.values() if (block := source.block(now_ms)) is not None]
        ssrcs = tuple(source.ssrc for source in self._sources.values() if source.ssrc is not None)
        if ssrcs:
            remb = rtcp.Remb(self._ssrc, bps, ssrcs)
            self._peer.send_rtcp(rtcp.build(rtcp.ReceiverReport(self._ssrc, tuple(blocks)), remb))

    def _pace(self, now_s: float) -> None:
        """A segment begins with a key frame: encoders without a pace of their own (browsers) are asked for each."""
        if self._video is not None and (
            self._video.key_s is None
            or (now_s - self._video.key_s) * 1000 >= self._limits.keyframe_interval_ms - KEYFRAME_AHEAD_MS
        ):
            self._ask()

    def _check(self, now_s: float) -> None:
        received = sum(source.bytes_received for source in self._sources.values())
        if received > self._heard_bytes:
            self._heard_bytes, self._heard_s = received, now_s
        limit_s = self._limits.stall_timeout_s if received else self._limits.first_media_timeout_s
        if now_s - self._heard_s > limit_s:
            raise ProtocolError(f"no media came for {limit_s:g} s")
        if now_s - self._rate_s >= BITRATE_WINDOW_S:
            rate = (received - self._rate_bytes) * 8 / (now_s - self._rate_s)
            self._rate_s, self._rate_bytes = now_s, received
            limit = self._limits.max_bitrate_bps
            if limit and rate > limit:
                raise ProtocolError(f"{rate / 1e6:.1f} Mbit/s, {limit / 1e6:.1f} are allowed (ingest.max_bitrate_bps)")
