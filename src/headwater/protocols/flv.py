"""FLV audio and video tag bodies, as RTMP messages carry them: read to packets, and built from them.

    video:  FrameType|CodecID (legacy), or 1|FrameType|PacketType, FourCC (enhanced)
    audio:  SoundFormat|Rate|Size|Type (legacy), or 9|PacketType, FourCC (enhanced)

In: the payload of one message. Out: packets, mostly one; several for a multitrack message. Codec configuration records
    and access units are not looked into here. Deliberately absent: what no current encoder sends (screen video, VP6,
    Speex, ...), which is an UnsupportedCodec with its name.

Sources: Video File Format Specification 10, annex E (Adobe); Enhanced RTMP v1 and v2 (Veovera).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.track import Codec

MAX_MULTITRACK = 16
"""Tracks in one multitrack message; encoders of today send up to 6 video tracks."""


class PacketKind(IntEnum):
    """What a packet's body is."""

    CONFIGURATION = 0
    """A decoder configuration record (sequence header); never an access unit."""
    CODED = 1
    """One access unit."""
    END = 2
    """The sequence ends; no body that matters."""


class Packet(NamedTuple):
    """One track's part of a message.

    Attributes:
        kind: What the body is.
        codec: Of the track.
        track: Track number of enhanced RTMP's multitrack; 0 in every other message.
        sync: Decoding can start here; True for audio.
        composition_offset: Milliseconds, signed.
        body: Configuration record, access unit, or nothing.
    """

    kind: PacketKind
    codec: Codec
    track: int
    sync: bool
    composition_offset: int
    body: bytes


NO_PACKETS: Final[tuple[Packet, ...]] = ()

_VIDEO_FOURCC: Final = {b"avc1": Codec.H264, b"hvc1": Codec.HEVC, b"av01": Codec.AV1, b"vp09": Codec.VP9}
_AUDIO_FOURCC: Final = {b"mp4a": Codec.AAC, b"Opus": Codec.OPUS, b".mp3": Codec.MP3}
# 12 is not in the specification: encoders and servers in China agreed on it for HEVC before enhanced RTMP.
_LEGACY_VIDEO: Final = {7: Codec.H264, 12: Codec.HEVC}
_LEGACY_VIDEO_NAMES: Final = {1: "JPEG", 2: "Sorenson H.263", 3: "Screen video", 4: "On2 VP6", 5: "On2 VP6 with alpha"}
_LEGACY_AUDIO_NAMES: Final = {
    0: "PCM",
    1: "ADPCM",
    3: "PCM",
    4: "Nellymoser",
    5: "Nellymoser",
    6: "Nellymoser",
    7: "G.711 A-law",
    8: "G.711 mu-law",
    11: "Speex",
    14: "MP3 8 kHz",
    15: "device-specific sound",
}

_TEMPORAL_DELIMITER: Final = b"\x12\0"
"""An OBU that some encoders leave in; ISO BMFF has none (AV1-ISOBMFF, 2.4)."""

_KEY_FRAME: Final = 1
_COMMAND_FRAME: Final = 5
_KINDS: Final = (PacketKind.CONFIGURATION, PacketKind.CODED, PacketKind.END)

_SEQUENCE_START, _CODED, _SEQUENCE_END, _CODED_X, _METADATA = 0, 1, 2, 3, 4
_MPEG2TS_SEQUENCE_START = 5
_VIDEO_MULTITRACK, _AUDIO_MULTITRACK = 6, 5
_MODEX = 7
_ONE_TRACK, _MANY_TRACKS, _MANY_TRACKS_MANY_CODECS = 0, 1, 2


def parse_video(payload: bytes) -> Sequence[Packet]:
    """Read the payload of a video message.

    Returns:
        Packets; none for an empty message, a command frame, or metadata (HDR colour information).

    Raises:
        ProtocolError: it is cut short or malformed.
        UnsupportedCodec: the codec is named, and not ours.
    """
    if len(payload) < 2:
        return NO_PACKETS
    head = payload[0]
    if head & 0x80:
        return _parse_enhanced_video(payload)
    if head >> 4 == _COMMAND_FRAME:
        return NO_PACKETS
    codec = _LEGACY_VIDEO.get(head & 15)
    if codec is None:
        raise _unsupported_video(_LEGACY_VIDEO_NAMES.get(head & 15, f"FLV video codec {head & 15}"))
    packet_type = payload[1]
    if len(payload) < 5 or packet_type > 2:
        raise ProtocolError(f"video message of {len(payload)} bytes and packet type {packet_type}")
    offset = (payload[2] << 16 | payload[3] << 8 | payload[4]) if packet_type == 1 else 0
    if offset & 0x800000:
        offset -= 0x1000000
    return (Packet(_KINDS[packet_type], codec, 0, head >> 4 == _KEY_FRAME, offset, payload[5:]),)


def parse_audio(payload: bytes) -> Sequence[Packet]:
    """Read the payload of an audio message; as `parse_video`. MP3 has no configuration record: only CODED comes."""
    if len(payload) < 2:
        return NO_PACKETS
    sound_format = payload[0] >> 4
    if sound_format == 10:
        if payload[1] > 1:
            raise ProtocolError(f"AAC packet type {payload[1]}")
        return (Packet(_KINDS[payload[1]], Codec.AAC, 0, True, 0, payload[2:]),)
    if sound_format == 9:
        return _parse_enhanced_audio(payload)
    if sound_format == 2:
        return (Packet(PacketKind.CODED, Codec.MP3, 0, True, 0, payload[1:]),)
    raise _unsupported_audio(_LEGACY_AUDIO_NAMES.get(sound_format, f"FLV sound format {sound_format}"))


def _parse_enhanced_video(payload: bytes) -> Sequence[Packet]:
    """ExVideoTagHeader (enhanced RTMP v2)."""
    frame_type = payload[0] >> 4 & 7
    packet_type, position = _skip_modex(payload, payload[0] & 15)
    if packet_type == _METADATA:
        return NO_PACKETS
    # A command frame has one byte of command and no more, but for metadata, which was dealt with.
    if frame_type == _COMMAND_FRAME:
        return NO_PACKETS
    if packet_type == _VIDEO_MULTITRACK:
        tracks = _split_multitrack(payload, position)
    else:
        tracks = [(0, packet_type, payload[position : position + 4], payload[position + 4 :])]
    packets = []
    for track, kind, fourcc, body in tracks:
        codec = _VIDEO_FOURCC.get(fourcc)
        if codec is None:
            raise _unsupported_video(_printable(fourcc))
        packet = _enhanced_video_packet(track, kind, codec, frame_type == _KEY_FRAME, body)
        if packet is not None:
            packets.append(packet)
    return packets


def _enhanced_video_packet(track: int, packet_type: int, codec: Codec, sync: bool, body: bytes) -> Packet | None:
    if packet_type in (_CODED, _CODED_X) and codec is Codec.AV1 and body.startswith(_TEMPORAL_DELIMITER):
        body = body[2:]
    if packet_type == _CODED:
        if codec is not Codec.H264 and codec is not Codec.HEVC:
            return Packet(PacketKind.CODED, codec, track, sync, 0, body)
        if len(body) < 3:
            raise ProtocolError("coded frames without their composition time")
        offset = int.from_bytes(body[:3], "big", signed=True)
        return Packet(PacketKind.CODED, codec, track, sync, offset, body[3:])
    if packet_type == _CODED_X:
        return Packet(PacketKind.CODED, codec, track, sync, 0, body)
    if packet_type == _SEQUENCE_START:
        return Packet(PacketKind.CONFIGURATION, codec, track, sync, 0, body)
    if packet_type == _SEQUENCE_END:
        return Packet(PacketKind.END, codec, track, sync, 0, b"")
    if packet_type == _MPEG2TS_SEQUENCE_START:
        raise _unsupported_video(f"{codec.value} with an MPEG-2 TS sequence start")
    if packet_type == _METADATA:
        return None
    raise ProtocolError(f"enhanced video packet type {packet_type}")


def _parse_enhanced_audio(payload: bytes) -> Sequence[Packet]:
    """ExAudioTagHeader (enhanced RTMP v2)."""
    packet_type, position = _skip_modex(payload, payload[0] & 15)
    if packet_type == _AUDIO_MULTITRACK:
        tracks = _split_multitrack(payload, position)
    else:
        tracks = [(0, packet_type, payload[position : position + 4], payload[position + 4 :])]
    packets = []
    for track, kind, fourcc, body in tracks:
        codec = _AUDIO_FOURCC.get(fourcc)
        if codec is None:
            raise _unsupported_audio(_printable(fourcc))
        if kind > _METADATA:
            raise ProtocolError(f"enhanced audio packet type {kind}")
        if kind <= _SEQUENCE_END:  # 4 is MultichannelConfig: the codec's own configuration says it too
            packets.append(Packet(_KINDS[kind], codec, track, True, 0, body))
    return packets


def _skip_modex(payload: bytes, packet_type: int) -> tuple[int, int]:
    """Step over ModEx packets: their nanosecond offsets are finer than the milliseconds that we keep.

    Returns:
        The packet type behind them, and the position that follows.
    """
    position = 1
    while packet_type == _MODEX:
        if position + 3 > len(payload):
            raise ProtocolError("ModEx cut short")
        size = payload[position] + 1
        position += 1
        if size == 256:
            size = int.from_bytes(payload[position : position + 2], "big") + 1
            position += 2
        position += size
        if position >= len(payload):
            raise ProtocolError("ModEx cut short")
        packet_type = payload[position] & 15
        position += 1
    return packet_type, position


def _split_multitrack(payload: bytes, position: int) -> list[tuple[int, int, bytes, bytes]]:
    """Track number, packet type, FourCC and body of each track of a multitrack message."""
    if position >= len(payload):
        raise ProtocolError("multitrack message cut short")
    multitrack_type, packet_type = payload[position] >> 4, payload[position] & 15
    position += 1
    if multitrack_type > _MANY_TRACKS_MANY_CODECS:
        raise ProtocolError(f"multitrack type {multitrack_type}")
    fourcc = b""
    if multitrack_type != _MANY_TRACKS_MANY_CODECS:
        fourcc, position = _take(payload, position, 4)
    tracks: list[tuple[int, int, bytes, bytes]] = []
    while position < len(payload):
        if len(tracks) == MAX_MULTITRACK:
            raise ProtocolError(f"more than {MAX_MULTITRACK} tracks in one message")
        if multitrack_type == _MANY_TRACKS_MANY_CODECS:
            fourcc, position = _take(payload, position, 4)
        number, position = _take(payload, position, 1)
        size = len(payload) - position
        if multitrack_type != _ONE_TRACK:
            field, position = _take(payload, position, 3)
            size = int.from_bytes(field, "big")
        body, position = _take(payload, position, size)
        tracks.append((number[0], packet_type, fourcc, body))
    return tracks


def _take(payload: bytes, position: int, size: int) -> tuple[bytes, int]:
    end = position + size
    if end > len(payload):
        raise ProtocolError("multitrack message cut short")
    return payload[position:end], end


def _printable(fourcc: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in fourcc) or "an unnamed codec"


def _unsupported_video(name: str) -> UnsupportedCodec:
    return UnsupportedCodec(
        "ERR_UNSUPPORTED_VIDEO_CODEC", f"video in {name} cannot be taken; send H.264, HEVC, AV1 or VP9"
    )


def _unsupported_audio(name: str) -> UnsupportedCodec:
    return UnsupportedCodec("ERR_UNSUPPORTED_AUDIO_CODEC", f"audio in {name} cannot be taken; send AAC, Opus or MP3")


_FOURCC_OF: Final = {codec: fourcc for fourcc, codec in (*_VIDEO_FOURCC.items(), *_AUDIO_FOURCC.items())}


def build_video(
    kind: PacketKind, codec: Codec, body: bytes, *, sync: bool = True, composition_offset: int = 0
) -> bytes:
    """The payload of a video message: the legacy form for H.264, the enhanced one for HEVC, AV1 and VP9.

    Args:
        composition_offset: Milliseconds, -8388608 to 8388607; 0 for AV1 and VP9, which have none.
    """
    frame_type = 1 if sync else 2
    time = (composition_offset & 0xFFFFFF).to_bytes(3, "big")
    if codec is Codec.H264:
        return bytes((frame_type << 4 | 7, kind)) + time + body
    head = 0x80 | frame_type << 4
    fourcc = _FOURCC_OF[codec]
    if kind is not PacketKind.CODED:
        return bytes((head | kind,)) + fourcc + body
    if codec is not Codec.HEVC:
        return bytes((head | _CODED,)) + fourcc + body
    if composition_offset == 0:
        return bytes((head | _CODED_X,)) + fourcc + body
    return bytes((head | _CODED,)) + fourcc + time + body


def build_audio(kind: PacketKind, codec: Codec, body: bytes) -> bytes:
    """The payload of an audio message: the legacy form for AAC and MP3, the enhanced one for Opus."""
    if codec is Codec.AAC:
        return bytes((0xAF, kind)) + body  # 44 kHz, 16 bits, stereo: fixed for AAC (E.4.2.1)
    if codec is Codec.MP3:
        return b"\x2f" + body
    return bytes((0x90 | kind,)) + _FOURCC_OF[codec] + body
