"""What participants send, on its way to the canvas and into the mix: put in order, put together, decoded.

    RTP ─► JitterBuffer ─► Depacketizer ─► units ─┬─► decoder ─► frames      (a picture that is shown)
                                                  ├─► units                  (a picture that is passed on)
                                                  └─► the GOP so far         (a picture that is not shown now)

A picture is either right or the last that was: after a loss nothing is decoded up to the next key frame, which is asked
for at once. A picture that nobody looks at is not decoded, but kept from its last key frame on, so that it is there as
soon as it is shown again.

Streams belong to the intake's thread; `frames`, `units` and `mode` are what the output clock's thread touches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import av
import av.error
import numpy as np

from headwater.errors import ProtocolError
from headwater.media import h264 as h264_config
from headwater.meetings.compositor.sound import SAMPLE_RATE, Mixer, Samples
from headwater.meetings.compositor.timing import TrackClock
from headwater.protocols.rtp import h264, opus, packet, vp8
from headwater.protocols.rtp.jitter import JitterBuffer
from headwater.protocols.rtp.unit import Unit

MAX_WAIT_MS = 120
"""For a lost packet: two round trips of most paths, and what is late then is still within the playout delay."""

MAX_FRAMES = 16
"""Decoded pictures that wait to be shown: twice the playout delay at 30 fps."""

MAX_UNITS = 64
"""Coded pictures that wait to be passed on."""

MAX_GOP_UNITS, MAX_GOP_BYTES = 150, 8 * 1024 * 1024
"""Kept of a picture that is not shown: five seconds."""

DECODED_AT_ONCE = 4
"""Of a picture that is shown again: between them, sound that has come is not kept waiting."""

MAX_PIXELS = 4096 * 2304
"""Larger pictures are not decoded."""

ASK_AGAIN_S = 0.5
"""From one request for a key frame to the next: an answer takes a round trip and an encoder's frame."""

Mode: TypeAlias = Literal["show", "pass", "hide"]
"""Whether a picture is decoded, passed on as it is, or not looked at."""


class Shown(NamedTuple):
    """A decoded picture, and when its instant was, in seconds of our monotonic clock."""

    at_s: float
    frame: av.VideoFrame


class Coded(NamedTuple):
    """A coded picture, likewise; `record` and `size` are set where decoding can start."""

    at_s: float
    payload: bytes
    record: bytes | None
    size: tuple[int, int] | None


@dataclass(slots=True)
class Counters:
    """What went wrong, over all streams."""

    broken_packets: int = 0
    decode_errors: int = 0
    incomplete: int = 0
    overflows: int = 0
    keyframes_asked: int = 0


class VideoStream:
    """One participant's picture.

    Attributes:
        frames: Decoded, the oldest first.
        units: Coded as H.264, for passing on; the oldest first.
        mode: Set by the output clock.
        size: (width, height) of the newest key frame of H.264 as its SPS has it; None for VP8.
    """

    def __init__(self, codec: str, clock: TrackClock, counters: Counters, ask: Callable[[], None]) -> None:
        self.frames: deque[Shown] = deque(maxlen=MAX_FRAMES)
        self.units: deque[Coded] = deque(maxlen=MAX_UNITS)
        self.mode: Mode = "show"
        self.size: tuple[int, int] | None = None
        self.ssrc: int | None = None
        self.clock = clock
        self._h264 = h264.Depacketizer() if codec == "H264" else None
        self._depacketizer: h264.Depacketizer | vp8.Depacketizer = self._h264 or vp8.Depacketizer()
        self._jitter = JitterBuffer(max_wait_ms=MAX_WAIT_MS)
        self._decoder = _video_decoder("h264" if codec == "H264" else "vp8")
        self._counters = counters
        self._ask = ask
        self._asked_s = float("-inf")
        self._waits_for_key = True
        self._gop: list[tuple[float, Unit]] = []
        self._gop_bytes = 0

    def push(self, data: bytes, arrival_s: float) -> None:
        """Take an RTP packet."""
        parsed = _parsed(data, self._counters)
        if parsed is not None:
            self.ssrc = parsed.ssrc
            self._take(self._jitter.push(parsed, arrival_s * 1000), arrival_s)

    def tick(self, now_s: float) -> None:
        """Let time pass."""
        self._take(self._jitter.tick(now_s * 1000), now_s)
        self._decode_pending()
        if self._waits_for_key and self.mode != "hide":
            self.ask(now_s)

    def ask(self, now_s: float) -> None:
        """Ask for a key frame, unless that was done a moment ago."""
        if now_s - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = now_s
            self._counters.keyframes_asked += 1
            self._ask()

    def _take(self, packets: Sequence[packet.Packet], now_s: float) -> None:
        for one in packets:
            try:
                units = self._depacketizer.push(one)
            except ProtocolError:
                self._counters.broken_packets += 1
                continue
            for unit in units:
                # The last packet of a picture is the one that says how long its way took.
                self._unit(unit, self.clock.at(self.clock.unwrap(unit.timestamp), now_s), now_s)

    def _unit(self, unit: Unit, at_s: float, now_s: float) -> None:
        if not unit.complete or (unit.after_loss and not unit.key):
            self._counters.incomplete += 1
            self._waits_for_key = True
        if unit.key and unit.complete:
            self._waits_for_key = not self._fits(unit)
            self._gop, self._gop_bytes = [], 0
        if self._waits_for_key:
            if self.mode != "hide":
                self.ask(now_s)
            return
        self._keep(at_s, unit)
        self._decode_pending()

    def _fits(self, unit: Unit) -> bool:
        """Whether a key frame's picture may be decoded; notes its size."""
        try:
            if self._h264 is not None:
                assert self._h264.record is not None, "a key frame has its parameter sets"
                form = h264_config.describe(self._h264.record)
                self.size = (form.width, form.height)
                return form.width * form.height <= MAX_PIXELS
            width, height = vp8.key_frame_size(unit.payload)
            return width * height <= MAX_PIXELS
        except ProtocolError:
            self._counters.broken_packets += 1
            return False

    def _keep(self, at_s: float, unit: Unit) -> None:
        if self._h264 is not None:
            key = (self._h264.record, self.size) if unit.key else (None, None)
            self.units.append(Coded(at_s, unit.payload, *key))
        self._gop.append((at_s, unit))
        self._gop_bytes += len(unit.payload)
        if len(self._gop) > MAX_GOP_UNITS or self._gop_bytes > MAX_GOP_BYTES:
            self._counters.overflows += 1
            self._waits_for_key = True
            self._gop, self._gop_bytes = [], 0

    def _decode_pending(self) -> None:
        """Decode what has come, or some of what was kept since the last key frame; what is decoded is not kept."""
        if self.mode != "show" or not self._gop:
            return
        pending, self._gop = self._gop[:DECODED_AT_ONCE], self._gop[DECODED_AT_ONCE:]
        for at_s, unit in pending:
            self._gop_bytes -= len(unit.payload)
            try:
                self._decode(at_s, unit)
            except (av.error.FFmpegError, ProtocolError):
                self._counters.decode_errors += 1
                self._waits_for_key = True
                self._gop, self._gop_bytes = [], 0
                return

    def _decode(self, at_s: float, unit: Unit) -> None:
        data = unit.payload
        if self._h264 is not None:
            data = h264.annex_b(data, self._h264.record if unit.key else None)
        for frame in self._decoder.decode(av.Packet(data)):
            if len(self.frames) == MAX_FRAMES:
                self._counters.overflows += 1
            self.frames.append(Shown(at_s, frame))


class AudioStream:
    """One participant's sound, on its way into the mix."""

    def __init__(self, key: object, clock: TrackClock, counters: Counters, mixer: Mixer) -> None:
        self.ssrc: int | None = None
        self.clock = clock
        self._key = key
        self._mixer = mixer
        self._counters = counters
        self._jitter = JitterBuffer(max_wait_ms=MAX_WAIT_MS)
        self._depacketizer = opus.Depacketizer()
        self._decoder = _audio_decoder()

    def push(self, data: bytes, arrival_s: float) -> None:
        """Take an RTP packet."""
        parsed = _parsed(data, self._counters)
        if parsed is not None:
            self.ssrc = parsed.ssrc
            self._take(self._jitter.push(parsed, arrival_s * 1000), arrival_s)

    def tick(self, now_s: float) -> None:
        """Let time pass."""
        self._take(self._jitter.tick(now_s * 1000), now_s)

    def _take(self, packets: Sequence[packet.Packet], now_s: float) -> None:
        for one in packets:
            try:
                units = self._depacketizer.push(one)
            except ProtocolError:
                self._counters.broken_packets += 1
                continue
            for unit in units:
                ticks = self.clock.unwrap(unit.timestamp)
                at_s = self.clock.at(ticks, now_s)
                samples = self._decoded(unit.payload)
                if samples is not None:
                    self._mixer.put(self._key, samples, ticks, round(at_s * SAMPLE_RATE))

    def _decoded(self, payload: bytes) -> Samples | None:
        try:
            frames = self._decoder.decode(av.Packet(payload))
        except av.error.FFmpegError:
            self._counters.decode_errors += 1
            return None
        pieces = [_stereo(frame) for frame in frames]
        return np.concatenate(pieces, axis=1) if pieces else None


def _parsed(data: bytes, counters: Counters) -> packet.Packet | None:
    try:
        return packet.parse(data)
    except ProtocolError:
        counters.broken_packets += 1
        return None


def _stereo(frame: av.AudioFrame) -> Samples:
    samples: Samples = frame.to_ndarray().astype(np.float32, copy=False)  # the decoder makes fltp
    return samples if samples.shape[0] == 2 else np.repeat(samples[:1], 2, axis=0)


def _video_decoder(name: Literal["h264", "vp8"]) -> av.VideoCodecContext:
    context = av.CodecContext.create(name, "r")
    context.thread_count = 1  # more would hold pictures back
    context.options = {"max_pixels": str(MAX_PIXELS)}
    if name == "h264":
        context.flags |= av.codec.context.Flags.low_delay
    return context


def _audio_decoder() -> av.AudioCodecContext:
    context = av.CodecContext.create("opus", "r")
    context.sample_rate, context.layout = SAMPLE_RATE, "stereo"
    return context
