"""Blocking playlist reload (draft clause 6.2.5.2): held, answered, refused."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import (
    Observation,
    Probe,
    ProbeKind,
    Rendition,
    Snapshot,
)
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    answered,
    blocking,
    number,
    probes,
    renditions,
    rule,
    seen,
    snapshots,
)

PROMPT_S = 1.0  # "at once": what a slow network may take beside it


def _asked(observation: Observation) -> Iterable[Snapshot]:
    return (s for s in snapshots(observation) if s.asked is not None and not s.playlist.ended)


@rule(
    "blocking-holds",
    "6.2.5.2",
    Severity.MUST,
    "A blocking reload answers when the asked segment or part is there, not earlier",
    "Hold the request until the playlist has the part; check that no cache answers without regard to the query.",
    over=_asked,
    needs=blocking,
)
def blocking_holds(snapshot: Snapshot) -> Iterable[Evidence]:
    assert snapshot.asked is not None
    msn, part = snapshot.asked
    playlist = snapshot.playlist
    if part is None:
        last = playlist.last_msn
        if last is None or last < msn:
            yield seen(snapshot, f"asked for segment {msn}, the playlist ends with {last}")
        return
    if playlist.last_part is not None and playlist.last_part >= (msn, part):
        return
    if playlist.last_msn is None or playlist.last_msn < msn:
        newest = ".".join(map(str, playlist.last_part)) if playlist.last_part else "none"
        yield seen(snapshot, f"asked for part {msn}.{part}, the newest listed one is {newest}")


@rule(
    "blocking-timeout",
    "6.2.5.2",
    Severity.SHOULD,
    "A reload that blocked for more than three target durations is answered with 503",
    "Bound the wait: answer 503 after three target durations, so that players try another server.",
    over=renditions,
    needs=blocking,
)
def blocking_timeout(rendition: Rendition) -> Iterable[Evidence]:
    newest = rendition.newest
    if newest is None or newest.target_duration is None:
        return
    bound = 3 * newest.target_duration
    exchanges = [s.exchange for s in rendition.snapshots if s.asked] + rendition.failures
    for exchange in exchanges:
        held = (exchange.head_at or exchange.last_byte_at) - exchange.sent_at
        late = "_HLS_msn" in exchange.url and held > bound + PROMPT_S
        if late and exchange.status != 503:
            yield answered(rendition, exchange, f"{exchange.describe()} after {number(held)} s, target {bound // 3}")


@rule(
    "reload-fails",
    "6.2.1",
    Severity.MUST,
    "A live playlist can be loaded whenever it is asked for",
    "Find out why a reload of the next segment or part fails.",
    over=renditions,
)
def reload_fails(rendition: Rendition) -> Iterable[Evidence]:
    for exchange in rendition.failures:
        if exchange.status != 503:  # that is how a server says that the publisher is late
            yield answered(rendition, exchange, exchange.describe())


@rule(
    "no-directives",
    "6.2.5.2",
    Severity.MUST,
    "A request without directives is answered at once",
    "Hold only requests with _HLS_msn: players load the playlist without it first, and older ones always.",
    over=lambda o: (p for p in probes(ProbeKind.HEAD_PLAYLIST)(o) if p.beside is not None and p.beside.ok),
    needs=blocking,
)
def no_directives(probe: Probe) -> Iterable[Evidence]:
    assert probe.beside is not None
    held = probe.beside.head_at - probe.beside.sent_at
    if held > PROMPT_S:
        yield answered(probe.rendition, probe.beside, f"answered after {number(held)} s")


@rule(
    "part-without-msn",
    "6.2.5.2",
    Severity.MUST,
    "_HLS_part without _HLS_msn is refused with 400",
    "Answer 400 to a request that has _HLS_part and no _HLS_msn.",
    over=probes(ProbeKind.PART_WITHOUT_MSN),
    needs=blocking,
)
def part_without_msn(probe: Probe) -> Iterable[Evidence]:
    if probe.exchange.status != 400:
        yield answered(probe.rendition, probe.exchange, f"{probe.exchange.describe()}, not 400")


def _refused(probe: Probe) -> Iterable[Evidence]:
    took = probe.exchange.last_byte_at - probe.exchange.sent_at
    if not 400 <= probe.exchange.status < 500 or took > PROMPT_S:
        text = f"{probe.exchange.describe()} after {number(took)} s, not 400 at once"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "far-msn",
    "6.2.5.2",
    Severity.SHOULD,
    "_HLS_msn of more than two segments beyond the last is refused with 400 at once",
    "Answer 400 where _HLS_msn is larger than the last media sequence number plus two.",
    over=probes(ProbeKind.FAR_MSN),
    needs=blocking,
)
def far_msn(probe: Probe) -> Iterable[Evidence]:
    yield from _refused(probe)


@rule(
    "far-part",
    "6.2.5.2",
    Severity.SHOULD,
    "_HLS_part beyond the advance part limit is refused with 400 at once",
    "Answer 400 where _HLS_part exceeds the last part by more than 3 / PART-TARGET (3 from one second on).",
    over=probes(ProbeKind.FAR_PART),
    needs=blocking,
)
def far_part(probe: Probe) -> Iterable[Evidence]:
    yield from _refused(probe)


def _whole_at_once(probe: Probe, allowed_s: float) -> Iterable[Evidence]:
    exchange = probe.exchange
    took = exchange.last_byte_at - exchange.sent_at
    if probe.playlist is None:
        yield answered(probe.rendition, exchange, f"{exchange.describe()}, not the playlist")
    elif took > allowed_s:
        yield answered(probe.rendition, exchange, f"answered after {number(took)} s")
    elif probe.playlist.last_msn is None or probe.playlist.last_msn < (probe.before.last_msn or 0):
        yield answered(probe.rendition, exchange, f"the playlist ends with segment {probe.playlist.last_msn}")


@rule(
    "old-msn",
    "6.2.5.2",
    Severity.MUST,
    "_HLS_msn of a segment that is there is answered at once with the whole playlist",
    "Do not hold, cut or refuse a request for what the playlist already has.",
    over=probes(ProbeKind.OLD_MSN),
    needs=blocking,
)
def old_msn(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S)


@rule(
    "past-last-part",
    "6.2.5.2",
    Severity.MUST,
    "A part index past a segment's last part means part 0 of the next segment",
    "Treat _HLS_part past the end of a complete segment as the first part of the segment after it.",
    over=probes(ProbeKind.PAST_LAST_PART),
    needs=blocking,
)
def past_last_part(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S + 2 * (probe.before.part_target or 0))


@rule(
    "ended-directives",
    "6.2.5.2",
    Severity.MUST,
    "Directives are ignored once the playlist has EXT-X-ENDLIST",
    "Answer at once with the ended playlist, whatever _HLS_msn and _HLS_part ask for.",
    over=probes(ProbeKind.ENDED_DIRECTIVES),
)
def ended_directives(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S)
