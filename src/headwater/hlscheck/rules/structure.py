"""What one media playlist must say of itself: durations, server control, how it ends."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from headwater.hlscheck.observation import Observation, Rendition, Snapshot
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    live,
    live_part_snapshots,
    live_snapshots,
    low_latency,
    low_latency_live,
    number,
    renditions,
    rule,
    seen,
    skipping,
    snapshots,
)

FLOAT_SLACK = 1e-6  # seconds; playlists print decimals
LONG_WINDOW_S = 120  # Apple 14.4: two minutes


@rule(
    "target-duration",
    "4.4.3.1",
    Severity.MUST,
    "No segment, rounded to whole seconds, is longer than EXT-X-TARGETDURATION",
    "Cut segments earlier, or start the stream with a larger target duration; it must not change later.",
    over=snapshots,
)
def target_duration(snapshot: Snapshot) -> Iterable[Evidence]:
    target = snapshot.playlist.target_duration
    if target is None:
        return
    for segment in snapshot.playlist.segments:
        if segment.duration is not None and int(segment.duration + 0.5) > target:
            text = f"EXTINF {number(segment.duration)} rounds to more than the target duration {target}"
            yield seen(snapshot, text, segment.line)


@rule(
    "live-window",
    "6.2.2",
    Severity.MUST,
    "Segments are not removed if less than three target durations would remain",
    "Keep at least three target durations of segments in a live playlist.",
    over=live_snapshots,
    needs=live,
)
def live_window(snapshot: Snapshot) -> Iterable[Evidence]:
    playlist = snapshot.playlist
    # Only a playlist that segments were removed from can be judged: a young stream is short. Our own clock of the
    # stream's first segment is unknown, so a media sequence that grew while we looked is what shows a removal.
    first = snapshot.rendition.snapshots[0].playlist
    removed = playlist.media_sequence > first.media_sequence
    if removed and playlist.target_duration and playlist.duration < 3 * playlist.target_duration - FLOAT_SLACK:
        text = f"{number(playlist.duration)} s of segments, target duration {playlist.target_duration}"
        yield seen(snapshot, text, playlist.tag_lines.get("EXT-X-MEDIA-SEQUENCE"))


@rule(
    "playlist-type",
    "6.2.2",
    Severity.MUST,
    "A playlist with EXT-X-PLAYLIST-TYPE never removes segments",
    "Leave EXT-X-PLAYLIST-TYPE out of a live playlist with a sliding window.",
    over=renditions,
)
def playlist_type(rendition: Rendition) -> Iterable[Evidence]:
    for older, newer in pairwise(rendition.snapshots):
        playlist = newer.playlist
        if playlist.playlist_type and playlist.media_sequence > older.playlist.media_sequence:
            text = f"{playlist.playlist_type}, yet the media sequence went on to {playlist.media_sequence}"
            yield seen(newer, text, playlist.tag_lines.get("EXT-X-PLAYLIST-TYPE"))
            return


@rule(
    "server-control",
    "B.1",
    Severity.MUST,
    "A low-latency playlist has EXT-X-SERVER-CONTROL with CAN-BLOCK-RELOAD=YES",
    "Offer blocking playlist reload and say so: #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,...",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def server_control(snapshot: Snapshot) -> Iterable[Evidence]:
    control = snapshot.playlist.server_control
    if control is None:
        yield seen(snapshot, "EXT-X-SERVER-CONTROL is absent")
    elif not control.can_block_reload:
        yield seen(snapshot, "CAN-BLOCK-RELOAD=YES is absent", control.line)


@rule(
    "part-inf",
    "4.4.3.7",
    Severity.MUST,
    "A playlist with parts has EXT-X-PART-INF",
    "Add #EXT-X-PART-INF:PART-TARGET=<seconds>.",
    over=snapshots,
    needs=low_latency,
)
def part_inf(snapshot: Snapshot) -> Iterable[Evidence]:
    playlist = snapshot.playlist
    if "EXT-X-PART" in playlist.tag_lines and "EXT-X-PART-INF" not in playlist.tag_lines:
        yield seen(snapshot, "EXT-X-PART without EXT-X-PART-INF", playlist.tag_lines["EXT-X-PART"])


@rule(
    "part-hold-back-present",
    "4.4.3.8",
    Severity.MUST,
    "EXT-X-SERVER-CONTROL has PART-HOLD-BACK where there is EXT-X-PART-INF",
    "Add PART-HOLD-BACK with at least three times PART-TARGET.",
    over=snapshots,
    needs=low_latency,
)
def part_hold_back_present(snapshot: Snapshot) -> Iterable[Evidence]:
    playlist = snapshot.playlist
    control = playlist.server_control
    if playlist.part_target is not None and control is not None and control.part_hold_back is None:
        yield seen(snapshot, "PART-HOLD-BACK is absent", control.line)


@rule(
    "part-hold-back-draft",
    "4.4.3.8",
    Severity.MUST,
    "PART-HOLD-BACK is at least twice PART-TARGET",
    "Raise PART-HOLD-BACK; three times PART-TARGET is what Apple asks for.",
    over=snapshots,
    needs=low_latency,
)
def part_hold_back_draft(snapshot: Snapshot) -> Iterable[Evidence]:
    yield from _part_hold_back(snapshot, 0, 2)


@rule(
    "part-hold-back-apple",
    "Apple 14.3",
    Severity.MUST,
    "PART-HOLD-BACK is at least three times PART-TARGET",
    "Raise PART-HOLD-BACK to three times PART-TARGET or more (the draft says SHOULD, Apple's devices MUST).",
    over=snapshots,
    needs=low_latency,
)
def part_hold_back_apple(snapshot: Snapshot) -> Iterable[Evidence]:
    yield from _part_hold_back(snapshot, 2, 3)


def _part_hold_back(snapshot: Snapshot, least: int, below: int) -> Iterable[Evidence]:
    target, control = snapshot.playlist.part_target, snapshot.playlist.server_control
    if not target or control is None or control.part_hold_back is None:
        return
    held = control.part_hold_back
    if least * target - FLOAT_SLACK <= held < below * target - FLOAT_SLACK:
        text = f"PART-HOLD-BACK {number(held)} is {number(held / target)} times PART-TARGET {number(target)}"
        yield seen(snapshot, text, control.line)


@rule(
    "hold-back",
    "4.4.3.8",
    Severity.MUST,
    "HOLD-BACK is at least three times the target duration",
    "Raise HOLD-BACK, or leave it out: three target durations is its default.",
    over=snapshots,
)
def hold_back(snapshot: Snapshot) -> Iterable[Evidence]:
    control, target = snapshot.playlist.server_control, snapshot.playlist.target_duration
    if control and target and control.hold_back is not None and control.hold_back < 3 * target - FLOAT_SLACK:
        yield seen(snapshot, f"HOLD-BACK {number(control.hold_back)}, target duration {target}", control.line)


@rule(
    "can-skip-until",
    "4.4.3.8",
    Severity.MUST,
    "CAN-SKIP-UNTIL is at least six times the target duration",
    "Raise CAN-SKIP-UNTIL to six target durations or more.",
    over=snapshots,
    needs=skipping,
)
def can_skip_until(snapshot: Snapshot) -> Iterable[Evidence]:
    control, target = snapshot.playlist.server_control, snapshot.playlist.target_duration
    if control and target and control.can_skip_until is not None and control.can_skip_until < 6 * target - FLOAT_SLACK:
        yield seen(snapshot, f"CAN-SKIP-UNTIL {number(control.can_skip_until)}, target duration {target}", control.line)


@rule(
    "skip-dateranges",
    "4.4.3.8",
    Severity.MUST,
    "CAN-SKIP-DATERANGES stands only with CAN-SKIP-UNTIL",
    "Add CAN-SKIP-UNTIL, or leave CAN-SKIP-DATERANGES out.",
    over=snapshots,
)
def skip_dateranges(snapshot: Snapshot) -> Iterable[Evidence]:
    control = snapshot.playlist.server_control
    if control and control.can_skip_dateranges and control.can_skip_until is None:
        yield seen(snapshot, "CAN-SKIP-DATERANGES=YES without CAN-SKIP-UNTIL", control.line)


@rule(
    "skip-dateranges-offered",
    "Apple 14.5",
    Severity.SHOULD,
    "A stream with delta updates and EXT-X-DATERANGE offers CAN-SKIP-DATERANGES",
    "Leave old date ranges out of delta updates too (_HLS_skip=v2), and say CAN-SKIP-DATERANGES=YES.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def skip_dateranges_offered(snapshot: Snapshot) -> Iterable[Evidence]:
    control = snapshot.playlist.server_control
    if snapshot.playlist.dateranges and control and control.can_skip_until and not control.can_skip_dateranges:
        text = f"{snapshot.playlist.dateranges} date ranges and no CAN-SKIP-DATERANGES=YES"
        yield seen(snapshot, text, control.line)


@rule(
    "delta-offered",
    "Apple 14.4",
    Severity.SHOULD,
    "A playlist window of more than two minutes offers delta updates",
    "Offer delta updates (CAN-SKIP-UNTIL), or shorten the window.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def delta_offered(snapshot: Snapshot) -> Iterable[Evidence]:
    control = snapshot.playlist.server_control
    if snapshot.playlist.duration > LONG_WINDOW_S and control is not None and control.can_skip_until is None:
        yield seen(snapshot, f"a window of {number(snapshot.playlist.duration)} s and no CAN-SKIP-UNTIL", control.line)


@rule(
    "ended-block-reload",
    "6.2.5.2",
    Severity.SHOULD,
    "An ended playlist does not go on offering CAN-BLOCK-RELOAD",
    "Drop EXT-X-SERVER-CONTROL's CAN-BLOCK-RELOAD with EXT-X-ENDLIST: some players go on with blocking requests.",
    over=lambda o: (s for s in snapshots(o) if s.playlist.ended),
)
def ended_block_reload(snapshot: Snapshot) -> Iterable[Evidence]:
    control = snapshot.playlist.server_control
    if control and control.can_block_reload:
        yield seen(snapshot, "CAN-BLOCK-RELOAD=YES beside EXT-X-ENDLIST", control.line)


@rule(
    "ended-preload-hint",
    "4.4.5.3",
    Severity.MUST,
    "A playlist with EXT-X-ENDLIST has no EXT-X-PRELOAD-HINT",
    "Leave the hint out of the last version of the playlist.",
    over=lambda o: (s for s in snapshots(o) if s.playlist.ended),
)
def ended_preload_hint(snapshot: Snapshot) -> Iterable[Evidence]:
    for hint in snapshot.playlist.preload_hints:
        yield seen(snapshot, f"EXT-X-PRELOAD-HINT of {hint.uri} beside EXT-X-ENDLIST", hint.line)


@rule(
    "skip-unasked",
    "6.2.5.1",
    Severity.MUST,
    "EXT-X-SKIP comes only when the request asked for it with _HLS_skip",
    "Answer requests without _HLS_skip with the whole playlist; check that caches keep the query in their key.",
    over=snapshots,
)
def skip_unasked(snapshot: Snapshot) -> Iterable[Evidence]:
    if snapshot.playlist.skip is not None:
        yield seen(snapshot, "EXT-X-SKIP in the answer to a request without _HLS_skip", snapshot.playlist.skip.line)


@rule(
    "i-frames-only-parts",
    "4.4.4.9",
    Severity.SHOULD,
    "I-frame playlists have no parts",
    "Leave EXT-X-PART out of playlists with EXT-X-I-FRAMES-ONLY.",
    over=lambda o: (s for s in snapshots(o) if s.playlist.i_frames_only),
)
def i_frames_only_parts(snapshot: Snapshot) -> Iterable[Evidence]:
    if "EXT-X-PART" in snapshot.playlist.tag_lines:
        yield seen(snapshot, "EXT-X-PART beside EXT-X-I-FRAMES-ONLY", snapshot.playlist.tag_lines["EXT-X-PART"])


@rule(
    "server-control-same",
    "6.2.4",
    Severity.MUST,
    "All media playlists have the same EXT-X-SERVER-CONTROL",
    "Write one EXT-X-SERVER-CONTROL, with the same values, into every media playlist of the stream.",
    over=lambda o: [o],
)
def server_control_same(observation: Observation) -> Iterable[Evidence]:
    first: tuple[Rendition, tuple[tuple[str, str], ...]] | None = None
    for rendition in observation.renditions:
        playlist = rendition.newest
        if playlist is None or playlist.ended or playlist.i_frames_only:
            continue
        control = playlist.server_control
        attributes = control.attributes if control else ()
        if first is None:
            first = rendition, attributes
        elif attributes != first[1]:
            differing = sorted(dict(set(attributes) ^ set(first[1])))
            text = f"{', '.join(differing)} differ from {first[0].name}"
            yield Evidence(text, rendition.name, rendition.url, control.line if control else None)
