"""The metrics, read from the parts when somebody scrapes. Names and meanings: docs/operating.md.

Names follow https://prometheus.io/docs/practices/naming/ : one prefix, base units, the unit at the end, `_total` for
what only grows. Labels are words of ours; `livestream_id`, the one that is not, is bounded by
`telemetry.max_livestreams`. Neither keys nor playback ids nor addresses are in any of them.
"""

from __future__ import annotations

import platform
from collections import Counter
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
from headwater.telemetry.sources import Answers, Broadcasts, Ingest, PlaneFacts, Recorder, Sources, Watched

SHARES = (0.5, 0.95, 0.99)
"""Of viewing sessions of what is live, whose start-up and latency are told."""


def families(
    sources: Sources,
    counts: Counts,
    lag: LoopLag,
    report: Report,
    webhooks_waiting: tuple[int, float] | None,
    *,
    max_livestreams: int,
) -> Iterator[Metric]:
    """Every metric of ours, as it is now. In the event loop: nothing changes meanwhile.

    Args:
        webhooks_waiting: How many deliveries, and for how many seconds the oldest; None: not known.
    """
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
    yield from _meetings(sources)
    yield from _broadcasts(sources.broadcasts)
    if sources.recorder is not None:
        yield from _recorder(sources.recorder)
    yield from _server(report, lag)
    facts = sources.plane.facts()
    yield from _control(facts)
    yield from _webhooks(facts, webhooks_waiting)
    yield from _warned(live)
    yield from _watched(sources.watched)
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


def _meetings(sources: Sources) -> Iterator[Metric]:
    rooms = sources.rooms.all()
    yield _gauge("rooms_open", "Rooms of meetings with an open session.", len(rooms))
    yield _gauge(
        "room_participants", "Participants inside, of all rooms.", sum(len(each.participants) for each in rooms)
    )
    yield _gauge("webrtc_peers", "WebRTC connections, or about to be some.", sources.webrtc.peers())
    counts = sources.webrtc.counts
    yield _counter("webrtc_received_datagrams", "Datagrams that came to the WebRTC port.", counts.received)
    dropped = {"unknown": counts.dropped_unknown, "stun": counts.dropped_stun, "unsent": counts.unsent}
    text = "Datagrams of nobody (unknown), checks that prove nothing (stun), those that could not be sent (unsent)."
    yield _counters("webrtc_dropped_datagrams", text, "reason", dropped)


def _broadcasts(broadcasts: Broadcasts) -> Iterator[Metric]:
    tally = broadcasts.tally
    yield _gauge("broadcasts_running", "Meetings that are composed to a livestream.", broadcasts.running)
    yield _counter("broadcasts_failed", "Broadcasts of meetings that could not go on.", tally.failed)
    yield _counter("compositor_restarts", "Compositors that died and were started again.", tally.restarts)
    results = {"sent": tally.pictures, "skipped": tally.skipped}
    text = "Pictures of composed meetings: sent, or skipped because the machine was too slow."
    yield _counters("compositor_pictures", text, "result", results)
    yield _counter("compositor_cpu_seconds", "CPU time of compositors.", tally.cpu_s)


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


def _webhooks(facts: PlaneFacts, waiting: tuple[int, float] | None) -> Iterator[Metric]:
    if waiting is not None:
        text = "Events that wait to be delivered to webhooks, on all servers of the database."
        yield _gauge("webhook_deliveries_waiting", text, waiting[0])
        text = "For how long the oldest of them has waited; 0 where none does."
        yield _gauge("webhook_oldest_waiting_seconds", text, waiting[1])
    results = {"delivered": facts.webhooks_delivered, "failed": facts.webhooks_failed}
    yield _counters("webhook_deliveries", "Deliveries that are over, by what came of them.", "result", results)
    yield _counter("webhook_attempts_failed", "Attempts that did not deliver.", facts.webhook_attempts_failed)


def _warned(live: Sequence[LiveSnapshot]) -> Iterator[Metric]:
    """What livestreams are warned of now."""
    text = "Livestreams whose media gives reason to warn of something now."
    yield _gauge("livestreams_warned", text, sum(bool(each.warnings) for each in live))
    codes = GaugeMetricFamily("headwater_livestream_warnings", "The same, by what it is.", labels=("code",))
    for code, number in sorted(Counter(code for each in live for code in each.warnings).items()):
        codes.add_metric((code,), number)
    yield codes


def _watched(watched: Watched) -> Iterator[Metric]:
    """How viewers fare: those whose players report."""
    totals = watched.totals
    yield _counter("viewings", "Viewing sessions that report how they fare.", totals["views"])
    yield _counter("viewings_started", "Those of them that have played.", totals["started"])
    yield _counter("viewings_stalled", "Those that stood still at least once.", totals["stalled_views"])
    yield _counter("viewer_stalls", "Times that a picture stood still.", totals["stalls"])
    yield _counter("viewer_stalled_seconds", "How long pictures stood still.", totals["stalled_ms"] / 1000)
    yield _counter("viewer_played_seconds", "How long pictures moved.", totals["played_ms"] / 1000)
    for name, metric, text in (
        (
            "viewer_startup_seconds",
            "startup_ms",
            "Time to the first picture that a share of the viewers does not exceed.",
        ),
        ("viewer_latency_seconds", "latency_ms", "Latency that a share of the viewers does not exceed."),
    ):
        family = GaugeMetricFamily(f"headwater_{name}", text, labels=("share",))
        for share, value in zip(SHARES, watched.quantiles(metric, SHARES), strict=True):
            if value is not None:
                family.add_metric((f"{share:g}",), value / 1000)
        yield family


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
