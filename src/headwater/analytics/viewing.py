"""One viewing session as its player reports it: how long until it played, how often and how long it stood still.

In: reports of Common Media Client Data (`protocols/cmcd.py`), either events of version 2, which say it all, or what
stands in requests, from which it is estimated. Out: `Facts`. Once there are events, only they count. Pure: server time
is an argument; the player's clock is used for differences only.

    event mode        s ──► p ⇄ r                 start-up: the player's `msd`, else from s to p
                      d ──► s   ⇄ a, k, ...       stalled: in r; played: in p; both by `ts`
                  (no `sta` ever)             played: from `msd` on; stalled: `bsd` (shaka-player 5.2)
    request mode      su, su, (no su), ..., bs    start-up: from the first request to the first without `su`
                                                  stalled: from the last request, its buffer played out, to that with bs
"""

from __future__ import annotations

from typing import NamedTuple

from headwater.protocols.cmcd import STATES, Measure, Report, Value

LEAST_STALL_MS = 200
"""A shorter standstill is not counted: players say `waiting` for a frame or two where nobody sees it."""

STARTUP_LIMIT_MS = 600_000
"""A longer start-up says that nobody waited for it (a background tab)."""

GRACE_MS = 30_000
"""A viewing session lasts no longer than since its first report, and this: reports come in batches."""

REQUESTS_GAP_MS = 30_000
"""Between readings further apart than this nobody played: one is due every 10 s, and a segment may be as long again."""

CLOCK_SET_MS = 60_000
"""A report that is older than the last by more than this is no late one: the player's clock was set."""

LATENCY_LIMIT_MS = 3_600_000
KBPS_LIMIT = 1_000_000
"""A gigabit: larger ones are made up."""


class Facts(NamedTuple):
    """What is known of a viewing session so far; None where it is not.

    Attributes:
        startup_ms: From the wish to play to the first picture.
        stalls: Times the picture stood still for want of media, starting and seeking apart.
        stalled_ms: How long, together.
        played_ms: How long it moved.
        kbps: Mean bitrate of what was played, by time.
        latency_ms: Mean time from the server's receipt of a picture to its being shown.
    """

    startup_ms: int | None = None
    stalls: int = 0
    stalled_ms: int = 0
    played_ms: int = 0
    kbps: float | None = None
    latency_ms: float | None = None

    @property
    def rebuffering(self) -> float | None:
        """Share of the time in which it stood still; None where neither played nor stood still."""
        whole = self.played_ms + self.stalled_ms
        return self.stalled_ms / whole if whole else None


class Viewing:
    """A viewing session.

    Attributes:
        heard_s: When it was last heard of; monotonic seconds.
        by_events: It reports by events; what its requests say does not count any more.
        due_s: When its requests are to be read next.
    """

    __slots__ = (
        *("_began_s", "_counted_s", "_kbps", "_kbps_ms", "_kbps_sum", "_latencies", "_latency_sum", "_played_ms"),
        *("_sequence", "_stall_ms", "_stalled_ms", "_stalls", "_started", "_starting", "_startup_ms", "_state"),
        *("_stateless", "_step_ms", "_ts"),
        *("by_events", "due_s", "heard_s"),
    )

    def __init__(self, now_s: float) -> None:
        self._began_s = self.heard_s = now_s
        self.due_s = now_s
        self.by_events = False
        self._forget()

    def _forget(self) -> None:
        self._state = ""
        self._stateless = True
        self._started = False
        self._ts: int | None = None
        self._sequence = -1
        self._counted_s: float | None = None
        self._starting: int | None = None
        self._startup_ms: int | None = None
        self._stalls = self._stalled_ms = self._stall_ms = self._played_ms = 0
        self._kbps = self._kbps_sum = self._kbps_ms = 0
        self._step_ms = 0
        self._latency_sum = self._latencies = 0

    def facts(self) -> Facts:
        """As of the last report; a stall that lasts is counted as long as it has lasted."""
        stalling = self._stall_ms >= LEAST_STALL_MS
        return Facts(
            startup_ms=self._startup_ms,
            stalls=self._stalls + stalling,
            stalled_ms=self._stalled_ms + (self._stall_ms if stalling else 0),
            played_ms=self._played_ms,
            kbps=self._kbps_sum / self._kbps_ms if self._kbps_ms else None,
            latency_ms=self._latency_sum / self._latencies if self._latencies else None,
        )

    # -- events -------------------------------------------------------------------------------------------------

    def event(self, report: Report, now_s: float) -> None:
        """Take a report of version 2's event mode. One that is older than the last, or came twice, is left out."""
        if not self.by_events:
            self._forget()
            self.by_events = True
        self.heard_s = now_s
        ts, sequence = _number(report, "ts"), _number(report, "sn")
        ts = int(now_s * 1000) if ts is None else ts
        late = self._ts is not None and self._ts - CLOCK_SET_MS <= ts < self._ts
        if late or (ts == self._ts and sequence == self._sequence):
            return
        played_ms = self._played_ms
        self._pass(ts - self._ts if self._ts is not None else 0, now_s)
        self._ts, self._sequence = ts, -1 if sequence is None else sequence
        self._note(report)
        state = report.get("sta")
        if isinstance(state, str) and state in STATES:
            self._stateless = False
            self._enter(state, ts)
        elif self._stateless and self._started:
            self._state = "p"
            self._take_back(min(starvation_ms(report) or 0, self._played_ms - played_ms))
        latency = _number(report, "ltc")
        if latency is not None and self._state == "p":
            self._add_latency(latency)

    def _pass(self, step_ms: int, now_s: float) -> None:
        """Time goes by in the state that was."""
        spent = self._played_ms + self._stalled_ms + self._stall_ms
        step_ms = max(0, min(step_ms, int((now_s - self._began_s) * 1000) + GRACE_MS - spent))
        if self._state == "p":
            self._play(step_ms)
        elif self._state == "r":
            self._stall_ms += step_ms

    def _enter(self, state: str, ts: int) -> None:
        if state != "r":
            self._end_stall()
        if state == "r" and not self._started:
            state = self._state  # at the start everybody waits
        if state == "s" and not self._started and self._starting is None:
            self._starting = ts
        elif state == "a" and not self._started:
            self._starting = None  # it waits for its viewer now
        elif state == "p" and not self._started:
            self._started = True
            if self._starting is not None:
                self._start(ts - self._starting)
        self._state = state

    def _take_back(self, stalled_ms: int) -> None:
        """Some of what was taken for played was a stall."""
        self._play(-stalled_ms)
        self._stall_ms += stalled_ms
        self._end_stall()

    def _end_stall(self) -> None:
        if self._stall_ms >= LEAST_STALL_MS:
            self._stalls += 1
            self._stalled_ms += self._stall_ms
        else:
            self._played_ms += self._stall_ms
        self._stall_ms = 0

    # -- requests -----------------------------------------------------------------------------------------------

    def request(self, report: Report, now_s: float, *, latency_ms: int | None, starved_ms: int | None) -> None:
        """Take what stands in a request for media.

        Args:
            latency_ms: As computed from the buffer that it reports; None where that cannot be.
            starved_ms: How long the picture has stood still before it; None: it says nothing of that.
        """
        measured_ms = starvation_ms(report)
        starved_ms = starved_ms if measured_ms is None else measured_ms
        starting = report.get("su") is True
        if starting and not self._started and self._starting is None:
            self._starting = int(self._began_s * 1000)
        if not starting and not self._started:
            self._started = True
            self._counted_s = now_s
            if self._starting is not None:
                self._start(int(now_s * 1000) - self._starting)
        stalled_ms = starved_ms if starved_ms is not None and self._started else 0
        if self._counted_s is not None:
            passed_ms = int((now_s - self._counted_s) * 1000)
            self._counted_s = now_s
            # Of a stall that is told after the request that ended it, some was taken for played.
            stalled_ms = min(stalled_ms, passed_ms + self._step_ms)
            step_ms = passed_ms - stalled_ms
            if step_ms <= REQUESTS_GAP_MS:
                self._play(step_ms)
                self._step_ms = max(0, step_ms)
        self._stall_ms += stalled_ms
        self._end_stall()
        self._note(report)
        if latency_ms is not None and self._started and not starting:
            self._add_latency(latency_ms)

    def leave(self) -> None:
        """It is over: what was played since its requests were last read is counted too."""
        if self._counted_s is not None and not self.by_events:
            passed_ms = int((self.heard_s - self._counted_s) * 1000)
            if 0 < passed_ms <= REQUESTS_GAP_MS:
                self._play(passed_ms)
            self._counted_s = self.heard_s

    # -- both ---------------------------------------------------------------------------------------------------

    def _note(self, report: Report) -> None:
        """What is of one meaning in both modes: the bitrate, and start-up where the player has measured it."""
        kbps = bitrate(report)
        if kbps is not None:
            self._kbps = kbps
        delay = _number(report, "msd")
        if delay is not None and 0 <= delay <= STARTUP_LIMIT_MS:
            self._startup_ms = delay
            self._started = True

    def _start(self, delay_ms: int) -> None:
        if self._startup_ms is None and 0 <= delay_ms <= STARTUP_LIMIT_MS:
            self._startup_ms = delay_ms

    def _play(self, step_ms: int) -> None:
        self._played_ms += step_ms
        if self._kbps:
            self._kbps_sum += self._kbps * step_ms
            self._kbps_ms += step_ms

    def _add_latency(self, latency_ms: int) -> None:
        if latency_ms <= LATENCY_LIMIT_MS:
            self._latency_sum += max(0, latency_ms)
            self._latencies += 1


def bitrate(report: Report) -> int | None:
    """The bitrate of the picture, in kbit/s; of the sound where there is no picture; None where it is not said."""
    for key in ("pb", "br", "ab"):
        values = _measures(report.get(key))
        pictures = [measure.value for measure in values if measure.object_type in ("v", "av", "")]
        of_sound = report.get("ot") == "a" and not any(measure.object_type for measure in values)
        if pictures and not of_sound and 0 < max(pictures) <= KBPS_LIMIT:
            return max(pictures)
    return None


def buffer_ms(report: Report) -> int | None:
    """The buffer that a player has, the shortest where it has several; None where it is not said."""
    values = [measure.value for measure in _measures(report.get("bl")) if measure.value >= 0]
    return min(values) if values else None


def starvation_ms(report: Report) -> int | None:
    """How long the picture stood still, as the player says once it moves again (`bsd`); None where it does not."""
    values = [measure.value for measure in _measures(report.get("bsd")) if measure.value >= 0]
    return max(values) if values else None


def _measures(value: Value | None) -> tuple[Measure, ...]:
    return tuple(entry for entry in value if isinstance(entry, Measure)) if isinstance(value, tuple) else ()


def _number(report: Report, key: str) -> int | None:
    value = report.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
