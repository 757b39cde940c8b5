"""Counts of what has happened since the start, from the pipeline's events."""

from __future__ import annotations

from collections import Counter

from headwater.events import (
    Event,
    PublishRejected,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionInterrupted,
    SessionOpened,
    SessionResumed,
    SessionWarning,
)

MAX_CODES = 64
"""Different reasons that are told apart; they are words of ours, some 20, and a label must not grow without end."""

OTHER = "other"


class Counts:
    """Plain integers; an `events.Listener`.

    Attributes:
        opened, ended, errored: Sessions. A session that ended is not one that errored.
        interrupted: Publishers that were gone while their session waited for them.
        resumed, taken_over: Those that came back, and those that another one replaced.
        recorded, unrecorded: Recordings that became a whole file, and those that nothing came of.
        refused, warnings: By their code.
    """

    def __init__(self) -> None:
        self.opened = self.ended = self.errored = 0
        self.interrupted = self.resumed = self.taken_over = 0
        self.recorded = self.unrecorded = 0
        self.refused: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()

    def listen(self, event: Event) -> None:
        if isinstance(event, PublishRejected):
            _count(self.refused, event.code)
        elif isinstance(event, SessionOpened):
            self.opened += 1
        elif isinstance(event, SessionClosed):
            if event.error is None:
                self.ended += 1
            else:
                self.errored += 1
        elif isinstance(event, SessionInterrupted):
            self.interrupted += 1
        elif isinstance(event, SessionResumed):
            if event.takeover:
                self.taken_over += 1
            else:
                self.resumed += 1
        elif isinstance(event, RecordingReady):
            self.recorded += 1
        elif isinstance(event, RecordingFailed):
            self.unrecorded += 1
        elif isinstance(event, SessionWarning):
            _count(self.warnings, event.code)


def _count(counter: Counter[str], code: str) -> None:
    counter[code if code in counter or len(counter) < MAX_CODES else OTHER] += 1
