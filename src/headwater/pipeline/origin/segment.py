"""A listed segment: facts and its ready-made lines."""

from __future__ import annotations

from headwater.media.cmaf import Part, SegmentOpened
from headwater.protocols.m3u8 import lines


class Segment:
    """One segment of one rendition.

    Attributes:
        parts: Its parts with their numbers in the rendition.
        closed: It is complete.
        duration: Ticks; while it is open, of the parts that are there.
        size: Bytes.
        independent: Its first part starts with a sync sample.
        on_disk: Its bytes have left memory.
        lines_with_parts, without_parts: What playlists say of it, with EXT-X-PART and without.
    """

    __slots__ = (
        *("closed", "duration", "independent", "lines_with_parts", "on_disk", "opened", "parts", "size"),
        "without_parts",
    )

    def __init__(self, opened: SegmentOpened, head: str) -> None:
        self.opened = opened
        self.parts: list[tuple[int, Part]] = []
        self.closed = False
        self.duration = 0
        self.size = 0
        self.independent = True
        self.on_disk = False
        self.lines_with_parts = self.without_parts = head

    @property
    def msn(self) -> int:
        return self.opened.msn

    @property
    def listed(self) -> bool:
        """A playlist has a line for it: from its first part on, or as a gap."""
        return self.closed or bool(self.parts)

    @property
    def in_memory(self) -> bool:
        return all(part.data is not None for _, part in self.parts)

    @property
    def recorded(self) -> bool:
        """All of it is in the recording file, or on its way there."""
        return all(part.offset is not None for _, part in self.parts)

    @property
    def extents(self) -> list[tuple[int, int]]:
        """Where its parts stand in the recording file."""
        return [(part.offset, part.size) for _, part in self.parts if part.offset is not None]

    @property
    def chunks(self) -> tuple[bytes, ...]:
        """Its parts' bytes, as far as they are in memory."""
        return tuple(part.data for _, part in self.parts if part.data is not None)

    def add(self, number: int, part: Part, line: str) -> None:
        if not self.parts:
            self.independent = part.independent
        self.parts.append((number, part))
        self.duration += part.duration
        self.size += part.size
        self.lines_with_parts += line

    def close(self, duration: int, timescale: int) -> None:
        self.closed = True
        self.duration = duration
        ending = lines.segment(duration / timescale, f"{self.msn}.m4s", gap=not self.parts)
        self.lines_with_parts += ending
        self.without_parts += ending


def insert_map(text: str, init_version: int) -> str:
    """EXT-X-MAP before the first segment that is listed, behind its EXT-X-DISCONTINUITY."""
    tag = "#EXT-X-DISCONTINUITY\n"
    head = tag if text.startswith(tag) else ""
    return head + lines.init_section(f"init{init_version}.mp4") + text[len(head) :]
