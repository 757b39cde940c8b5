"""A media file as a source of tags: remuxed as it is where its codecs allow it, else transcoded; paced, and looped.

Only files that the caller names are opened, never what a stranger sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error

from headwater import __version__
from headwater.errors import OperatorError
from headwater.testcard.clock import Clock
from headwater.testcard.encoder import MUXER_OPTIONS, VIDEO_ENCODERS
from headwater.testcard.tags import SCRIPT, Tag, TagSink

COPIED_VIDEO = frozenset({"h264", "hevc", "av1", "vp9"})
COPIED_AUDIO = frozenset({"aac", "opus", "mp3"})
EIGHT_OR_TEN_BIT = ("yuv420p", "yuvj420p", "yuv420p10le")
TRANSCODED_BITRATE = 2_500_000
TRANSCODED_GOP_S = 2


class FileSource:
    """A source: one file, once or for ever.

    Attributes:
        skipped: Always 0: a file's frames wait for the sender.
    """

    skipped = 0

    def __init__(
        self,
        path: Path,
        *,
        loop: bool = False,
        video: bool = True,
        audio: bool = True,
        transcode: bool = False,
        bitrate: int = TRANSCODED_BITRATE,
        duration_s: float | None = None,
    ) -> None:
        self.path = path
        self.loop = loop
        self._wanted = [kind for kind, want in (("video", video), ("audio", audio)) if want]
        self._transcode = transcode
        self._bitrate = bitrate
        self._duration_s = duration_s
        with _open(path) as file:
            streams = self._streams(file)
            self._plan = [(s.type, self._copies(s)) for s in streams]
            pictures = [s.codec_context for s in streams if s.type == "video"]
            self._size: dict[str, object] = {}
            for context in pictures:
                self._size = {"width": context.width, "height": context.height}
        if not self._plan:
            raise OperatorError(f"{path} holds neither picture nor sound that could be sent")

    @property
    def has_video(self) -> bool:
        return any(kind == "video" for kind, _ in self._plan)

    def metadata(self) -> dict[str, object]:
        """Values for onMetaData."""
        return {"encoder": f"Headwater/{__version__}"} | self._size

    def request_sync(self) -> None:
        """Nothing to do: the sender waits for the file's next sync sample."""

    def describe(self) -> str:
        """One line for people."""
        how = ", ".join(f"{kind} {'as it is' if copied else 'transcoded'}" for kind, copied in self._plan)
        return f"{self.path.name}: {how}{', looped' if self.loop else ''}"

    def tags(self, clock: Clock) -> Iterator[Tag]:
        """The tags, each when its time has come.

        Raises:
            OperatorError: the file cannot be read on, or an encoder refuses it.
        """
        start_ms = clock.now_ms()
        end_ms = None if self._duration_s is None else self._duration_s * 1000
        try:
            for tag in self._muxed():
                if tag.type_id == SCRIPT or (end_ms is not None and tag.timestamp_ms >= end_ms):
                    if tag.type_id != SCRIPT:
                        return
                    continue
                if not clock.wait_until(start_ms + tag.timestamp_ms):
                    return
                yield tag
        except av.error.FFmpegError as error:
            raise OperatorError(f"{self.path} cannot be sent: {error}") from error

    def _muxed(self) -> Iterator[Tag]:
        sink = TagSink()
        muxer = av.open(cast(Any, sink), "w", format="flv", options=MUXER_OPTIONS)
        tracks: list[_Copy | _Transcode] | None = None
        offset = Fraction(0)
        while True:
            with _open(self.path) as file:
                streams = self._streams(file)
                if tracks is None:
                    tracks = [self._track(muxer, stream) for stream in streams]
                by_index = dict(zip((s.index for s in streams), tracks, strict=True))
                # By presentation: decode times begin before it where there are B-frames, and would make a gap.
                start = Fraction(file.start_time or 0, av.time_base)
                end = start
                for packet in file.demux(streams):
                    if packet.size and packet.pts is not None:
                        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                    for out in by_index[packet.stream_index].packets(packet, offset - start):
                        muxer.mux_one(out)
                    yield from sink.take()
            if not self.loop or end <= start:
                break
            offset += end - start
        for track in tracks:
            for out in track.finish():
                muxer.mux_one(out)
        muxer.close()
        yield from (tag for tag in sink.take() if len(tag.body) > 5 or tag.setup is None)

    def _streams(self, file: Any) -> list[Any]:
        best = [next(iter(getattr(file.streams, kind)), None) for kind in self._wanted]
        return [stream for stream in best if stream is not None]

    def _copies(self, stream: Any) -> bool:
        if self._transcode:
            return False
        context = stream.codec_context
        if stream.type == "video":
            return stream.codec.canonical_name in COPIED_VIDEO and context.pix_fmt in EIGHT_OR_TEN_BIT
        return stream.codec.canonical_name in COPIED_AUDIO

    def _track(self, muxer: Any, stream: Any) -> _Copy | _Transcode:
        if self._copies(stream):
            return _Copy(muxer.add_stream_from_template(stream, opaque=True), stream)
        return _Transcode(muxer, stream, self._bitrate)


class _Copy:
    """Packets of one stream, shifted."""

    def __init__(self, output: Any, stream: Any) -> None:
        self._output = output
        self._last: int | None = None

    def packets(self, packet: Any, shift: Fraction) -> list[Any]:
        if not packet.size or packet.dts is None:
            return []
        ticks = round(shift / packet.time_base)
        dts = packet.dts + ticks
        pts = (packet.dts if packet.pts is None else packet.pts) + ticks
        if self._last is not None and dts <= self._last:
            # A file whose own times go back: keep them going forward, the muxer refuses anything else.
            pts, dts = pts + self._last + 1 - dts, self._last + 1
        self._last = dts
        packet.pts, packet.dts = max(pts, dts), dts
        packet.stream = self._output
        return [packet]

    def finish(self) -> list[Any]:
        return []


class _Transcode:
    """Packets of one stream, decoded and encoded as H.264 or AAC."""

    def __init__(self, muxer: Any, stream: Any, bitrate: int) -> None:
        self._video = stream.type == "video"
        if self._video:
            rate = Fraction(stream.average_rate or 30).limit_denominator(1001)
            name, options = VIDEO_ENCODERS["h264"]
            self._encoder = muxer.add_stream(name, rate=rate, options=dict(options))
            source = stream.codec_context
            context = self._encoder.codec_context
            context.width, context.height = source.width // 2 * 2, source.height // 2 * 2
            context.pix_fmt, context.bit_rate, context.max_b_frames = "yuv420p", bitrate, 0
            context.gop_size = max(1, round(rate * TRANSCODED_GOP_S))
            context.time_base = Fraction(1, 90_000)
        else:
            self._encoder = muxer.add_stream("aac", rate=48_000)
            self._encoder.codec_context.layout = "stereo"
            self._encoder.codec_context.bit_rate = 128_000
            self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48_000, frame_size=1024)
            self._samples: int | None = None
        self._last = -1

    def packets(self, packet: Any, shift: Fraction) -> list[Any]:
        out = []
        for frame in packet.decode():
            if frame.pts is None:
                continue
            at = frame.pts * frame.time_base + shift
            out += self._picture(frame, at) if self._video else self._sound(frame, at)
        return out

    def _picture(self, frame: Any, at: Fraction) -> list[Any]:
        context = self._encoder.codec_context
        frame = frame.reformat(width=context.width, height=context.height, format="yuv420p")
        ticks = max(round(at * 90_000), self._last + 1)
        self._last = ticks
        frame.pts, frame.time_base = ticks, Fraction(1, 90_000)
        frame.pict_type = av.video.frame.PictureType.NONE
        return list(self._encoder.encode(frame))

    def _sound(self, frame: Any, at: Fraction) -> list[Any]:
        out = []
        if self._samples is None:
            self._samples = max(0, round(at * 48_000))
        for piece in self._resampler.resample(frame):
            piece.pts, piece.time_base = self._samples, Fraction(1, 48_000)
            self._samples += piece.samples
            out += self._encoder.encode(piece)
        return out

    def finish(self) -> list[Any]:
        return list(self._encoder.encode(None))


def _open(path: Path) -> Any:
    if not path.is_file():
        raise OperatorError(f"there is no file {path}")
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        raise OperatorError(f"{path} cannot be opened as a media file: {error.strerror}") from error
