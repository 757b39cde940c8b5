"""The tags of media playlists (draft clauses 4.4.3 to 4.4.5), gathered into segments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from headwater.hlscheck.attributes import read_byterange, read_decimal
from headwater.hlscheck.playlist import (
    ByteRange,
    Map,
    MediaPlaylist,
    Part,
    PreloadHint,
    RenditionReport,
    Segment,
    ServerControl,
    Skip,
)
from headwater.hlscheck.reader import MULTIVARIANT_TAGS, Reader


class MediaReader(Reader):
    foreign = MULTIVARIANT_TAGS

    def __init__(self, text: str, imported: Mapping[str, str], query: Mapping[str, str]) -> None:
        super().__init__(text, imported, query)
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
