"""The composition root: builds every part from Settings, starts and stops them in order.

    look     the operator's listener: health, metrics
    open     control plane (database, migrations) ─► what a crash left: recordings, sessions ─► origin ─► livestreams
    bind     HTTP(S), RTMP(S) ─► addresses known ─► credentials.json ─► `ready`
    drain    no new publishers ─► sessions close (ENDLIST, totals, recordings) ─► waiting viewers answered ─► database

Control plane and pipeline meet here and nowhere else.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import logging
import os
import signal
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.routing import Mount

from headwater import __version__
from headwater.config.address import advice_when_taken
from headwater.config.settings import Settings
from headwater.control.authority import Playbacks, StreamKeys
from headwater.control.database import DatabaseAway
from headwater.control.history import Recovered
from headwater.control.plane import ControlPlane
from headwater.control.repository.sessions import SessionRow
from headwater.control.urls import API_PATH, Addresses
from headwater.errors import HeadwaterError, OperatorError
from headwater.events import Event, Listener
from headwater.logs import configure_logging
from headwater.meetings.broadcasts import MeetingBroadcasts
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.rooms.signalling import Door, room_routes
from headwater.pipeline.ingest import RtmpIngest
from headwater.pipeline.ingest.whip import WhipIngest
from headwater.pipeline.levels import Levels
from headwater.pipeline.livestream import Grant, Livestreams, Storage
from headwater.pipeline.maker import Maker
from headwater.pipeline.origin import HttpServer, Origin
from headwater.pipeline.origin.checkpoints import Checkpoints
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.reports import report_routes
from headwater.pipeline.origin.thumbnail import Thumbnailer
from headwater.pipeline.recorder import DiskWriter, RecordingFile, recover
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.store import KeptRecording, Store
from headwater.pipeline.whep.endpoint import WhepPlayback
from headwater.recordings import Recordings
from headwater.rooms import Admission, AdmissionRefused, Doorkeeper
from headwater.telemetry.sources import Sources
from headwater.telemetry.telemetry import Telemetry
from headwater.uploads import Uploads
from headwater.web.downloads import download_routes
from headwater.web.routes import routes
from headwater.webrtc.server import WebRtcServer

log = logging.getLogger("headwater")

DRAIN_S = 7.0
"""For everything that ends at SIGTERM together; each part is given what is left, and at least `LEAST_S`."""

LEAST_S = 0.3
GIVE_UP_S = 9.5
"""After this the process ends whatever hangs: before supervisors kill it at 10 s, and with a word in the log."""


OPERATOR_CONNECTIONS = 64
"""Of the operator's listener: some Prometheus servers, probes, and a person who looks."""


class PipelineAuthority:
    """The control plane's stream keys in the pipeline's words."""

    def __init__(self, keys: StreamKeys) -> None:
        self._keys = keys

    async def authorize(self, stream_key: str) -> Grant:
        grant = await self._keys.authorize(stream_key)
        return Grant(grant.livestream_id, grant.playback_id, grant.name, grant.reconnect_window_s, record=grant.record)


class PipelineDirectory:
    """The control plane's playback ids in the pipeline's words."""

    def __init__(self, playbacks: Playbacks) -> None:
        self._playbacks = playbacks

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        found = await self._playbacks.playback(playback_id)
        if found is None:
            return None
        return PlaybackInfo(found.livestream_id, found.playback_id, found.name, found.disabled, found.recording)

    async def recording(self, playback_id: str, session: str) -> str | None:
        return await self._playbacks.recording(playback_id, session)


class RoomDoor:
    """The control plane's doorkeeper; while its database is away, who knocks is asked to come again."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    async def admit(self, token: str, meeting_id: str) -> Admission:
        try:
            return await self._doorkeeper.admit(token, meeting_id)
        except (SQLAlchemyError, DatabaseAway) as error:
            log.error("participants cannot be admitted: %s", error)
            raise AdmissionRefused(503, "ERR_UNAVAILABLE", "the database is away; try again in a moment") from error


class Nowhere:
    """The directory of the operator's listener, where nothing can be played."""

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        return None

    async def recording(self, playback_id: str, session: str) -> str | None:
        return None


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        OperatorError: an address, the data folder, the database or a TLS file cannot be used.
    """
    configure_logging(settings.server.log_format, settings.server.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as addresses:
        rare_pauses()
        say_ready(settings.server.ready_file, addresses)
        await stop.wait()
        log.info("draining: open sessions are closed")
        give_up = threading.Timer(GIVE_UP_S, force_exit)
        give_up.daemon = True
        give_up.start()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Addresses]:
    """The whole server, from open to drained; yields its addresses once it accepts."""
    server = settings.server
    tls = tls_context(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None
    async with AsyncExitStack() as stack:
        drain = Drain(stack)
        stack.enter_context(data_folder(server.data))
        telemetry = Telemetry(settings.telemetry)
        telemetry.start()
        drain.later("telemetry", telemetry.stop)
        addresses = Addresses()
        if server.metrics is not None:
            nothing = replace(settings.origin, max_connections=OPERATOR_CONNECTIONS)
            operator = HttpServer(Origin(Nowhere(), nothing, data_dir=server.data), telemetry.operator_app())
            starting = operator.start_http(server.metrics.host, server.metrics.port)
            addresses = replace(addresses, metrics=await bound("metrics", starting))
            drain.later("the operator's listener", lambda: operator.stop(LEAST_S))
        plane = await ControlPlane.open(settings.control, settings.recordings, settings.webhooks)
        drain.later("the control plane", lambda: plane.close(3.0))
        await recover_sessions(server.data, plane)

        drain.later("webhooks", lambda: plane.stop_webhooks(1.0))  # when the last sessions are closed

        writer = DiskWriter(settings.recorder) if settings.livestream.disk else None
        if writer is not None:
            drain.later("the disk writer", writer.stop)
        thumbnails = Thumbnailer()
        drain.later("the thumbnail process", thumbnails.stop)
        directory = PipelineDirectory(plane.playbacks)
        store = Store(settings.store) if settings.store.bucket else None
        plane.to_store = store is not None
        reader = RecordingFile if store is None else partial(KeptRecording, data_dir=server.data, store=store)
        origin = Origin(
            directory,
            settings.origin,
            data_dir=server.data,
            thumbnail=thumbnails.jpeg,
            experience=settings.experience,
            reader=reader,
        )
        webrtc = WebRtcServer(settings.webrtc)
        drain.later("WebRTC", webrtc.stop)
        checkpoints = Checkpoints(origin, plane.listen)
        drain.later("how viewers fare", checkpoints.stop)
        maker = Maker(server.data, told(plane.listen, telemetry.listen))
        drain.later("the maker of clips", maker.stop)
        livestreams = Livestreams(
            PipelineAuthority(plane.stream_keys),
            origin,
            Storage(server.data, writer),
            told(plane.listen, telemetry.listen),
            settings=settings.livestream,
            packager_settings=settings.packager,
            maker=maker,
        )
        whip = WhipIngest(
            livestreams, webrtc, settings.ingest, keyframe_interval_ms=settings.packager.segment_target_ms
        )
        drain.later("ingest by WebRTC", whip.stop)
        whep = WhepPlayback(livestreams, directory, webrtc)
        drain.later("viewers by WebRTC", whep.stop)
        recordings = Recordings(plane, origin, maker, server.data, store, signed=settings.store.signed_downloads)
        drain.later("the recordings' pictures", recordings.stop)
        await recordings.resume()
        plane.attach(livestreams, recordings)
        if store is not None:
            uploads = Uploads(
                plane,
                store,
                server.data,
                keep_local=settings.store.keep_local,
                retry_max_s=settings.store.retry_max_s,
                before_removal=lambda path: recordings.sprite(path, "sprite.jpg"),
            )
            drain.later("uploads", uploads.stop)
            uploads.start()

        rooms = OpenRooms(webrtc, plane.meeting_livestreams, plane.hear, settings.rooms)
        broadcasts = MeetingBroadcasts(rooms.tap, plane.meeting_livestreams.failed, settings.compositor)
        plane.attach_rooms(rooms, broadcasts)

        pages = Starlette(
            routes=[
                Mount(API_PATH, telemetry.traced(plane.api)),
                Mount("/dashboard/api", plane.dashboard),
                *plane.routes,
                *telemetry.probes(),
                *download_routes(recordings),
                *report_routes(origin, directory),
                *whip.routes(),
                *whep.routes(),
                *room_routes(rooms, webrtc, Door(RoomDoor(plane.doorkeeper)), plane.meeting_livestreams),
                *routes(directory),
            ]
        )
        http = HttpServer(origin, pages)
        drain.later("HTTP", lambda: http.stop(2.0))
        drain.later("the dashboards", plane.hang_up)
        ingest = RtmpIngest(livestreams, settings.ingest)
        drain.later("ingest", ingest.stop)
        drain.later("the open sessions", livestreams.close)
        levels = Levels(thumbnails.levels, livestreams.open_sessions)
        drain.later("the sound's levels", levels.stop)
        drain.later("broadcasts of meetings", broadcasts.stop_all)
        drain.later("the rooms", rooms.stop)
        drain.later("readiness", telemetry.draining)
        telemetry.watch(
            Sources(
                livestreams, ingest, http, origin, writer, plane, checkpoints, webrtc, rooms, broadcasts, server.data
            )
        )

        livestreams.start()
        if settings.livestream.audio_level:
            levels.start()
        checkpoints.start()
        if server.webrtc is not None:
            starting = webrtc.start(server.webrtc.host, server.webrtc.port)
            addresses = replace(addresses, webrtc=await bound("webrtc", starting))
        addresses = replace(addresses, http=await bound("http", http.start_http(server.http.host, server.http.port)))
        if server.https is not None:
            assert server.tls_cert is not None and server.tls_key is not None, "checked by the settings"
            starting = http.start_https(server.https.host, server.https.port, server.tls_cert, server.tls_key)
            addresses = replace(addresses, https=await bound("https", starting))
        addresses = replace(addresses, rtmp=await bound("rtmp", ingest.start(server.rtmp.host, server.rtmp.port)))
        if server.rtmps is not None:
            starting = ingest.start(server.rtmps.host, server.rtmps.port, tls)
            addresses = replace(addresses, rtmps=await bound("rtmps", starting))
        await plane.announce(addresses)
        plane.webhooks.start()
        telemetry.accepting()
        yield addresses


def rare_pauses() -> None:
    """Let the garbage collector stop the event loop seldom, and shortly; to be called once everything is there.

    What was made up to now stays: looking through it (100,000 objects) with what 50 livestreams hold took 83 ms, some
    seconds after the start and again whenever a quarter more was there. What comes and goes later is freed by its
    reference counts, sessions with their media too, so that there is little to be found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def told(*listeners: Listener) -> Listener:
    """One listener for all of them, in order."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer for encoders."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise OperatorError(
            f"the TLS certificate {certificate} with key {key} cannot be used: they do not belong together, or are not "
            f"PEM ({error.reason or error}); headwater doctor says more"
        ) from error
    except OSError as error:
        raise OperatorError(f"the TLS certificate {certificate} with key {key} cannot be read: {error}") from error
    return context


class Drain:
    """Ends the parts one after the other within one deadline; a part that hangs is named and left behind."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._deadline: float | None = None

    def later(self, name: str, end: Callable[[], Awaitable[object]]) -> None:
        """Call `end` when the server stops, before what was registered earlier."""
        self._stack.push_async_callback(self._end, name, end)

    async def _end(self, name: str, end: Callable[[], Awaitable[object]]) -> None:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + DRAIN_S
        try:
            async with asyncio.timeout(max(LEAST_S, self._deadline - now)):
                await end()
        except TimeoutError:
            log.error("%s did not end in time", name)
        except Exception:
            log.exception("%s did not end properly", name)


def force_exit() -> None:
    """Something hangs at the end: say so and go."""
    log.error("the server did not drain within %.1f s: it ends by force", GIVE_UP_S)
    os._exit(1)


async def bound(name: str, starting: Awaitable[tuple[str, int]]) -> tuple[str, int]:
    """The address of a listener, or why it could not be had."""
    try:
        return await starting
    except OSError as error:
        advice = f"; {advice_when_taken(name)}" if error.errno == errno.EADDRINUSE else ""
        raise OperatorError(f"cannot listen on server.{name}: {error.strerror or error}{advice}") from error


@contextmanager
def data_folder(path: Path) -> Iterator[None]:
    """Hold the data folder for this process alone: two servers on one database and one spool would spoil both."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise OperatorError(f"cannot use the data folder {path}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OperatorError(f"another headwater serve uses the data folder {path}") from None
        yield


async def recover_sessions(data: Path, plane: ControlPlane) -> None:
    """Complete the recordings of sessions that a crash left open, close those sessions."""

    async def recorded(session: SessionRow) -> Recovered | None:
        about = {"session_id": session.id, "livestream_id": session.livestream_id}
        try:
            recording = await asyncio.to_thread(recover, data / "recordings" / f"{session.id}.mp4")
        except HeadwaterError as error:
            log.error("its recording cannot be recovered: %s", error, extra=about)
            return None
        if recording is None:
            return None
        log.info("recovered the recording of a session", extra=about)
        return summary(recording, data, await asyncio.to_thread(size_of, recording.path))

    await plane.recover(recorded)


def size_of(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


def summary(recording: Recording, data: Path, size: int | None = None) -> Recovered:
    """A recording in the control plane's words: as long, and until when, as its longest track plays."""
    return Recovered(
        str(recording.path.relative_to(data)),
        end_ms=recording.end_ms,
        seconds=recording.seconds,
        size=size,
    )


def say_ready(ready_file: Path | None, addresses: Addresses) -> None:
    """Print the line `ready` with the addresses, and write them as JSON, whole or not at all."""
    known = {name: join(*address) for name, address in asdict(addresses).items() if address is not None}
    if ready_file is not None:
        beside = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        beside.write_text(json.dumps({"version": __version__, "pid": os.getpid(), **known}) + "\n")
        beside.replace(ready_file)
    print("ready", *(f"{name}={address}" for name, address in known.items()), flush=True)


def join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
