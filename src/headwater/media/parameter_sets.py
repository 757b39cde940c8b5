"""A video track's parameter sets as they stand in front of a key frame.

H.264 and HEVC keep them in the sample entry. Where a configuration changes in the middle of a recording, FFmpeg (and
every player built on it) stays with the first sample entry; parameter sets within the stream take it over the change.
"""

from __future__ import annotations

from collections.abc import Iterator

from headwater.errors import ProtocolError
from headwater.media.track import AudioConfig, Codec, VideoConfig

_AVCC_FIRST_SPS_COUNT = 5
_HVCC_ARRAY_COUNT = 22


def parameter_sets(config: VideoConfig | AudioConfig) -> bytes:
    """The parameter sets of a configuration record, each behind its length in four bytes; empty for other codecs.

    Raises:
        ProtocolError: the record is broken.
    """
    if config.codec is Codec.H264:
        nals = _avcc(config.record)
    elif config.codec is Codec.HEVC:
        nals = _hvcc(config.record)
    else:
        return b""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def _avcc(record: bytes) -> Iterator[bytes]:
    """SPS, then PPS (ISO/IEC 14496-15, 5.3.3.1.2)."""
    at = _AVCC_FIRST_SPS_COUNT
    for mask in (31, 255):
        count = _number(record, at, 1) & mask
        at += 1
        for _ in range(count):
            yield (nal := _nal(record, at))
            at += 2 + len(nal)


def _hvcc(record: bytes) -> Iterator[bytes]:
    """Whatever arrays it has: VPS, SPS, PPS, SEI (ISO/IEC 14496-15, 8.3.2.1.2)."""
    at = _HVCC_ARRAY_COUNT + 1
    for _ in range(_number(record, _HVCC_ARRAY_COUNT, 1)):
        count = _number(record, at + 1, 2)
        at += 3
        for _ in range(count):
            yield (nal := _nal(record, at))
            at += 2 + len(nal)


def _nal(record: bytes, at: int) -> bytes:
    size = _number(record, at, 2)
    if at + 2 + size > len(record):
        raise ProtocolError("a decoder configuration record ends within a parameter set")
    return record[at + 2 : at + 2 + size]


def _number(record: bytes, at: int, size: int) -> int:
    if at + size > len(record):
        raise ProtocolError("a decoder configuration record ends too early")
    return int.from_bytes(record[at : at + size], "big")
