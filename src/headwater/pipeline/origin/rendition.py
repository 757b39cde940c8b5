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

from headwater.media.cmaf import InitSegment, Part, SegmentClosed, SegmentOpened
from headwater.pipeline.origin.blocking import Edge, Verdict, decide
from headwater.pipeline.origin.paths import part_name
from headwater.pipeline.origin.personal import PLACE, Template
from headwater.pipeline.origin.response import BUSY, EXPIRED, PLAYLIST, Pending, Response
from headwater.pipeline.origin.segment import Segment, insert_map
from headwater.protocols.m3u8 import lines

PARTS_LISTED_TARGETS = 3
"""EXT-X-PART is listed for segments that end within this many target durations (RFC 8216bis, 6.2.2)."""

SKIP_TARGETS = 6
"""CAN-SKIP-UNTIL in target durations (4.4.3.8)."""

GZIP_LEVEL = 5


def no_reports(query: str) -> Iterator[str]:
    """Of a rendition that stands alone."""
    return iter(())


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
        self.reports: Callable[[str], Iterator[str]] = no_reports
        self._part_count = 0
        self._part_limit = 3
        self._discontinuity_sequence = 0
        self._dependent = 0
        self._longest_part = 0
        self._version = 0
        self._prepared: dict[tuple[bool, bool, bool], Response] = {}
        self._templates: dict[tuple[bool, bool, bool], Template | Response] = {}
        self._edge: Edge | None = None
        self._asked, self._verdict = (-2, -2), Verdict.REJECT
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
        head = "#EXT-X-DISCONTINUITY\n" if opened.discontinuity else ""
        if previous is None or previous.opened.init_version != opened.init_version:
            head += lines.init_section(f"init{opened.init_version}.mp4")
        head += lines.program_date_time(opened.program_date_time_ms)
        self.segments.append(Segment(opened, head))
        self._stale()

    def add_part(self, part: Part) -> str:
        """Take a part; returns its name."""
        segment = self.segments[-1]
        number, self._part_count = self._part_count, self._part_count + 1
        self._dependent += not segment.parts and not part.independent
        self._longest_part = max(self._longest_part, part.duration)
        name = part_name(number)
        line = lines.part(part.duration / self.timescale, name, independent=part.independent)
        segment.add(number, part, line)
        self._stale()
        return name

    def close_segment(self, closed: SegmentClosed) -> None:
        """The newest segment is complete; one without a part is a gap."""
        segment = self.segments[-1]
        segment.close(closed.duration, self.timescale)
        self._stale()
        if not segment.parts:
            return
        bits = 8 * segment.size
        self._bits += bits
        self._ticks += closed.duration
        # A segment of a blink says nothing of the rate: RFC 8216bis measures segments of half a target or more.
        if closed.duration * 2 >= self.target_duration_s * self.timescale and closed.duration:
            self._peak_bps = max(self._peak_bps, bits * self.timescale // closed.duration)

    def received_ms(self, *, msn: int = -1, part: int = -1) -> int | None:
        """Wall time at which a listed segment or part begins, or the part that comes next; None: not listed."""
        for segment in reversed(self.segments):
            start_ms = segment.opened.program_date_time_ms
            if segment.msn == msn:
                return start_ms
            if segment.parts and segment.parts[0][0] <= part:
                before = sum(entry.duration for number, entry in segment.parts if number < part)
                return start_ms + before * 1000 // self.timescale if part <= segment.parts[-1][0] + 1 else None
        return None

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
            segment = self.segments.pop()
            self._dependent -= not segment.independent
        self._stale()

    def _stale(self) -> None:
        self._version += 1
        self._edge = None
        self._asked = (-2, -2)
        if self._prepared:
            self._prepared = {}
        if self._templates:
            self._templates = {}

    # -- facts --------------------------------------------------------------------------------------------------

    @property
    def edge(self) -> Edge:
        """How far the playlist reaches; an open segment counts from its first part on."""
        edge = self._edge
        if edge is None:
            edge = self._edge = self._find_edge()
        return edge

    def decide(self, msn: int, part: int) -> Verdict:
        """Whether the playlist answers a request for a part; nearly all viewers ask for the same one. Hot."""
        asked = (msn, part)
        if asked != self._asked:
            self._asked, self._verdict = asked, decide(self.edge, msn, part)
        return self._verdict

    def _find_edge(self) -> Edge:
        if not self.segments:
            return Edge(-1, 0, closed=False, last_closed_parts=0)
        newest = self.segments[-1]
        before = len(self.segments[-2].parts) if len(self.segments) > 1 else 0
        return Edge(newest.msn, len(newest.parts), newest.closed, before, self._part_limit)

    @property
    def playable(self) -> bool:
        """A playlist can be shown."""
        return bool(self.segments) and self.part_target_s > 0

    @property
    def longest_part_s(self) -> float:
        return self._longest_part / self.timescale

    @property
    def next_part(self) -> str:
        return part_name(self._part_count)

    def report(self, query: str) -> str:
        """This rendition in another's playlist: its newest part, or newest segment where that is a gap.

        Args:
            query: Of its playlist's URL, with the question mark.
        """
        newest = self.segments[-1]
        if not newest.listed and len(self.segments) > 1:
            newest = self.segments[-2]
        return lines.rendition_report(f"../{self.name}/live.m3u8{query}", newest.msn, max(0, len(newest.parts) - 1))

    @property
    def peak_bps(self) -> int:
        """Peak segment bit rate so far (RFC 8216bis, 4.4.6.2), with a tenth to spare for what is still to come."""
        return self._peak_bps * 11 // 10 or self.average_bps

    @property
    def average_bps(self) -> int:
        return self._bits * self.timescale // self._ticks if self._ticks else 0

    @property
    def listed_s(self) -> float:
        return sum(segment.duration for segment in self.segments if segment.closed) / self.timescale

    # -- playlists ----------------------------------------------------------------------------------------------

    def playlist(self, *, skip: bool, blocking: bool, compressed: bool, view: bytes = b"") -> Response:
        """The playlist as it is now: a delta update, cacheable as the answer to a blocking reload, in gzip, with a
        viewing session's name (`personal.is_view`) in the URLs of other playlists. Hot."""
        return self._made((skip, blocking, compressed), view)

    def _made(self, form: tuple[bool, bool, bool], view: bytes) -> Response:
        """The playlist in one form (skip, blocking, compressed), prepared when somebody asks. Hot."""
        if view:
            template = self._templates.get(form)
            if template is None:
                template = self._templates[form] = self._template(*form)
            return template.of(view)
        response = self._prepared.get(form)
        if response is None:
            response = self._prepared[form] = self._prepare(*form)
        return response

    def _prepare(self, skip: bool, blocking: bool, compressed: bool) -> Response:
        if self.ended and (skip or blocking):
            return self.playlist(skip=False, blocking=False, compressed=compressed)  # directives are ignored (6.2.5)
        if compressed:
            plain = self.playlist(skip=skip, blocking=blocking, compressed=False)
            body = gzip.compress(plain.body, GZIP_LEVEL, mtime=0)
        else:
            body = "".join((*self._lines(skip), *self._reports(""))).encode()
        return Response(200, self._headers(blocking, compressed), (body,), etag=self._etag(skip, compressed))

    def _template(self, skip: bool, blocking: bool, compressed: bool) -> Template | Response:
        """The playlist for viewers with names; nothing is theirs where there is no other rendition to report."""
        reports = "".join(self._reports("?s=" + PLACE.decode())).encode()
        if not reports:
            return self.playlist(skip=skip, blocking=blocking, compressed=compressed)
        shared = "".join(self._lines(skip)).encode()
        headers, etag = self._headers(blocking, compressed), self._etag(skip, compressed)
        return Template(headers, shared, reports, etag, gzip_level=GZIP_LEVEL if compressed else None)

    def _headers(self, blocking: bool, compressed: bool) -> list[tuple[str, str]]:
        # A blocking response holds at least what was asked for and can be kept long; others go stale within a part.
        age = SKIP_TARGETS * self.target_duration_s if blocking else self.target_duration_s // 2
        headers = [
            ("content-type", PLAYLIST),
            ("cache-control", f"public, max-age={age}"),
            ("vary", "accept-encoding"),
        ]
        if compressed:
            headers.append(("content-encoding", "gzip"))
        return headers

    def _etag(self, skip: bool, compressed: bool) -> str:
        return f'"{self._version}{"s" if skip else "f"}{"z" if compressed else "p"}"'

    def _reports(self, query: str) -> Iterator[str]:
        return iter(()) if self.ended else self.reports(query)

    def _lines(self, skip: bool) -> Iterator[str]:
        segments = list(self.segments)
        yield lines.plain_header(self.target_duration_s, None) if self.ended else self._header
        yield lines.sequence(segments[0].msn if segments else 0, self._discontinuity_sequence)
        if self._dependent == 0:
            yield "#EXT-X-INDEPENDENT-SEGMENTS\n"
        first = self._beyond(segments, SKIP_TARGETS) if skip else 0
        if first > 0:
            yield lines.skip(first)
        yield from self._segment_lines(segments, first, needs_map=first == 0)
        if self.ended:
            yield "#EXT-X-ENDLIST\n"
            return
        yield lines.preload_hint(self.next_part)

    def _segment_lines(self, segments: list[Segment], first: int, *, needs_map: bool) -> Iterator[str]:
        parts_from = self._beyond(segments, PARTS_LISTED_TARGETS)
        for index in range(first, len(segments)):
            segment = segments[index]
            if not segment.listed:
                continue  # opened, and nothing in it yet: it has no line to stand for it
            text = segment.without_parts if self.ended or index < parts_from else segment.lines_with_parts
            if needs_map and "#EXT-X-MAP" not in text:
                text = insert_map(text, segment.opened.init_version)
            needs_map = False
            yield text

    def _beyond(self, segments: list[Segment], targets: int) -> int:
        """How many of the oldest segments end more than this many target durations before the playlist's end.

        They are what a delta update skips (RFC 8216bis, 6.2.5.1), and what is listed without its parts (6.2.2).
        """
        limit, total, index = targets * self.target_duration_s * self.timescale, 0, len(segments)
        while index > 0 and total < limit:
            index -= 1
            total += segments[index].duration
        return index

    # -- waiting ------------------------------------------------------------------------------------------------

    def serve_hinted(self, response: Response) -> None:
        """Answer who asked for the part that has just come."""
        hinted, self.hinted = self.hinted, []
        for pending in hinted:
            pending.resolve(response)

    def wake(self) -> None:
        """Answer who waited for what the playlist now holds. Hot: thousands of viewers wait for the same part."""
        waiting = self.waiting
        if not waiting:
            return
        edge, ended = self.edge, self.ended
        self.waiting = still = []
        asked, waits = (-2, -2), False
        for pending in waiting:
            if pending.gone:
                continue
            if (pending.msn, pending.part) != asked:
                asked = (pending.msn, pending.part)
                waits = not ended and decide(edge, *asked) is Verdict.WAIT
            if waits:
                still.append(pending)
            else:
                pending.resolve(self._made((pending.skip, True, pending.compressed), pending.view))

    def expire(self, now: float) -> None:
        """Answer 503 who has waited for three target durations (6.2.5.2), and forget who is gone."""
        for pendings in (self.waiting, self.hinted):
            for pending in pendings:
                if now >= pending.deadline:
                    pending.resolve(EXPIRED)
        self.waiting = [pending for pending in self.waiting if not pending.gone]
        self.hinted = [pending for pending in self.hinted if not pending.gone]

    def dismiss(self) -> None:
        """Answer everybody who waits that the server stops."""
        waiting, self.waiting = [*self.waiting, *self.hinted], []
        self.hinted = []
        for pending in waiting:
            pending.resolve(BUSY)
