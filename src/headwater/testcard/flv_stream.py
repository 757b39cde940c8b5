"""FLV as FFmpeg's muxer writes it, cut into tags: each tag's body is the payload of an RTMP message (FLV 10.1, E.4).

FFmpeg knows how every codec goes into FLV, enhanced codes included, so what is generated and what is remuxed take the
same way out.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADER_SIZE = 9 + 4
TAG_HEADER_SIZE = 11
AUDIO, VIDEO, SCRIPT = 8, 9, 18


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag.

    Attributes:
        kind: AUDIO, VIDEO or SCRIPT.
        time_ms: Its timestamp, 32 bits.
    """

    kind: int
    time_ms: int
    body: bytes


class TagSink:
    """A file to write to for FFmpeg's FLV muxer; what it wrote comes out as tags."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._skip = HEADER_SIZE

    def write(self, data: bytes) -> int:
        """Called by the muxer."""
        self._data += data
        return len(data)

    def tags(self) -> list[Tag]:
        """What is complete since the last call."""
        data, at, found = self._data, 0, []
        if self._skip:
            if len(data) < self._skip:
                return []
            at, self._skip = self._skip, 0
        while len(data) - at >= TAG_HEADER_SIZE:
            size = int.from_bytes(data[at + 1 : at + 4], "big")
            end = at + TAG_HEADER_SIZE + size + 4
            if end > len(data):
                break
            time_ms = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
            found.append(Tag(data[at] & 0x1F, time_ms, bytes(data[at + TAG_HEADER_SIZE : end - 4])))
            at = end
        del data[:at]
        return found
