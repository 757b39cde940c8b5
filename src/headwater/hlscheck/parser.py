"""Playlist text to a typed playlist, and every breach of the syntax on the way (draft clauses 4.1 to 4.4).

Pure, and independent of the playlist writer of this project on purpose: a second reading of the same draft. Nothing
here raises on any input; what cannot be read is a `Problem` with its line. Tags that the draft does not define are
counted in `unknown_tags` and otherwise ignored, as clients must (6.3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from headwater.hlscheck.attributes import Attributes, read_byterange, read_decimal, read_integer
from headwater.hlscheck.playlist import (
    ByteRange,
    Map,
    MediaPlaylist,
    MediaTag,
    MultivariantPlaylist,
    Part,
    PreloadHint,
    Problem,
    RenditionReport,
    Segment,
    ServerControl,
    Skip,
    Variant,
)

MAX_LINES = 200_000  # a day of 1 s segments with their tags; past it the rest is left unread
MAX_PROBLEMS = 1_000  # of one playlist; a reader needs the first few
MAX_UNKNOWN_TAGS = 100

MULTIVARIANT_TAGS = frozenset(
    [
        "EXT-X-MEDIA",
        "EXT-X-STREAM-INF",
        "EXT-X-I-FRAME-STREAM-INF",
        "EXT-X-SESSION-DATA",
        "EXT-X-SESSION-KEY",
        "EXT-X-CONTENT-STEERING",
    ]
)
MEDIA_TAGS = frozenset(
    [
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-PART-INF",
        "EXT-X-SERVER-CONTROL",
        "EXTINF",
        "EXT-X-BYTERANGE",
        "EXT-X-DISCONTINUITY",
        "EXT-X-KEY",
        "EXT-X-MAP",
        "EXT-X-PROGRAM-DATE-TIME",
        "EXT-X-GAP",
        "EXT-X-BITRATE",
        "EXT-X-PART",
        "EXT-X-DATERANGE",
        "EXT-X-SKIP",
        "EXT-X-PRELOAD-HINT",
        "EXT-X-RENDITION-REPORT",
    ]
)
COMMON_TAGS = frozenset(["EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START", "EXT-X-DEFINE"])
# 4.4.2, 4.4.3 and the single tags of 4.4.1 and 4.4.5: at most once in a playlist.
ONCE_TAGS = frozenset(
    [
        "EXT-X-VERSION",
        "EXT-X-INDEPENDENT-SEGMENTS",
        "EXT-X-START",
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-PART-INF",
        "EXT-X-SERVER-CONTROL",
        "EXT-X-CONTENT-STEERING",
        "EXTM3U",
    ]
)


def is_multivariant(text: str) -> bool:
    """Whether a text is a multivariant playlist: it has one of their tags (4.1)."""
    return any(line.startswith(("#EXT-X-STREAM-INF", "#EXT-X-MEDIA:")) for line in text.splitlines()[:MAX_LINES])


def parse_media(text: str) -> MediaPlaylist:
    """Read a media playlist; never raises."""
    return _MediaReader(text).read()


def parse_multivariant(text: str) -> MultivariantPlaylist:
    """Read a multivariant playlist; never raises."""
    return _MultivariantReader(text).read()


class _Reader:
    """What both kinds of playlist share: lines, known and unknown tags, problems, versions."""

    foreign: frozenset[str]
    handlers: dict[str, Callable[[str], None]]

    def __init__(self, text: str) -> None:
        self.text = text
        self.line = 0
        self.problems: list[Problem] = []
        self.tag_lines: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.features: list[tuple[int, int, str]] = []
        self.version: int | None = None
        self.independent = False

    def problem(self, rule: str, text: str) -> None:
        self.keep(Problem(rule, self.line, text))

    def keep(self, problem: Problem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def attributes(self, value: str, tag: str) -> Attributes:
        return Attributes(value, self.line, tag, self.keep)

    def walk(self) -> None:
        self._characters()
        lines = self.text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        for self.line, raw in enumerate(lines[:MAX_LINES], 1):
            line = raw[:-1] if raw.endswith("\r") else raw
            if self.line == 1 and line != "#EXTM3U":
                self.problem("extm3u", f"the first line is {line[:40]!r}, not #EXTM3U")
            if line.startswith("#EXT"):
                self._tag(line)
            elif line and not line.startswith("#"):
                self.on_uri(line)
        if len(lines) > MAX_LINES:
            self.problem("characters", f"more than {MAX_LINES} lines; the rest was not read")
        if not lines:
            self.line = 1
            self.problem("extm3u", "the playlist is empty")

    def _characters(self) -> None:
        if self.text.startswith("\ufeff"):
            self.line = 1
            self.problem("characters", "begins with a byte order mark")
            self.text = self.text[1:]
        if "\ufffd" in self.text:
            self.line = self.text.count("\n", 0, self.text.index("\ufffd")) + 1
            self.problem("characters", "is not UTF-8")
        if not self.text.isprintable():
            for number, line in enumerate(self.text.split("\n")[:MAX_LINES], 1):
                if not line.isprintable() and any(_is_control(c) for c in line.removesuffix("\r")):
                    self.line = number
                    self.problem("characters", "has a control character")

    def _tag(self, line: str) -> None:
        name, colon, value = line[1:].partition(":")
        known = self.handlers.get(name)
        if known is None and name not in MEDIA_TAGS | MULTIVARIANT_TAGS | COMMON_TAGS:
            if len(self.unknown) < MAX_UNKNOWN_TAGS:
                self.unknown.setdefault(name[:80], self.line)
            return
        if name in self.foreign:
            self.problem("mixed-playlist", f"{name} does not belong into this kind of playlist")
            return
        if name in ONCE_TAGS and name in self.tag_lines:
            self.problem("duplicate-tag", f"{name} stands here again, first in line {self.tag_lines[name]}")
        self.tag_lines.setdefault(name, self.line)
        if known is not None:
            known(value if colon else "")

    def on_uri(self, uri: str) -> None:
        raise NotImplementedError

    def integer(self, tag: str, value: str) -> int | None:
        number = read_integer(value)
        if number is None:
            self.problem("tag-value", f"{tag} must be a decimal integer, is {value[:40]!r}")
        return number

    def on_version(self, value: str) -> None:
        self.version = self.integer("EXT-X-VERSION", value)

    def on_independent(self, value: str) -> None:
        self.independent = True

    def on_define(self, value: str) -> None:
        self.features.append((11 if "QUERYPARAM=" in value else 8, self.line, "EXT-X-DEFINE"))

    def on_start(self, value: str) -> None:
        self.attributes(value, "EXT-X-START")

    def nothing(self, value: str) -> None:
        pass


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 or 0x7F <= code <= 0x9F


class _MediaReader(_Reader):
    foreign = MULTIVARIANT_TAGS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.out = MediaPlaylist()
        self.segments: list[Segment] = []
        self.hints: list[PreloadHint] = []
        self.reports: list[RenditionReport] = []
        self.map: Map | None = None
        self.encryption: str | None = None
        self.skipped = 0
        self.disc_number = 0
        self._fresh()
        self.handlers = {
            "EXT-X-VERSION": self.on_version,
            "EXT-X-INDEPENDENT-SEGMENTS": self.on_independent,
            "EXT-X-DEFINE": self.on_define,
            "EXT-X-START": self.on_start,
            "EXT-X-TARGETDURATION": self.on_target_duration,
            "EXT-X-MEDIA-SEQUENCE": self.on_media_sequence,
            "EXT-X-DISCONTINUITY-SEQUENCE": self.on_discontinuity_sequence,
            "EXT-X-ENDLIST": self.on_endlist,
            "EXT-X-PLAYLIST-TYPE": self.on_playlist_type,
            "EXT-X-I-FRAMES-ONLY": self.on_i_frames_only,
            "EXT-X-PART-INF": self.on_part_inf,
            "EXT-X-SERVER-CONTROL": self.on_server_control,
            "EXTINF": self.on_extinf,
            "EXT-X-BYTERANGE": self.on_byterange,
            "EXT-X-DISCONTINUITY": self.on_discontinuity,
            "EXT-X-KEY": self.on_key,
            "EXT-X-MAP": self.on_map,
            "EXT-X-PROGRAM-DATE-TIME": self.on_program_date_time,
            "EXT-X-GAP": self.on_gap,
            "EXT-X-BITRATE": self.nothing,
            "EXT-X-PART": self.on_part,
            "EXT-X-DATERANGE": self.on_daterange,
            "EXT-X-SKIP": self.on_skip,
            "EXT-X-PRELOAD-HINT": self.on_preload_hint,
            "EXT-X-RENDITION-REPORT": self.on_rendition_report,
            "EXTM3U": self.nothing,
        }

    def _fresh(self) -> None:
        """Forget the tags of the segment that was completed."""
        self.duration: float | None = None
        self.extinf_line = 0
        self.parts: list[Part] = []
        self.discontinuity = False
        self.pdt: datetime | None = None
        self.pdt_line: int | None = None
        self.gap = False
        self.byterange: ByteRange | None = None
        self.late: list[tuple[int, str]] = []

    def read(self) -> MediaPlaylist:
        self.walk()
        out = self.out
        if out.target_duration is None:
            self.line = 1
            self.problem("required-tag", "EXT-X-TARGETDURATION is required")
        if self.duration is not None:
            self.line = self.extinf_line
            self.problem("segment-syntax", "EXTINF without a URI line after it")
        if self.parts:
            out.open_segment = self._segment(None, None)
        out.version, out.independent_segments = self.version, self.independent
        out.segments, out.lines = tuple(self.segments), self.line
        out.preload_hints, out.rendition_reports = tuple(self.hints), tuple(self.reports)
        out.features, out.tag_lines = tuple(self.features), self.tag_lines
        out.unknown_tags, out.problems = self.unknown, self.problems
        return out

    def _segment(self, uri: str | None, duration: float | None) -> Segment:
        msn = self.out.media_sequence + self.skipped + len(self.segments)
        return Segment(
            msn=msn,
            discontinuity_number=self.out.discontinuity_sequence + self.disc_number,
            line=self.line if uri is not None else self.parts[-1].line,
            uri=uri,
            duration=duration,
            parts=tuple(self.parts),
            discontinuity=self.discontinuity,
            program_date_time=self.pdt,
            program_date_time_line=self.pdt_line,
            map=self.map,
            encryption=self.encryption,
            gap=self.gap,
            byterange=self.byterange,
            late_tags=tuple(self.late),
        )

    def on_uri(self, uri: str) -> None:
        if self.duration is None:
            self.problem("segment-syntax", "a URI line without EXTINF before it")
        self.segments.append(self._segment(uri, self.duration))
        self._fresh()

    def on_target_duration(self, value: str) -> None:
        self.out.target_duration = self.integer("EXT-X-TARGETDURATION", value)

    def _before_segments(self, tag: str) -> None:
        if self.segments or self.parts:
            self.problem("tag-order", f"{tag} must stand before the first segment")

    def on_media_sequence(self, value: str) -> None:
        self._before_segments("EXT-X-MEDIA-SEQUENCE")
        self.out.media_sequence = self.integer("EXT-X-MEDIA-SEQUENCE", value) or 0

    def on_discontinuity_sequence(self, value: str) -> None:
        self._before_segments("EXT-X-DISCONTINUITY-SEQUENCE")
        if "EXT-X-DISCONTINUITY" in self.tag_lines:
            self.problem("tag-order", "EXT-X-DISCONTINUITY-SEQUENCE must stand before any EXT-X-DISCONTINUITY")
        self.out.discontinuity_sequence = self.integer("EXT-X-DISCONTINUITY-SEQUENCE", value) or 0

    def on_endlist(self, value: str) -> None:
        self.out.endlist_line = self.line

    def on_playlist_type(self, value: str) -> None:
        if value not in ("EVENT", "VOD"):
            self.problem("tag-value", f"EXT-X-PLAYLIST-TYPE must be EVENT or VOD, is {value[:40]!r}")
        self.out.playlist_type = value

    def on_i_frames_only(self, value: str) -> None:
        self.out.i_frames_only = True
        self.features.append((4, self.line, "EXT-X-I-FRAMES-ONLY"))

    def on_part_inf(self, value: str) -> None:
        self.out.part_target = self.attributes(value, "EXT-X-PART-INF").decimal("PART-TARGET", required=True)

    def on_server_control(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-SERVER-CONTROL")
        self.out.server_control = ServerControl(
            line=self.line,
            can_block_reload=attributes.yes("CAN-BLOCK-RELOAD"),
            can_skip_until=attributes.decimal("CAN-SKIP-UNTIL"),
            can_skip_dateranges=attributes.yes("CAN-SKIP-DATERANGES"),
            hold_back=attributes.decimal("HOLD-BACK"),
            part_hold_back=attributes.decimal("PART-HOLD-BACK"),
            attributes=tuple(sorted(attributes.raw.items())),
        )

    def on_extinf(self, value: str) -> None:
        if self.duration is not None:
            self.problem("segment-syntax", f"EXTINF again before the URI of the EXTINF in line {self.extinf_line}")
        duration, comma, _ = value.partition(",")
        number = read_decimal(duration)
        if number is None:
            self.problem("tag-value", f"EXTINF must be a decimal number of seconds, is {duration[:40]!r}")
        elif "." in duration:
            self.features.append((3, self.line, "an EXTINF with a fraction"))
        if not comma:
            self.problem("tag-value", "EXTINF needs a comma after the duration")
        self.duration, self.extinf_line = number or 0.0, self.line

    def on_byterange(self, value: str) -> None:
        self.features.append((4, self.line, "EXT-X-BYTERANGE"))
        self.byterange = read_byterange(value)
        if self.byterange is None:
            self.problem("tag-value", f"EXT-X-BYTERANGE must be <length>[@<offset>], is {value[:40]!r}")

    def _maybe_late(self, tag: str) -> None:
        if self.parts:
            self.late.append((self.line, tag))

    def on_discontinuity(self, value: str) -> None:
        self._maybe_late("EXT-X-DISCONTINUITY")
        self.discontinuity = True
        self.disc_number += 1

    def on_key(self, value: str) -> None:
        self._maybe_late("EXT-X-KEY")
        attributes = self.attributes(value, "EXT-X-KEY")
        method = attributes.enumerated("METHOD", required=True)
        self.encryption = None if method in (None, "NONE") else method
        if self.encryption:
            attributes.quoted("URI", required=True)
        if "IV" in attributes.raw:
            self.features.append((2, self.line, "the IV attribute of EXT-X-KEY"))
        if "KEYFORMAT" in attributes.raw or "KEYFORMATVERSIONS" in attributes.raw:
            self.features.append((5, self.line, "KEYFORMAT of EXT-X-KEY"))

    def on_map(self, value: str) -> None:
        self._maybe_late("EXT-X-MAP")
        attributes = self.attributes(value, "EXT-X-MAP")
        uri = attributes.quoted("URI", required=True)
        self.map = Map(self.line, uri or "", attributes.byterange("BYTERANGE"))
        self.features.append((5 if self.out.i_frames_only else 6, self.line, "EXT-X-MAP"))

    def on_program_date_time(self, value: str) -> None:
        self._maybe_late("EXT-X-PROGRAM-DATE-TIME")
        self.pdt_line = self.line
        self.pdt = read_date_time(value)
        if self.pdt is None:
            self.problem("tag-value", f"EXT-X-PROGRAM-DATE-TIME must be ISO 8601 with a time zone, is {value[:40]!r}")

    def on_gap(self, value: str) -> None:
        self.gap = True
        self.features.append((8, self.line, "EXT-X-GAP"))

    def on_part(self, value: str) -> None:
        if self.duration is not None:
            self.problem("tag-order", "EXT-X-PART between EXTINF and its URI line")
        attributes = self.attributes(value, "EXT-X-PART")
        uri = attributes.quoted("URI", required=True)
        duration = attributes.decimal("DURATION", required=True)
        independent, gap = attributes.yes("INDEPENDENT"), attributes.yes("GAP")
        self.parts.append(
            Part(self.line, uri or "", duration or 0.0, independent, gap, attributes.byterange("BYTERANGE"))
        )

    def on_daterange(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-DATERANGE")
        if attributes.quoted("ID", required=True) is not None:
            self.out.dateranges += 1

    def on_skip(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-SKIP")
        skipped = attributes.integer("SKIPPED-SEGMENTS", required=True) or 0
        self.out.skip_count += 1
        self.features.append((9, self.line, "EXT-X-SKIP"))
        if "RECENTLY-REMOVED-DATERANGES" in attributes.raw:
            self.features.append((10, self.line, "RECENTLY-REMOVED-DATERANGES of EXT-X-SKIP"))
        if self.out.skip is None:
            if self.segments or self.parts:
                self.problem("tag-order", "EXT-X-SKIP must stand in the place of the skipped segments, the oldest ones")
            self.out.skip, self.skipped = Skip(self.line, skipped), skipped

    def on_preload_hint(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-PRELOAD-HINT")
        kind = attributes.enumerated("TYPE", required=True)
        uri = attributes.quoted("URI", required=True)
        start, length = attributes.integer("BYTERANGE-START") or 0, attributes.integer("BYTERANGE-LENGTH")
        if kind and uri:
            self.hints.append(PreloadHint(self.line, kind, uri, start, length))

    def on_rendition_report(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-RENDITION-REPORT")
        uri = attributes.quoted("URI", required=True)
        msn, part = attributes.integer("LAST-MSN"), attributes.integer("LAST-PART")
        if uri:
            self.reports.append(RenditionReport(self.line, uri, msn, part))


class _MultivariantReader(_Reader):
    foreign = MEDIA_TAGS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.variants: list[Variant] = []
        self.media: list[MediaTag] = []
        self.pending: tuple[Attributes, int] | None = None
        self.handlers = {
            "EXT-X-VERSION": self.on_version,
            "EXT-X-INDEPENDENT-SEGMENTS": self.on_independent,
            "EXT-X-DEFINE": self.on_define,
            "EXT-X-START": self.on_start,
            "EXT-X-STREAM-INF": self.on_stream_inf,
            "EXT-X-I-FRAME-STREAM-INF": self.on_i_frame,
            "EXT-X-MEDIA": self.on_media,
            "EXTM3U": self.nothing,
        }

    def read(self) -> MultivariantPlaylist:
        self.walk()
        self._no_uri()
        return MultivariantPlaylist(
            lines=self.line,
            version=self.version,
            independent_segments=self.independent,
            variants=tuple(self.variants),
            media=tuple(self.media),
            features=tuple(self.features),
            tag_lines=self.tag_lines,
            unknown_tags=self.unknown,
            problems=self.problems,
        )

    def _no_uri(self) -> None:
        if self.pending is not None:
            self.keep(Problem("segment-syntax", self.pending[1], "EXT-X-STREAM-INF without a URI line after it"))
            self.pending = None

    def on_uri(self, uri: str) -> None:
        if self.pending is None:
            self.problem("segment-syntax", "a URI line without EXT-X-STREAM-INF before it")
            return
        attributes, line = self.pending
        self.pending = None
        self.variants.append(_variant(attributes, line, uri, i_frame=False))

    def on_stream_inf(self, value: str) -> None:
        self._no_uri()
        self.pending = self.attributes(value, "EXT-X-STREAM-INF"), self.line

    def on_i_frame(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-I-FRAME-STREAM-INF")
        uri = attributes.quoted("URI", required=True)
        if uri:
            self.variants.append(_variant(attributes, self.line, uri, i_frame=True))

    def on_media(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-MEDIA")
        kinds = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")
        kind = attributes.enumerated("TYPE", required=True, allowed=kinds)
        if kind == "CLOSED-CAPTIONS" and (attributes.quoted("INSTREAM-ID", required=True) or "").startswith("SERVICE"):
            self.features.append((7, self.line, "INSTREAM-ID with SERVICE"))
        self.media.append(
            MediaTag(
                line=self.line,
                type=kind or "",
                group_id=attributes.quoted("GROUP-ID", required=True) or "",
                name=attributes.quoted("NAME", required=True) or "",
                uri=attributes.quoted("URI"),
                language=attributes.quoted("LANGUAGE"),
                default=attributes.yes("DEFAULT", or_no=True),
                autoselect=attributes.yes("AUTOSELECT", or_no=True),
                channels=attributes.quoted("CHANNELS"),
            )
        )


def _variant(attributes: Attributes, line: int, uri: str, *, i_frame: bool) -> Variant:
    codecs = attributes.quoted("CODECS")
    captions = attributes.raw.get("CLOSED-CAPTIONS")
    return Variant(
        line=line,
        uri=uri,
        bandwidth=attributes.integer("BANDWIDTH", required=True),
        average_bandwidth=attributes.integer("AVERAGE-BANDWIDTH"),
        codecs=tuple(c.strip() for c in codecs.split(",") if c.strip()) if codecs else (),
        resolution=attributes.resolution("RESOLUTION"),
        frame_rate=attributes.decimal("FRAME-RATE"),
        audio=attributes.quoted("AUDIO"),
        video=attributes.quoted("VIDEO"),
        subtitles=attributes.quoted("SUBTITLES"),
        closed_captions=captions.strip('"') if captions and captions != "NONE" else None,
        i_frame=i_frame,
    )


def read_date_time(text: str) -> datetime | None:
    """ISO/IEC 8601 date and time as EXT-X-PROGRAM-DATE-TIME has it; None without a time zone or when it is not one."""
    try:
        moment = datetime.fromisoformat(text[:64])
        # Year 1 or 9999 with an offset has no UTC equivalent: asking for its timestamp would raise later.
        if moment.tzinfo is None or not 1900 < moment.year < 9000:
            return None
        return moment
    except ValueError:
        return None
