"""Reports: exit codes, JSON, text; and streams of other kinds than low-latency live."""

from __future__ import annotations

import io
import json

from rich.console import Console

from headwater.hlscheck import Report, check, print_report
from headwater.hlscheck.fetch import Request
from headwater.hlscheck.observation import Exchange
from tests.unit.hlscheck import faults
from tests.unit.hlscheck.origin import URL, Origin
from tests.unit.hlscheck.simulated_time import run


def checked(origin: Origin, seconds: float = 5) -> Report:
    return run(check(URL, seconds=seconds, fetch=origin))


def printed(report: Report, *, all_rules: bool = False) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=100), all_rules=all_rules)
    return out.getvalue()


def test_a_must_finding_has_clause_evidence_and_advice() -> None:
    origin = Origin(playlist=faults.replaced("PART-HOLD-BACK=1.6", "PART-HOLD-BACK=0.9"))
    report = checked(origin)
    assert report.exit_code == 3
    (finding,) = report.findings
    assert (finding.rule, finding.clause, finding.severity) == ("part-hold-back-draft", "4.4.3.8", "must")
    assert finding.count > len(finding.evidence) == 3  # one of each rendition; every reload counts
    assert finding.evidence[0].line == 4
    assert finding.evidence[0].url.startswith("https://origin.test/live/")
    text = printed(report)
    assert "PART-HOLD-BACK 0.9 is 1.8 times PART-TARGET 0.5" in text
    assert finding.advice in text and "1 MUST broken" in text


def test_a_should_finding_leaves_the_exit_code_clean() -> None:
    report = checked(Origin(answer=faults.header("access-control-allow-origin", None)))
    assert [f.rule for f in report.findings] == ["cors"]
    assert report.exit_code == 0


def test_json_has_the_same_fields() -> None:
    report = checked(Origin())
    data = json.loads(report.to_json())
    assert data["exit_code"] == 0 and data["kind"] == "low-latency live" and data["findings"] == []
    assert {r["status"] for r in data["rules"]} <= {"passed", "failed", "not observed", "not applicable"}
    assert len(data["renditions"]) == 3


def test_unknown_tags_are_listed_not_judged() -> None:
    report = checked(Origin(playlist=faults.replaced(r"^(#EXT-X-VERSION.*\n)", r"\1#EXT-X-SOMETHING-ELSE:1\n")))
    assert report.findings == ()
    assert report.unknown_tags == {"EXT-X-SOMETHING-ELSE": 3}
    assert "EXT-X-SOMETHING-ELSE (line 3)" in printed(report)


def test_a_plain_live_stream_is_told_which_rules_do_not_apply() -> None:
    report = checked(Origin(playlist=faults.plain), seconds=9)
    assert report.findings == ()
    assert report.kind == "live"
    by_rule = {r.rule: r for r in report.rules}
    assert by_rule["part-cadence"].status == "not applicable"
    assert by_rule["segment-changed"].status == "passed"
    assert "not low-latency" in printed(report)


def test_a_stream_that_ended_is_checked_at_once() -> None:
    report = checked(Origin(ends_at=-1.0))
    assert report.findings == ()
    assert report.kind == "ended" and report.seconds < 1


def test_a_stream_that_ends_while_it_is_followed() -> None:
    report = checked(Origin(ends_at=3.0))
    assert report.findings == ()
    by_rule = {r.rule: r.status for r in report.rules}
    assert by_rule["ended-directives"] == by_rule["ended-preload-hint"] == "passed"


def test_every_rule_is_listed_on_request() -> None:
    report = checked(Origin())
    text = printed(report, all_rules=True)
    assert all(r.rule in text for r in report.rules)


def test_a_url_without_a_playlist_could_not_be_checked() -> None:
    async def nothing(request: Request) -> Exchange:
        return Exchange(request.url, status=404)

    report = run(check(URL, fetch=nothing))
    assert report.exit_code == 1 and report.error is not None and "HTTP 404" in report.error
    assert "could not check" in printed(report)


def test_a_page_is_no_playlist() -> None:
    async def page(request: Request) -> Exchange:
        return Exchange(request.url, status=200, body=b"<html>")

    report = run(check(URL, fetch=page))
    assert report.exit_code == 1 and "not a playlist" in (report.error or "")


def test_only_http_is_asked() -> None:
    for url in ("file:///etc/passwd", "ftp://host/a.m3u8", "a.m3u8"):
        assert run(check(url, fetch=Origin())).exit_code == 1


def test_media_playlists_that_cannot_be_loaded() -> None:
    report = checked(Origin(answer=faults.refused(lambda asked, request: asked is not None, 500)))
    assert report.exit_code == 1 and "no media playlist" in (report.error or "")


def test_a_server_that_does_not_block_is_not_flooded() -> None:
    """A blocking reload that answers at once is asked for no faster than a part target."""
    origin = Origin(blocks=False)
    checked(origin, seconds=5)
    assert sum(origin.loads.values()) < 200
