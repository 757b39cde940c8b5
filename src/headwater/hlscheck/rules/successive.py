"""What may change from one load of a media playlist to the next, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from headwater.hlscheck.observation import Probe, ProbeKind, Rendition
from headwater.hlscheck.playlist import Map, MediaPlaylist, Part, Segment
from headwater.hlscheck.rules.base import (
    Evidence,
    Pair,
    Severity,
    answered,
    live,
    low_latency_live,
    number,
    pairs,
    probes,
    rule,
    seen,
)

PART_LATE_SHARE = 0.5  # of a part target: what the network may add between two parts
PART_LATE_S = 0.15  # and at least this
SEGMENT_LATE_S = 1.0  # the same for segments


@rule(
    "target-duration-constant",
    "6.2.1",
    Severity.MUST,
    "EXT-X-TARGETDURATION never changes",
    "Choose the target duration once, from the encoder's longest GOP, and keep it over reconnects.",
    over=pairs,
)
def target_duration_constant(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    if None not in (older.target_duration, newer.target_duration) and older.target_duration != newer.target_duration:
        text = f"went from {older.target_duration} to {newer.target_duration}"
        yield seen(pair.newer, text, newer.tag_lines.get("EXT-X-TARGETDURATION"))


@rule(
    "part-target-constant",
    "4.4.3.7",
    Severity.SHOULD,
    "PART-TARGET does not change",
    "Choose PART-TARGET once: players size their buffers by it when they join.",
    over=pairs,
    needs=low_latency_live,
)
def part_target_constant(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist.part_target, pair.newer.playlist.part_target
    if older is not None and newer is not None and older != newer:
        text = f"went from {number(older)} to {number(newer)}"
        yield seen(pair.newer, text, pair.newer.playlist.tag_lines.get("EXT-X-PART-INF"))


@rule(
    "media-sequence-back",
    "6.2.2",
    Severity.MUST,
    "EXT-X-MEDIA-SEQUENCE never goes back",
    "Go on counting over reconnects and restarts; behind a load balancer, count the same on every server.",
    over=pairs,
)
def media_sequence_back(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    if newer.media_sequence < older.media_sequence:
        text = f"went from {older.media_sequence} to {newer.media_sequence}"
        yield seen(pair.newer, text, newer.tag_lines.get("EXT-X-MEDIA-SEQUENCE"))


@rule(
    "discontinuity-sequence-back",
    "6.2.2",
    Severity.MUST,
    "EXT-X-DISCONTINUITY-SEQUENCE never goes back",
    "Go on counting over reconnects and restarts.",
    over=pairs,
)
def discontinuity_sequence_back(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    if newer.discontinuity_sequence < older.discontinuity_sequence:
        text = f"went from {older.discontinuity_sequence} to {newer.discontinuity_sequence}"
        yield seen(pair.newer, text, newer.tag_lines.get("EXT-X-DISCONTINUITY-SEQUENCE"))


def _shared(pair: Pair) -> Iterable[tuple[Segment, Segment]]:
    """The complete segments that both playlists have, by MSN."""
    if pair.newer.playlist.media_sequence < pair.older.playlist.media_sequence:
        return  # another rule's finding; numbers mean nothing then
    known = {s.msn: s for s in pair.older.playlist.segments}
    for segment in pair.newer.playlist.segments:
        if segment.msn in known:
            yield known[segment.msn], segment


@rule(
    "discontinuity-number",
    "6.2.2",
    Severity.MUST,
    "A segment's discontinuity sequence number stays the same while it is listed",
    "Raise EXT-X-DISCONTINUITY-SEQUENCE by one whenever a segment with EXT-X-DISCONTINUITY has left, and only then.",
    over=pairs,
)
def discontinuity_number(pair: Pair) -> Iterable[Evidence]:
    if pair.newer.playlist.discontinuity_sequence < pair.older.playlist.discontinuity_sequence:
        return
    for before, after in _shared(pair):
        first = after.msn == pair.newer.playlist.media_sequence
        same = before.discontinuity == after.discontinuity or first
        if same and before.discontinuity_number != after.discontinuity_number:
            text = f"segment {after.msn} went from {before.discontinuity_number} to {after.discontinuity_number}"
            yield seen(pair.newer, text, after.line)
            return


@rule(
    "segment-changed",
    "6.2.1",
    Severity.MUST,
    "A listed segment never changes: the same MSN has the same URI, duration, byte range, date, map and discontinuity",
    "Treat segments as immutable once listed; removing old ones must raise EXT-X-MEDIA-SEQUENCE by as many.",
    over=pairs,
)
def segment_changed(pair: Pair) -> Iterable[Evidence]:
    for before, after in _shared(pair):
        for what, was, now in _differences(before, after, pair.newer.playlist):
            yield seen(pair.newer, f"{what} of segment {after.msn} went from {was} to {now}", after.line)
            return


def _differences(before: Segment, after: Segment, playlist: MediaPlaylist) -> Iterable[tuple[str, object, object]]:
    compared: list[tuple[str, object, object]] = [
        ("the URI", before.uri, after.uri),
        ("EXTINF", before.duration, after.duration),
        ("the byte range", before.byterange, after.byterange),
        ("EXT-X-GAP", before.gap, after.gap),
        ("EXT-X-MAP", _place(before.map), _place(after.map)),
    ]
    if before.program_date_time is not None and after.program_date_time is not None:
        compared.append(("EXT-X-PROGRAM-DATE-TIME", before.program_date_time, after.program_date_time))
    if after.msn > playlist.media_sequence:  # the first one's tag may have become part of the sequence number
        compared.append(("EXT-X-DISCONTINUITY", before.discontinuity, after.discontinuity))
    return ((what, was, now) for what, was, now in compared if was != now)


def _place(tag: Map | None) -> tuple[str, object] | None:
    return (tag.uri, tag.byterange) if tag else None


@rule(
    "segment-vanished",
    "6.2.1",
    Severity.MUST,
    "Segments are only appended at the end",
    "Never take back a listed segment; a server behind must not answer after one that was ahead.",
    over=pairs,
)
def segment_vanished(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    if newer.media_sequence < older.media_sequence or older.last_msn is None:
        return
    last = newer.last_msn if newer.last_msn is not None else newer.media_sequence - 1
    if last < older.last_msn:
        yield seen(pair.newer, f"the last segment was {older.last_msn} and is now {last}")


@rule(
    "part-changed",
    "6.2.1",
    Severity.MUST,
    "A listed part never changes",
    "Treat parts as immutable once listed.",
    over=pairs,
    needs=low_latency_live,
)
def part_changed(pair: Pair) -> Iterable[Evidence]:
    if pair.newer.playlist.media_sequence < pair.older.playlist.media_sequence:
        return
    known = {s.msn: s.parts for s in pair.older.playlist.all_segments}
    for segment in pair.newer.playlist.all_segments:
        for index, (was, now) in enumerate(_common_parts(known.get(segment.msn, ()), segment)):
            if replace(was, line=0) != replace(now, line=0):
                text = f"part {segment.msn}.{index} was {_told(was)}, is {_told(now)}"
                yield seen(pair.newer, text, now.line)
                return


def _told(part: Part) -> str:
    return f"{part.uri} ({number(part.duration)}{', independent' if part.independent else ''})"


def _common_parts(before: tuple[Part, ...], segment: Segment) -> Iterable[tuple[Part, Part]]:
    """The parts listed in both, in order; none where the oldest of them have left."""
    if len(before) > len(segment.parts):
        return ()
    return zip(before, segment.parts, strict=False)


@rule(
    "ended-goes-on",
    "4.4.3.4",
    Severity.MUST,
    "Nothing comes after EXT-X-ENDLIST",
    "Write EXT-X-ENDLIST only when the presentation has ended; a new one gets a new URL.",
    over=probes(ProbeKind.ENDED_DIRECTIVES),
)
def ended_goes_on(probe: Probe) -> Iterable[Evidence]:
    if probe.playlist is not None and not probe.playlist.ended:
        yield answered(probe.rendition, probe.exchange, "EXT-X-ENDLIST was there and has gone")


@rule(
    "part-cadence",
    "6.2.1",
    Severity.MUST,
    "A new part is listed within one part target of the one before",
    "List each part when its last sample is there; where media is missing, list parts with GAP=YES.",
    over=pairs,
    needs=low_latency_live,
)
def part_cadence(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    target = newer.part_target
    if not target or newer.ended or older.last_part is None or newer.last_part is None or pair.newer.asked is None:
        return
    if not (older.server_control and older.server_control.can_block_reload) or newer.last_part <= older.last_part:
        return
    waited = pair.newer.at - pair.older.at
    added = _parts_after(newer, older.last_part)
    allowed = target * max(added, 1)
    if waited > allowed + max(PART_LATE_S, PART_LATE_SHARE * target):
        text = f"part {_dotted(newer.last_part)} came {number(waited)} s after {_dotted(older.last_part)}"
        yield seen(pair.newer, f"{text}, PART-TARGET is {number(target)}")


def _parts_after(playlist: MediaPlaylist, position: tuple[int, int]) -> int:
    return sum(1 for s in playlist.all_segments for i in range(len(s.parts)) if (s.msn, i) > position)


def _dotted(position: tuple[int, int]) -> str:
    return f"{position[0]}.{position[1]}"


@rule(
    "segment-cadence",
    "6.2.1",
    Severity.MUST,
    "A live playlist has a new segment within 1.5 target durations",
    "Add segments as they are made; where media is missing, add segments with EXT-X-GAP.",
    over=lambda o: [r for r in o.renditions if len(r.snapshots) > 1],
    needs=live,
)
def segment_cadence(rendition: Rendition) -> Iterable[Evidence]:
    snapshots = rendition.snapshots
    since, last = snapshots[0].at, snapshots[0].playlist.last_msn
    for snapshot in snapshots[1:]:
        playlist = snapshot.playlist
        if playlist.ended or playlist.target_duration is None:
            return
        # The first interval began before we looked; a playlist that is polled shows a segment a reload late.
        late = snapshot.at - since - 1.5 * playlist.target_duration
        slack = SEGMENT_LATE_S if snapshot.asked is not None else playlist.target_duration + SEGMENT_LATE_S
        if late > slack:
            text = f"no segment after {last} for {number(snapshot.at - since)} s, target {playlist.target_duration}"
            yield seen(snapshot, text)
            return
        if playlist.last_msn != last:
            since, last = snapshot.at, playlist.last_msn


@rule(
    "hint-becomes-part",
    "4.4.5.3",
    Severity.MUST,
    "The next part that is listed has the URI that was hinted",
    "Derive the hint's URI as the part's; hint again when the plan changes (a hint may be withdrawn, not wrong).",
    over=pairs,
    needs=low_latency_live,
)
def hint_becomes_part(pair: Pair) -> Iterable[Evidence]:
    older, newer = pair.older.playlist, pair.newer.playlist
    hint = next((h for h in older.preload_hints if h.type == "PART"), None)
    if hint is None or older.last_part is None or newer.media_sequence < older.media_sequence:
        return
    for segment in newer.all_segments:
        for index, part in enumerate(segment.parts):
            if (segment.msn, index) > older.last_part:
                if part.uri != hint.uri:
                    text = f"{hint.uri} was hinted, part {segment.msn}.{index} became {part.uri}"
                    yield seen(pair.newer, text, part.line)
                return
