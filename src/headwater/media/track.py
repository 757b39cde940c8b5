"""Tracks and their codec configurations, as they come from a publisher."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Codec(StrEnum):
    """The codecs that can be packaged, by their usual names."""

    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    VP9 = "vp9"
    AAC = "aac"
    OPUS = "opus"
    MP3 = "mp3"


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """What a decoder must know before the first access unit.

    Attributes:
        codec: One of the video codecs.
        record: The decoder configuration record: payload of avcC, hvcC, av1C or vpcC.
        width: Displayed width in pixels, after cropping and sample aspect ratio.
        height: Displayed height in pixels.
        codecs: RFC 6381 parameter, e.g. `avc1.64001f`.
        frame_rate: Frames per second as the bitstream or the publisher states it; None where neither does.
    """

    codec: Codec
    record: bytes
    width: int
    height: int
    codecs: str
    frame_rate: Fraction | None = None


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """What a decoder must know before the first access unit.

    Attributes:
        codec: One of the audio codecs.
        record: AudioSpecificConfig for AAC, the dOps payload for Opus, empty for MP3.
        sample_rate: Samples per second of the decoded sound (48000 for Opus).
        channels: Number of channels.
        frame_samples: Samples per access unit at `sample_rate` (1024 or 960 for AAC, 960 for 20 ms Opus, 1152 for MP3).
        codecs: RFC 6381 parameter, e.g. `mp4a.40.2`.
    """

    codec: Codec
    record: bytes
    sample_rate: int
    channels: int
    frame_samples: int
    codecs: str


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream of a livestream.

    Attributes:
        id: Positive, unique in the livestream; the same across reconnects (first video 1, first audio 2).
        config: Its codec configuration; a change of configuration is a new Track with the same id.
        timescale: Ticks per second of the access units' times (1000 for RTMP).
        language: RFC 5646 tag, `und` where unknown.
        name: For people, e.g. a rendition's label; empty where unknown.
    """

    id: int
    config: VideoConfig | AudioConfig
    timescale: int = 1000
    language: str = "und"
    name: str = ""

    @property
    def is_video(self) -> bool:
        return isinstance(self.config, VideoConfig)
