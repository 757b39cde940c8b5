"""MP3: the frame header (ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-3 for the lower rates)."""

from __future__ import annotations

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.track import AudioConfig, Codec

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LAYER_III = 1
_MONO = 3


def parse_mp3_header(frame: bytes) -> AudioConfig:
    """Read a frame's four header bytes; MP3 has no configuration record, so that of the result is empty.

    Raises:
        ProtocolError: there is no frame header.
        UnsupportedCodec: layer I or II.
    """
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        raise ProtocolError("MP3 frame without its sync word")
    version, layer, rate_index = frame[1] >> 3 & 3, frame[1] >> 1 & 3, frame[2] >> 2 & 3
    if version == 1 or rate_index == 3 or layer == 0:
        raise ProtocolError("MP3 frame header with reserved values")
    if layer != _LAYER_III:
        raise UnsupportedCodec(
            "ERR_UNSUPPORTED_AUDIO_CODEC", f"MPEG audio layer {4 - layer}; supported is layer 3 (MP3)"
        )
    return AudioConfig(
        codec=Codec.MP3,
        record=b"",
        sample_rate=_RATES[version][rate_index],
        channels=1 if frame[3] >> 6 == _MONO else 2,
        frame_samples=1152 if version == 3 else 576,
        codecs="mp4a.40.34",
    )
