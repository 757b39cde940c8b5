"""Random histories of some livestreams, written as the pipeline's events are, and what they add up to the long way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS, Spell, Sums, Take, days_of, milliseconds
from headwater.control.history import Recovered, record, recover
from headwater.control.repository import accounts, livestreams, sessions
from headwater.control.repository.analytics import Running
from headwater.events import (
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionOpened,
    SessionProgress,
)

START = 1_835_136_000_000 - 2 * DAY_MS
"""Two days before 2028-02-26: the histories below go over a leap day."""

LIVESTREAMS = 2

STEPS = st.sampled_from([0, 1, 999, 60_000, 3_600_000, 20 * 3_600_000, DAY_MS, 60 * 3_600_000])
ENDS = ("close", "close recorded", "fail", "fail at once", "crash", "crash recorded", "clock set back")
BY_CALL = ("record", "pause", "resume", "stop", "made", "came to nothing")
ACTS = (
    st.sampled_from(["open", "progress", "midnight", "delete"])
    | st.sampled_from(["open", *ENDS])
    | st.sampled_from(BY_CALL)
)
SECONDS = st.floats(0, 10**6, allow_nan=False) | st.sampled_from([0.0, 0.0005, 12.5, 0.0125])


@dataclass(frozen=True, slots=True)
class Step:
    """After some time, something happens to a livestream."""

    after_ms: int
    act: str
    livestream: int
    ingest_seconds: float
    viewer_seconds: float


HISTORIES = st.lists(
    st.builds(Step, STEPS, ACTS, st.integers(0, LIVESTREAMS - 1), SECONDS, SECONDS), min_size=15, max_size=40
)


@dataclass
class Recorder:
    """A recording by call, as it should be known."""

    id: str
    livestream_id: str
    session_id: str
    spans: list[tuple[int, int | None]]
    status: str = "RECORDING"
    stopped_ms: int | None = None

    def take(self, end_ms: int, recorded_ms: int | None = None) -> Take:
        end_ms = self.stopped_ms if self.stopped_ms is not None else max(end_ms, self.spans[0][0])
        spans = tuple((low, end_ms if high is None else high) for low, high in self.spans)
        spans = tuple((low, min(high, end_ms)) for low, high in spans if low < min(high, end_ms))
        whole = sum(high - low for low, high in spans)
        return Take(self.spans[0][0], end_ms, whole if recorded_ms is None else recorded_ms, spans)


@dataclass
class History:
    """A history as it is being written; it knows by itself what has to come of it.

    Attributes:
        ended: What each session was as it ended: for good.
        open: The open session of a livestream, as last known.
        takes: What each recording was as its file was whole: for good.
        recorders: Recordings by call that are not.
        sessions_ended: When each session ended.
    """

    app_id: str
    livestream_ids: list[str]
    now_ms: int = START
    ended: list[tuple[str, Spell]] = field(default_factory=list)
    open: dict[str, tuple[str, Spell]] = field(default_factory=dict)
    takes: list[Take] = field(default_factory=list)
    recorders: list[Recorder] = field(default_factory=list)
    sessions_ended: dict[str, int] = field(default_factory=dict)
    recorded_by_call: set[str] = field(default_factory=set)
    number: int = 0

    @classmethod
    async def begin(cls, conn: AsyncConnection) -> History:
        account = await accounts.create_account(conn, "a", 1)
        app = await accounts.create_app(conn, account, "a", 1)
        rows = [await livestreams.create(conn, app.id, name=None, now_ms=1) for _ in range(LIVESTREAMS)]
        return cls(app.id, [row.id for row in rows])

    async def take(self, conn: AsyncConnection, step: Step) -> None:
        self.now_ms += step.after_ms
        livestream_id = self.livestream_ids[step.livestream]
        if step.act == "midnight":
            self.now_ms += -self.now_ms % DAY_MS
        elif step.act == "delete":
            await livestreams.update(conn, livestream_id, self.now_ms, deleted_ms=self.now_ms)
        elif step.act == "open":
            await self._open(conn, livestream_id)
        elif step.act in BY_CALL:
            await self._record(conn, livestream_id, step)
        elif livestream_id in self.open:
            await self._follow(conn, livestream_id, step)

    async def _open(self, conn: AsyncConnection, livestream_id: str) -> None:
        """Also where a session is open: its close was lost, and it ends where it was last known."""
        if livestream_id in self.open:
            self._end(livestream_id)
        self.number += 1
        session_id = f"{self.app_id[:18]}-{self.number}"
        await record(conn, SessionOpened(livestream_id, session_id, self.now_ms, "obs", "r"), "n")
        self.open[livestream_id] = session_id, Spell(self.now_ms, self.now_ms, 0, 0)

    async def _record(self, conn: AsyncConnection, livestream_id: str, step: Step) -> None:
        if step.act == "record":
            if livestream_id in self.open:
                self.number += 1
                session_id = self.open[livestream_id][0]
                id_ = f"r-{self.app_id[:16]}-{self.number}"
                self.recorders.append(Recorder(id_, livestream_id, session_id, [(self.now_ms, None)]))
                self.recorded_by_call.add(session_id)
                await self._tell(conn, self.recorders[-1])
            return
        recorder = next((one for one in self.recorders if one.livestream_id == livestream_id), None)
        if recorder is None:
            return
        ids = (livestream_id, recorder.session_id, self.now_ms, recorder.id)
        if step.act in ("made", "came to nothing"):
            event: RecordingReady | RecordingFailed = RecordingFailed(*ids, "ERR: sentence")
            self.recorders.remove(recorder)
            if step.act == "made":  # after a crash also of one that nobody has stopped
                event = RecordingReady(*ids, "r.mp4", 1, step.ingest_seconds, self.now_ms, "API_CALL")
                self.takes.append(recorder.take(self.now_ms, milliseconds(step.ingest_seconds)))
            for _ in range(2):
                await record(conn, event, "n")
        elif recorder.status != "UPLOADING":
            self._steer(recorder, step.act)
            await self._tell(conn, recorder)

    def _steer(self, recorder: Recorder, act: str) -> None:
        if act == "resume" and recorder.status == "PAUSED":
            recorder.spans.append((self.now_ms, None))
            recorder.status = "RECORDING"
        elif act != "resume":
            if recorder.status == "RECORDING":
                recorder.spans[-1] = recorder.spans[-1][0], self.now_ms
            recorder.status = "PAUSED" if act == "pause" else "UPLOADING"
            recorder.stopped_ms = self.now_ms if act == "stop" else None

    async def _tell(self, conn: AsyncConnection, recorder: Recorder) -> None:
        ids = (recorder.livestream_id, recorder.session_id, self.now_ms, recorder.id)
        await record(conn, RecordingChanged(*ids, recorder.status, tuple(recorder.spans), "API_CALL"), "n")

    async def _follow(self, conn: AsyncConnection, livestream_id: str, step: Step) -> None:
        session_id, spell = self.open[livestream_id]
        ingest, viewer = milliseconds(step.ingest_seconds), milliseconds(step.viewer_seconds)
        if step.act == "progress":
            totals = (step.ingest_seconds, step.viewer_seconds)
            await record(conn, SessionProgress(livestream_id, session_id, self.now_ms, *totals), "n")
            self.open[livestream_id] = session_id, Spell(spell.start_ms, self.now_ms, ingest, viewer)
        elif step.act.startswith("crash"):
            await self._crash(conn, livestream_id, recorded="recorded" in step.act)
        else:
            at_once = step.act == "fail at once"
            event = SessionClosed(
                livestream_id,
                session_id,
                spell.start_ms - 5 if step.act == "clock set back" else self.now_ms,
                0.0 if at_once else step.ingest_seconds,
                step.viewer_seconds,
                "ERR: sentence" if "fail" in step.act else None,
                "r.mp4" if "recorded" in step.act else None,
            )
            for _ in range(2):  # a batch of events may be written twice
                await record(conn, event, "n")
            end = max(spell.start_ms, event.at_ms)
            final = Spell(spell.start_ms, end, 0 if at_once else ingest, viewer)
            if event.recording is not None and session_id not in self.recorded_by_call:
                self.takes.append(Take(spell.start_ms, end, ingest))
            self._end(livestream_id, final, failed=event.error is not None)

    async def _crash(self, conn: AsyncConnection, livestream_id: str, *, recorded: bool) -> None:
        session_id, spell = self.open[livestream_id]
        row = await sessions.find_any(conn, session_id)
        assert row is not None
        for _ in range(2):  # the next start may crash as well, and begin again
            await recover(conn, row, Recovered("r.mp4", self.now_ms, 10.0**6) if recorded else None, self.now_ms)
        if recorded:
            end = max(self.now_ms, spell.end_ms)
            ingest = max(spell.ingest_ms, min(10**9, end - spell.start_ms))
            spell = replace(spell, end_ms=end, ingest_ms=ingest)
            if session_id not in self.recorded_by_call:
                self.takes.append(Take(spell.start_ms, end, 10**9))
        self._end(livestream_id, spell)

    def _end(self, livestream_id: str, spell: Spell | None = None, *, failed: bool = False) -> None:
        session_id, last = self.open.pop(livestream_id)
        spell = spell or last
        self.sessions_ended[session_id] = spell.end_ms
        if not failed or spell.ingest_ms > 0:
            self.ended.append((livestream_id, spell))

    @property
    def running(self) -> list[Running]:
        return [Running(livestream_id, spell) for livestream_id, (_, spell) in self.open.items()]

    @property
    def going_on(self) -> list[Take]:
        """As they are now; one ends with its session at the latest."""
        return [one.take(self.sessions_ended.get(one.session_id, self.now_ms)) for one in self.recorders]

    @property
    def all(self) -> list[tuple[str, Spell]]:
        return self.ended + [(livestream_id, spell) for livestream_id, (_, spell) in self.open.items()]


def the_long_way(
    spells: Iterable[tuple[str, Spell]], takes: Iterable[Take], low: int, high: int
) -> tuple[dict[int, Sums], int]:
    """The definition: the days of a range, and how many livestreams were broadcast in it."""
    days = {day: Sums() for day in days_of(low, high)}
    seen: set[str] = set()
    for livestream_id, spell in spells:
        for day, sums in days.items():
            start, end = max(day * DAY_MS, low), min((day + 1) * DAY_MS, high)
            part = _overlap(spell, start, end)
            sums.add(part)
            if part.session_ms or part.sessions:
                seen.add(livestream_id)
    for take in takes:
        for day, sums in days.items():
            sums.add(_recorded(take, max(day * DAY_MS, low), min((day + 1) * DAY_MS, high)))
    return days, len(seen)


def _recorded(take: Take, start: int, end: int) -> Sums:
    began = start <= take.start_ms < end
    spans = take.spans or ((take.start_ms, take.end_ms),)
    whole = sum(high - low for low, high in spans)
    if take.end_ms == take.start_ms:
        return Sums(recordings=int(began), recorded_ms=take.recorded_ms * began)
    before, behind = (sum(max(0, min(high, at) - low) for low, high in spans) for at in (start, max(start, end)))
    recorded_ms = take.recorded_ms * behind // whole - take.recorded_ms * before // whole
    return Sums(recordings=int(began), recorded_ms=recorded_ms)


def _overlap(spell: Spell, start: int, end: int) -> Sums:
    first, last = max(spell.start_ms, start), min(spell.end_ms, end)
    began = start <= spell.start_ms < end
    length = spell.end_ms - spell.start_ms
    if length == 0:
        first, last, length = (0, int(began), 1)
        shift = 0
    else:
        shift = spell.start_ms
    if last < first:
        return Sums()
    ingest, viewer = (
        total * (last - shift) // length - total * (first - shift) // length
        for total in (spell.ingest_ms, spell.viewer_ms)
    )
    ms = last - first if spell.end_ms > spell.start_ms else 0
    return Sums(began, ms, ingest, viewer)
