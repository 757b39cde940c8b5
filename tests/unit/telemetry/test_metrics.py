"""The metrics as Prometheus reads them: Prometheus' own parsers are at the other end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from headwater import __version__
from headwater.events import (
    PublishRejected,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionResumed,
    SessionWarning,
)
from headwater.telemetry.counts import MAX_CODES, OTHER, Counts
from headwater.telemetry.lag import BOUNDS_S, LoopLag
from headwater.telemetry.metrics import families, render
from headwater.telemetry.readiness import DiskSpace, Report
from headwater.telemetry.settings import TelemetrySettings
from headwater.telemetry.sources import Sources
from headwater.telemetry.telemetry import Telemetry
from tests.unit.telemetry.fakes import FakePlane, FakeWatched, live, sources

ROOT = Path(__file__).parents[3]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
REPORT = Report({"database": "", "disk": "full"}, DiskSpace(10, 100))


def scrape(found: Sources, counts: Counts | None = None, *, limit: int = 200, accept: str = "") -> str:
    metrics = families(found, counts or Counts(), LoopLag(), REPORT, (3, 4.5), max_livestreams=limit)
    return render(metrics, accept)[0].decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def full() -> str:
    """Every metric that there can be, each with a sample."""
    counts = Counts()
    counts.listen(rejected("ERR_BAD_STREAM_KEY"))
    counts.listen(SessionWarning("l", "s", 0, "LONG_GOP", "..."))
    return scrape(sources(live_all=lambda: [live(1), live(2, warnings=("AUDIO_SILENT",))]), counts)


def rejected(code: str) -> PublishRejected:
    return PublishRejected(None, 0, code, "no", "127.0.0.1:1", "test")


def test_the_parts_are_read_as_they_are() -> None:
    found = sources(live_all=lambda: [live(1), live(2, publishing=False), live(3, playable=False, viewers=0)])
    found.origin.tally.classes[2] += 8
    found.origin.tally.body_bytes += 900
    found.http.tally.classes[5] += 1
    read = samples(scrape(found))
    expected = {
        "livestreams_live": 2, "sessions_open": 3, "publishers": 2, "viewers": 20, "rtmp_connections": 7,
        "rtmp_received_bytes_total": 123_456, "http_connections": 11, "http_requests_waiting": 5,
        "recorder_queue_bytes": 1000, "recorder_queue_limit_bytes": 4000, "recorder_failures_total": 2,
        "recorder_cpu_seconds_total": 0.5, "data_free_bytes": 10, "data_size_bytes": 100,
        "database_connections_in_use": 2, "database_connections_limit": 5, "database_errors_total": 1,
        "events_waiting": 4, "events_dropped_total": 6,
        "webhook_deliveries_waiting": 3, "webhook_oldest_waiting_seconds": 4.5, "webhook_attempts_failed_total": 9,
        "viewings_total": 1500, "viewer_stalls_total": 1503, "viewer_stalled_seconds_total": 1.504,
        "viewer_played_seconds_total": 1.505, "broadcasts_running": 1700, "broadcasts_failed_total": 1701,
        "compositor_restarts_total": 1702, "compositor_cpu_seconds_total": 1705.5,
        "rooms_open": 2, "room_participants": 3, "webrtc_peers": 1604,
        "webrtc_received_datagrams_total": 1600,
    }  # fmt: skip
    assert {name: read[f"headwater_{name}", ()] for name in expected} == expected
    assert read["headwater_http_responses_total", (("code", "2xx"), ("part", "delivery"))] == 8
    assert read["headwater_http_responses_total", (("code", "5xx"), ("part", "api"))] == 1
    assert read["headwater_http_sent_body_bytes_total", (("part", "delivery"),)] == 900
    assert read["headwater_rtmp_connections_refused_total", (("limit", "connections"),)] == 3
    assert read["headwater_webrtc_dropped_datagrams_total", (("reason", "stun"),)] == 1602
    assert read["headwater_compositor_pictures_total", (("result", "sent"),)] == 1703
    assert read["headwater_compositor_pictures_total", (("result", "skipped"),)] == 1704
    assert read["headwater_ready", (("check", "database"),)] == 1
    assert read["headwater_ready", (("check", "disk"),)] == 0
    assert any(name == "headwater_build_info" and ("version", __version__) in labels for name, labels in read)
    assert read["process_cpu_seconds_total", ()] > 0 and read["process_open_fds", ()] > 0


def test_what_livestreams_are_warned_of_and_how_viewers_fare() -> None:
    running = [live(1, warnings=("AUDIO_SILENT", "FAR_AWAY")), live(2, warnings=("AUDIO_SILENT",)), live(3)]
    text = scrape(sources(live_all=lambda: running))
    read = samples(text)
    assert read["headwater_livestreams_warned", ()] == 2
    assert read["headwater_livestream_warnings", (("code", "AUDIO_SILENT"),)] == 2
    assert read["headwater_livestream_warnings", (("code", "FAR_AWAY"),)] == 1
    assert read["headwater_webhook_deliveries_total", (("result", "failed"),)] == 8
    assert read["headwater_viewer_startup_seconds", (("share", "0.95"),)] == 0.95
    nobody = samples(scrape(sources(watched=FakeWatched(known=False))))
    assert not any(name == "headwater_viewer_latency_seconds" for name, _ in nobody)


async def test_a_scrape_does_not_wait_for_a_database_that_hangs() -> None:
    telemetry = Telemetry(TelemetrySettings(ready_database_s=0.01))
    telemetry.watch(sources(plane=FakePlane(hangs=True)))
    names = {metric.name for metric in await telemetry.collect() or []}
    assert "headwater_events_waiting" in names and "headwater_webhook_deliveries_waiting" not in names
    telemetry.watch(sources())
    assert "headwater_webhook_deliveries_waiting" in {metric.name for metric in await telemetry.collect() or []}
    await telemetry.stop()


def test_what_happened_is_counted() -> None:
    counts = Counts()
    for event in (
        SessionOpened("l", "s", 0, "obs", "r"),
        SessionPlayable("l", "s", 0),
        SessionInterrupted("l", "s", 0, 1, "gone"),
        SessionResumed("l", "s", 0, takeover=False),
        SessionResumed("l", "s", 0, takeover=True),
        SessionResumed("l", "s", 0, takeover=True),
        SessionClosed("l", "s", 0, 1.0, 2.0, None, None),
        SessionClosed("l", "t", 0, 1.0, 2.0, "ERR_X: broken", None),
        SessionWarning("l", "s", 0, "LONG_GOP", "..."),
        RecordingReady("l", "s", 0, "r", "recordings/s.mp4", 1, 1.0, 0, ""),
        RecordingFailed("l", "s", 0, "q", "ERR_X: no"),
        RecordingFailed("l", "s", 0, "p", "ERR_X: no"),
        rejected("ERR_BAD_STREAM_KEY"),
        rejected("ERR_BAD_STREAM_KEY"),
    ):
        counts.listen(event)
    read = samples(scrape(sources(), counts))
    assert read["headwater_sessions_opened_total", ()] == 1
    assert read["headwater_sessions_closed_total", (("result", "ended"),)] == 1
    assert read["headwater_sessions_closed_total", (("result", "errored"),)] == 1
    assert read["headwater_publishers_lost_total", ()] == 1
    assert read["headwater_publishers_resumed_total", (("how", "reconnect"),)] == 1
    assert read["headwater_publishers_resumed_total", (("how", "takeover"),)] == 2
    assert read["headwater_recordings_finished_total", (("result", "ready"),)] == 1
    assert read["headwater_recordings_finished_total", (("result", "failed"),)] == 2
    assert read["headwater_publishes_refused_total", (("reason", "ERR_BAD_STREAM_KEY"),)] == 2
    assert read["headwater_session_warnings_total", (("code", "LONG_GOP"),)] == 1


def test_reasons_are_bounded_in_number() -> None:
    counts = Counts()
    for number in range(3 * MAX_CODES):
        counts.listen(rejected(f"ERR_{number}"))
    assert len(counts.refused) == MAX_CODES + 1
    assert counts.refused[OTHER] == 2 * MAX_CODES


def test_livestreams_with_metrics_of_their_own_are_bounded_and_the_rest_is_counted() -> None:
    running = [live(number) for number in range(50)]
    read = samples(scrape(sources(live_all=lambda: running), limit=3))
    named = {dict(labels)["livestream_id"] for name, labels in read if name.startswith("headwater_livestream_")}
    assert named == {"livestream-0", "livestream-1", "livestream-2"}
    assert read["headwater_livestreams_unlisted", ()] == 47
    assert read["headwater_viewers", ()] == 500
    none = samples(scrape(sources(live_all=lambda: running), limit=0))
    assert not any(name.startswith("headwater_livestream_") for name, _ in none)


def test_without_a_disk_there_is_nothing_about_the_recorder() -> None:
    assert "headwater_recorder" not in scrape(sources(recorder=False))


def test_a_lag_is_in_the_bucket_of_its_size() -> None:
    lag = LoopLag()
    for seconds in (-0.001, 0.0, 0.001, 0.02, 0.3, 60.0):
        lag.add(seconds)
    found = dict(lag.cumulative())
    assert (found["0.001"], found["0.01"], found["0.025"], found["0.25"], found["0.5"]) == (3, 3, 4, 4, 5)
    assert (found["5.0"], found["+Inf"]) == (5, 6) and len(found) == len(BOUNDS_S) + 1
    assert lag.total_s == pytest.approx(60.321)


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    body, content_type = render(families(sources(), Counts(), LoopLag(), REPORT, None, max_livestreams=9), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in read_openmetrics(body.decode())}
    assert {"headwater_build", "headwater_sessions_opened", "headwater_event_loop_lag_seconds"} <= names


class TestNames:
    """https://prometheus.io/docs/practices/naming/, and that documents and dashboard speak of what there is."""

    def test_they_follow_the_rules(self) -> None:
        for family in read_text(full()):
            assert re.fullmatch(r"(headwater|process)_[a-z]+(_[a-z]+)*", family.name)
            assert family.documentation and family.type != "unknown"
            for sample in family.samples:
                assert sample.name.endswith("_total") == (family.type == "counter")

    def test_promtool_has_nothing_to_say(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            pytest.skip("promtool is not installed: Debian's package prometheus has it")
        found = subprocess.run([promtool, "check", "metrics"], input=full(), text=True, capture_output=True)
        assert (found.returncode, found.stdout + found.stderr) == (0, "")

    def test_the_manual_names_every_one_and_no_other(self) -> None:
        rows = [line for line in (ROOT / "docs/operating.md").read_text().splitlines() if line.startswith("| `headwa")]
        documented = {name for row in rows for name in re.findall(r"`(headwater_[a-z_]+)`", row.split("|")[1])}
        there = {name for name in series(full()) if name.startswith("headwater_")}
        assert documented == {re.sub(r"_(bucket|count|sum)$", "", name) for name in there}

    def test_every_query_of_the_dashboard_names_metrics_and_labels_that_exist(self) -> None:
        dashboard = json.loads((ROOT / "contrib/grafana/headwater.json").read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        queries += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]
        queries += [entry["expr"] for entry in dashboard["annotations"]["list"]]
        assert len(queries) > 30
        check_queries(queries)

    def test_every_alert_names_metrics_and_labels_that_exist(self) -> None:
        text = (ROOT / "contrib/prometheus/headwater.rules.yml").read_text()
        queries = [line.partition("expr:")[2] for line in text.splitlines() if "expr:" in line]
        assert len(queries) == text.count("alert:") > 0
        check_queries([query for query in queries if "up{" not in query])


def series(text: str) -> dict[str, set[str]]:
    """Names of all series, and the names of their labels."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(text):
        found.setdefault(name, {"job", "instance"}).update(label for label, _ in labels)
    return found


def check_queries(queries: list[str]) -> None:
    there = series(full())
    for query in queries:
        names = set(re.findall(r"\b(?:headwater|process)_[a-z_]+", query))
        assert names and names <= there.keys(), query
        labels = set(re.findall(r"([a-z_]+)=~?\"", query))
        for clause in re.findall(r"by \(([^)]*)\)", query):
            labels |= {label.strip() for label in clause.split(",")}
        assert labels <= set().union(*(there[name] for name in names)), query
