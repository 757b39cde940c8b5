"""Hints, parts and segments as resources: when they can be loaded, how they are sent (6.2.1, 6.2.2, 6.2.6)."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import (
    HintRequest,
    Kind,
    Observation,
    Probe,
    ProbeKind,
    Rendition,
    Resource,
)
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    answered,
    live,
    low_latency_live,
    number,
    probes,
    resources,
    rule,
)

PROMPT_S = 1.0  # "at once": what a slow network may take beside it
TRICKLE_S = 0.1  # between first and last byte of a part, beside TRICKLE_SHARE of its duration
TRICKLE_SHARE = 0.3
TRICKLE_TIMES = 4  # slower than the fastest download of the same rendition


def _hints(observation: Observation) -> Iterable[tuple[Rendition, HintRequest]]:
    for rendition in observation.renditions:
        for request in rendition.hints.values():
            if request.exchange is not None:
                yield rendition, request


@rule(
    "hint-requestable",
    "6.2.6",
    Severity.MUST,
    "A hinted part can be requested at once: the request is held and then answered",
    "Hold the request for a hinted part until the part is there; never answer 404 while the hint is listed.",
    over=_hints,
    needs=low_latency_live,
)
def hint_requestable(subject: tuple[Rendition, HintRequest]) -> Iterable[Evidence]:
    rendition, request = subject
    exchange = request.exchange
    assert exchange is not None
    if not exchange.ok and not rendition.snapshots[-1].playlist.ended:
        listed = any(
            p.uri == request.hint.uri for s in rendition.snapshots for seg in s.playlist.all_segments for p in seg.parts
        )
        if listed:  # a hint may be withdrawn, and then 404 is right (6.2.6)
            yield answered(rendition, exchange, f"{exchange.describe()}; the part was hinted, and listed later")


@rule(
    "hint-trickled",
    "6.2.6",
    Severity.MUST,
    "No byte of a part is sent before all of it can be sent at full speed",
    "Hold the response until the part is complete; chunks as they are encoded ruin the client's bandwidth estimate.",
    over=lambda o: (r for r in resources(o) if r.kind is Kind.PART and r.exchange.ok),
    needs=low_latency_live,
)
def hint_trickled(resource: Resource) -> Iterable[Evidence]:
    exchange = resource.exchange
    spread = exchange.last_byte_at - exchange.first_byte_at
    duration = resource.listed.duration if resource.listed and resource.listed.duration else 0.0
    if not exchange.size or spread <= max(TRICKLE_S, TRICKLE_SHARE * duration):
        return
    # As slow as the part's own production, while the same server was several times faster with other resources.
    times = _fastest(resource.rendition) * spread / exchange.size
    if times > TRICKLE_TIMES:
        text = f"{exchange.size} bytes took {number(spread)} s from first to last; others came {times:.0f} times faster"
        yield answered(resource.rendition, exchange, text)


def _fastest(rendition: Rendition) -> float:
    """Bytes per second of the fastest download of a part or segment, one millisecond at least each."""
    speeds = [
        r.exchange.size / max(r.exchange.last_byte_at - r.exchange.first_byte_at, 0.001)
        for r in [*rendition.segments.values(), *rendition.parts.values()]
        if r.exchange.ok
    ]
    return max(speeds, default=0.0)


@rule(
    "never-hinted",
    "6.2.6",
    Severity.SHOULD,
    "A part that was never hinted is answered with 404",
    "Hold requests for hinted parts only; answer 404 to all other unknown URLs.",
    over=probes(ProbeKind.NEVER_HINTED),
    needs=low_latency_live,
)
def never_hinted(probe: Probe) -> Iterable[Evidence]:
    took = probe.exchange.last_byte_at - probe.exchange.sent_at
    if probe.exchange.status not in (403, 404, 410) or took > PROMPT_S:
        text = f"{probe.exchange.describe()} after {number(took)} s, not 404 at once"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "removed-part",
    "6.2.2",
    Severity.MUST,
    "A part can be downloaded for three target durations after it left the playlist",
    "Keep parts for three target durations after their EXT-X-PART is gone.",
    over=probes(ProbeKind.REMOVED_PART),
    needs=low_latency_live,
)
def removed_part(probe: Probe) -> Iterable[Evidence]:
    if not probe.exchange.ok and probe.age < 3 * (probe.before.target_duration or 0):
        text = f"{probe.exchange.describe()}, {number(probe.age)} s after it left the playlist"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "removed-segment",
    "6.2.2",
    Severity.MUST,
    "A segment can be downloaded for a playlist duration and its own after it first appeared",
    "Keep segments for one segment duration at least after they left the playlist.",
    over=probes(ProbeKind.REMOVED_SEGMENT),
    needs=live,
)
def removed_segment(probe: Probe) -> Iterable[Evidence]:
    if not probe.exchange.ok:
        text = f"{probe.exchange.describe()}, {number(probe.age)} s after it left the playlist"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "available",
    "6.2.1",
    Severity.MUST,
    "Every listed segment, part and init segment can be downloaded at once",
    "List resources when they can be served, or mark them as gaps.",
    over=resources,
)
def available(resource: Resource) -> Iterable[Evidence]:
    if not resource.exchange.ok and not resource.exchange.truncated:
        yield answered(resource.rendition, resource.exchange, f"{resource.kind}: {resource.exchange.describe()}")


@rule(
    "byte-ranges",
    "4.4.4.2",
    Severity.MUST,
    "A request for a listed byte range is answered with that range",
    "Answer Range requests with 206; caches and servers in front must pass them on.",
    over=lambda o: (r for r in resources(o) if r.byterange is not None and r.exchange.ok),
)
def byte_ranges(resource: Resource) -> Iterable[Evidence]:
    if resource.whole_came:
        assert resource.byterange is not None
        text = f"bytes {resource.byterange[0]}-{resource.byterange[1]} were asked for, the whole resource came"
        yield answered(resource.rendition, resource.exchange, text)
