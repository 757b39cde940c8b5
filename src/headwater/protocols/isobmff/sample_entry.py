"""Sample entries: what `stsd` holds for each codec.

avc1 | hvc1 | av01 | vp09        VisualSampleEntry (ISO/IEC 14496-12, 12.1.3)
├── avcC | hvcC | av1C | vpcC    the record, as it came
├── colr (nclx)                  where the bitstream tells its colours
└── pasp                         where samples are not square
mp4a | Opus                      AudioSampleEntry (12.2.3)
└── esds | dOps
"""

from __future__ import annotations

import struct

from headwater.media import av1, h264, hevc, vp9
from headwater.media.track import AudioConfig, Codec, VideoConfig
from headwater.media.video_format import VideoFormat
from headwater.protocols.isobmff.boxes import box, full_box

_DPI_72 = 0x480000
_COLOUR_DEPTH = 24

# Object type indications (ISO/IEC 14496-1, table 5).
_OTI_AAC, _OTI_MP3_MPEG2, _OTI_MP3_MPEG1 = 0x40, 0x69, 0x6B
_AUDIO_STREAM = 0x15  # streamType 5, upStream 0, reserved 1
_ES_DESCRIPTOR, _DECODER_CONFIG, _DECODER_SPECIFIC, _SL_CONFIG = 3, 4, 5, 6
_LOWEST_MPEG1_RATE = 32_000


def sample_entry(config: VideoConfig | AudioConfig) -> bytes:
    """The sample entry box of a configuration."""
    return _visual_entry(config) if isinstance(config, VideoConfig) else _audio_entry(config)


def video_format(config: VideoConfig) -> VideoFormat:
    """The picture as the configuration's bitstream describes it, else as the configuration itself does."""
    described: VideoFormat | None = None
    if config.codec is Codec.H264:
        described = h264.describe(config.record)
    elif config.codec is Codec.HEVC:
        described = hevc.describe(config.record)
    elif config.codec is Codec.AV1:
        described = av1.describe(config.record)
    elif config.codec is Codec.VP9:
        described = vp9.describe(config.record, config.width, config.height)
    return described or VideoFormat(config.width, config.height)


def _visual_entry(config: VideoConfig) -> bytes:
    picture = video_format(config)
    kind, record = {
        Codec.H264: (b"avc1", box(b"avcC", config.record)),
        Codec.HEVC: (b"hvc1", box(b"hvcC", config.record)),
        Codec.AV1: (b"av01", box(b"av1C", config.record)),
        Codec.VP9: (b"vp09", full_box(b"vpcC", 1, 0, config.record)),
    }[config.codec]
    head = struct.pack(
        ">6xH16xHHIIIH32xHh", 1, picture.width, picture.height, _DPI_72, _DPI_72, 0, 1, _COLOUR_DEPTH, -1
    )
    return box(kind, head, record, _colour(picture), _pixel_aspect(picture))


def _colour(picture: VideoFormat) -> bytes:
    colour = picture.colour
    if colour is None:
        return b""
    return box(
        b"colr",
        struct.pack(">4sHHHB", b"nclx", colour.primaries, colour.transfer, colour.matrix, colour.full_range << 7),
    )


def _pixel_aspect(picture: VideoFormat) -> bytes:
    horizontal, vertical = picture.sample_aspect_ratio
    return box(b"pasp", struct.pack(">II", horizontal, vertical)) if horizontal != vertical else b""


def _audio_entry(config: AudioConfig) -> bytes:
    # The rate has 16 bits; where it does not fit, the decoder configuration alone tells (12.2.3.2).
    rate = config.sample_rate if config.sample_rate < 1 << 16 else 0
    head = struct.pack(">6xH8xHHHHI", 1, config.channels, 16, 0, 0, rate << 16)
    if config.codec is Codec.OPUS:
        return box(b"Opus", head, box(b"dOps", config.record))
    return box(b"mp4a", head, full_box(b"esds", 0, 0, _es_descriptor(config)))


def _es_descriptor(config: AudioConfig) -> bytes:
    """ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5) with ES_ID 0, as files have it."""
    if config.codec is Codec.AAC:
        object_type = _OTI_AAC
    else:
        object_type = _OTI_MP3_MPEG1 if config.sample_rate >= _LOWEST_MPEG1_RATE else _OTI_MP3_MPEG2
    specific = _descriptor(_DECODER_SPECIFIC, config.record) if config.record else b""
    decoder = struct.pack(">BB3xII", object_type, _AUDIO_STREAM, 0, 0) + specific
    return _descriptor(
        _ES_DESCRIPTOR,
        struct.pack(">HB", 0, 0) + _descriptor(_DECODER_CONFIG, decoder) + _descriptor(_SL_CONFIG, b"\2"),
    )


def _descriptor(tag: int, body: bytes) -> bytes:
    """A descriptor with its size in four bytes of seven bits (8.3.3), as most writers have it."""
    size = len(body)
    return bytes((tag, 0x80 | size >> 21 & 127, 0x80 | size >> 14 & 127, 0x80 | size >> 7 & 127, size & 127)) + body
