"""OpenTelemetry's SDK, set up; imported where traces are configured, and nowhere else.

Spans go to the SDK's queue (bounded: OTEL_BSP_MAX_QUEUE_SIZE, 2048) and are sent by its thread: a collector that is
away or slow costs spans, and nothing else.
"""

from __future__ import annotations

import asyncio
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from starlette.types import ASGIApp

from headwater import __version__
from headwater.events import Event
from headwater.telemetry.api_spans import TracedApi
from headwater.telemetry.session_spans import SessionSpans

LAST_SPANS_S = 2.0
"""For the spans of the end; the server must be gone within 10 s of SIGTERM."""


class Tracing:
    """Spans of API requests and of sessions."""

    def __init__(self, exporter: SpanExporter) -> None:
        ours = Resource({SERVICE_NAME: "headwater", SERVICE_VERSION: __version__})
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())  # variables win
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headwater", __version__)
        self._sessions = SessionSpans(self._tracer)

    @classmethod
    def open(cls) -> Tracing:
        return cls(OTLPSpanExporter())

    def api(self, app: ASGIApp) -> ASGIApp:
        """The API, each request a span."""
        return TracedApi(app, self._tracer)

    def listen(self, event: Event) -> None:
        """Take an event of the pipeline."""
        self._sessions.listen(event)

    async def close(self) -> None:
        """Send what is left, for a bounded time: in a thread that nobody waits for at the end of the process."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shutdown() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(sent.set)
            except RuntimeError:  # the loop is closed: it took too long
                pass

        threading.Thread(target=shutdown, name="headwater-last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(LAST_SPANS_S):
                await sent.wait()
        except TimeoutError:
            pass  # the exporter says so itself
