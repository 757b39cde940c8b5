"""What the parts, segments and init segments hold, against what the playlist says of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headwater.hlscheck.mp4 import InitInfo, Sample, TrackHeader, TrackRun
from headwater.hlscheck.observation import Kind, Observation, Rendition, Resource
from headwater.hlscheck.playlist import Part, Segment
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    answered,
    low_latency,
    number,
    resources,
    rule,
)

DURATION_SLACK_S = 0.03  # between EXTINF or DURATION and samples: rounding, and an audio frame
DATE_JUMP_S = 0.1  # more than dates drift by
CONTINUITY_SLACK_S = 0.001  # a tick of a millisecond clock


def init_of(rendition: Rendition, segment: Segment | None) -> InitInfo | None:
    """The init segment that decodes a segment, where it was read."""
    if segment is None or segment.map is None:
        return None
    resource = rendition.inits.get((segment.map.uri, segment.map.byterange))
    return resource.init if resource else None


def listed_segment(resource: Resource) -> Segment | None:
    """A segment as it was listed when it was downloaded; the parent segment of a part as it was listed last."""
    if isinstance(resource.listed, Segment):
        return resource.listed
    return resource.rendition.listed(resource.msn)


def timescale(resource: Resource, track_id: int) -> int | None:
    header = track(resource, track_id)
    return header.timescale if header else None


def track(resource: Resource, track_id: int) -> TrackHeader | None:
    """The track header of a resource's track."""
    init = init_of(resource.rendition, listed_segment(resource))
    return init.tracks.get(track_id) if init else None


def main_run(resource: Resource) -> TrackRun | None:
    """The samples of the video track, of the first track where there is none."""
    if resource.media is None or not resource.media.runs:
        return None
    for track_id, run in resource.media.runs.items():
        header = track(resource, track_id)
        if header is not None and header.handler == "vide":
            return run
    return next(iter(resource.media.runs.values()))


def with_media(observation: Observation) -> Iterable[Resource]:
    return (r for r in resources(observation) if r.media is not None)


@rule(
    "readable",
    "3.1.2",
    Severity.MUST,
    "Segments, parts and init segments are whole MP4 boxes, each fragment with its tfdt",
    "Cut resources at box boundaries; every traf needs a tfdt.",
    over=lambda o: (r for r in resources(o) if r.media or r.init or r.media_error),
)
def readable(resource: Resource) -> Iterable[Evidence]:
    if resource.media_error is not None:
        yield answered(resource.rendition, resource.exchange, f"{resource.kind}: {resource.media_error}")


@rule(
    "map-present",
    "3.1.2",
    Severity.MUST,
    "Segments of fragmented MP4 have an EXT-X-MAP",
    "Add EXT-X-MAP with the init segment before the first segment.",
    over=with_media,
)
def map_present(resource: Resource) -> Iterable[Evidence]:
    segment = listed_segment(resource)
    if segment is not None and segment.map is None:
        yield answered(resource.rendition, resource.exchange, "a fragment of MP4, and no EXT-X-MAP applies to it")


@rule(
    "tracks-in-map",
    "3.1.2",
    Severity.MUST,
    "Every track of a fragment is declared in its init segment",
    "Write the init segment from the same tracks as the fragments.",
    over=with_media,
)
def tracks_in_map(resource: Resource) -> Iterable[Evidence]:
    init = init_of(resource.rendition, listed_segment(resource))
    assert resource.media is not None
    if init is None:
        return
    for track_id in resource.media.runs:
        if track_id not in init.tracks:
            text = f"{resource.kind} {resource.msn} has track {track_id}, the init segment has {sorted(init.tracks)}"
            yield answered(resource.rendition, resource.exchange, text)


@dataclass(frozen=True, slots=True)
class _Assembled:
    """A downloaded segment and all of its parts."""

    segment: Resource
    parts: list[Resource]


def _assembled(observation: Observation) -> Iterable[_Assembled]:
    for rendition in observation.renditions:
        counts = {s.msn: len(s.parts) for snap in rendition.snapshots for s in snap.playlist.segments if s.parts}
        for msn, segment in rendition.segments.items():
            parts = [rendition.parts.get((msn, i)) for i in range(counts.get(msn, 0))]
            whole = [p for p in parts if p is not None and p.media is not None]
            if whole and len(whole) == len(parts) and segment.media is not None:
                yield _Assembled(segment, whole)


@rule(
    "segment-is-parts",
    "3.2",
    Severity.MUST,
    "A segment holds exactly the samples of its parts, with the same timing",
    "Make the segment by putting its parts together, never by packaging it again.",
    over=_assembled,
    needs=low_latency,
)
def segment_is_parts(assembled: _Assembled) -> Iterable[Evidence]:
    segment = assembled.segment
    assert segment.media is not None
    runs: dict[int, list[Sample]] = {}
    for part in assembled.parts:
        assert part.media is not None
        for track_id, run in part.media.runs.items():
            runs.setdefault(track_id, []).extend(run.samples)
    whole = {track_id: run.samples for track_id, run in segment.media.runs.items()}
    for track_id in sorted(runs.keys() | whole.keys()):
        ours, theirs = runs.get(track_id, []), whole.get(track_id, [])
        if ours != theirs:
            text = f"segment {segment.msn}, track {track_id}: {_first_difference(ours, theirs)}"
            yield answered(segment.rendition, segment.exchange, text)


def _first_difference(parts: list[Sample], segment: list[Sample]) -> str:
    if len(parts) != len(segment):
        return f"its parts have {len(parts)} samples, the segment has {len(segment)}"
    index = next(i for i, (a, b) in enumerate(zip(parts, segment, strict=True)) if a != b)
    was, now = parts[index], segment[index]
    fields = [
        f
        for f in ("dts", "duration", "size", "composition_offset", "sync", "crc")
        if getattr(was, f) != getattr(now, f)
    ]
    return f"sample {index} differs in {', '.join(fields)}"


@rule(
    "duration-true",
    "4.4.4.1",
    Severity.MUST,
    "EXTINF and the DURATION of EXT-X-PART are what the samples last",
    "Take durations from the samples' durations, after all smoothing.",
    over=with_media,
)
def duration_true(resource: Resource) -> Iterable[Evidence]:
    run = main_run(resource)
    scale = timescale(resource, run.track_id) if run else None
    if run is None or not scale or resource.listed is None or resource.listed.duration is None:
        return
    lasts = (run.end - run.start) / scale
    if abs(lasts - resource.listed.duration) > DURATION_SLACK_S:
        text = f"{_name(resource)} lasts {number(lasts)} s, the playlist says {number(resource.listed.duration)}"
        yield answered(resource.rendition, resource.exchange, text)


def _name(resource: Resource) -> str:
    if resource.kind is Kind.PART:
        return f"part {resource.msn}.{resource.part_index}"
    return f"segment {resource.msn}"


@rule(
    "independent-true",
    "4.4.4.9",
    Severity.MUST,
    "A part with INDEPENDENT=YES starts with a sync sample",
    "Set INDEPENDENT=YES only where the first video sample is a sync sample.",
    over=lambda o: (r for r in with_media(o) if r.kind is Kind.PART),
    needs=low_latency,
)
def independent_true(resource: Resource) -> Iterable[Evidence]:
    run = main_run(resource)
    listed = resource.listed
    if run is not None and isinstance(listed, Part) and listed.independent and not any(s.sync for s in run.samples):
        text = f"part {resource.msn}.{resource.part_index} is INDEPENDENT=YES and has no sync sample"
        yield answered(resource.rendition, resource.exchange, text)


@rule(
    "independent-said",
    "4.4.4.9",
    Severity.SHOULD,
    "A part that starts with a sync sample is INDEPENDENT=YES",
    "Add INDEPENDENT=YES: clients join and switch at such parts only.",
    over=lambda o: (r for r in with_media(o) if r.kind is Kind.PART),
    needs=low_latency,
)
def independent_said(resource: Resource) -> Iterable[Evidence]:
    run = main_run(resource)
    listed = resource.listed
    if run is not None and isinstance(listed, Part) and not listed.independent and run.samples[0].sync:
        text = f"part {resource.msn}.{resource.part_index} starts with a sync sample and is not INDEPENDENT=YES"
        yield answered(resource.rendition, resource.exchange, text)


def _claims_independent(observation: Observation) -> Iterable[Resource]:
    everywhere = observation.multivariant is not None and observation.multivariant.independent_segments
    for rendition in observation.renditions:
        newest = rendition.newest
        if newest is not None and (everywhere or newest.independent_segments):
            yield from (r for r in rendition.segments.values() if r.media is not None)


@rule(
    "independent-segments",
    "4.4.2.1",
    Severity.MUST,
    "With EXT-X-INDEPENDENT-SEGMENTS every segment starts with a sync sample",
    "Cut segments at sync samples, or leave EXT-X-INDEPENDENT-SEGMENTS out.",
    over=_claims_independent,
)
def independent_segments(resource: Resource) -> Iterable[Evidence]:
    run = main_run(resource)
    if run is not None and not run.samples[0].sync:
        text = f"segment {resource.msn} does not start with a sync sample"
        yield answered(resource.rendition, resource.exchange, text)


@rule(
    "decode-times",
    "3.1.2",
    Severity.MUST,
    "Decode times (tfdt) go on from fragment to fragment, except at EXT-X-DISCONTINUITY",
    "Start each fragment at the decode time where the one before ended; signal jumps with EXT-X-DISCONTINUITY.",
    over=lambda o: [r for r in o.renditions if any(s.media for s in r.segments.values())],
)
def decode_times(rendition: Rendition) -> Iterable[Evidence]:
    ends: dict[int, tuple[int, int]] = {}
    for msn in sorted(rendition.segments):
        resource = rendition.segments[msn]
        listed = listed_segment(resource)
        if resource.media is None:
            continue
        for track_id, run in resource.media.runs.items():
            scale = timescale(resource, track_id) or 1000
            jumps = list(run.jumps)
            before = ends.get(track_id)
            if before is not None and before[0] == msn - 1 and not (listed and listed.discontinuity):
                jumps.append((before[1], run.start))
            ends[track_id] = msn, run.end
            for expected, found in jumps:
                if abs(found - expected) > CONTINUITY_SLACK_S * scale:
                    text = f"track {track_id} of segment {msn} goes on at {found}, expected {expected} (1/{scale} s)"
                    yield answered(rendition, resource.exchange, text)


def _date_jumps(before: Segment, after: Segment) -> bool:
    """Whether the date does not go on: media is missing between, as after a reconnect, though decode times go on."""
    if before.program_date_time is None or after.program_date_time is None or before.duration is None:
        return False
    step = (after.program_date_time - before.program_date_time).total_seconds()
    return abs(step - before.duration) > DATE_JUMP_S


@rule(
    "needless-discontinuity",
    "4.4.4.3",
    Severity.SHOULD,
    "EXT-X-DISCONTINUITY stands only where formats, tracks or timestamps change",
    "Write it when the bytes of the parameter sets change, not whenever the encoder repeats them.",
    over=lambda o: [r for r in o.renditions if any(s.media for s in r.segments.values())],
)
def needless_discontinuity(rendition: Rendition) -> Iterable[Evidence]:
    for msn, resource in rendition.segments.items():
        before, listed = rendition.segments.get(msn - 1), listed_segment(resource)
        if before is None or before.media is None or resource.media is None or listed is None:
            continue
        was = listed_segment(before)
        if not listed.discontinuity or was is None or was.map is None or listed.map is None:
            continue
        ends = {i: run.end for i, run in before.media.runs.items()}
        starts = {i: run.start for i, run in resource.media.runs.items()}
        same_map = (was.map.uri, was.map.byterange) == (listed.map.uri, listed.map.byterange)
        if same_map and ends == starts and not _date_jumps(was, listed):
            text = f"segment {msn} has the same init segment and goes on where segment {msn - 1} ended"
            yield Evidence(text, rendition.name, resource.url, listed.line)
