"""The renditions of a stream beside each other: reports, dates, alignment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from headwater.hlscheck.observation import Observation, Rendition, Resource, Snapshot
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    live_part_snapshots,
    low_latency_live,
    number,
    rule,
    seen,
    several,
)
from headwater.hlscheck.rules.media import listed_segment, main_run, timescale, track

REPORT_SLACK_S = 0.5  # how far apart in time two renditions' answers may be, beside one part target
MAPPING_SLACK_S = 0.1  # of date to media time between renditions: composition offsets, edit lists, audio frames
ALIGNMENT_SLACK_S = 0.02  # of segment boundaries between video renditions: half a frame at 25 a second


def _together(observation: Observation) -> str | None:
    return several(observation) or low_latency_live(observation)


def _bare(url: str) -> str:
    """A URL without its query: playlists that are cached for all cannot repeat a viewer's own token in reports."""
    return url.partition("?")[0]


def _reporting(observation: Observation) -> Iterable[tuple[Observation, Snapshot]]:
    return ((observation, s) for s in live_part_snapshots(observation))


@rule(
    "reports-present",
    "B.1",
    Severity.MUST,
    "Each media playlist has one EXT-X-RENDITION-REPORT for every other one",
    "Add a report of each other media playlist of the multivariant playlist, I-frame playlists apart.",
    over=_reporting,
    needs=_together,
)
def reports_present(subject: tuple[Observation, Snapshot]) -> Iterable[Evidence]:
    observation, snapshot = subject
    named = [_bare(snapshot.rendition.resolve(r.uri)) for r in snapshot.playlist.rendition_reports]
    for other in observation.renditions:
        playlist = other.newest
        wanted = other is not snapshot.rendition and other.kind != "i-frames" and playlist is not None
        count = named.count(_bare(other.url))
        if wanted and playlist is not None and not playlist.ended and count != 1:
            text = f"{count} reports of {other.name} ({other.url})"
            yield seen(snapshot, text)


@rule(
    "report-uri",
    "4.4.5.4",
    Severity.MUST,
    "The URI of EXT-X-RENDITION-REPORT is relative and names a media playlist of the stream",
    "Write the URI relative to the playlist that holds the report.",
    over=_reporting,
    needs=_together,
)
def report_uri(subject: tuple[Observation, Snapshot]) -> Iterable[Evidence]:
    observation, snapshot = subject
    # A check of one media playlist alone, or one that left renditions out, does not know them all.
    complete = observation.multivariant is not None and not observation.notes
    known = {_bare(r.url) for r in observation.renditions}
    for report in snapshot.playlist.rendition_reports:
        if "://" in report.uri:
            yield seen(snapshot, f"{report.uri} is absolute", report.line)
        elif complete and _bare(snapshot.rendition.resolve(report.uri)) not in known:
            yield seen(snapshot, f"{report.uri} is no media playlist of the multivariant playlist", report.line)


@rule(
    "report-true",
    "4.4.5.4",
    Severity.MUST,
    "LAST-MSN and LAST-PART tell the newest segment and part of the other rendition",
    "Make reports from the other rendition's state at the moment the playlist is sent.",
    over=_reporting,
    needs=_together,
)
def report_true(subject: tuple[Observation, Snapshot]) -> Iterable[Evidence]:
    observation, snapshot = subject
    by_url = {_bare(r.url): r for r in observation.renditions}
    own = snapshot.playlist.last_part
    for report in snapshot.playlist.rendition_reports:
        other = by_url.get(_bare(snapshot.rendition.resolve(report.uri)))
        if other is None or own is None:
            continue
        # Attributes that equal this playlist's own may be left out (4.4.5.4).
        told = (
            own[0] if report.last_msn is None else report.last_msn,
            own[1] if report.last_part is None else report.last_part,
        )
        slack = REPORT_SLACK_S + (snapshot.playlist.part_target or 0.0)
        least, most = _positions(other, snapshot.at, slack)
        if least is not None and most is not None and least > most:
            continue  # it went back: other rules say so
        if (least is not None and told < least) or (most is not None and told > most):
            text = f"says {told[0]}.{told[1]} of {other.name}, which was at {_range(least, most)}"
            yield seen(snapshot, text, report.line)


def _positions(other: Rendition, at: float, slack: float) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """What another rendition had at least and at most at a time, by what was loaded of it before and after."""
    before = bisect_right(other.snapshots, at - slack, key=lambda s: s.at)
    after = bisect_left(other.snapshots, at + slack, key=lambda s: s.at)
    least = other.snapshots[before - 1].playlist.last_part if before else None
    most = other.snapshots[after].playlist.last_part if after < len(other.snapshots) else None
    return least, most


def _range(least: tuple[int, int] | None, most: tuple[int, int] | None) -> str:
    return " to ".join(f"{p[0]}.{p[1]}" for p in (least, most) if p is not None)


@rule(
    "target-duration-same",
    "6.2.4",
    Severity.MUST,
    "All media playlists have the same target duration",
    "Use one EXT-X-TARGETDURATION for every rendition.",
    over=lambda o: [o],
    needs=several,
)
def target_duration_same(observation: Observation) -> Iterable[Evidence]:
    first: Rendition | None = None
    for rendition in observation.renditions:
        playlist = rendition.newest
        if playlist is None or playlist.target_duration is None:
            continue
        spared = (rendition.kind == "subtitles" or playlist.i_frames_only) and playlist.playlist_type == "VOD"
        if first is None:
            first = rendition
        elif first.newest and playlist.target_duration != first.newest.target_duration and not spared:
            text = f"{playlist.target_duration}, and {first.newest.target_duration} in {first.name}"
            line = playlist.tag_lines.get("EXT-X-TARGETDURATION")
            yield Evidence(text, rendition.name, rendition.url, line)


@rule(
    "pdt-everywhere",
    "6.2.4",
    Severity.MUST,
    "If one media playlist has EXT-X-PROGRAM-DATE-TIME, all have it",
    "Date every rendition from the same clock.",
    over=lambda o: [o],
    needs=several,
)
def pdt_everywhere(observation: Observation) -> Iterable[Evidence]:
    dated = {
        r.name: "EXT-X-PROGRAM-DATE-TIME" in r.newest.tag_lines
        for r in observation.renditions
        if r.newest is not None and r.newest.segments and not r.newest.low_latency
    }
    # Low-latency playlists have a rule of their own (pdt-present).
    if any(dated.values()) and not all(dated.values()):
        without = ", ".join(name for name, there in dated.items() if not there)
        yield Evidence(f"absent in {without}", "", observation.url)


def _start(resource: Resource) -> float | None:
    """Presentation time of a segment's first sample in seconds."""
    run = main_run(resource)
    scale = timescale(resource, run.track_id) if run else None
    if run is None or not scale:
        return None
    header = track(resource, run.track_id)
    shift = header.shift if header else 0
    return (run.start + run.samples[0].composition_offset - shift) / scale


def _mapping(rendition: Rendition) -> tuple[int, int, float] | None:
    """(MSN, line, date minus presentation time) of the newest segment that has both."""
    for msn in sorted(rendition.segments, reverse=True):
        listed, start = listed_segment(rendition.segments[msn]), _start(rendition.segments[msn])
        if listed is not None and listed.program_date_time is not None and start is not None:
            return listed.discontinuity_number, listed.line, listed.program_date_time.timestamp() - start
    return None


@rule(
    "pdt-same-mapping",
    "6.2.4",
    Severity.MUST,
    "Dates map to media times in the same way in all renditions",
    "Date all renditions from one clock and one mapping; audio and video drift apart otherwise.",
    over=lambda o: [o],
    needs=several,
)
def pdt_same_mapping(observation: Observation) -> Iterable[Evidence]:
    first: tuple[Rendition, int, float] | None = None
    for rendition in observation.renditions:
        found = _mapping(rendition)
        if found is None:
            continue
        number_, line, offset = found
        if first is None or first[1] != number_:
            first = rendition, number_, offset
        elif abs(offset - first[2]) > MAPPING_SLACK_S:
            text = f"dates are {offset - first[2]:+.3f} s from those of {first[0].name} at the same media time"
            yield Evidence(text, rendition.name, rendition.url, line)


@rule(
    "aligned",
    "6.2.4",
    Severity.SHOULD,
    "Segments of the same number begin at the same media time in every variant",
    "Cut all rungs of a ladder at the same sync samples and number them alike.",
    over=lambda o: [[r for r in o.renditions if r.kind == "main" and r.segments]],
    needs=several,
)
def aligned(variants: list[Rendition]) -> Iterable[Evidence]:
    for rendition in variants[1:]:
        reference = variants[0]
        for msn in sorted(rendition.segments.keys() & reference.segments.keys()):
            ours, theirs = _start(rendition.segments[msn]), _start(reference.segments[msn])
            if ours is not None and theirs is not None and abs(ours - theirs) > ALIGNMENT_SLACK_S:
                text = f"segment {msn} begins at {number(ours)} s, in {reference.name} at {number(theirs)} s"
                yield Evidence(text, rendition.name, rendition.url)
                break


@rule(
    "discontinuities-same",
    "6.2.4",
    Severity.MUST,
    "Matching segments have matching discontinuity sequence numbers in all renditions",
    "Write EXT-X-DISCONTINUITY at the same place into every rendition, and count it alike.",
    over=lambda o: [o],
    needs=several,
)
def discontinuities_same(observation: Observation) -> Iterable[Evidence]:
    first: tuple[Rendition, dict[float, int]] | None = None
    for rendition in observation.renditions:
        numbers: dict[float, int] = {}
        for resource in rendition.segments.values():
            listed, start = listed_segment(resource), _start(resource)
            if listed is not None and start is not None:
                numbers[start] = listed.discontinuity_number
        if first is None:
            first = (rendition, numbers) if numbers else None
            continue
        for start, ours in numbers.items():
            near = [n for s, n in first[1].items() if abs(s - start) < ALIGNMENT_SLACK_S * 2]
            if near and ours not in near:
                text = f"at {number(start)} s it counts {ours} discontinuities, {first[0].name} {near[0]}"
                yield Evidence(text, rendition.name, rendition.url)
                break
