"""From the access units of a WebRTC publisher to calls of its `Publication`.

Video is H.264: a key frame's parameter sets make the configuration. What follows a loss refers to a picture that is
not there: it is dropped until the next key frame, which is asked for. Audio is Opus: what is missing becomes silence,
so that the sound stays where it belongs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.access_unit import AccessUnit
from headwater.media.h264 import parse_avcc
from headwater.media.opus import OPUS_RATE, packet_samples
from headwater.media.track import AudioConfig, Codec, Track
from headwater.pipeline.ingest.gate import Publication
from headwater.protocols.rtp import h264
from headwater.protocols.rtp.unit import Unit

VIDEO_ID, AUDIO_ID = 1, 2

MAX_BACKWARD = 5
"""Pictures whose time is before that of the one before them: with so many the publisher reorders (B-frames)."""

MAX_SILENCE_MS = 2000
"""A longer hole in the sound stays one: the publisher has stopped sending, and what follows is a new beginning."""

SILENCE = {480: b"\xf4\xff\xfe", 960: b"\xfc\xff\xfe"}
"""Opus packets of silence (CELT, full band, stereo), by samples: 10 and 20 ms."""

B_FRAMES = UnsupportedCodec(
    "ERR_UNSUPPORTED_VIDEO_CODEC",
    "H.264 with B-frames: RTP does not carry their decode times. Turn B-frames off in the encoder (bframes=0, or a "
    "zero-latency tuning).",
)


class VideoTrack:
    """H.264 units to a publication.

    Attributes:
        key_s: When the last key frame came (monotonic seconds); None before the first.
        waits: Nothing can be decoded until a key frame comes.
    """

    __slots__ = ("_ask", "_backward", "_last", "_publication", "_record", "key_s", "waits")

    def __init__(self, publication: Publication, ask: Callable[[], None]) -> None:
        """`ask` is called when a key frame is wanted; often, so it must keep its own pace."""
        self._publication = publication
        self._ask = ask
        self._record: bytes | None = None
        self._last = -1
        self._backward = 0
        self.key_s: float | None = None
        self.waits = True

    def take(self, depacketizer: object, unit: Unit, time_ms: float, now_ms: float) -> None:
        """One unit, in order.

        Raises:
            UnsupportedCodec: it cannot be packaged; the publication knows.
        """
        assert isinstance(depacketizer, h264.Depacketizer)
        if unit.key and unit.complete:
            self._configure(depacketizer)
            self.key_s, self.waits = now_ms / 1000, False
        elif self.waits or unit.after_loss:
            self.waits = True
            self._ask()
            return
        self._check_order(unit.timestamp)
        self._publication.push(AccessUnit(VIDEO_ID, round(time_ms), 0, unit.key, unit.payload))

    def _configure(self, depacketizer: h264.Depacketizer) -> None:
        record = depacketizer.record
        assert record is not None, "a key frame's parameter sets are known"
        if record == self._record:
            return
        try:
            config = parse_avcc(record)
        except UnsupportedCodec as error:
            self._publication.refused(error)
            raise
        self._record = record
        self._publication.configure(Track(VIDEO_ID, config))

    def _check_order(self, timestamp: int) -> None:
        ahead = (timestamp - self._last) & 0xFFFFFFFF
        if self._last >= 0 and ahead > 0x80000000 and ahead > 0x100000000 - 10 * h264.CLOCK_RATE:
            self._backward += 1
            if self._backward > MAX_BACKWARD:
                self._publication.refused(B_FRAMES)
                raise B_FRAMES
            return
        self._last = timestamp


class AudioTrack:
    """Opus units to a publication."""

    __slots__ = ("_due_ms", "_publication", "_samples")

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._samples = 0
        self._due_ms: float | None = None

    def take(self, unit: Unit, time_ms: float) -> None:
        """One unit, in order."""
        samples = packet_samples(unit.payload)
        if samples != self._samples:
            self._samples = samples
            self._publication.configure(Track(AUDIO_ID, opus_config(samples)))
        duration_ms = samples * 1000 / OPUS_RATE
        if self._due_ms is not None and time_ms - self._due_ms >= duration_ms / 2:
            self._fill(time_ms, duration_ms)
        self._publication.push(AccessUnit(AUDIO_ID, round(time_ms), 0, True, unit.payload))
        self._due_ms = time_ms + duration_ms

    def _fill(self, until_ms: float, duration_ms: float) -> None:
        silence = SILENCE.get(self._samples)
        at_ms = self._due_ms
        assert at_ms is not None
        if silence is None or until_ms - at_ms > MAX_SILENCE_MS:
            return
        while at_ms + duration_ms / 2 <= until_ms:
            self._publication.push(AccessUnit(AUDIO_ID, round(at_ms), 0, True, silence))
            at_ms += duration_ms


def opus_config(samples: int) -> AudioConfig:
    """Opus as it comes in RTP: two channels whatever is coded (RFC 7587, 7), nothing to skip."""
    if not samples:
        raise ProtocolError("a broken Opus packet")
    record = struct.pack(">BBHIhB", 0, 2, 0, OPUS_RATE, 0, 0)
    return AudioConfig(Codec.OPUS, record, OPUS_RATE, 2, samples, "opus")
