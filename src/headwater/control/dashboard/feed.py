"""What is live, told to open dashboards as it changes: server-sent events (HTML Living Standard, 9.2).

    event: live       every session of the app that is open now, how its media arrives, and warnings in words; once a
                      second while there is one
    event: changed    livestreams of which there is something new to load, by id; null: of anything
    event: attempted  webhooks of whose deliveries there is something new to load, by id
    event: met        meetings into which somebody came, or which somebody left, by id
    : (a comment)     when nothing else was said for a while, so that proxies and browsers see that we are here

State, not increments: who was away, or reads slowly, is right again at the next `live`; the page loads everything anew
when its connection was lost. One task looks once a second for all, and only while somebody listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.api.schemas import IsoTime
from headwater.control.api.service import Service
from headwater.control.api.times import iso
from headwater.control.database import DatabaseAway
from headwater.control.repository import livestreams, meetings, sessions, webhooks
from headwater.control.repository.sessions import Place
from headwater.errors import LimitReached
from headwater.events import Event, LiveSnapshot, RoomEvent, SessionExperience, SessionHealth, SessionProgress
from headwater.health import HealthSample, advise

TICK_S = 1.0
"""As often as one looks: figures that change faster are not read by anybody."""

HEARTBEAT_S = 15.0
"""Silence after which a comment is sent: half of what impatient proxies wait for."""

CHECK_S = 5.0
"""As often as it is asked whether the listener's token is still valid."""

LISTENERS_LIMIT = 500
"""Open dashboards of one server, each a connection and a few hundred bytes a second."""

LISTENERS_OF_ONE = 12
"""Of one sign-in: its tabs."""

CHANGED_LIMIT = 100
"""Ids of one message; beyond it everything is loaded anew."""

TOUCHED_LIMIT = 1000
"""Livestreams of one tick, as many as may be live; beyond it everybody loads everything anew."""

OTHERS_LIMIT = 200
"""Webhooks or meetings of one tick; beyond it everybody loads everything anew, too."""

SAMPLES = 2
"""The last samples of a session's health, each of a second: one that a tick came too late for is in the next."""

RETRY_MS = 2000
"""After which a browser comes back that has lost its connection."""

NOTHING_LIVE = msgspec.json.encode({"live": []})

FIGURES = (SessionProgress, SessionHealth, SessionExperience)
"""Events that change nothing but figures, which are in `live` or are asked for now and then."""

AppsOf = Callable[[AsyncConnection, Sequence[str]], Awaitable[dict[str, str]]]

OTHERS: dict[str, tuple[str, AppsOf]] = {
    "attempted": ("webhooks", webhooks.apps_of),
    "met": ("meetings", meetings.apps_of),
}
"""By event: what of other things than livestreams is told, and how their apps are found."""

log = logging.getLogger("headwater.control")


class Live(msgspec.Struct):
    """An open session in a `live` message; samples of its health are arrays, in the order of `HealthSample`."""

    livestream_id: str
    session_id: str
    started_at: IsoTime
    playable: bool
    publishing: bool
    viewers: int
    ingest_seconds: float
    viewer_seconds: float
    health: Sequence[HealthSample]
    warnings: list[str]


class Listener:
    """One open dashboard."""

    __slots__ = ("app_id", "changed", "ended", "everything", "others", "owner", "sent", "wake")

    def __init__(self, owner: str, app_id: str) -> None:
        self.owner = owner
        self.app_id = app_id
        self.others: dict[str, set[str]] = {event: set() for event in OTHERS}
        self.changed: set[str] = set()
        self.everything = False
        self.ended = False
        self.sent: bytes | None = None
        self.wake = asyncio.Event()

    def touch(self, livestream_id: str) -> None:
        """There is something new of a livestream."""
        if len(self.changed) >= CHANGED_LIMIT:
            self.everything = True
        else:
            self.changed.add(livestream_id)

    def news(self, live: bytes) -> bytes:
        """What it has not been told yet."""
        told = b""
        if live != self.sent:
            told, self.sent = _message(b"live", live), live
        if self.changed or self.everything:
            ids = None if self.everything else sorted(self.changed)
            told += _message(b"changed", msgspec.json.encode({"livestreams": ids}))
            self.changed.clear()
            self.everything = False
        for event, news in self.others.items():
            if news:
                told += _message(event.encode(), msgspec.json.encode({OTHERS[event][0]: sorted(news)}))
                news.clear()
        return told


class Feed:
    """Tells all open dashboards."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._listeners: set[Listener] = set()
        self._places: dict[str, Place] = {}
        self._frames: dict[str, bytes] = {}
        self._touched: set[str] = set()
        self._others: dict[str, set[str]] = {event: set() for event in OTHERS}
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def listen(self, event: Event) -> None:
        """Take an event of the pipeline: there is something to load anew, from the next tick on, once however often."""
        if not self._listeners or event.livestream_id is None or isinstance(event, FIGURES):
            return
        if len(self._touched) < TOUCHED_LIMIT:
            self._touched.add(event.livestream_id)
        else:
            self.touch()

    def attempted(self, webhook_id: str) -> None:
        """A webhook was told something, or could not be told."""
        self._touch_other("attempted", webhook_id)

    def hear(self, event: RoomEvent) -> None:
        """Take an event of the rooms."""
        self._touch_other("met", event.meeting_id)

    def _touch_other(self, event: str, key: str) -> None:
        if not self._listeners:
            return
        if len(self._others[event]) < OTHERS_LIMIT:
            self._others[event].add(key)
        else:
            self.touch()

    def touch(self) -> None:
        """Something was changed by the API, of whatever livestream."""
        for listener in self._listeners:
            listener.everything = True

    def end(self, owner: str) -> None:
        """End the streams of one sign-in: it was signed out."""
        for listener in self._listeners:
            if listener.owner == owner:
                listener.ended = True
                listener.wake.set()

    def close(self) -> None:
        """End all streams: the server stops."""
        self._closed = True
        for listener in self._listeners:
            listener.wake.set()

    def stream(self, owner: str, app_id: str, holds: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """The messages for one dashboard, until it goes, is not allowed any more, or the server stops.

        Args:
            owner: Whose it is; one has `LISTENERS_OF_ONE` at most.
            holds: Whether it may still listen.

        Raises:
            LimitReached: too many listen.
        """
        of_one = sum(listener.owner == owner for listener in self._listeners)
        if self._closed or of_one >= LISTENERS_OF_ONE or len(self._listeners) >= LISTENERS_LIMIT:
            raise LimitReached("LISTENERS_LIMIT", "too many dashboards are open")
        return self._told(Listener(owner, app_id), holds)

    async def _told(self, listener: Listener, holds: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        self._listeners.add(listener)
        if self._looking is None:
            self._looking = loop.create_task(self._look_for_ever(), name="dashboard-feed")
        else:
            listener.wake.set()
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            checked = spoken = loop.time()
            while True:
                await listener.wake.wait()
                listener.wake.clear()
                now = loop.time()
                if now - checked >= CHECK_S:
                    checked = now
                    if not await holds():
                        return
                if listener.ended or self._closed:
                    return
                told = listener.news(self._frames.get(listener.app_id, NOTHING_LIVE))
                if not told and now - spoken >= HEARTBEAT_S:
                    told = b":\n\n"
                if told:
                    spoken = now
                    yield told
        finally:
            self._listeners.discard(listener)

    async def _look_for_ever(self) -> None:
        """Until nobody listens."""
        while self._listeners and not self._closed:
            try:
                self._frames = await self._look()
                await self._tell_changes()
            except (SQLAlchemyError, DatabaseAway) as error:
                log.error("dashboards are not told what is live: %s", error)
            for listener in self._listeners:
                listener.wake.set()
            await asyncio.sleep(TICK_S)
        self._looking = None

    async def _look(self) -> dict[str, bytes]:
        """The `live` message of every app that has an open session."""
        snapshots = self._service.broadcasts.live_all()
        await self._place(snapshots)
        by_app: dict[str, list[Live]] = {}
        for snapshot in snapshots:
            place = self._places.get(snapshot.session_id)
            if place is not None:  # its row is on its way to the database: seen at the next tick
                by_app.setdefault(place.app_id, []).append(_live(snapshot, place))
        return {app_id: msgspec.json.encode({"live": live}) for app_id, live in by_app.items()}

    async def _tell_changes(self) -> None:
        """Each to the listeners of its app, and to nobody else."""
        touched = set(self._touched)
        others = {event: set(ids) for event, ids in self._others.items() if ids}
        if not touched and not others:
            return
        async with self._service.database.read() as conn:
            apps = await livestreams.apps_of(conn, sorted(touched))
            apps_of_others = {event: await OTHERS[event][1](conn, sorted(ids)) for event, ids in others.items()}
        self._touched -= touched
        for event, ids in others.items():
            self._others[event] -= ids
        for listener in self._listeners:
            for livestream_id in _of(listener.app_id, apps):
                listener.touch(livestream_id)
            for event, found in apps_of_others.items():
                listener.others[event].update(_of(listener.app_id, found))

    async def _place(self, snapshots: Sequence[LiveSnapshot]) -> None:
        """Learn where new sessions belong; that never changes."""
        known = {snapshot.session_id: self._places.get(snapshot.session_id) for snapshot in snapshots}
        self._places = {session_id: place for session_id, place in known.items() if place is not None}
        unknown = [session_id for session_id, place in known.items() if place is None]
        if unknown:
            async with self._service.database.read() as conn:
                self._places |= await sessions.places(conn, unknown)


def _of(app_id: str, apps: dict[str, str]) -> list[str]:
    """The ids that belong to an app."""
    return [key for key, owner in apps.items() if owner == app_id]


def _live(snapshot: LiveSnapshot, place: Place) -> Live:
    return Live(
        livestream_id=snapshot.livestream_id,
        session_id=snapshot.session_id,
        started_at=iso(place.started_ms),
        playable=snapshot.playable,
        publishing=snapshot.publishing,
        viewers=snapshot.viewers,
        ingest_seconds=round(snapshot.ingest_seconds, 1),
        viewer_seconds=round(snapshot.viewer_seconds, 1),
        health=snapshot.health[-SAMPLES:],
        warnings=[entry.message for entry in advise(snapshot.health)] if snapshot.publishing else [],
    )


def _message(event: bytes, data: bytes) -> bytes:
    """JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (event, data)
