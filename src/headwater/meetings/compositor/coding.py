"""The encoders: x264 for the canvas, AAC for the mix; out come FLV tags, as the publisher sends them.

No B-frames and nothing held back: a picture leaves as soon as it is encoded. GOPs are closed and begin where they are
asked to, so that the packager can cut a segment every two seconds, whatever happened to the frames in between.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from headwater.media.track import Codec
from headwater.meetings.compositor.settings import Job
from headwater.meetings.compositor.sound import SAMPLE_RATE, Samples
from headwater.protocols import flv
from headwater.testcard.tags import AUDIO, VIDEO, Tag

GOP_S = 2
AUDIO_FRAME = 1024

SINGLE_THREAD_PIXELS_PER_S = 1280 * 720 * 60
"""Up to here one x264 thread keeps up, and costs a third less than slices on several."""

_BT601 = 6
_VIDEO_RANGE = 1
_START_CODE = b"\0\0\1"
_SPS, _PPS = 7, 8


class PictureEncoder:
    """H.264 of the canvas.

    Attributes:
        setup: The tag that configures a decoder.
    """

    def __init__(self, job: Job) -> None:
        """
        Raises:
            av.FFmpegError, ValueError: x264 refuses the job.
        """
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = job.width, job.height, "yuv420p"
        context.framerate = Fraction(job.fps)
        context.time_base = self._time_base = Fraction(1, job.fps)
        context.bit_rate = job.video_kbps * 1000
        context.gop_size = self._gop = GOP_S * job.fps
        context.max_b_frames = 0
        context.thread_count = 1 if job.width * job.height * job.fps <= SINGLE_THREAD_PIXELS_PER_S else 2
        context.flags |= Flags.global_header
        context.color_range, context.colorspace = _VIDEO_RANGE, _BT601
        context.color_primaries = context.color_trc = _BT601
        context.options = {
            "preset": job.preset,
            "tune": "zerolatency",
            "profile": "high",
            "forced-idr": "1",
            "maxrate": f"{job.video_kbps}k",
            "bufsize": f"{job.video_kbps}k",
            "x264-params": "scenecut=0:open-gop=0",
        }
        context.open()
        self._context = context
        self.setup = video_setup(avcc(context.extradata or b""))
        self._next_sync = 0

    def encode(self, frame: av.VideoFrame, index: int, timestamp_ms: int, *, sync: bool = False) -> list[Tag]:
        """The tags of one frame; mostly one.

        Args:
            index: Of the output clock; frames may be left out.
            sync: Decoding must be able to start here.
        """
        sync = sync or index >= self._next_sync
        if sync:
            self._next_sync = (index // self._gop + 1) * self._gop
        frame.pts, frame.time_base = index, self._time_base
        # What a decoder left there would be taken for a wish.
        frame.pict_type = PictureType.I if sync else PictureType.NONE
        return [
            video_tag(length_prefixed(bytes(packet)), timestamp_ms, sync=packet.is_keyframe)
            for packet in self._context.encode(frame)
        ]


class SoundEncoder:
    """AAC of the mix, in frames of AUDIO_FRAME samples.

    Attributes:
        setup: The tag that configures a decoder.
    """

    def __init__(self, job: Job) -> None:
        context = av.CodecContext.create("aac", "w")
        context.sample_rate, context.layout, context.format = SAMPLE_RATE, "stereo", "fltp"
        context.time_base = Fraction(1, SAMPLE_RATE)
        context.bit_rate = job.audio_kbps * 1000
        context.flags |= Flags.global_header
        context.open()
        assert context.frame_size == AUDIO_FRAME
        self._context = context
        self.setup = Tag(AUDIO, 0, flv.build_audio(flv.PacketKind.CONFIGURATION, Codec.AAC, context.extradata or b""))

    def encode(self, samples: Samples, position: int) -> list[Tag]:
        """The tags that are ready: none at first, the encoder is a frame behind.

        Args:
            samples: Shape (2, AUDIO_FRAME).
            position: Of their first sample, since the start of the output.
        """
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, position, Fraction(1, SAMPLE_RATE)
        return [
            Tag(
                AUDIO,
                packet.pts * 1000 // SAMPLE_RATE,
                flv.build_audio(flv.PacketKind.CODED, Codec.AAC, bytes(packet)),
            )
            for packet in self._context.encode(frame)
            # An encoder's first frame is priming that lies before the first sample.
            if packet.pts is not None and packet.pts >= 0
        ]


def video_setup(record: bytes) -> Tag:
    """The tag of a decoder configuration record."""
    return Tag(VIDEO, 0, flv.build_video(flv.PacketKind.CONFIGURATION, Codec.H264, record))


def video_tag(payload: bytes, timestamp_ms: int, *, sync: bool) -> Tag:
    """The tag of an access unit of H.264, NAL units behind their lengths."""
    return Tag(VIDEO, timestamp_ms, flv.build_video(flv.PacketKind.CODED, Codec.H264, payload, sync=sync))


def avcc(annex_b: bytes) -> bytes:
    """A decoder configuration record (ISO/IEC 14496-15, 5.3.3.1) of an encoder's SPS and PPS."""
    nals = _split(annex_b)
    sps = next(nal for nal in nals if nal[0] & 31 == _SPS)
    pps = next(nal for nal in nals if nal[0] & 31 == _PPS)
    high = b"\xfd\xf8\xf8\0" if sps[1] >= 100 else b""  # 4:2:0, 8 bits, no SPS extension
    return b"".join(
        (
            bytes((1, *sps[1:4], 0xFF, 0xE1)),
            len(sps).to_bytes(2, "big"),
            sps,
            b"\1",
            len(pps).to_bytes(2, "big"),
            pps,
            high,
        )
    )


def length_prefixed(annex_b: bytes) -> bytes:
    """NAL units behind their lengths instead of start codes."""
    return b"".join(part for nal in _split(annex_b) for part in (len(nal).to_bytes(4, "big"), nal))


def _split(annex_b: bytes) -> list[bytes]:
    """The NAL units between start codes. A NAL unit never ends with a zero byte (ITU-T H.264, 7.4.1)."""
    nals, at = [], annex_b.find(_START_CODE)
    while at >= 0:
        end = annex_b.find(_START_CODE, at + 3)
        nal = annex_b[at + 3 : end if end >= 0 else len(annex_b)]
        nals.append(nal.rstrip(b"\0") if end >= 0 else nal)
        at = end
    return nals
