"""What a publisher sends: FLV tags, whose bodies are the payloads of RTMP's audio, video and data messages.

libavformat's FLV muxer writes them (sequence headers, Annex B to length prefixes, ADTS to raw frames, enhanced FLV for
HEVC, AV1, VP9 and Opus); `TagSink` is the file that it writes to. No I/O.

    FLV file = "FLV" header(9) PreviousTagSize0(4) { tag header(11) body PreviousTagSize(4) }*
    tag header = type(1) body size(3) timestamp(3) timestamp bits 31..24(1) stream id(3)
    (Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v2)
"""

from __future__ import annotations

from dataclasses import dataclass

AUDIO, VIDEO, SCRIPT = 8, 9, 18
FILE_HEADER_BYTES = 9 + 4
TAG_HEADER_BYTES = 11
PREVIOUS_TAG_SIZE_BYTES = 4

_AAC = 10
_ENHANCED_AUDIO = 9
_ENHANCED_VIDEO = 0x80
_SEQUENCE_START, _METADATA, _MULTICHANNEL_CONFIG = 0, 4, 5


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag.

    Attributes:
        type_id: AUDIO, VIDEO or SCRIPT; the RTMP message type is the same number.
        timestamp_ms: Decode time since the start of the source.
        body: The message's payload.
    """

    type_id: int
    timestamp_ms: int
    body: bytes

    @property
    def setup(self) -> tuple[int, int] | None:
        """What kind of configuration this is (sequence header, metadata), or None for media.

        A new connection is sent the newest tag of each kind first.
        """
        if self.type_id == SCRIPT:
            return SCRIPT, 0
        if len(self.body) < 2:
            return None
        first, second = self.body[0], self.body[1]
        if self.type_id == VIDEO:
            if first & _ENHANCED_VIDEO:
                packet_type = first & 0x0F
                return (VIDEO, packet_type) if packet_type in (_SEQUENCE_START, _METADATA) else None
            return (VIDEO, 0) if first & 0x0F == 7 and second == 0 else None
        if first >> 4 == _ENHANCED_AUDIO:
            packet_type = first & 0x0F
            return (AUDIO, packet_type) if packet_type in (_SEQUENCE_START, _MULTICHANNEL_CONFIG) else None
        return (AUDIO, 0) if first >> 4 == _AAC and second == 0 else None

    @property
    def is_sync(self) -> bool:
        """A video tag at which decoding can start."""
        return self.type_id == VIDEO and self.setup is None and self.body[0] >> 4 & 0x07 == 1


class TagSink:
    """A file-like object that an FLV muxer writes to; `take` gives the tags that are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = FILE_HEADER_BYTES

    def write(self, data: bytes) -> int:
        """Called by the muxer."""
        self._buffer += data
        return len(data)

    def take(self) -> list[Tag]:
        """The tags that have come since the last call, in the muxer's order."""
        tags = []
        position = self._skip
        buffer = self._buffer
        while position + TAG_HEADER_BYTES <= len(buffer):
            size = int.from_bytes(buffer[position + 1 : position + 4], "big")
            end = position + TAG_HEADER_BYTES + size
            if end + PREVIOUS_TAG_SIZE_BYTES > len(buffer):
                break
            low = int.from_bytes(buffer[position + 4 : position + 7], "big")
            timestamp_ms = buffer[position + 7] << 24 | low
            body = bytes(buffer[position + TAG_HEADER_BYTES : end])
            tags.append(Tag(buffer[position] & 0x1F, timestamp_ms, body))
            position = end + PREVIOUS_TAG_SIZE_BYTES
        if tags:
            del buffer[:position]
            self._skip = 0
        return tags
