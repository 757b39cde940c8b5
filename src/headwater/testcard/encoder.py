"""The test card as a source of tags: paints, encodes and beeps at the pace of the wall clock.

A frame is painted at the instant that its clocks show, so the time on the screen at the far end is the true latency.
Frames stand on the grid of whole seconds: with a whole number of frames per second, one falls on each second exactly,
and the flash begins with it as the beep does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import av
import av.container
import av.error
import numpy as np

from headwater import __version__
from headwater.errors import OperatorError
from headwater.testcard.card import Card
from headwater.testcard.clock import Clock
from headwater.testcard.sound import SAMPLE_RATE, Beeper
from headwater.testcard.tags import Tag, TagSink

AUDIO_LEAD_MS = 64
"""An AAC encoder gives a frame out two frames after it came in. Sound that is generated can be encoded ahead, so that
it leaves together with the picture of its instant."""

MAX_LATE_MS = 250
"""A frame that is later than this is left out: the machine is too slow, and the clock must stay true."""

SINGLE_THREAD_PIXELS_PER_S = 1280 * 720 * 60
"""Up to here one x264 thread keeps up, and costs a third less than slices on several."""

VIDEO_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1"}),
    "hevc": (
        "libx265",
        {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "x265-params": "log-level=1"},
    ),
    "av1": ("libsvtav1", {"preset": "12", "svtav1-params": "pred-struct=1:rc=2"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
}
AUDIO_ENCODERS = {"aac": "aac", "opus": "libopus", "mp3": "libmp3lame"}

MUXER_OPTIONS = {"flvflags": "no_duration_filesize", "flush_packets": "1"}


@dataclass(frozen=True, slots=True)
class TestCardSettings:
    """What the test card is made of.

    Attributes:
        width: Pixels, even, 128 to 3840.
        height: Pixels, even, 96 to 2160.
        fps: Frames per second, 1 to 120.
        bitrate: Video bits per second.
        gop_s: Seconds from a sync sample to the next. One: a viewer joins, and a server cuts its first segment, at a
            sync sample; the second it saves at the start is worth more here than the few per cent of bits it costs.
        codec: A key of VIDEO_ENCODERS, or None: no picture.
        audio_codec: A key of AUDIO_ENCODERS, or None: no sound.
        audio_bitrate: Bits per second.
        duration_s: End after this long; None: never.
        title: The large line in the picture.
    """

    __test__ = False  # not a test class, whatever its name begins with

    width: int = 1280
    height: int = 720
    fps: Fraction = Fraction(30)
    bitrate: int = 2_500_000
    gop_s: float = 1.0
    codec: str | None = "h264"
    audio_codec: str | None = "aac"
    audio_bitrate: int = 128_000
    duration_s: float | None = None
    title: str = "Headwater"


class TestCard:
    """A source: the generated picture and sound."""

    __test__ = False

    def __init__(self, settings: TestCardSettings) -> None:
        if settings.codec is None and settings.audio_codec is None:
            raise OperatorError("there is nothing to send without picture and sound")
        self.settings = settings
        self.skipped = 0
        self._sync_wanted = threading.Event()

    @property
    def has_video(self) -> bool:
        return self.settings.codec is not None

    def metadata(self) -> dict[str, object]:
        """Values for onMetaData."""
        s = self.settings
        values: dict[str, object] = {"encoder": f"Headwater/{__version__}"}
        if s.codec:
            values |= {
                "width": s.width,
                "height": s.height,
                "framerate": float(s.fps),
                "videodatarate": s.bitrate / 1000,
            }
        if s.audio_codec:
            values |= {"audiosamplerate": SAMPLE_RATE, "stereo": True, "audiodatarate": s.audio_bitrate / 1000}
        return values

    def request_sync(self) -> None:
        """Make the next picture a sync sample. From any thread."""
        self._sync_wanted.set()

    def describe(self) -> str:
        """One line for people."""
        s = self.settings
        picture = f"{s.width}x{s.height} at {float(s.fps):g} fps, {s.codec} {s.bitrate // 1000} kbit/s"
        sound = f"{s.audio_codec} {s.audio_bitrate // 1000} kbit/s"
        return ", ".join(([picture] if s.codec else []) + ([sound] if s.audio_codec else []))

    def tags(self, clock: Clock) -> Iterator[Tag]:
        """The tags, each when its instant has come.

        Raises:
            OperatorError: an encoder refuses the settings.
        """
        try:
            yield from self._tags(clock)
        except av.error.FFmpegError as error:
            raise OperatorError(f"the encoder refuses these settings ({self.describe()}): {error}") from error

    def _tags(self, clock: Clock) -> Iterator[Tag]:
        settings = self.settings
        frame_ms = 1000 / settings.fps
        first = math.ceil(Fraction(clock.now_ms()) / frame_ms)
        start_ms = first * frame_ms
        picture = _Picture(settings, start_ms) if settings.codec else None
        sound = _Sound(settings, round(start_ms * SAMPLE_RATE / 1000)) if settings.audio_codec else None
        frames = None if settings.duration_s is None else round(settings.duration_s * settings.fps)
        gop = gop_frames(settings)
        index = next_sync = 0
        while frames is None or index < frames:
            due_ms = float(start_ms + index * frame_ms)
            if not clock.wait_until(due_ms):
                return
            if clock.now_ms() - due_ms > MAX_LATE_MS:
                behind = int((clock.now_ms() - due_ms) / float(frame_ms))
                self.skipped += behind
                index += behind
                continue
            if sound is not None:
                yield from sound.until(float(index * frame_ms) + AUDIO_LEAD_MS)
            if picture is not None:
                forced = self._sync_wanted.is_set() or index >= next_sync
                self._sync_wanted.clear()
                # The encoder counts the frames that it is given; where some were left out, its GOP would last longer.
                next_sync = (index // gop + 1) * gop
                yield from picture.encode(index, forced=forced)
            index += 1
        for part in (sound, picture):
            if part is not None:
                yield from part.finish()


def gop_frames(settings: TestCardSettings) -> int:
    """Frames from a sync sample to the next."""
    return max(1, round(settings.fps * Fraction(settings.gop_s)))


class _Track:
    """One encoder with a muxer of its own, so that neither track waits for the other."""

    def __init__(self, codec: str, rate: int | Fraction, options: dict[str, str]) -> None:
        self._sink = TagSink()
        self._muxer = av.open(cast(Any, self._sink), "w", format="flv", options=MUXER_OPTIONS)
        self.stream: Any = self._muxer.add_stream(codec, rate=rate, options=options)

    def _feed(self, frame: av.VideoFrame | av.AudioFrame | None) -> list[Tag]:
        for packet in self.stream.encode(frame):
            # An audio encoder's first frames are priming that lies before the first sample.
            if packet.pts is not None and packet.pts >= 0:
                self._muxer.mux_one(packet)
        return [tag for tag in self._sink.take() if tag.type_id != 18]

    def finish(self) -> list[Tag]:
        """What the encoder still holds."""
        tags = self._feed(None)
        self._muxer.close()
        return tags + [
            tag for tag in self._sink.take() if tag.type_id != 18 and tag.setup is None and len(tag.body) > 5
        ]


class _Picture(_Track):
    def __init__(self, settings: TestCardSettings, start_ms: Fraction) -> None:
        assert settings.codec is not None
        name, options = VIDEO_ENCODERS[settings.codec]
        super().__init__(name, settings.fps, dict(options))
        self._start_ms = start_ms
        self._fps = settings.fps
        detail = f"{settings.codec} {settings.bitrate // 1000} kbit/s"
        self._card = Card(settings.width, settings.height, settings.fps, settings.title, detail)
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = settings.width, settings.height, "yuv420p"
        context.time_base = 1 / settings.fps
        context.gop_size = gop_frames(settings)
        context.max_b_frames = 0
        context.bit_rate = settings.bitrate
        if settings.codec in ("h264", "hevc"):
            # Half a second of buffer: a sync sample must not take longer than that through a link of just this rate.
            rates = {"maxrate": str(settings.bitrate), "bufsize": str(settings.bitrate // 2)}
            context.options = {**options, **rates}
        small = settings.width * settings.height * settings.fps <= SINGLE_THREAD_PIXELS_PER_S
        context.thread_count = 1 if small else 0
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1

    def encode(self, index: int, *, forced: bool) -> list[Tag]:
        frame = self._card.paint(round(self._start_ms + index * 1000 / self._fps), index)
        frame.pts = index
        frame.time_base = 1 / self._fps
        frame.pict_type = av.video.frame.PictureType.I if forced else av.video.frame.PictureType.NONE
        return self._feed(frame)


class _Sound(_Track):
    def __init__(self, settings: TestCardSettings, start_sample: int) -> None:
        assert settings.audio_codec is not None
        super().__init__(AUDIO_ENCODERS[settings.audio_codec], SAMPLE_RATE, {})
        context = self.stream.codec_context
        context.layout = "stereo"
        context.bit_rate = settings.audio_bitrate
        context.format = {"aac": "fltp", "opus": "flt", "mp3": "fltp"}[settings.audio_codec]
        context.open()
        self._planar = context.format.is_planar
        self._format = context.format.name
        self._size = context.frame_size
        self._beeper = Beeper(start_sample)
        self._samples = 0

    def until(self, media_ms: float) -> Iterator[Tag]:
        while (self._samples + self._size) * 1000 <= media_ms * SAMPLE_RATE:
            mono = self._beeper.take(self._size)
            data = np.stack([mono, mono]) if self._planar else np.repeat(mono, 2)[None]
            frame = av.AudioFrame.from_ndarray(data, format=self._format, layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = self._samples
            frame.time_base = Fraction(1, SAMPLE_RATE)
            self._samples += self._size
            yield from self._feed(frame)


def with_size(settings: TestCardSettings, size: str) -> TestCardSettings:
    """Settings with a size given as `WIDTHxHEIGHT`.

    Raises:
        ValueError: with what is allowed.
    """
    width, cross, height = size.lower().partition("x")
    if not (cross and width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ValueError(f"the size {size!r} must be WIDTHxHEIGHT, e.g. 1280x720")
    w, h = int(width), int(height)
    if w % 2 or h % 2 or not (128 <= w <= 3840 and 96 <= h <= 3840):
        raise ValueError(f"the size {size} must be even numbers, 128x96 to 3840x3840")
    return replace(settings, width=w, height=h)
