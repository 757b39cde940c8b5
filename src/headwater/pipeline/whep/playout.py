"""A livestream for viewers by WebRTC: access units to RTP packets, once for all of them.

In: what a session's tap gives. Out: packets whose headers each viewer makes its own.

Both tracks run on one clock, that of the server's wall, which the sender reports tell: media time is set beside it when
a publisher's first access unit comes, and again where its times jump. H.264 goes out as it is, its parameter sets in
front of each key frame. Opus goes out as it is, on its own sample count; other sound is made Opus by `SoundCoder`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from headwater.errors import ProtocolError
from headwater.media.access_unit import AccessUnit
from headwater.media.opus import OPUS_RATE, packet_samples
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.origin.views import ViewLedger
from headwater.pipeline.tap import Tap
from headwater.pipeline.whep.sound import SoundCoder
from headwater.pipeline.whep.viewer import PictureUnit, Viewer
from headwater.protocols.rtp import h264
from headwater.protocols.rtp.sending import Source
from headwater.webrtc.media import Kind

MAX_PAYLOAD = 1200
"""Bytes of a packet's payload: with SRTP, UDP and IP it fits every path that browsers use."""

MAX_GOP_BYTES = 4 * 1024 * 1024
MAX_GOP_UNITS = 600
"""What is kept since the last key frame, for those who join: 10 s at 60 frames and 3 Mbit/s. Beyond, they wait."""

JUMP_MS = 2000.0
"""Media this far from the wall's clock has another beginning."""

SOUND_OFF_MS = 60.0
"""The sound's count of samples is set again where its times are this far from it: it lost or got some."""

REPORT_S = 1.0

ASK_S = 2.0
"""Between key frames that the publisher is asked for: viewers may be anybody, and must not cost all the quality."""

LINGER_S = 5.0
"""How long everything stays when the last viewer has gone: a page that is loaded anew finds the decoder warm."""

_log = logging.getLogger("headwater.whep")


class Stage(Protocol):
    """The session that is watched: see `LivestreamSession`."""

    @property
    def about(self) -> Mapping[str, str]: ...
    @property
    def reorders(self) -> bool: ...
    @property
    def tracks(self) -> Mapping[int, Track]: ...
    @property
    def views(self) -> ViewLedger: ...
    def attach_tap(self, tap: Tap | None) -> None: ...
    def request_keyframe(self) -> None: ...


def why_not(tracks: Mapping[int, Track], *, reorders: bool) -> str | None:
    """Why a livestream cannot be played by WebRTC, for a person; None: it can."""
    picture = first(tracks, video=True)
    if picture is not None and picture.config.codec is not Codec.H264:
        return (
            f"The livestream's video is {picture.config.codec.value.upper()}, and WebRTC plays H.264 here: watch it by "
            "HLS, or let the encoder send H.264."
        )
    if reorders:
        return (
            "The livestream has B-frames, which browsers do not play by WebRTC: watch it by HLS, or turn B-frames off "
            "in the encoder (bframes=0, or a zero-latency tuning)."
        )
    return None


def first(tracks: Mapping[int, Track], *, video: bool) -> Track | None:
    """The first track of a kind."""
    found = [track for track in tracks.values() if track.is_video is video]
    return min(found, key=lambda track: track.id) if found else None


class Playout:
    """A session's `Tap` and its viewers' `Programme`."""

    def __init__(
        self,
        stage: Stage,
        gone: Callable[[Playout], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        new_coder: Callable[[AudioConfig, Callable[[float, bytes], None]], SoundCoder] = SoundCoder,
    ) -> None:
        """`gone` is called once, when nobody needs it any more; `clock` and `wall` give seconds."""
        self.stage = stage
        self.viewers: set[Viewer] = set()
        self._expected: set[Viewer] = set()
        self._gone = gone
        self._clock = clock
        self._wall_ms = wall() * 1000 - clock() * 1000
        self._new_coder = new_coder
        self._coder: SoundCoder | None = None
        self._coded: AudioConfig | None = None
        self._packetizer = h264.Packetizer(MAX_PAYLOAD)
        self._picture = Source(0, 0, h264.CLOCK_RATE, first_sequence=0, first_timestamp=secrets.randbits(32))
        self._sound = Source(0, 0, OPUS_RATE, first_sequence=0, first_timestamp=secrets.randbits(32))
        self._picture_id = self._sound_id = -1
        self._timescales: dict[int, int] = {}
        self._offset_ms: float | None = None
        self._sound_ticks: int | None = None
        self._gop: list[PictureUnit] = []
        self._gop_bytes = 0
        self._asked_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.ended = False
        self._tick()
        stage.attach_tap(self)

    # -- Programme ----------------------------------------------------------------------------------------------

    def expect(self, viewer: Viewer) -> None:
        """A viewer was answered; it will join, or leave."""
        self._expected.add(viewer)
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def join(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self.stage.views.touch(viewer.key, self._clock()).held += 1
        _log.info("a viewer joins by WebRTC: viewers=%d", len(self.viewers), extra=self.stage.about)

    def leave(self, viewer: Viewer, reason: str) -> None:
        self._expected.discard(viewer)
        if viewer in self.viewers:
            self.viewers.discard(viewer)
            self.stage.views.release(viewer.key, self._clock(), left=True)
            _log.info("a viewer by WebRTC is gone: %s", reason, extra=self.stage.about)
        if not self.ended and not self._expected and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._finish)

    def newest_gop(self) -> Sequence[PictureUnit]:
        return self._gop

    def want_keyframe(self) -> None:
        now_s = self._clock()
        if now_s - self._asked_s >= ASK_S:
            self._asked_s = now_s
            self.stage.request_keyframe()

    def now_stamps(self) -> tuple[float, dict[Kind, int]]:
        """Wall time in milliseconds, and the timestamps that are played then."""
        now_ms = self._now_ms()
        return now_ms, {
            "video": self._picture.timestamp(int(now_ms * 90)),
            "audio": self._sound.timestamp(int(now_ms * 48)),
        }

    # -- Tap ----------------------------------------------------------------------------------------------------

    def configure(self, track: Track) -> None:
        reason = why_not({**self.stage.tracks, track.id: track}, reorders=False)
        if reason is not None:
            self._dismiss(reason)
            return
        if track.is_video and (self._picture_id in (-1, track.id)):
            assert isinstance(track.config, VideoConfig)
            self._picture_id, self._timescales[track.id] = track.id, track.timescale
            try:
                self._packetizer.configure(track.config.record)
            except ProtocolError as error:
                self._dismiss(f"The livestream's video cannot be sent: {error}.")
        elif not track.is_video and (self._sound_id in (-1, track.id)):
            assert isinstance(track.config, AudioConfig)
            self._sound_id, self._timescales[track.id] = track.id, track.timescale
            self._code(track.config)

    def push(self, unit: AccessUnit) -> None:
        """Hot."""
        if unit.track_id == self._picture_id:
            self._push_picture(unit)
        elif unit.track_id == self._sound_id:
            self._push_sound(unit)

    def discontinuity(self) -> None:
        self._offset_ms = self._sound_ticks = None
        self._picture_id = self._sound_id = -1
        self._forget_gop()
        for viewer in self.viewers:
            viewer.wait()

    def end(self, reason: str) -> None:
        self._dismiss(reason)
        self._finish()

    # -- media --------------------------------------------------------------------------------------------------

    def _push_picture(self, unit: AccessUnit) -> None:
        if self.stage.reorders:
            self._dismiss(why_not({}, reorders=True) or "")
            return
        try:
            payloads = self._packetizer.packetize(unit.payload, key=unit.sync)
        except ProtocolError:
            return  # a broken access unit; players of HLS have it too
        if not payloads:
            return
        packets = self._picture.packets(payloads, int(self._due_ms(unit) * 90))
        made = PictureUnit(packets, unit.sync)
        self._keep(made)
        for viewer in self.viewers:
            viewer.picture(made)

    def _keep(self, unit: PictureUnit) -> None:
        """Of the newest GOP, for who joins."""
        if unit.key:
            self._forget_gop()
        elif not self._gop:
            return
        self._gop.append(unit)
        self._gop_bytes += len(unit.packets) * MAX_PAYLOAD
        if self._gop_bytes > MAX_GOP_BYTES or len(self._gop) > MAX_GOP_UNITS:
            self._forget_gop()

    def _forget_gop(self) -> None:
        self._gop = []  # a new one: a viewer may be looking at the old one
        self._gop_bytes = 0

    def _push_sound(self, unit: AccessUnit) -> None:
        due_ms = self._due_ms(unit)
        if self._coder is not None:
            self._coder.push(due_ms, unit.payload)
        else:
            self._send_opus(due_ms, unit.payload)

    def _send_opus(self, due_ms: float, payload: bytes) -> None:
        """An Opus packet; its time is the count of samples, as long as that agrees with when it is due."""
        samples = packet_samples(payload)
        if not samples or len(payload) > MAX_PAYLOAD:
            return
        due = int(due_ms * 48)
        ticks = self._sound_ticks
        if ticks is None or abs(due - ticks) > SOUND_OFF_MS * 48:
            ticks = due
        self._sound_ticks = ticks + samples
        (packet,) = self._sound.packets([payload], ticks, marker=False)
        for viewer in self.viewers:
            viewer.sound(packet)

    def _due_ms(self, unit: AccessUnit) -> float:
        """When an access unit is due, on the wall's clock."""
        media_ms = unit.dts * 1000 / self._timescales[unit.track_id]
        now_ms = self._now_ms()
        if self._offset_ms is None or abs(media_ms + self._offset_ms - now_ms) > JUMP_MS:
            self._offset_ms = now_ms - media_ms
        return media_ms + self._offset_ms

    def _code(self, config: AudioConfig) -> None:
        """What makes the sound Opus, where it is not."""
        if config == self._coded:
            return
        self._coded = config
        if self._coder is not None:
            self._coder.close()
            self._coder = None
        if config.codec is not Codec.OPUS:
            self._coder = self._new_coder(config, self._send_opus)

    # -- time and the end ---------------------------------------------------------------------------------------

    def _now_ms(self) -> float:
        return self._wall_ms + self._clock() * 1000

    def _tick(self) -> None:
        """Reports, which set sound and picture beside each other."""
        self._timer = asyncio.get_running_loop().call_later(REPORT_S, self._tick)
        if self._offset_ms is not None:
            wall_ms, stamps = self.now_stamps()
            for viewer in self.viewers:
                viewer.report(wall_ms, stamps)

    def _dismiss(self, reason: str) -> None:
        for viewer in [*self.viewers, *self._expected]:
            viewer.close(reason)

    def _finish(self) -> None:
        """Nobody watches, or there is nothing to watch any more."""
        if self.ended:
            return
        self.ended = True
        for timer in (self._timer, self._linger):
            if timer is not None:
                timer.cancel()
        if self._coder is not None:
            self._coder.close()
            self._coder = None
        self.stage.attach_tap(None)
        self._forget_gop()
        self._gone(self)
