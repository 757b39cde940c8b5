"""The simulated stream keeps every rule, and the check says so."""

from __future__ import annotations

from headwater.hlscheck import check
from headwater.hlscheck.report import Report
from tests.unit.hlscheck.origin import URL, Origin
from tests.unit.hlscheck.simulated_time import run


def findings(report: Report) -> set[str]:
    return {f.rule for f in report.findings}


def test_a_correct_live_stream_has_no_finding() -> None:
    report = run(check(URL, seconds=9, fetch=Origin()))
    assert report.error is None
    assert [(f.rule, f.evidence) for f in report.findings] == []
    assert report.exit_code == 0
    assert report.kind == "low-latency live"
