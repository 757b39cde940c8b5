"""The metrics, read from the parts when somebody scrapes. Names and meanings: docs/operating.md.

Names follow https://prometheus.io/docs/practices/naming/ : one prefix, base units, the unit at the end, `_total` for
what only grows. Labels are words of ours; `livestream_id`, the one that is not, is bounded by
`telemetry.max_livestreams`. Neither keys nor playback ids nor addresses are in any of them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headwater import __version__
from headwater.events import LiveSnapshot
from headwater.telemetry.counts import Counts
from headwater.telemetry.lag import LoopLag
from headwater.telemetry.readiness import Report
from headwater.telemetry.sources import Answers, Ingest, PlaneFacts, Recorder, Sources


def families(
    sources: Sources, counts: Counts, lag: LoopLag, report: Report, *, max_livestreams: int
) -> Iterator[Metric]:
    """Every metric of ours, as it is now. In the event loop: nothing changes meanwhile."""
    yield InfoMetricFamily(
        "headwater_build",
        "The version that runs.",
        {"version": __version__, "python": platform.python_version()},
    )
    live = sources.livestreams.live_all()
    yield from _livestreams(live)
    yield from _sessions(counts)
    yield from _ingest(sources.ingest)
    yield from _http(sources)
    if sources.recorder is not None:
        yield from _recorder(sources.recorder)
    yield from _server(report, lag)
    yield from _control(sources.plane.facts())
    yield from _each_livestream(live, max_livestreams)


def render(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The text of a scrape, the process's own metrics with it, in the form that the scraper accepts.

    Returns:
        Body and Content-Type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(list(metrics)))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected(Collector):
    """What was collected already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _livestreams(live: Sequence[LiveSnapshot]) -> Iterator[Metric]:
    yield _gauge("livestreams_live", "Livestreams that can be watched now.", sum(each.playable for each in live))
    yield _gauge("sessions_open", "Sessions that have begun and not ended.", len(live))
    yield _gauge("publishers", "Publishers that are sending media.", sum(each.publishing for each in live))
    yield _gauge("viewers", "Viewing sessions present now, of all livestreams.", sum(each.viewers for each in live))


def _sessions(counts: Counts) -> Iterator[Metric]:
    yield _counter("sessions_opened", "Sessions that have begun.", counts.opened)
    results = {"ended": counts.ended, "errored": counts.errored}
    yield _counters("sessions_closed", "Sessions that are over, by how.", "result", results)
    yield _counter("publishers_lost", "Publishers that went while their session waited.", counts.interrupted)
    returns = {"reconnect": counts.resumed, "takeover": counts.taken_over}
    yield _counters("publishers_resumed", "Publishers that went on with an open session, by how.", "how", returns)
    made = {"ready": counts.recorded, "failed": counts.unrecorded}
    yield _counters("recordings_finished", "Recordings that are over, by what came of them.", "result", made)
    yield _counters("publishes_refused", "Publishes that were not admitted, by reason.", "reason", counts.refused)
    yield _counters("session_warnings", "Warnings to owners of livestreams, by kind.", "code", counts.warnings)


def _ingest(ingest: Ingest) -> Iterator[Metric]:
    yield _gauge("rtmp_connections", "Open RTMP and RTMPS connections, publishing or not.", ingest.connections)
    text = "RTMP connections that a limit forbade, by its name."
    yield _counters("rtmp_connections_refused", text, "limit", ingest.turned_away)
    yield _counter("rtmp_received_bytes", "Bytes that publishers have sent.", ingest.bytes_received)


def _http(sources: Sources) -> Iterator[Metric]:
    yield _gauge("http_connections", "Open connections of HTTP without TLS.", sources.http.connections)
    yield _gauge("http_requests_waiting", "Requests that wait for media that is to come.", sources.origin.waiting)
    parts: dict[str, Answers] = {"delivery": sources.origin.tally, "api": sources.http.tally}
    responses = CounterMetricFamily(
        "headwater_http_responses",
        "HTTP responses by class of status; part: delivery (playlists, media) or api (with the pages).",
        labels=("part", "code"),
    )
    sent = CounterMetricFamily("headwater_http_sent_body_bytes", "Bytes of their bodies.", labels=("part",))
    for part, tally in parts.items():
        for digit in range(2, 6):
            responses.add_metric((part, f"{digit}xx"), tally.classes[digit])
        sent.add_metric((part,), tally.body_bytes)
    yield responses
    yield sent


def _recorder(recorder: Recorder) -> Iterator[Metric]:
    yield _gauge("recorder_queue_bytes", "Bytes that wait to be written to disk.", recorder.queued_bytes)
    limit = recorder.settings.queue_limit_bytes
    yield _gauge("recorder_queue_limit_bytes", "Beyond as many, recordings stop.", limit)
    yield _counter("recorder_failures", "Recordings that stopped because the disk failed.", recorder.failures)
    yield _counter("recorder_cpu_seconds", "CPU time of the thread that writes.", recorder.cpu_s)


def _server(report: Report, lag: LoopLag) -> Iterator[Metric]:
    checks = GaugeMetricFamily(
        "headwater_ready", "Whether the server takes publishers and viewers: 1 if this is well.", labels=("check",)
    )
    for check, wrong in report.checks.items():
        checks.add_metric((check,), not wrong)
    yield checks
    if report.disk is not None:
        yield _gauge("data_free_bytes", "Free space of the data folder's disk.", report.disk.free)
        yield _gauge("data_size_bytes", "Size of that disk.", report.disk.size)
    yield HistogramMetricFamily(
        "headwater_event_loop_lag_seconds",
        "How late the event loop is, sampled four times a second.",
        buckets=lag.cumulative(),
        sum_value=lag.total_s,
    )


def _control(facts: PlaneFacts) -> Iterator[Metric]:
    yield _gauge("database_connections_in_use", "Database connections in use.", facts.connections_in_use)
    yield _gauge("database_connections_limit", "As many there are at most.", facts.connections_limit)
    text = "Statements that failed, and connections that could not be had."
    yield _counter("database_errors", text, facts.database_errors)
    yield _gauge("events_waiting", "Events of sessions that are not durable yet.", facts.events_waiting)
    yield _counter("events_dropped", "Events that were lost: the database was away for too long.", facts.events_dropped)


def _each_livestream(live: Sequence[LiveSnapshot], limit: int) -> Iterator[Metric]:
    """Those that went live first: which ones are shown does not change while they run."""
    shown = live[:limit]
    yield _gauge("livestreams_unlisted", "Live ones without metrics of their own.", len(live) - len(shown))
    labels = ("livestream_id",)
    viewers = GaugeMetricFamily("headwater_livestream_viewers", "Viewing sessions present now.", labels=labels)
    publishing = GaugeMetricFamily(
        "headwater_livestream_publishing", "1: its publisher sends media; 0: it is waited for.", labels=labels
    )
    ingested = CounterMetricFamily(
        "headwater_livestream_ingest_seconds", "Media that came in, in its open session.", labels=labels
    )
    watched = CounterMetricFamily(
        "headwater_livestream_viewer_seconds", "Time watched, in its open session.", labels=labels
    )
    for each in shown:
        name = (each.livestream_id,)
        viewers.add_metric(name, each.viewers)
        publishing.add_metric(name, each.publishing)
        ingested.add_metric(name, each.ingest_seconds)
        watched.add_metric(name, each.viewer_seconds)
    yield from (viewers, publishing, ingested, watched)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"headwater_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"headwater_{name}", text, value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"headwater_{name}", text, labels=(label,))
    for word, value in values.items():
        family.add_metric((word,), value)
    return family
