"""What of a session is recorded: one mark for each recording, by wall time.

A session is written to one file, whatever is recorded of it. A recording of the whole session is that file; one that
began late, paused or was stopped before the end is cut out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.errors import LimitReached

MARKS_LIMIT = 100
"""Recordings of one session."""

SPANS_LIMIT = 1000
"""How often a recording may pause."""


@dataclass(slots=True)
class Mark:
    """A recording of a session.

    Attributes:
        began_ms: When it began.
        spans: Between which wall times it records; None: all of the session.
        status: RECORDING, PAUSED, or UPLOADING: stopped.
        reason: Why it began.
        limit_ms: It stops by itself when it has recorded so much.
    """

    id: str
    began_ms: int
    reason: str
    limit_ms: int | None = None
    spans: list[tuple[int, int | None]] | None = None
    status: str = "RECORDING"

    @property
    def is_running(self) -> bool:
        return self.status != "UPLOADING"

    def pause(self, now_ms: int) -> None:
        """Also of one that pauses already."""
        if self.status == "RECORDING":
            self._end_span(now_ms)
            self.status = "PAUSED"

    def resume(self, now_ms: int) -> None:
        """
        Raises:
            LimitReached: it has paused too often.
        """
        if self.status == "PAUSED" and self.spans is not None:
            if len(self.spans) >= SPANS_LIMIT:
                raise LimitReached("SPANS_LIMIT", f"a recording pauses {SPANS_LIMIT} times at most")
            self.spans.append((now_ms, None))
            self.status = "RECORDING"

    def stop(self, now_ms: int) -> None:
        if self.status == "RECORDING":
            self._end_span(now_ms)
        self.status = "UPLOADING"

    def _end_span(self, now_ms: int) -> None:
        if self.spans is None:
            self.spans = [(self.began_ms, None)]
        self.spans[-1] = (self.spans[-1][0], now_ms)

    def recorded_ms(self, now_ms: int) -> int:
        """How much of the session it has so far."""
        spans = self.spans if self.spans is not None else [(self.began_ms, None)]
        return sum((now_ms if end is None else end) - start for start, end in spans)


@dataclass(slots=True)
class Marks:
    """All of a session, by recording id."""

    by_id: dict[str, Mark] = field(default_factory=dict)

    def add(self, mark: Mark) -> None:
        """
        Raises:
            LimitReached: the session has too many.
        """
        if len(self.by_id) >= MARKS_LIMIT:
            raise LimitReached("MARKS_LIMIT", f"a session has {MARKS_LIMIT} recordings at most")
        self.by_id[mark.id] = mark

    def running(self, recording_id: str) -> Mark | None:
        mark = self.by_id.get(recording_id)
        return mark if mark is not None and mark.is_running else None

    def full(self, now_ms: int) -> list[Mark]:
        """Those that have recorded as much as they were to."""
        return [
            mark
            for mark in self.by_id.values()
            if mark.limit_ms is not None and mark.is_running and mark.recorded_ms(now_ms) >= mark.limit_ms
        ]
