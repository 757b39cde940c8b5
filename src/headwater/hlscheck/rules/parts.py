"""Parts, their durations and places, and the preload hints and skips beside them, within one media playlist."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import Delta, Observation, Snapshot
from headwater.hlscheck.playlist import MediaPlaylist
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    answered,
    live_part_snapshots,
    low_latency,
    low_latency_live,
    number,
    part_snapshots,
    rule,
    seen,
    skipping,
)

DURATION_SLACK_S = 0.0005  # playlists usually round to milliseconds
PART_SUM_SLACK_S = 0.002  # rounding of several parts and one EXTINF
LEAST_SHARE = 0.85
PARTS_KEPT = 3  # target durations from the end of the playlist (6.2.2)


@rule(
    "part-too-long",
    "4.4.4.9",
    Severity.MUST,
    "No part is longer than PART-TARGET",
    "Cut parts earlier, or announce a larger PART-TARGET from the start.",
    over=part_snapshots,
    needs=low_latency,
)
def part_too_long(snapshot: Snapshot) -> Iterable[Evidence]:
    target = snapshot.playlist.part_target
    if target is None:
        return
    for segment in snapshot.playlist.all_segments:
        for index, part in enumerate(segment.parts):
            if part.duration > target + DURATION_SLACK_S:
                text = f"part {segment.msn}.{index} lasts {number(part.duration)}, PART-TARGET is {number(target)}"
                yield seen(snapshot, text, part.line)


@rule(
    "part-too-short",
    "4.4.4.9",
    Severity.MUST,
    "A part lasts at least 85 % of PART-TARGET, save independent, gap and last ones",
    "Close parts by their duration, not by arrival; PART-TARGET should be the longest part that really comes.",
    over=part_snapshots,
    needs=low_latency,
)
def part_too_short(snapshot: Snapshot) -> Iterable[Evidence]:
    target = snapshot.playlist.part_target
    if target is None:
        return
    for segment in snapshot.playlist.all_segments:
        # The newest part of the open segment may turn out to be its last.
        for index, part in enumerate(segment.parts[:-1]):
            spared = part.independent or part.gap or segment.parts[index + 1].gap
            if not spared and part.duration < LEAST_SHARE * target - DURATION_SLACK_S:
                text = f"part {segment.msn}.{index} lasts {number(part.duration)}, PART-TARGET is {number(target)}"
                yield seen(snapshot, text, part.line)


@rule(
    "part-sum",
    "3.2",
    Severity.MUST,
    "The durations of a segment's parts add up to its EXTINF",
    "Compute EXTINF from the same samples as the parts; list all parts of a segment or none.",
    over=part_snapshots,
    needs=low_latency,
)
def part_sum(snapshot: Snapshot) -> Iterable[Evidence]:
    first = True
    for segment in snapshot.playlist.segments:
        if not segment.parts or segment.duration is None or any(p.gap for p in segment.parts):
            continue
        total = sum(p.duration for p in segment.parts)
        # Parts leave one by one, oldest first: the first segment that has any may lack some of them.
        leaving = first and total < segment.duration
        first = False
        if not leaving and abs(total - segment.duration) > PART_SUM_SLACK_S + 0.0005 * len(segment.parts):
            text = f"parts of segment {segment.msn} add up to {number(total)}, EXTINF is {number(segment.duration)}"
            yield seen(snapshot, text, segment.line)


@rule(
    "tags-before-parts",
    "4.4.4.9",
    Severity.MUST,
    "EXT-X-MAP, -KEY, -PROGRAM-DATE-TIME and -DISCONTINUITY stand before a segment's first part",
    "Write these tags before the first EXT-X-PART of the segment that they apply to.",
    over=part_snapshots,
    needs=low_latency,
)
def tags_before_parts(snapshot: Snapshot) -> Iterable[Evidence]:
    for segment in snapshot.playlist.all_segments:
        for line, tag in segment.late_tags:
            yield seen(snapshot, f"{tag} of segment {segment.msn} stands after its first EXT-X-PART", line)


@rule(
    "parts-kept-long",
    "6.2.2",
    Severity.SHOULD,
    "EXT-X-PART is dropped once it is more than three target durations from the end of the playlist",
    "List parts of the newest segments only; they make every reload larger.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def parts_kept_long(snapshot: Snapshot) -> Iterable[Evidence]:
    playlist = snapshot.playlist
    if playlist.target_duration is None:
        return
    age = sum(p.duration for p in playlist.open_segment.parts) if playlist.open_segment else 0.0
    for segment in reversed(playlist.segments):
        # One segment of slack: parts may leave a whole segment at a time.
        if segment.parts and age > (PARTS_KEPT + 1) * playlist.target_duration:
            text = f"segment {segment.msn} ends {number(age)} s before the end and still lists its parts"
            yield seen(snapshot, text, segment.parts[0].line)
        age += segment.duration or 0.0


@rule(
    "part-independent",
    "4.4.4.9",
    Severity.SHOULD,
    "Some listed part is INDEPENDENT=YES",
    "Mark every part that starts with a sync sample; clients join and switch there.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def part_independent(snapshot: Snapshot) -> Iterable[Evidence]:
    parts = [p for s in snapshot.playlist.all_segments for p in s.parts]
    seconds = sum(p.duration for p in parts)
    # Only where the parts reach over a target duration: before that none may have begun a GOP.
    target = snapshot.playlist.target_duration or 0
    if parts and seconds > 2 * target and not any(p.independent for p in parts):
        yield seen(snapshot, f"none of {len(parts)} listed parts is INDEPENDENT=YES", parts[0].line)


@rule(
    "preload-hint-present",
    "B.1",
    Severity.MUST,
    "A live low-latency playlist hints the next part",
    "Add #EXT-X-PRELOAD-HINT:TYPE=PART,URI=... for the part that is being made.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def preload_hint_present(snapshot: Snapshot) -> Iterable[Evidence]:
    if not any(h.type == "PART" for h in snapshot.playlist.preload_hints):
        yield seen(snapshot, "no EXT-X-PRELOAD-HINT of TYPE=PART")


@rule(
    "preload-hint-once",
    "6.2.6",
    Severity.SHOULD,
    "A playlist has one EXT-X-PRELOAD-HINT of a TYPE at most",
    "Hint the next resource only; clients ignore the others.",
    over=part_snapshots,
    needs=low_latency,
)
def preload_hint_once(snapshot: Snapshot) -> Iterable[Evidence]:
    types: set[str] = set()
    for hint in snapshot.playlist.preload_hints:
        if hint.type in types:
            yield seen(snapshot, f"another EXT-X-PRELOAD-HINT of TYPE={hint.type}", hint.line)
        types.add(hint.type)


@rule(
    "preload-hint-listed",
    "4.4.5.3",
    Severity.MUST,
    "EXT-X-PRELOAD-HINT names a resource that is not listed yet",
    "Hint the part after the newest listed one.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def preload_hint_listed(snapshot: Snapshot) -> Iterable[Evidence]:
    listed = {p.uri for s in snapshot.playlist.all_segments for p in s.parts if p.byterange is None}
    for hint in snapshot.playlist.preload_hints:
        if hint.type == "PART" and hint.byterange_start == 0 and hint.uri in listed:
            yield seen(snapshot, f"{hint.uri} is hinted and already listed as EXT-X-PART", hint.line)


def _deltas(observation: Observation) -> Iterable[Delta]:
    return (d for r in observation.renditions for d in r.deltas)


@rule(
    "skip-once",
    "4.4.5.2",
    Severity.MUST,
    "EXT-X-SKIP stands once in a delta update",
    "Write one EXT-X-SKIP with the number of all skipped segments.",
    over=_deltas,
    needs=skipping,
)
def skip_once(delta: Delta) -> Iterable[Evidence]:
    if delta.playlist.skip_count > 1:
        yield answered(delta.rendition, delta.exchange, f"EXT-X-SKIP stands {delta.playlist.skip_count} times")


@rule(
    "delta-answered",
    "6.2.5.1",
    Severity.MUST,
    "_HLS_skip=YES is answered with a delta update",
    "Replace the segments before the skip boundary by EXT-X-SKIP; check that caches keep the query in their key.",
    over=_deltas,
    needs=skipping,
)
def delta_answered(delta: Delta) -> Iterable[Evidence]:
    base, control = delta.base, delta.base.server_control
    if delta.playlist.ended or delta.playlist.skip is not None or control is None or control.can_skip_until is None:
        return
    # Only where something lies before the boundary in the playlist that came, by a whole target duration.
    beyond = delta.playlist.duration - control.can_skip_until
    if beyond > (base.target_duration or 0):
        text = f"no EXT-X-SKIP, though {number(beyond)} s of segments lie before CAN-SKIP-UNTIL"
        yield answered(delta.rendition, delta.exchange, text)


def merge(base: MediaPlaylist, delta: MediaPlaylist) -> dict[int, tuple[str | None, float | None]] | None:
    """(URI, duration) by MSN after a client merged a delta update into what it had (6.3.7).

    Returns:
        None where the delta skips a segment that the base does not have.
    """
    known = {s.msn: (s.uri, s.duration) for s in base.segments}
    skipped = delta.skip.skipped_segments if delta.skip else 0
    merged: dict[int, tuple[str | None, float | None]] = {}
    for msn in range(delta.media_sequence, delta.media_sequence + min(skipped, len(known) + 1)):
        if msn not in known:
            return None
        merged[msn] = known[msn]
    merged.update((s.msn, (s.uri, s.duration)) for s in delta.segments)
    return merged


@rule(
    "delta-merges",
    "6.2.5.1",
    Severity.MUST,
    "A delta update merged into the playlist before it gives the whole playlist",
    "Count SKIPPED-SEGMENTS from EXT-X-MEDIA-SEQUENCE, and leave out exactly the segments before the skip boundary.",
    over=lambda o: (d for d in _deltas(o) if d.playlist.skip is not None and d.full is not None),
    needs=skipping,
)
def delta_merges(delta: Delta) -> Iterable[Evidence]:
    assert delta.full is not None and delta.playlist.skip is not None
    line = delta.playlist.skip.line
    merged = merge(delta.base, delta.playlist)
    where = (delta.rendition.name, delta.exchange.url)
    if merged is None:
        yield Evidence("it skips a segment that the playlist before did not have", *where, line)
        return
    for segment in delta.full.segments:
        got = merged.get(segment.msn)
        # The full playlist was loaded after the delta: segments at either end may differ.
        if got is not None and got != (segment.uri, segment.duration):
            text = (
                f"segment {segment.msn} is {got[0]} ({got[1]}) by the delta, {segment.uri} ({segment.duration}) in full"
            )
            yield Evidence(text, *where, line)
            return


@rule(
    "delta-boundary",
    "6.2.5.1",
    Severity.MUST,
    "A delta update skips only segments before the skip boundary",
    "Keep every segment within CAN-SKIP-UNTIL of the end of the last segment.",
    over=lambda o: (d for d in _deltas(o) if d.playlist.skip is not None),
    needs=skipping,
)
def delta_boundary(delta: Delta) -> Iterable[Evidence]:
    control, skip = delta.base.server_control, delta.playlist.skip
    assert skip is not None
    if control is None or control.can_skip_until is None:
        return
    # The newest skipped segment lies this far from the end, at least by what the delta lists.
    if delta.playlist.duration < control.can_skip_until - (delta.base.target_duration or 0) and skip.skipped_segments:
        left, boundary = number(delta.playlist.duration), number(control.can_skip_until)
        text = f"{left} s of segments are left, CAN-SKIP-UNTIL is {boundary}"
        yield Evidence(text, delta.rendition.name, delta.exchange.url, skip.line)
