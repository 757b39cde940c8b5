"""The spans of a broadcast, from the pipeline's events.

    livestream.session      admitted ──────────────────────────────────────────────► closed, totals, index written
      livestream.start      admitted ──► first media ──► playable
      livestream.publisher              first media ───────────► gone │ back ─────► gone
      livestream.recording              it begins ──► paused ──► goes on ──────────────► a whole file, or failed

A span is sent when it ends: a broadcast of a day is there after that day, its parts before. What a crash cuts short is
never sent; analytics know of it.
"""

from __future__ import annotations

from time import time_ns

from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from headwater.events import (
    Event,
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionResumed,
    SessionWarning,
)

MAX_SESSIONS = 1000
"""Broadcasts traced at once; as many as are open by default. What comes beyond is not traced."""


MAX_RECORDINGS = 2000
"""Recordings traced at once; a file may be made after its session has ended."""


class SessionSpans:
    """Every open broadcast's spans; an `events.Listener`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[str, _Broadcast] = {}
        self._recordings: dict[str, Span] = {}

    def listen(self, event: Event) -> None:
        if isinstance(event, SessionOpened):
            if len(self._open) < MAX_SESSIONS:
                self._open[event.session_id] = _Broadcast(self._tracer, event)
            return
        if isinstance(event, RecordingChanged | RecordingReady | RecordingFailed):
            self._recording(event)
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

    def _recording(self, event: RecordingChanged | RecordingReady | RecordingFailed) -> None:
        if isinstance(event, RecordingChanged):
            span, broadcast = self._recordings.get(event.recording_id), self._open.get(event.session_id)
            if span is None and broadcast is not None and len(self._recordings) < MAX_RECORDINGS:
                span = self._recordings[event.recording_id] = broadcast.child("livestream.recording", event.at_ms)
                span.set_attribute("headwater.recording_id", event.recording_id)
            if span is not None:
                span.add_event(event.status.lower(), {"reason": event.reason}, _ns(event.at_ms))
            return
        span = self._recordings.pop(event.recording_id, None)
        if span is None:
            return
        if isinstance(event, RecordingReady):
            span.set_attribute("headwater.recording", event.path)
            span.set_attribute("headwater.recording_bytes", event.size)
        else:
            span.set_status(Status(StatusCode.ERROR, event.error))
        span.end(_ns(event.at_ms))


class _Broadcast:
    """The spans of one."""

    def __init__(self, tracer: Tracer, event: SessionOpened) -> None:
        self._tracer = tracer
        self._about = {"headwater.livestream_id": event.livestream_id, "headwater.session_id": event.session_id}
        admitted_ms = min(event.admitted_ms or event.at_ms, event.at_ms)
        attributes = {**self._about, "headwater.encoder": event.encoder}
        self.session = tracer.start_span("livestream.session", start_time=_ns(admitted_ms), attributes=attributes)
        self.start = self.child("livestream.start", admitted_ms)
        self.start.add_event("first media", timestamp=_ns(event.at_ms))
        self._publisher: Span | None = self.child("livestream.publisher", event.at_ms)

    def child(self, name: str, since_ms: int) -> Span:
        """A span of a part of it."""
        context = set_span_in_context(self.session)
        return self._tracer.start_span(name, context, start_time=_ns(since_ms), attributes=self._about)

    def lost(self, event: SessionInterrupted) -> None:
        self._gone(event.at_ms, event.reason)
        self.session.add_event("publisher lost", {"reason": event.reason}, _ns(event.at_ms))

    def back(self, event: SessionResumed) -> None:
        self._gone(event.at_ms, "another publisher took over")
        self._publisher = self.child("livestream.publisher", event.at_ms)
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
        self.session.add_event("media ended", timestamp=_ns(event.at_ms))
        self.session.set_attribute("headwater.ingest_seconds", event.ingest_seconds)
        self.session.set_attribute("headwater.viewer_seconds", event.viewer_seconds)
        if event.error is not None:
            self.session.set_status(Status(StatusCode.ERROR, event.error))
        self.session.end(now)


def _ns(at_ms: int) -> int:
    return at_ms * 1_000_000
