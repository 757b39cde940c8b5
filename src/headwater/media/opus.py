"""Opus: the identification header (RFC 7845, 5.1), dOps (Opus in ISOBMFF, 4.3.2) and packet durations (RFC 6716)."""

from __future__ import annotations

import struct

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.track import AudioConfig, Codec

OPUS_RATE = 48_000
_DEFAULT_FRAME_SAMPLES = 960  # 20 ms, what every encoder in the field sends
_MAX_PACKET_SAMPLES = 5760  # 120 ms, RFC 6716, 3.2.5

# Samples at 48 kHz of one frame, by the TOC byte's configuration (RFC 6716, table 2).
_FRAME_SAMPLES = (
    (480, 960, 1920, 2880) * 3  # SILK
    + (480, 960) * 2  # hybrid
    + (120, 240, 480, 960) * 4  # CELT
)


def parse_opus_head(record: bytes) -> AudioConfig:
    """Read an OpusHead as Ogg and enhanced RTMP carry it; the result's record is a dOps payload.

    OpusHead: "OpusHead", version, channels, pre-skip (16), input rate (32), gain (16), mapping family, little-endian,
    and for families other than 0: stream count, coupled count, a mapping byte per channel. dOps has the same fields
    with version 0, big-endian.

    Raises:
        ProtocolError: it is broken.
        UnsupportedCodec: a channel mapping other than mono, stereo or surround.
    """
    if record[:8] != b"OpusHead" or not 19 <= len(record) <= 21 + 255:
        raise ProtocolError("Opus sequence header that is no OpusHead")
    version, channels, pre_skip, rate, gain, family = struct.unpack_from("<BBHIhB", record, 8)
    if version >> 4:
        raise ProtocolError(f"OpusHead version {version}; only 0 and 1 are known")
    if family > 1:
        raise UnsupportedCodec(
            "ERR_UNSUPPORTED_AUDIO_CODEC", f"Opus channel mapping family {family}; supported are 0 and 1"
        )
    mapping = record[19 : 21 + channels] if family else b""
    if not 1 <= channels <= (8 if family else 2) or (family and len(mapping) != 2 + channels):
        raise ProtocolError(f"OpusHead with {channels} channels in mapping family {family}")
    return AudioConfig(
        codec=Codec.OPUS,
        record=struct.pack(">BBHIhB", 0, channels, pre_skip, rate, gain, family) + mapping,
        sample_rate=OPUS_RATE,
        channels=channels,
        frame_samples=_DEFAULT_FRAME_SAMPLES,
        codecs="opus",
    )


def packet_samples(packet: bytes) -> int:
    """Samples at 48 kHz of one packet, read from its TOC byte (RFC 6716, 3.1); 0 where it is broken."""
    if not packet:
        return 0
    toc = packet[0]
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[toc & 3]
    samples = _FRAME_SAMPLES[toc >> 3] * count
    return samples if samples <= _MAX_PACKET_SAMPLES else 0
