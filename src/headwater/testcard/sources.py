"""Where a publish takes its media from: the generated test card, or a file. Both yield FLV tags, paced by media time.

An iterator yields (due, tag): `due` is the monotonic time in seconds at which the tag should be sent. The test card
sleeps until its next frame is to be captured, a file until its next packet is due, so iterate in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from headwater.errors import CallerError
from headwater.testcard.flv_stream import SCRIPT, VIDEO, Tag, TagSink
from headwater.testcard.picture import Picture
from headwater.testcard.sound import beep

SAMPLE_RATE = 48_000
AUDIO_FRAME = 1024
COPIED = {"h264", "hevc", "av1", "vp9", "aac", "opus", "mp3"}
"""Codecs that go into (enhanced) FLV as they are."""

FLV_OPTIONS = {"flvflags": "no_duration_filesize"}


@dataclass(frozen=True, slots=True)
class CardOptions:
    """How the test card is made.

    Attributes:
        gop_s: Seconds from sync sample to sync sample: one keeps the start-up of viewers short.
        duration_s: How long to publish; None: until stopped.
    """

    width: int = 1280
    height: int = 720
    fps: int = 30
    bitrate_k: int = 2500
    gop_s: float = 1.0
    video: bool = True
    audio: bool = True
    duration_s: float | None = None


class Card:
    """The test card as an encoder: one picture after the other at its time, with the sound that belongs to it."""

    def __init__(self, options: CardOptions) -> None:
        self._options = options
        self._sink = TagSink()
        self._container = av.open(self._sink, "w", format="flv", options=FLV_OPTIONS)
        self._video = self._add_video() if options.video else None
        self._audio = self._add_audio() if options.audio else None
        self._picture = Picture(options.width, options.height, options.fps) if options.video else None
        self._samples = 0

    def _add_video(self) -> Any:
        options = self._options
        stream = self._container.add_stream("libx264", rate=options.fps)
        stream.width, stream.height, stream.pix_fmt = options.width, options.height, "yuv420p"
        stream.bit_rate = options.bitrate_k * 1000
        stream.gop_size = max(1, round(options.gop_s * options.fps))
        stream.thread_count = 1
        stream.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "x264-params": f"keyint={stream.gop_size}:min-keyint={stream.gop_size}:scenecut=0",
            "maxrate": f"{options.bitrate_k}k",
            "bufsize": f"{options.bitrate_k}k",
        }
        return stream

    def _add_audio(self) -> Any:
        stream = self._container.add_stream("aac", rate=SAMPLE_RATE)
        stream.bit_rate, stream.layout, stream.format = 128_000, "stereo", "fltp"
        return stream

    def tags(self) -> Iterator[tuple[float, Tag]]:
        """Generate in real time, from now on."""
        options, frame = self._options, 0
        start_ms, start = time.time_ns() // 1_000_000, time.monotonic()
        while options.duration_s is None or frame < options.duration_s * options.fps:
            due = start + frame / options.fps
            delay = due - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            if self._video is not None:
                self._encode_picture(frame, start_ms + frame * 1000 // options.fps)
            if self._audio is not None:
                self._encode_sound((frame + 1) * SAMPLE_RATE // options.fps, start_ms % 1000)
            for tag in self._sink.tags():
                yield due, tag
            frame += 1
        for stream in filter(None, (self._video, self._audio)):
            self._container.mux(stream.encode(None))
        self._container.close()
        for tag in self._sink.tags():
            yield time.monotonic(), tag

    def _encode_picture(self, number: int, ms: int) -> None:
        assert self._picture is not None and self._video is not None
        frame = av.VideoFrame(self._options.width, self._options.height, "yuv420p")
        for plane, pixels in zip(frame.planes, self._picture.paint(ms, number), strict=True):
            fill(plane, pixels)
        frame.pts, frame.time_base = number, Fraction(1, self._options.fps)
        self._container.mux(self._video.encode(frame))

    def _encode_sound(self, until: int, phase_ms: int) -> None:
        assert self._audio is not None
        while self._samples + AUDIO_FRAME <= until:
            mono = beep(self._samples, AUDIO_FRAME, SAMPLE_RATE, phase_ms)
            frame = av.AudioFrame.from_ndarray(np.stack((mono, mono)), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._samples, Fraction(1, SAMPLE_RATE)
            self._container.mux(self._audio.encode(frame))
            self._samples += AUDIO_FRAME


def fill(plane: Any, pixels: Any) -> None:
    """Copy pixels into a plane whose lines may be longer than the picture is wide."""
    height, width = pixels.shape
    lines = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
    lines[:height, :width] = pixels


def file_tags(path: Path, *, loop: bool = False, duration_s: float | None = None) -> Iterator[tuple[float, Tag]]:
    """Remux a file without transcoding, in real time, its time stamps going on across loops.

    Raises:
        CallerError: the file cannot be read, or holds nothing that RTMP carries.
    """
    start, offset_s = time.monotonic(), 0.0
    first = True
    while True:
        last_s = offset_s
        for at_s, tag in _packets(path, offset_s):
            if duration_s is not None and at_s > duration_s:
                return
            if not first and _is_header(tag):
                continue  # said once; again only where it differs, which within one file it does not
            delay = start + at_s - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            last_s = max(last_s, at_s)
            yield start + at_s, tag
        if not loop:
            return
        first, offset_s = False, last_s + 0.04


def _packets(path: Path, offset_s: float) -> Iterator[tuple[float, Tag]]:
    """The tags of one pass over a file, with their time in seconds from the publish's start."""
    sink = TagSink()
    try:
        with av.open(str(path)) as source, av.open(sink, "w", format="flv", options=FLV_OPTIONS) as target:
            outputs = {s.index: target.add_stream_from_template(s) for s in _carried(source, path)}
            begin: float | None = None
            for packet in source.demux([source.streams[index] for index in outputs]):
                if packet.dts is None:
                    continue
                at = float(packet.dts * packet.time_base)
                begin = at if begin is None else begin
                shift = round((offset_s - begin) / packet.time_base)
                packet.dts += shift
                packet.pts = packet.pts + shift if packet.pts is not None else packet.dts
                packet.stream = outputs[packet.stream.index]
                target.mux(packet)
                for tag in sink.tags():
                    yield max(offset_s, tag.time_ms / 1000), tag
    except av.FFmpegError as error:
        raise CallerError(f"{path} cannot be published: {error.strerror or error}") from error


def _carried(source: Any, path: Path) -> list[Any]:
    """The first video and the first audio stream; what RTMP cannot carry is named."""
    wanted = [streams[0] for streams in (source.streams.video, source.streams.audio) if streams]
    if not wanted:
        raise CallerError(f"{path} holds neither video nor audio")
    for stream in wanted:
        name = stream.codec_context.name
        if not any(name.startswith(known) or name.endswith(known) for known in COPIED):
            raise CallerError(
                f"{path} holds {name}; RTMP carries {', '.join(sorted(COPIED))}: transcode it first, e.g. with ffmpeg"
            )
    return wanted


def _is_header(tag: Tag) -> bool:
    """Metadata and sequence headers."""
    if tag.kind == SCRIPT:
        return True
    extended = bool(tag.body[0] & 0x80) if tag.kind == VIDEO else tag.body[0] >> 4 == 9
    return tag.body[0] & 0x0F == 0 if extended else len(tag.body) > 1 and tag.body[1] == 0
