"""The spans of sessions and of API requests, as the SDK has them in the end."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import headwater.telemetry.session_spans as session_spans_module
from headwater.events import (
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
    SessionResumed,
    SessionWarning,
)
from headwater.telemetry.api_spans import TracedApi
from headwater.telemetry.session_spans import SessionSpans
from headwater.telemetry.tracing import open_tracing, wanted

MS = 1_700_000_000_000


class Recorded:
    """Spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.all() if span.name == name]
        return found


def opened(session: str = "s") -> SessionOpened:
    return SessionOpened("l", session, MS + 300, "obs", "127.0.0.1:1", MS)


def closed(error: str | None = None, recording: str | None = None, session: str = "s") -> SessionClosed:
    return SessionClosed("l", session, MS + 9000, 8.5, 20.0, error, recording)


def ms(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None and span.end_time is not None
    return span.start_time // 1_000_000 - MS, span.end_time // 1_000_000 - MS


def test_a_broadcast_from_admission_to_its_end() -> None:
    recorded = Recorded()
    spans = SessionSpans(recorded.tracer)
    for event in (
        opened(),
        SessionPlayable("l", "s", MS + 1000),
        RecordingChanged("l", "s", MS + 300, "r", "RECORDING", None, "RECORD_ON_START"),
        SessionProgress("l", "s", MS + 4000, 1.0, 1.0),
        SessionWarning("l", "s", MS + 4500, "LONG_GOP", "keyframes every 8 s"),
        SessionInterrupted("l", "s", MS + 5000, MS + 35_000, "lost"),
        SessionResumed("l", "s", MS + 6000, takeover=False),
        RecordingReady("l", "s", MS + 9500, "r", "recordings/s.mp4", 1000, 8.0, MS + 9000, "ALL_PEERS_LEFT"),
        closed(recording="recordings/s.mp4"),
    ):
        spans.listen(event)
    session = recorded.one("livestream.session")
    assert ms(session)[0] == 0 and session.status.status_code is StatusCode.UNSET
    assert session.attributes is not None
    assert session.attributes["headwater.livestream_id"] == "l" and session.attributes["headwater.encoder"] == "obs"
    assert session.attributes["headwater.ingest_seconds"] == 8.5
    assert [event.name for event in session.events] == ["warning", "publisher lost", "media ended"]
    assert ms(recorded.one("livestream.start")) == (0, 1000)
    publishers = [ms(span) for span in recorded.all() if span.name == "livestream.publisher"]
    assert publishers == [(300, 5000), (6000, 9000)]
    assert ms(recorded.one("livestream.recording")) == (300, 9500)
    assert len(recorded.all()) == 5
    for span in recorded.all():
        assert span is session or (span.parent is not None and span.parent.span_id == session.context.span_id)


def test_a_takeover_ends_one_publisher_and_begins_another() -> None:
    recorded = Recorded()
    spans = SessionSpans(recorded.tracer)
    for event in (opened(), SessionResumed("l", "s", MS + 2000, takeover=True), closed()):
        spans.listen(event)
    publishers = [ms(span) for span in recorded.all() if span.name == "livestream.publisher"]
    assert publishers == [(300, 2000), (2000, 9000)]


def test_a_broadcast_that_failed_says_so() -> None:
    recorded = Recorded()
    spans = SessionSpans(recorded.tracer)
    spans.listen(opened())
    spans.listen(closed(error="ERR_UNSUPPORTED_VIDEO_CODEC: no"))
    for name in ("livestream.session", "livestream.start"):
        status = recorded.one(name).status
        assert (status.status_code, status.description) == (StatusCode.ERROR, "ERR_UNSUPPORTED_VIDEO_CODEC: no")
    assert {span.name for span in recorded.all()} == {"livestream.session", "livestream.start", "livestream.publisher"}


def test_a_recording_may_be_made_after_its_session_or_not_at_all() -> None:
    recorded = Recorded()
    spans = SessionSpans(recorded.tracer)
    spans.listen(opened())
    for name in ("made", "failed"):
        for status in ("RECORDING", "PAUSED", "RECORDING", "UPLOADING"):
            spans.listen(RecordingChanged("l", "s", MS + 2000, name, status, (), "API_CALL"))
    spans.listen(closed())
    spans.listen(RecordingReady("l", "s", MS + 20_000, "made", "recordings/x.mp4", 1, 1.0, MS, ""))
    spans.listen(RecordingFailed("l", "s", MS + 30_000, "failed", "ERR_DISK: full"))
    spans.listen(RecordingFailed("l", "s", MS + 30_000, "another", "ERR_DISK: full"))
    spans.listen(RecordingChanged("l", "s", MS + 40_000, "late", "RECORDING", None, "API_CALL"))
    made, failed = (span for span in recorded.all() if span.name == "livestream.recording")
    assert (ms(made), ms(failed)) == ((2000, 20_000), (2000, 30_000))
    assert [event.name for event in made.events] == ["recording", "paused", "recording", "uploading"]
    assert (made.status.status_code, failed.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert not spans._recordings


def test_sessions_are_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_spans_module, "MAX_SESSIONS", 2)
    recorded = Recorded()
    spans = SessionSpans(recorded.tracer)
    for number in range(5):
        spans.listen(opened(str(number)))
    for number in range(5):
        spans.listen(closed(session=str(number)))
    assert sum(span.name == "livestream.session" for span in recorded.all()) == 2
    assert not spans._open


async def request(recorded: Recorded, path: str, method: str = "GET", **headers: str) -> None:
    async def answer(got: Request) -> PlainTextResponse:
        return PlainTextResponse("x", int(got.path_params["status"]))

    async def failing(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("a bug")

    routes = [Route("/status/{status}", answer), Mount("/fails", failing)]
    app = TracedApi(Starlette(routes=routes), recorded.tracer)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.request(method, path, headers=headers)


async def test_a_request_continues_the_callers_trace() -> None:
    recorded = Recorded()
    await request(recorded, "/status/200", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    (span,) = recorded.all()
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.attributes is not None and span.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize("traceparent", ["", "x", "00-0-0-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "f" * 500])
async def test_a_traceparent_that_is_none_begins_a_new_trace(traceparent: str) -> None:
    recorded = Recorded()
    await request(recorded, "/status/200", traceparent=traceparent)
    (span,) = recorded.all()
    assert span.parent is None


async def test_statuses_and_methods() -> None:
    recorded = Recorded()
    for path, method in (("/status/404", "GET"), ("/status/503", "GET"), ("/fails/x", "GET"), ("/x?token=t", "BREW")):
        await request(recorded, path, method)
    codes = [span.status.status_code for span in recorded.all()]
    assert codes == [StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    brew = recorded.all()[-1]
    assert brew.name == "HTTP" and brew.attributes is not None
    assert brew.attributes["http.request.method"] == "_OTHER" and brew.attributes["url.path"] == "/x"
    assert "token" not in str(brew.to_json())


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "console,otlp"}, True),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(environ: dict[str, str], asked: bool) -> None:
    assert wanted(environ) is asked


def test_a_protocol_that_is_not_there_is_said_and_nothing_breaks(caplog: pytest.LogCaptureFixture) -> None:
    assert open_tracing({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert "only http/protobuf is possible" in caplog.text


def test_without_the_packages_the_server_starts_and_says_what_is_missing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "headwater.telemetry.otel", None)
    assert open_tracing(ENDPOINT) is None
    assert "pip install 'headwater[otel]'" in caplog.text


def test_nothing_is_imported_where_nothing_is_configured() -> None:
    code = (
        "import sys, headwater.app\n"
        "from headwater.telemetry.telemetry import Telemetry\n"
        "from headwater.telemetry.settings import TelemetrySettings\n"
        "Telemetry(TelemetrySettings())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert run.stdout == "[]\n"
