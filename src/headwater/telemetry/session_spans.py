"""The spans of a broadcast, from the pipeline's events.

    livestream.session      admitted ──────────────────────────────────────────────► closed, totals, index written
      livestream.start      admitted ──► first media ──► playable
      livestream.publisher              first media ───────────► gone │ back ─────► gone
      livestream.recording              first media ──────────────────────────────► closed, where one is kept

A span is sent when it ends: a broadcast of a day is there after that day, its parts before. What a crash cuts short is
never sent; analytics know of it.
"""

from __future__ import annotations

from time import time_ns

from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from headwater.events import (
    Event,
    SessionClosed,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionResumed,
    SessionWarning,
)

MAX_SESSIONS = 1000
"""Broadcasts traced at once; as many as are open by default. What comes beyond is not traced."""


class SessionSpans:
    """Every open broadcast's spans; an `events.Listener`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[str, _Broadcast] = {}

    def listen(self, event: Event) -> None:
        if isinstance(event, SessionOpened):
            if len(self._open) < MAX_SESSIONS:
                self._open[event.session_id] = _Broadcast(self._tracer, event)
            return
        broadcast = self._open.get(getattr(event, "session_id", ""))
        if broadcast is None:
            return
        if isinstance(event, SessionClosed):
            del self._open[event.session_id]
            broadcast.close(event)
        elif isinstance(event, SessionPlayable):
            broadcast.start.end(_ns(event.at_ms))
        elif isinstance(event, SessionInterrupted):
            broadcast.lost(event)
        elif isinstance(event, SessionResumed):
            broadcast.back(event)
        elif isinstance(event, SessionWarning):
            broadcast.session.add_event("warning", {"code": event.code, "message": event.message}, _ns(event.at_ms))


class _Broadcast:
    """The spans of one."""

    def __init__(self, tracer: Tracer, event: SessionOpened) -> None:
        self._tracer = tracer
        self._about = {"headwater.livestream_id": event.livestream_id, "headwater.session_id": event.session_id}
        self._opened_ms = event.at_ms
        admitted_ms = min(event.admitted_ms or event.at_ms, event.at_ms)
        attributes = {**self._about, "headwater.encoder": event.encoder}
        self.session = tracer.start_span("livestream.session", start_time=_ns(admitted_ms), attributes=attributes)
        self.start = self._child("livestream.start", admitted_ms)
        self.start.add_event("first media", timestamp=_ns(event.at_ms))
        self._publisher: Span | None = self._child("livestream.publisher", event.at_ms)

    def _child(self, name: str, since_ms: int) -> Span:
        context = set_span_in_context(self.session)
        return self._tracer.start_span(name, context, start_time=_ns(since_ms), attributes=self._about)

    def lost(self, event: SessionInterrupted) -> None:
        self._gone(event.at_ms, event.reason)
        self.session.add_event("publisher lost", {"reason": event.reason}, _ns(event.at_ms))

    def back(self, event: SessionResumed) -> None:
        self._gone(event.at_ms, "another publisher took over")
        self._publisher = self._child("livestream.publisher", event.at_ms)
        self._publisher.set_attribute("headwater.takeover", event.takeover)

    def _gone(self, at_ms: int, reason: str) -> None:
        if self._publisher is not None:
            self._publisher.set_attribute("headwater.reason", reason)
            self._publisher.end(_ns(at_ms))
            self._publisher = None

    def close(self, event: SessionClosed) -> None:
        """The totals are final, and the recording is written: now. Its media ended at `event.at_ms`."""
        now = time_ns()
        self._gone(event.at_ms, event.error or "the session was closed")
        if self.start.is_recording():  # it never became playable
            self.start.set_status(Status(StatusCode.ERROR, event.error))
            self.start.end(now)
        if event.recording is not None:
            recording = self._child("livestream.recording", self._opened_ms)
            recording.set_attribute("headwater.recording", event.recording)
            recording.end(now)
        self.session.add_event("media ended", timestamp=_ns(event.at_ms))
        self.session.set_attribute("headwater.ingest_seconds", event.ingest_seconds)
        self.session.set_attribute("headwater.viewer_seconds", event.viewer_seconds)
        if event.error is not None:
            self.session.set_status(Status(StatusCode.ERROR, event.error))
        self.session.end(now)


def _ns(at_ms: int) -> int:
    return at_ms * 1_000_000
