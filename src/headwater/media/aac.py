"""AAC: the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

from __future__ import annotations

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.bits import BitReader
from headwater.media.track import AudioConfig, Codec

MAX_ASC_BYTES = 64
"""Longest AudioSpecificConfig taken: 2 to 5 bytes as a rule, some 20 with a program config element."""

_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8)  # by channelConfiguration, table 1.19
_AAC_MAIN, _AAC_LC, _AAC_LTP, _SBR, _PS = 1, 2, 4, 5, 29
_SUPPORTED = {_AAC_MAIN: "AAC Main", _AAC_LC: "AAC-LC", _AAC_LTP: "AAC-LTP"}
_SYNC_EXTENSION = 0x2B7
_MIN_RATE, _MAX_RATE = 7_350, 96_000


def parse_asc(record: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig.

    HE-AAC counts with the rate of the decoded sound (twice the core's) and thus 2048 samples an access unit, where
    it is signalled; where it is not (implicit signalling), the core's rate and 1024 last just as long.

    Raises:
        ProtocolError: it is broken.
        UnsupportedCodec: another object type than AAC Main, LC, LTP, or HE-AAC version 1 and 2 on one of them.
    """
    if len(record) > MAX_ASC_BYTES:
        raise ProtocolError(f"AudioSpecificConfig of {len(record)} bytes; at most {MAX_ASC_BYTES} are taken")
    bits = BitReader(record, "AudioSpecificConfig")
    object_type = signalled = _read_object_type(bits)
    core_rate = rate = _read_rate(bits)
    channel_configuration = bits.u(4)
    if object_type in (_SBR, _PS):
        rate = _read_rate(bits)
        object_type = _read_object_type(bits)
    if object_type not in _SUPPORTED:
        raise UnsupportedCodec(
            "ERR_UNSUPPORTED_AUDIO_CODEC",
            f"MPEG-4 audio object type {object_type}; supported are {', '.join(_SUPPORTED.values())} and HE-AAC",
        )
    short_frames = bits.flag()
    channels = _read_channels(bits, channel_configuration)
    if signalled == object_type:
        signalled, rate = _read_sync_extension(bits, object_type, rate)
    if signalled == _PS:
        channels = 2  # parametric stereo: one coded channel, two heard
    frame_samples = 960 if short_frames else 1024
    if rate % core_rate or rate // core_rate not in (1, 2):
        raise ProtocolError(f"HE-AAC from {core_rate} to {rate} samples per second; the rate stays or doubles")
    return AudioConfig(
        codec=Codec.AAC,
        record=record,
        sample_rate=rate,
        channels=channels,
        frame_samples=frame_samples * (rate // core_rate),
        codecs=f"mp4a.40.{signalled}",
    )


def _read_object_type(bits: BitReader) -> int:
    object_type = bits.u(5)
    return object_type if object_type < 31 else 32 + bits.u(6)


def _read_rate(bits: BitReader) -> int:
    index = bits.u(4)
    if index == 15:
        rate = bits.u(24)
    elif index < len(_RATES):
        rate = _RATES[index]
    else:
        raise ProtocolError(f"AudioSpecificConfig with sampling frequency index {index}; 13 and 14 are reserved")
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise ProtocolError(f"AudioSpecificConfig with {rate} samples per second; it is {_MIN_RATE} to {_MAX_RATE}")
    return rate


def _read_channels(bits: BitReader, configuration: int) -> int:
    """The rest of GASpecificConfig (4.4.1), which counts the channels itself where the configuration is 0."""
    if bits.flag():
        bits.u(14)  # coreCoderDelay
    extension = bits.flag()
    channels = _read_program_config(bits) if configuration == 0 else _channels_of(configuration)
    if extension:
        bits.u(1)
    return channels


def _channels_of(configuration: int) -> int:
    channels = _CHANNELS[configuration] if configuration < len(_CHANNELS) else 0
    if not channels:
        raise ProtocolError(f"AudioSpecificConfig with channel configuration {configuration}, which is reserved")
    return channels


def _read_program_config(bits: BitReader) -> int:
    """program_config_element (4.4.1.1): how many channels its elements have."""
    bits.u(10)
    front, side, back, lfe = bits.u(4), bits.u(4), bits.u(4), bits.u(2)
    data, coupling = bits.u(3), bits.u(4)
    for width in (4, 4, 3):  # mono, stereo and matrix mixdown
        if bits.flag():
            bits.u(width)
    channels = lfe
    for _ in range(front + side + back):
        channels += 2 if bits.flag() else 1
        bits.u(4)
    bits.u(4 * lfe + 4 * data + 5 * coupling)
    bits.u(bits.bits_left % 8)
    bits.u(8 * bits.u(8))  # comment
    if not channels:
        raise ProtocolError("AudioSpecificConfig with a program config element of no channels")
    return channels


def _read_sync_extension(bits: BitReader, object_type: int, rate: int) -> tuple[int, int]:
    """HE-AAC signalled so that old decoders do not see it (1.6.5.2): object type and rate of what is heard."""
    if bits.bits_left < 16 or bits.u(11) != _SYNC_EXTENSION or _read_object_type(bits) != _SBR or not bits.flag():
        return object_type, rate
    rate = _read_rate(bits)
    has_ps = bits.bits_left >= 12 and bits.u(11) == 0x548 and bits.flag()
    return (_PS if has_ps else _SBR), rate
