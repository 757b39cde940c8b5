"""The result of a check: findings with clause, evidence and advice; as data, as JSON, as text on a terminal."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from headwater.hlscheck.observation import Observation
from headwater.hlscheck.rules import DRAFT, Outcome, Severity, Status

CLEAN, COULD_NOT_CHECK, FINDINGS = 0, 1, 3
"""Exit codes: 2 is the command line's own, for a wrong call."""


class Seen(msgspec.Struct, frozen=True):
    """One piece of evidence: what was seen, in which rendition, at which URL and line (from 1)."""

    text: str
    rendition: str
    url: str
    line: int | None


class Finding(msgspec.Struct, frozen=True):
    """A rule that was broken: `count` times, the first few as evidence; `checked` is how often it was looked at."""

    rule: str
    clause: str
    severity: str
    title: str
    advice: str
    count: int
    checked: int
    evidence: tuple[Seen, ...]


class RuleResult(msgspec.Struct, frozen=True):
    """What became of one rule: `status` is passed, failed, not observed or not applicable (then with a reason)."""

    rule: str
    clause: str
    severity: str
    title: str
    status: str
    checked: int
    reason: str


class RenditionSummary(msgspec.Struct, frozen=True):
    """What was loaded of one media playlist; times in seconds."""

    name: str
    url: str
    playlists: int
    parts: int
    segments: int
    target_duration: int | None
    part_target: float | None
    last_msn: int | None
    failures: int


class Report(msgspec.Struct, frozen=True):
    """The result of one check.

    Attributes:
        kind: `low-latency live`, `live`, `ended` (VOD or a finished stream).
        seconds: How long the stream was followed.
        unknown_tags: Tags the draft does not define, with the first line where each stands.
        notes: What limits kept from being looked at.
        error: Why the stream could not be checked at all; then everything else is empty.
    """

    url: str
    specification: str = DRAFT
    kind: str = ""
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    renditions: tuple[RenditionSummary, ...] = ()
    unknown_tags: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def musts(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == Severity.MUST)

    @property
    def shoulds(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == Severity.SHOULD)

    @property
    def exit_code(self) -> int:
        """0 clean (SHOULD findings allowed), 3 MUST findings, 1 could not check."""
        if self.error is not None:
            return COULD_NOT_CHECK
        return FINDINGS if self.musts else CLEAN

    def to_json(self) -> bytes:
        """The report as JSON, its field names as here, with `exit_code` added."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return msgspec.json.format(msgspec.json.encode({**data, "exit_code": self.exit_code}), indent=2)


def build(observation: Observation, outcomes: list[Outcome]) -> Report:
    """The report of an observation and of what the rules said about it."""
    failed = [o for o in outcomes if o.status is Status.FAILED]
    failed.sort(key=lambda o: o.rule.severity is not Severity.MUST)
    unknown: dict[str, int] = dict(observation.multivariant.unknown_tags) if observation.multivariant else {}
    for snapshot in observation.snapshots:
        for tag, line in snapshot.playlist.unknown_tags.items():
            unknown.setdefault(tag, line)
    kind = "ended" if not observation.live else "low-latency live" if observation.low_latency else "live"
    return Report(
        url=observation.url,
        kind=kind,
        seconds=round(observation.ended_at - observation.started_at, 1),
        findings=tuple(_finding(o) for o in failed),
        rules=tuple(_result(o) for o in outcomes),
        renditions=tuple(_summary(observation, i) for i in range(len(observation.renditions))),
        unknown_tags=unknown,
        notes=tuple(observation.notes),
    )


def _finding(outcome: Outcome) -> Finding:
    rule = outcome.rule
    evidence = tuple(Seen(e.text, e.rendition, e.url, e.line) for e in outcome.evidence)
    return Finding(
        rule.id, rule.clause, rule.severity, rule.title, rule.advice, outcome.count, outcome.checked, evidence
    )


def _result(outcome: Outcome) -> RuleResult:
    rule = outcome.rule
    return RuleResult(rule.id, rule.clause, rule.severity, rule.title, outcome.status, outcome.checked, outcome.reason)


def _summary(observation: Observation, index: int) -> RenditionSummary:
    rendition = observation.renditions[index]
    newest = rendition.newest
    return RenditionSummary(
        name=rendition.name,
        url=rendition.url,
        playlists=len(rendition.snapshots),
        parts=len(rendition.parts),
        segments=len(rendition.segments),
        target_duration=newest.target_duration if newest else None,
        part_target=newest.part_target if newest else None,
        last_msn=newest.last_msn if newest else None,
        failures=len(rendition.failures),
    )


def print_report(report: Report, console: Console, *, all_rules: bool = False) -> None:
    """Write the report for people; with `all_rules`, what became of every rule too."""
    console.print(f"[bold]{escape(report.url)}[/bold]", soft_wrap=True)
    if report.error is not None:
        console.print(f"[red]could not check:[/red] {escape(report.error)}", soft_wrap=True)
        return
    console.print(f"{report.kind}, followed for {report.seconds:.0f} s, by {report.specification}")
    for rendition in report.renditions:
        console.print(f"  {_about(rendition)}", style="dim", soft_wrap=True)
    for finding in report.findings:
        _print_finding(finding, console)
    console.print()
    if report.unknown_tags:
        tags = ", ".join(f"{tag} (line {line})" for tag, line in sorted(report.unknown_tags.items()))
        console.print(f"Tags that the draft does not define: {escape(tags)}", soft_wrap=True)
    for note in report.notes:
        console.print(f"Note: {escape(note)}", soft_wrap=True)
    _print_rules(report, console, all_rules=all_rules)
    _print_verdict(report, console)


def _about(rendition: RenditionSummary) -> str:
    target = f", target {rendition.target_duration} s" if rendition.target_duration else ""
    parts = f", parts of {rendition.part_target:g} s" if rendition.part_target else ""
    failures = f", {rendition.failures} failed reloads" if rendition.failures else ""
    loaded = f"{rendition.playlists} playlists, {rendition.segments} segments, {rendition.parts} parts"
    return escape(f"{rendition.name}: {loaded}{target}{parts}{failures}")


def _print_finding(finding: Finding, console: Console) -> None:
    colour = "red" if finding.severity == Severity.MUST else "yellow"
    console.print()
    head = f"[bold {colour}]{finding.severity.upper():6}[/bold {colour}] [bold]{escape(finding.title)}[/bold]"
    console.print(f"{head}  [dim]{escape(finding.clause)} {finding.rule}[/dim]", soft_wrap=True)
    for seen in finding.evidence:
        line = f", line {seen.line}" if seen.line else ""
        console.print(f"       {escape(seen.rendition)}{line}: {escape(seen.text)}", soft_wrap=True)
        console.print(f"         {escape(seen.url)}", style="dim", soft_wrap=True)
    if finding.count > len(finding.evidence):
        console.print(f"       ... {finding.count} in all", style="dim")
    console.print(f"       [green]do:[/green] {escape(finding.advice)}", soft_wrap=True)


def _print_rules(report: Report, console: Console, *, all_rules: bool) -> None:
    if all_rules:
        for rule in report.rules:
            reason = f" ({rule.reason})" if rule.reason else ""
            console.print(f"  {rule.status:14} {escape(rule.clause):12} {rule.rule}{escape(reason)}", soft_wrap=True)
        return
    reasons: dict[str, int] = {}
    for rule in report.rules:
        if rule.status == Status.NOT_APPLICABLE:
            reasons[rule.reason] = reasons.get(rule.reason, 0) + 1
    for reason, count in reasons.items():
        console.print(f"{count} rules do not apply: {escape(reason)}", style="dim", soft_wrap=True)
    waiting = [r.rule for r in report.rules if r.status == Status.NOT_OBSERVED]
    if waiting:
        console.print(f"{len(waiting)} rules had nothing to look at: {', '.join(waiting)}", style="dim", soft_wrap=True)


def _print_verdict(report: Report, console: Console) -> None:
    passed = sum(r.status == Status.PASSED for r in report.rules)
    musts, shoulds = len(report.musts), len(report.shoulds)
    colour = "red" if musts else "yellow" if shoulds else "green"
    verdict = f"{passed} rules hold, {musts} MUST broken, {shoulds} SHOULD broken"
    console.print(f"[bold {colour}]{verdict}[/bold {colour}]")
