"""The control plane as one object: what `app.py` opens, joins to the pipeline, and closes.

plane = await ControlPlane.open(settings)      migrated
await plane.recover(recordings)                sessions that a crash left open are closed, with what was recorded
plane.attach(broadcasts)                       answers now know what is live
plane.attach_rooms(rooms, broadcasts)          ... and who meets, and who makes meetings' livestreams
... events go to plane.listen; plane.stream_keys and plane.playbacks answer the pipeline ...
... rooms' events go to plane.hear; plane.doorkeeper answers the rooms ...
credentials = await plane.announce(addresses)  once the servers are bound
plane.webhooks.start()                         from here on webhooks are told, also what the last run left
... plane.api serves /client/v4, plane.dashboard /dashboard/api, plane.routes what lies beside it ...
await plane.hang_up()                          before the HTTP server stops: open dashboards go
await plane.stop_webhooks(timeout_s)           after the last session has been closed
await plane.close(timeout_s)                   after the last session has been closed
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from headwater import rooms as rooms_types
from headwater.control import meeting_history, meeting_livestreams, recording_history
from headwater.control.api import well_known
from headwater.control.api.application import build_api
from headwater.control.api.auth import Authenticator
from headwater.control.api.service import Service
from headwater.control.authority import Playbacks, StreamKeys
from headwater.control.broadcasts import Broadcasts
from headwater.control.credentials import Credentials, first_start, node_id
from headwater.control.dashboard.application import build_dashboard
from headwater.control.dashboard.feed import Feed
from headwater.control.database import POOL_SIZE, Database, DatabaseAway, open_database
from headwater.control.doorkeeper import Doorkeeper
from headwater.control.downloads import Links, download_key
from headwater.control.files import Files
from headwater.control.history import Recovered, recover
from headwater.control.listener import EventWriter
from headwater.control.meeting_livestreams import MeetingLivestreams
from headwater.control.participant_tokens import TokenKey
from headwater.control.repository import livestreams, meeting_sessions, recordings, sessions
from headwater.control.repository.recordings import RecordingRow, RecordingStatus
from headwater.control.repository.sessions import SessionRow
from headwater.control.retention import RecordingSettings, Retention
from headwater.control.settings import ControlSettings
from headwater.control.urls import Addresses, Urls
from headwater.control.webhooks.dispatcher import Dispatcher
from headwater.control.webhooks.settings import WebhookSettings
from headwater.errors import OperatorError
from headwater.events import Event, RecordingReady, RoomClosed, RoomEvent, RoomOpened, SessionOpened
from headwater.rooms import Rooms

KNOWN_EVERY_S = 5.0
"""How often it is written down that rooms are open: a crash loses no more of a meeting."""

log = logging.getLogger("headwater.control")


@dataclass(frozen=True, slots=True)
class PlaneFacts:
    """The control plane in numbers.

    Attributes:
        connections_in_use, connections_limit: Of the database.
        database_errors: Statements that failed and connections that could not be had, so far.
        events_waiting: Events of the pipeline that are not durable yet.
        events_dropped: Those that were lost for want of room, so far.
        webhooks_delivered, webhooks_failed: Deliveries to webhooks that are over, so far.
        webhook_attempts_failed: Attempts that did not deliver, so far.
    """

    connections_in_use: int
    connections_limit: int
    database_errors: int
    events_waiting: int
    events_dropped: int
    webhooks_delivered: int = 0
    webhooks_failed: int = 0
    webhook_attempts_failed: int = 0


class ControlPlane:
    """An open control plane.

    Attributes:
        stream_keys: Who may publish.
        playbacks: What may be played.
        doorkeeper: Who may come into a meeting.
        meeting_livestreams: Starts and stops the livestreams of meetings; also for those inside.
        links: What may be downloaded.
        to_store: Recordings that have ended are still to be carried to a store.
        api: The REST API as an ASGI application for everything below `/client/v4`, mounted there or given whole paths.
        routes: What has its place at the root of the server: the key that webhooks are signed with.
        webhooks: Delivers events to webhooks, between its `start` and `stop_webhooks`.
        dashboard: What the dashboard's page calls, as an ASGI application to be mounted.
    """

    def __init__(
        self,
        settings: ControlSettings,
        database: Database,
        node: str,
        key: bytes,
        keeping: RecordingSettings,
        webhooks: WebhookSettings,
    ) -> None:
        self._settings = settings
        self._database = database
        self._node = node
        self._urls = Urls(settings)
        self.stream_keys = StreamKeys(database, settings)
        self.playbacks = Playbacks(database)
        self._events = EventWriter(database, node, written=self._written)
        self._checks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self.links = Links(key, database)
        link_ms = round(settings.download_link_s * 1000)
        self.webhooks = Dispatcher(database, node, self._urls, webhooks, links=self.links, link_ms=link_ms)
        self.to_store = False
        token_key = TokenKey(database)
        self.doorkeeper = Doorkeeper(database, token_key)
        self.meeting_livestreams = MeetingLivestreams(database, self._events, self._urls, node, self._forget, _now_ms)
        self._following: dict[str, asyncio.Task[None]] = {}
        self._service = Service(
            database,
            self._urls,
            self._events,
            self._forget,
            node=node,
            links=self.links,
            link_ms=link_ms,
            webhooks=self.webhooks,
            meeting_livestreams=self.meeting_livestreams,
            token_key=token_key,
            token_ms=round(settings.participant_token_s * 1000),
        )
        self._retention = Retention(database, node, keeping, lambda: self._service.files, self._forget)
        authenticator = Authenticator(database, settings)
        self._service.tokens_changed = authenticator.forget
        self.api = build_api(self._service, settings, authenticator)
        self._feed = Feed(self._service)
        self.webhooks.attempted = self._feed.attempted
        self.dashboard = build_dashboard(self._service, settings, authenticator, self.api, self._feed)
        self.routes = well_known.routes(self.webhooks.key)

    @classmethod
    async def open(
        cls,
        settings: ControlSettings,
        keeping: RecordingSettings | None = None,
        webhooks: WebhookSettings | None = None,
    ) -> ControlPlane:
        """Open the database, and migrate it.

        Raises:
            OperatorError: data folder or database cannot be used.
        """
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            node, key = node_id(settings.data_dir), download_key(settings.data_dir)
        except OSError as error:
            raise OperatorError(f"cannot use the data folder {settings.data_dir}: {error}") from error
        database = await open_database(settings.database_url, settings.data_dir)
        plane = cls(settings, database, node, key, keeping or RecordingSettings(), webhooks or WebhookSettings())
        plane._events.start()
        return plane

    async def recover(self, recorded: Callable[[SessionRow], Awaitable[Recovered | None]]) -> None:
        """Close what the last run of this server left open; call it before anything is published.

        Args:
            recorded: Completes the recording of a session, if there is one. A session is closed together with what
                this says, so that a second crash meanwhile loses neither.

        Raises:
            OperatorError: the database cannot be used.
        """
        try:
            async with self._database.read() as conn:
                orphans = await sessions.left_open(conn, self._node)
                rooms = await meeting_sessions.left_open(conn, self._node)
            for room in rooms:
                async with self._database.write() as conn:
                    await meeting_history.recover(conn, room, _now_ms())
                    await meeting_livestreams.recover(conn, room.meeting_id, _now_ms())
            for session in orphans:
                recording = await recorded(session)
                async with self._database.write() as conn:
                    await recover(conn, session, recording, _now_ms())
        except (SQLAlchemyError, DatabaseAway) as error:
            raise OperatorError(f"cannot recover the last run's sessions: {error}") from error
        self.playbacks.forget()

    async def unfinished_recordings(self) -> list[RecordingRow]:
        """Recordings of this server that have not come to an end."""
        async with self._database.read() as conn:
            return await recordings.unfinished(conn, self._node)

    async def recording(self, recording_id: str) -> RecordingRow | None:
        """A recording of whatever app."""
        async with self._database.read() as conn:
            return await recordings.find(conn, recording_id)

    async def waiting_uploads(self) -> list[RecordingRow]:
        """Recordings of this server that are to be carried to the store."""
        async with self._database.read() as conn:
            return await recordings.to_store(conn, self._node)

    async def is_stored(self, path: str) -> bool:
        """Whether a file is a recording that the store has."""
        async with self._database.read() as conn:
            return await recordings.is_stored(conn, path)

    async def stored(self, recording_id: str, remote: str, sha256: str) -> None:
        """The store has a recording, whole."""
        async with self._database.write() as conn:
            row = await recordings.find_any(conn, recording_id)
            if row is None:
                return
            if row.status == RecordingStatus.UPLOADING:
                row = await recordings.change(conn, row, RecordingStatus.UPLOADED, _now_ms())
            await recordings.update(conn, row.id, row.updated_ms, remote=remote, sha256=sha256)
        self.webhooks.wake()
        self._feed.touch()

    async def lost(self, row: RecordingRow, error: str) -> None:
        """A recording's file is gone before it was stored."""
        now_ms = _now_ms()
        async with self._database.write() as conn:
            if row.status == RecordingStatus.UPLOADING:
                await recording_history.fail(conn, row, error, now_ms)
            await recordings.remove(conn, [row.id], now_ms)
        self._forget()

    async def is_kept(self, path: str) -> bool:
        """Whether a file is a recording that is there."""
        async with self._database.read() as conn:
            return await recordings.is_kept(conn, path)

    def listen(self, event: Event) -> None:
        """Take an event of the pipeline; the `headwater.events.Listener` of this plane."""
        if self.to_store and isinstance(event, RecordingReady):
            event = replace(event, to_store=True)
        self._events.listen(event)
        self._feed.listen(event)
        if isinstance(event, SessionOpened):
            check = asyncio.get_running_loop().create_task(self._check_admission(event.livestream_id))
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)

    def hear(self, event: RoomEvent) -> None:
        """Take an event of the rooms; the `headwater.events.RoomListener` of this plane."""
        self._events.listen(event)
        self._feed.hear(event)
        match event:
            case RoomOpened():
                self._follow(event.meeting_id, self.meeting_livestreams.room_opened(event.meeting_id))
            case RoomClosed():
                self._follow(event.meeting_id, self.meeting_livestreams.room_closed(event.meeting_id, event.at_ms))

    def _follow(self, meeting_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Do what follows from an event of a meeting, after what followed from the one before it."""
        before = self._following.get(meeting_id)
        task = asyncio.get_running_loop().create_task(self._after(before, work), name="meeting-livestream")
        self._following[meeting_id] = task
        task.add_done_callback(lambda done: self._followed(meeting_id, done))

    async def _after(self, before: asyncio.Task[None] | None, work: Coroutine[Any, Any, None]) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            await work
        except (SQLAlchemyError, DatabaseAway) as error:
            log.error("a meeting's livestream did not follow the meeting: %s", error)

    def _followed(self, meeting_id: str, done: asyncio.Task[None]) -> None:
        if self._following.get(meeting_id) is done:
            del self._following[meeting_id]

    async def _check_admission(self, livestream_id: str) -> None:
        """End a session that was admitted just before its livestream was disabled, stopped or deleted.

        Whoever does that ends the open session, but a publisher between its admission and its first media has none.
        """
        try:
            async with self._database.read() as conn:
                refusal = await livestreams.refusal(conn, livestream_id)
        except (SQLAlchemyError, DatabaseAway):
            return  # the database is down; the event writer says so
        if refusal is not None:
            await self._service.broadcasts.stop(livestream_id, *refusal)

    async def ping(self) -> None:
        """Ask the database for nothing.

        Raises:
            SQLAlchemyError, DatabaseAway: it does not answer.
        """
        async with self._database.read() as conn:
            await conn.execute(text("SELECT 1"))

    def facts(self) -> PlaneFacts:
        """What is known without asking anybody."""
        database, events = self._database, self._events
        tally = self.webhooks.tally
        return PlaneFacts(
            database.connections_in_use,
            POOL_SIZE,
            database.errors,
            events.waiting,
            events.dropped,
            tally.delivered,
            tally.failed,
            tally.attempts_failed,
        )

    async def webhooks_waiting(self) -> tuple[int, float]:
        """How many deliveries to webhooks wait, and for how many seconds the oldest has.

        Raises:
            SQLAlchemyError, DatabaseAway: the database does not answer.
        """
        return await self.webhooks.outstanding()

    def attach(self, broadcasts: Broadcasts, files: Files | None = None) -> None:
        """Ask this for what is live, and to stop it; and `files` to delete what was recorded."""
        self._service.broadcasts = self.meeting_livestreams.sessions = broadcasts
        if files is not None:
            self._service.files = files
            self._retention.start(_now_ms)

    def attach_rooms(self, rooms: Rooms, broadcasts: rooms_types.Broadcasts | None = None) -> None:
        """Ask this for who meets, and to send people away; and `broadcasts` to make meetings' livestreams."""
        self._service.rooms = self.meeting_livestreams.rooms = rooms
        if broadcasts is not None:
            self.meeting_livestreams.broadcasts = broadcasts
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch_rooms(), name="open-rooms")

    async def _watch_rooms(self) -> None:
        """Write down which rooms are open, so that a crash ends their sessions close to where it was."""
        while True:
            await asyncio.sleep(KNOWN_EVERY_S)
            session_ids = [room.session_id for room in self._service.rooms.all()]
            try:
                if session_ids:
                    async with self._database.write() as conn:
                        await meeting_sessions.known(conn, session_ids, _now_ms())
            except (SQLAlchemyError, DatabaseAway) as error:
                log.warning("open rooms could not be written down: %s", error)

    async def announce(self, addresses: Addresses) -> Credentials | None:
        """The servers are bound: make the first account if there is none, refresh `credentials.json`.

        Returns:
            Its content, or None where there is no such file any more.
        """
        self._urls.listening(addresses)
        return await first_start(self._database, self._settings.data_dir, self._urls.api(), _now_ms())

    async def settle(self, timeout_s: float = 5.0) -> bool:
        """Wait until all events so far, progress too, are durable; False if that took too long."""
        return await self._events.settle(timeout_s, progress=True)

    async def stop_webhooks(self, timeout_s: float) -> None:
        """Tell webhooks of the last events too, for at most `timeout_s`; the rest is told after the next start."""
        began_s = time.monotonic()
        await self._events.settle(timeout_s)
        await self.webhooks.stop(max(0.0, timeout_s - (time.monotonic() - began_s)))

    async def hang_up(self) -> None:
        """The server stops: end what open dashboards listen to."""
        self._feed.close()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Write the last events, for at most `timeout_s`, and close the database."""
        if self._following:  # livestreams of meetings that have just ended
            await asyncio.wait(set(self._following.values()), timeout=timeout_s)
        await self._cancel()
        await self._retention.stop()
        await self.webhooks.stop(0.0)
        await self._events.close(timeout_s)
        await self._cancel()  # the last events had consequences, too
        await self._database.close()

    async def _cancel(self) -> None:
        tasks = self._checks | set(self._following.values())
        if self._watching is not None:
            tasks.add(self._watching)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _written(self, livestream_ids: set[str]) -> None:
        if livestream_ids:
            self.playbacks.forget()  # a recording may have been added
            self.webhooks.wake()
            if self._service.rooms.all():
                telling = asyncio.get_running_loop().create_task(self.meeting_livestreams.tell_rooms(livestream_ids))
                self._checks.add(telling)
                telling.add_done_callback(self._checks.discard)

    def _forget(self) -> None:
        self.stream_keys.forget()
        self.playbacks.forget()
        self.doorkeeper.forget()
        self.webhooks.wake()
        self._feed.touch()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
