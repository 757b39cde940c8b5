"""One track as viewers see it: its segments and parts, its playlists, and who waits for what comes next.

Playlists are rendered when somebody asks, at most once a part however many ask: what is prepared is kept until the
next part makes it stale. A part's name counts parts, not (segment, part): the next part's name is known before it is
known which segment it will open or continue, so EXT-X-PRELOAD-HINT is always right.
"""

from __future__ import annotations

import gzip
import math
from collections import deque
from collections.abc import Callable, Iterator
from email.utils import formatdate

from headwater.media.cmaf import InitSegment, Part, SegmentClosed, SegmentOpened
from headwater.pipeline.origin.blocking import Directives, Edge, Verdict, decide
from headwater.pipeline.origin.response import IMMUTABLE, MP4, PLAYLIST, Pending, Response, plain
from headwater.protocols.m3u8 import lines

PARTS_LISTED_TARGETS = 3
"""EXT-X-PART is listed for segments that end within this many target durations (RFC 8216bis, 6.2.2)."""

SKIP_TARGETS = 6
"""CAN-SKIP-UNTIL in target durations (4.4.3.8)."""

GZIP_LEVEL = 5


class Segment:
    """A listed segment: facts and its ready-made lines. Durations in ticks."""

    __slots__ = ("closed", "duration", "independent", "lines_with_parts", "opened", "parts", "without_parts")

    def __init__(self, opened: SegmentOpened) -> None:
        self.opened = opened
        self.parts: list[tuple[int, Part]] = []
        self.closed = False
        self.duration = 0
        self.independent = True
        self.lines_with_parts = ""
        self.without_parts = ""

    @property
    def msn(self) -> int:
        return self.opened.msn

    @property
    def size(self) -> int:
        return sum(part.size for _, part in self.parts)

    @property
    def in_memory(self) -> bool:
        return all(part.data is not None for _, part in self.parts)


class Rendition:
    """A track's live playlists and media.

    Attributes:
        name: `v0`, `a0`, ...: kind and number among its kind; the folder of its URLs.
        inits: Init segments by version.
        segments: What is listed, oldest first; the last one may be open.
        retired: What is no longer listed but can still be had.
    """

    def __init__(self, name: str, init: InitSegment) -> None:
        self.name = name
        self.track = init.track
        self.timescale = init.timescale
        self.inits: dict[int, InitSegment] = {init.version: init}
        self.segments: deque[Segment] = deque()
        self.retired: deque[tuple[float, Segment]] = deque()
        self.ended = False
        self.target_duration_s = 0
        self.part_target_s = 0.0
        self.waiting: list[Pending] = []
        self.hinted: list[Pending] = []
        self.reports: Callable[[], Iterator[str]] = lambda: iter(())
        self._part_count = 0
        self._part_limit = 3
        self._discontinuity_sequence = 0
        self._dependent = 0
        self._lines: dict[bool, str] = {}
        self._prepared: dict[tuple[bool, bool, bool], Response] = {}
        self._header = ""
        self._bits = 0
        self._ticks = 0
        self._peak_bps = 0

    # -- media comes in -----------------------------------------------------------------------------------------

    def ready(self, target_duration_s: int, part_target_s: float, longest_part_target_s: float) -> None:
        """The figures that never change: of all renditions, of this one, and the longest PART-TARGET of them all."""
        self.target_duration_s = target_duration_s
        self.part_target_s = part_target_s
        # The Advance Part Limit (6.2.5.2).
        self._part_limit = 3 if part_target_s >= 1 else math.ceil(3 / part_target_s)
        self._header = lines.low_latency_header(target_duration_s, part_target_s, longest_part_target_s)
        self._stale()

    def init(self, init: InitSegment) -> None:
        self.inits[init.version] = init
        self.track = init.track

    def open_segment(self, opened: SegmentOpened, discontinuity_sequence: int) -> None:
        """The next segment begins; `discontinuity_sequence` is its Discontinuity Sequence Number (6.2.1)."""
        if not self.segments:
            self._discontinuity_sequence = discontinuity_sequence - opened.discontinuity
        previous = self.segments[-1] if self.segments else None
        segment = Segment(opened)
        head = "#EXT-X-DISCONTINUITY\n" if opened.discontinuity else ""
        if previous is None or previous.opened.init_version != opened.init_version:
            head += lines.init_section(f"init{opened.init_version}.mp4")
        head += lines.program_date_time(opened.program_date_time_ms)
        segment.lines_with_parts = segment.without_parts = head
        self.segments.append(segment)

    def add_part(self, part: Part) -> str:
        """Take a part; returns its name."""
        segment = self.segments[-1]
        number, self._part_count = self._part_count, self._part_count + 1
        if not segment.parts:
            segment.independent = part.independent
            self._dependent += not part.independent
        segment.parts.append((number, part))
        name = part_name(number)
        segment.lines_with_parts += lines.part(part.duration / self.timescale, name, independent=part.independent)
        self._stale()
        return name

    def close_segment(self, closed: SegmentClosed) -> None:
        segment = self.segments[-1]
        segment.closed = True
        segment.duration = closed.duration
        ending = lines.segment(closed.duration / self.timescale, f"{closed.msn}.m4s")
        segment.lines_with_parts += ending
        segment.without_parts += ending
        bits = 8 * segment.size
        self._bits += bits
        self._ticks += closed.duration
        # A segment of a blink says nothing of the rate: RFC 8216bis measures segments of half a target or more.
        if closed.duration * 2 >= self.target_duration_s * self.timescale and closed.duration:
            self._peak_bps = max(self._peak_bps, bits * self.timescale // closed.duration)
        self._stale()

    def drop_oldest(self, now: float) -> Segment:
        """Take the oldest segment off the playlist; it can be had for a while."""
        segment = self.segments.popleft()
        if segment.opened.discontinuity:
            self._discontinuity_sequence += 1
        self._dependent -= not segment.independent
        self.retired.append((now, segment))
        self._stale()
        return segment

    def end(self) -> None:
        """No part will come any more: ENDLIST."""
        self.ended = True
        if self.segments and not self.segments[-1].closed:
            self.segments.pop()
        self._stale()

    def _stale(self) -> None:
        if self._prepared:
            self._prepared = {}
        if self._lines:
            self._lines = {}

    # -- facts --------------------------------------------------------------------------------------------------

    @property
    def edge(self) -> Edge:
        """How far the playlist reaches; an open segment counts from its first part on."""
        if not self.segments:
            return Edge(-1, 0, closed=False, last_closed_parts=0)
        newest = self.segments[-1]
        before = len(self.segments[-2].parts) if len(self.segments) > 1 else 0
        return Edge(newest.msn, len(newest.parts), newest.closed, before, self._part_limit)

    @property
    def next_part(self) -> str:
        return part_name(self._part_count)

    @property
    def report(self) -> str:
        """This rendition in another's playlist."""
        newest = self.segments[-1]
        if not newest.parts and len(self.segments) > 1:
            newest = self.segments[-2]
        return lines.rendition_report(f"../{self.name}/live.m3u8", newest.msn, max(0, len(newest.parts) - 1))

    @property
    def peak_bps(self) -> int:
        """Peak segment bit rate so far (RFC 8216bis, 4.4.6.2), with a tenth to spare for what is still to come."""
        return self._peak_bps * 11 // 10 or self.average_bps

    @property
    def average_bps(self) -> int:
        return self._bits * self.timescale // self._ticks if self._ticks else 0

    @property
    def listed_s(self) -> float:
        return sum(segment.duration for segment in self.segments) / self.timescale

    # -- playlists ----------------------------------------------------------------------------------------------

    def playlist(self, directives: Directives, *, compressed: bool) -> Response:
        """The playlist as it is now."""
        blocking = directives.msn >= 0 and not self.ended
        key = (directives.skip and not self.ended, compressed, blocking)
        response = self._prepared.get(key)
        if response is None:
            response = self._prepared[key] = self._prepare(*key)
        return response

    def _prepare(self, skip: bool, compressed: bool, blocking: bool) -> Response:
        body = self._render(skip).encode()
        # Blocking responses name what they hold, so they can be kept long; others go stale within a part or two.
        age = SKIP_TARGETS * self.target_duration_s if blocking else max(1, self.target_duration_s // 2)
        edge = self.edge
        headers = [
            ("content-type", PLAYLIST),
            ("cache-control", f"public, max-age={age}"),
            ("date", formatdate(usegmt=True)),
            ("vary", "accept-encoding"),
            ("etag", f'"{edge.msn}.{edge.parts}.{int(edge.closed)}{int(skip)}{int(compressed)}{int(self.ended)}"'),
        ]
        if compressed:
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers.append(("content-encoding", "gzip"))
        return Response(200, headers, (body,))

    def _render(self, skip: bool) -> str:
        rendered = self._lines.get(skip)
        if rendered is None:
            rendered = self._lines[skip] = "".join(self._parts_of_playlist(skip))
        return rendered

    def _parts_of_playlist(self, skip: bool) -> Iterator[str]:
        segments = list(self.segments)
        yield lines.plain_header(self.target_duration_s, None) if self.ended else self._header
        yield lines.sequence(segments[0].msn if segments else 0, self._discontinuity_sequence)
        if self._dependent == 0:
            yield "#EXT-X-INDEPENDENT-SEGMENTS\n"
        first = self._skippable(segments) if skip else 0
        if first > 0:
            yield lines.skip(first)
        yield from self._segment_lines(segments, first, needs_map=first == 0)
        if self.ended:
            yield "#EXT-X-ENDLIST\n"
            return
        yield lines.preload_hint(self.next_part)
        yield from self.reports()

    def _segment_lines(self, segments: list[Segment], first: int, *, needs_map: bool) -> Iterator[str]:
        parts_from = self._parts_from(segments)
        for index in range(first, len(segments)):
            segment = segments[index]
            if not segment.parts:
                continue  # opened, and nothing in it yet: it has no line to stand for it
            text = segment.without_parts if self.ended or index < parts_from else segment.lines_with_parts
            if needs_map and "#EXT-X-MAP" not in text:
                text = _insert_map(text, segment.opened.init_version)
            needs_map = False
            yield text

    def _parts_from(self, segments: list[Segment]) -> int:
        """Index of the oldest segment whose parts are listed."""
        limit, total, index = PARTS_LISTED_TARGETS * self.target_duration_s * self.timescale, 0, len(segments)
        while index > 0:
            total += segments[index - 1].duration if segments[index - 1].closed else _so_far(segments[index - 1])
            index -= 1
            if total >= limit:
                break
        return index

    def _skippable(self, segments: list[Segment]) -> int:
        """How many of the oldest segments a delta update leaves out (RFC 8216bis, 6.2.5.1)."""
        limit, total, index = SKIP_TARGETS * self.target_duration_s * self.timescale, 0, len(segments)
        while index > 0 and total < limit:
            index -= 1
            total += segments[index].duration if segments[index].closed else _so_far(segments[index])
        return index

    # -- waiting ------------------------------------------------------------------------------------------------

    def wake(self, hinted: Response | None = None) -> None:
        """Answer who waited for what has just come. Hot: thousands of viewers wait for the same part."""
        if hinted is not None and self.hinted:
            for pending in self.hinted:
                pending.resolve(hinted)
            self.hinted = []
        if not self.waiting:
            return
        edge, waiting = self.edge, self.waiting
        self.waiting = still = []
        for pending in waiting:
            if pending.gone:
                continue
            if not self.ended and decide(edge, pending.msn, pending.part) is Verdict.WAIT:
                still.append(pending)
            else:
                pending.resolve(pending.make())

    def expire(self, now: float) -> None:
        """Answer 503 who has waited for three target durations (6.2.5.2), and forget who is gone."""
        for pendings in (self.waiting, self.hinted):
            for pending in pendings:
                if now >= pending.deadline:
                    pending.resolve(plain(503, "Nothing new came in time.", ("retry-after", "1")))
        self.waiting = [pending for pending in self.waiting if not pending.gone]
        self.hinted = [pending for pending in self.hinted if not pending.gone]


def _so_far(segment: Segment) -> int:
    return sum(part.duration for _, part in segment.parts)


def _insert_map(text: str, init_version: int) -> str:
    """EXT-X-MAP before the first segment that is listed, behind its EXT-X-DISCONTINUITY."""
    tag = "#EXT-X-DISCONTINUITY\n"
    head = tag if text.startswith(tag) else ""
    return head + lines.init_section(f"init{init_version}.mp4") + text[len(head) :]


def part_name(number: int) -> str:
    return f"p{number}.m4s"


def media_response(data: tuple[bytes, ...], etag: str) -> Response:
    """An immutable piece of media."""
    headers = [
        ("content-type", MP4),
        ("cache-control", IMMUTABLE),
        ("date", formatdate(usegmt=True)),
        ("etag", f'"{etag}"'),
        ("accept-ranges", "bytes"),
    ]
    return Response(200, headers, data)
