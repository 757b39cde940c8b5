"""What a rule is: a clause, a severity, what it needs to apply, what it is asked of, and a pure function.

A rule is a function from one subject (a snapshot, a pair of successive snapshots, a rendition, a resource, a probe,
or the whole observation) to the evidence against it. It is registered by its decorator; `evaluate` runs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from headwater.hlscheck.observation import Exchange, Observation, Probe, ProbeKind, Rendition, Resource, Snapshot

DRAFT = "draft-pantos-hls-rfc8216bis-22"
MAX_EVIDENCE = 5  # kept per rule; the count goes on

T = TypeVar("T")


class Severity(StrEnum):
    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen: one sentence with its values, and where."""

    text: str
    rendition: str = ""
    url: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the draft or of Apple's authoring specification.

    Attributes:
        id: Short, stable, for people and machines.
        clause: `6.2.5.2` of the draft; `B.1` its appendix; `Apple 14.3`; `RFC 9110 9.3.2`.
        title: The rule, in one sentence.
        advice: What to do about a finding.
        applies: The reason why it does not apply to an observation, or None.
        subjects: What it is asked of.
        check: The evidence against one subject.
    """

    id: str
    clause: str
    severity: Severity
    title: str
    advice: str
    applies: Callable[[Observation], str | None]
    subjects: Callable[[Observation], Iterable[Any]]
    check: Callable[[Any], Iterable[Evidence]]


REGISTRY: dict[str, Rule] = {}


def rule(
    rule_id: str,
    clause: str,
    severity: Severity,
    title: str,
    advice: str,
    *,
    over: Callable[[Observation], Iterable[T]],
    needs: Callable[[Observation], str | None] = lambda _: None,
) -> Callable[[Callable[[T], Iterable[Evidence]]], Callable[[T], Iterable[Evidence]]]:
    """Register a function as a rule."""

    def register(check: Callable[[T], Iterable[Evidence]]) -> Callable[[T], Iterable[Evidence]]:
        assert rule_id not in REGISTRY, rule_id
        REGISTRY[rule_id] = Rule(rule_id, clause, severity, title, advice, needs, over, check)
        return check

    return register


class Status(StrEnum):
    """What became of a rule in one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OBSERVED = "not observed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule's result: `count` pieces of evidence, the first few kept; `reason` where it was not applied."""

    rule: Rule
    status: Status
    checked: int = 0
    count: int = 0
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""


def evaluate(observation: Observation) -> list[Outcome]:
    """Every registered rule on an observation, in the order of registration."""
    return [_evaluate(one, observation) for one in REGISTRY.values()]


def _evaluate(one: Rule, observation: Observation) -> Outcome:
    reason = one.applies(observation)
    if reason is not None:
        return Outcome(one, Status.NOT_APPLICABLE, reason=reason)
    checked, count = 0, 0
    kept: dict[tuple[str, str], Evidence] = {}  # the same in the next reload is no news
    for subject in one.subjects(observation):
        checked += 1
        for evidence in one.check(subject):
            count += 1
            if len(kept) < MAX_EVIDENCE:
                kept.setdefault((evidence.rendition, evidence.text), evidence)
    if count:
        return Outcome(one, Status.FAILED, checked, count, tuple(kept.values()))
    return Outcome(one, Status.PASSED if checked else Status.NOT_OBSERVED, checked)


# What a rule needs.


def low_latency(observation: Observation) -> str | None:
    return None if observation.low_latency else "the stream has no parts (not low-latency HLS)"


def live(observation: Observation) -> str | None:
    return None if observation.live else "the stream has ended, or is VOD (EXT-X-ENDLIST)"


def low_latency_live(observation: Observation) -> str | None:
    return low_latency(observation) or live(observation)


def has_multivariant(observation: Observation) -> str | None:
    return None if observation.multivariant else "the URL is a media playlist, not a multivariant playlist"


def blocking(observation: Observation) -> str | None:
    if reason := live(observation):
        return reason
    offered = any(
        s.playlist.server_control and s.playlist.server_control.can_block_reload for s in observation.snapshots
    )
    return None if offered else "blocking playlist reload is not offered (CAN-BLOCK-RELOAD)"


def skipping(observation: Observation) -> str | None:
    controls = (s.playlist.server_control for s in observation.snapshots if not s.playlist.ended)
    offered = any(c and c.can_skip_until is not None for c in controls)
    return None if offered else "playlist delta updates are not offered (CAN-SKIP-UNTIL)"


def several(observation: Observation) -> str | None:
    return None if len(observation.renditions) > 1 else "there is one media playlist only"


def tls(observation: Observation) -> str | None:
    return None if observation.url.startswith("https:") else "the URL is plain http; HTTP/2 needs TLS here"


# What a rule is asked of.


@dataclass(frozen=True, slots=True)
class Pair:
    """Two successive loads of one media playlist."""

    rendition: Rendition
    older: Snapshot
    newer: Snapshot


def whole(observation: Observation) -> Iterator[Observation]:
    yield observation


def multivariants(observation: Observation) -> Iterator[Observation]:
    if observation.multivariant is not None:
        yield observation


def snapshots(observation: Observation) -> Iterator[Snapshot]:
    for rendition in observation.renditions:
        yield from rendition.snapshots


def live_snapshots(observation: Observation) -> Iterator[Snapshot]:
    return (s for s in snapshots(observation) if not s.playlist.ended)


def part_snapshots(observation: Observation) -> Iterator[Snapshot]:
    return (s for s in snapshots(observation) if s.playlist.low_latency)


def live_part_snapshots(observation: Observation) -> Iterator[Snapshot]:
    return (s for s in part_snapshots(observation) if not s.playlist.ended)


def renditions(observation: Observation) -> Iterator[Rendition]:
    return (r for r in observation.renditions if r.snapshots)


def pairs(observation: Observation) -> Iterator[Pair]:
    for rendition in observation.renditions:
        for older, newer in zip(rendition.snapshots, rendition.snapshots[1:], strict=False):
            yield Pair(rendition, older, newer)


def resources(observation: Observation) -> Iterator[Resource]:
    for rendition in observation.renditions:
        yield from rendition.resources


def probes(kind: ProbeKind) -> Callable[[Observation], Iterator[Probe]]:
    return lambda observation: (p for r in observation.renditions for p in r.probes if p.kind == kind)


def seen(where: Snapshot, text: str, line: int | None = None) -> Evidence:
    """Evidence in a snapshot."""
    return Evidence(text, where.rendition.name, where.exchange.url, line)


def answered(rendition: Rendition, exchange: Exchange, text: str) -> Evidence:
    """Evidence in an HTTP exchange."""
    return Evidence(text, rendition.name, exchange.url)


def number(value: float) -> str:
    """A number as people write it: no trailing zeros, at most 4 decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
