"""The origin: a request in, a response out, now or later. The shells (`http1.py`, `rsgi.py`) carry both.

/<playback id>/manifest/video.m3u8              multivariant playlist (`?dvrEnabled=true`: the whole session)
/<playback id>/<session>/<v0|a0>/live.m3u8      low-latency media playlist
                                 dvr.m3u8       the session from its beginning (EVENT), or all of it (VOD)
                                 init<n>.mp4    init segment
                                 p<n>.m4s       part
                                 <msn>.m4s      segment
/<playback id>/lifecycle, /views, /thumbnail.jpg
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.blocking import Directives, Verdict, decide, parse
from headwater.pipeline.origin.directory import Directory, PlaybackInfo
from headwater.pipeline.origin.program import LiveProgram, session_name
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.recorded import RecordedProgram
from headwater.pipeline.origin.rendition import Rendition, media_response, part_name
from headwater.pipeline.origin.request import Request, query_value
from headwater.pipeline.origin.response import IMMUTABLE, PLAYLIST, Pending, Response, json_text, plain
from headwater.pipeline.origin.settings import OriginSettings
from headwater.pipeline.origin.views import KEY_LIMIT
from headwater.pipeline.recorder import RecordingFile
from headwater.pipeline.recorder.recording import RecordingReader

log = logging.getLogger("headwater.origin")

T = TypeVar("T")

Answer: TypeAlias = Response | Pending | Awaitable[Response]

PLAYBACK_ID_LENGTH = 32
HEX = frozenset(b"0123456789abcdef")
SWEEP_S = 0.5
CACHED_RECORDINGS = 16
"""Indexes of recordings kept in memory: an hour of two tracks is about 1 MB."""
THUMBNAIL_WIDTH = 640
THUMBNAIL_AGE_S = 2.0
DVR_AGE_S = 1.0

NOT_FOUND = plain(404, "There is nothing here.", ("cache-control", "public, max-age=1"))
GONE = plain(404, "This part will not come: the livestream has ended.")
NOT_YET = plain(404, "The livestream has not started; try again.", ("retry-after", "2"))
FULL = plain(503, "Too many viewers wait at once.", ("retry-after", "1"))
METHODS = "GET, HEAD, OPTIONS"
NOT_ALLOWED = plain(405, f"Only {METHODS} are allowed here.", ("allow", METHODS))
PREFLIGHT = Response(
    204,
    [
        ("access-control-allow-methods", METHODS),
        (
            "access-control-allow-headers",
            "Range, If-None-Match, Content-Type, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session",
        ),
        ("access-control-max-age", "86400"),
        ("cache-control", "public, max-age=86400"),
    ],
    (),
)

Thumbnail: TypeAlias = Callable[..., Awaitable[bytes]]


class Origin:
    """Every program of this process, by playback id.

    Attributes:
        media: Whole responses by path: init segments and parts that are in memory. Hot.
        playlists: Live media playlists by path. Hot.
        programs: The newest session of each playback id.
    """

    gone = GONE

    def __init__(
        self,
        directory: Directory,
        settings: OriginSettings,
        *,
        data_dir: Path,
        thumbnail: Thumbnail | None = None,
    ) -> None:
        self.settings = settings
        self.media: dict[bytes, Response] = {}
        self.playlists: dict[bytes, tuple[LiveProgram, Rendition]] = {}
        self.programs: dict[str, LiveProgram] = {}
        self._directory = directory
        self._data_dir = data_dir
        self._thumbnail = thumbnail
        self._thumbnails: OrderedDict[str, tuple[float, Response]] = OrderedDict()
        self._all: list[LiveProgram] = []
        self._expected: dict[str, asyncio.Event] = {}
        self._holding = 0
        self._salt = secrets.token_bytes(16)
        self._threads = ThreadPoolExecutor(settings.read_threads, thread_name_prefix="origin-read")
        self._recordings: OrderedDict[str, RecordedProgram] = OrderedDict()
        self._dvr: dict[str, tuple[float, RecordedProgram]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    # -- the pipeline's side ------------------------------------------------------------------------------------

    def open(self, info: PlaybackInfo, session_id: str, *, recorder: RecordingReader | None) -> LiveProgram:
        """A session begins: from now on its playlists are waited for."""
        program = LiveProgram(self, info, session_id, recorder)
        self.programs[info.playback_id] = program
        self._all.append(program)
        expected = self._expected.pop(info.playback_id, None)
        if expected is not None:
            expected.set()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever(), name="origin-sweeper")
        return program

    def drain(self) -> None:
        """Answer everybody who waits: the server stops."""
        busy = plain(503, "The server is stopping.", ("retry-after", "2"))
        for program in self._all:
            for rendition in program.renditions.values():
                for pending in [*rendition.waiting, *rendition.hinted]:
                    pending.resolve(busy)
                rendition.waiting, rendition.hinted = [], []
        if self._sweeper is not None:
            self._sweeper.cancel()
        for expected in self._expected.values():
            expected.set()
        self._threads.shutdown(wait=False)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self.sweep(time.monotonic())
            except Exception:
                log.exception("sweeping failed")

    def sweep(self, now: float) -> None:
        """Answer who waited too long, forget who is gone and what has ended."""
        for program in list(self._all):
            for rendition in program.renditions.values():
                rendition.expire(now)
            program.views.fold(now)
            if program.ended and now - program.ended_at > self.settings.ended_s:
                self._all.remove(program)
                program.close()
                if self.programs.get(program.info.playback_id) is program:
                    del self.programs[program.info.playback_id]
                self._dvr.pop(program.session_id, None)

    # -- requests -----------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer | None:
        """Answer a request; None: not ours (the pages, the API)."""
        response = self.media.get(request.path)
        if response is not None and request.method == b"GET":
            return conditional(request, response)
        if not is_ours(request.path):
            return None
        if request.method == b"OPTIONS":
            return PREFLIGHT
        if request.method not in (b"GET", b"HEAD"):
            return NOT_ALLOWED
        if response is not None:
            return conditional(request, response)
        found = self.playlists.get(request.path)
        if found is not None:
            return self._playlist(request, *found)
        return self._cold(request)

    def _playlist(self, request: Request, program: LiveProgram, rendition: Rendition) -> Answer:
        directives = parse(request.query)
        if isinstance(directives, str):
            return plain(400, directives)
        now = time.monotonic()
        view = self._view(request)
        program.views.touch(view, now)
        compressed = accepts_gzip(request)
        if directives.msn < 0 or rendition.ended:
            if not program.ready.is_set() or not rendition.segments or not rendition.part_target_s:
                return self._held_playlist(program, rendition, compressed)
            return conditional(request, rendition.playlist(directives, compressed=compressed))
        edge = rendition.edge
        verdict = decide(edge, directives.msn, directives.part)
        if verdict is Verdict.SERVE:
            return conditional(request, rendition.playlist(directives, compressed=compressed))
        if verdict is Verdict.REJECT:
            newest = f"segment {edge.msn}, of which {edge.parts} parts are there"
            return plain(400, f"_HLS_msn and _HLS_part are too far ahead: the newest is {newest}.")
        if len(rendition.waiting) >= self.settings.max_waiting:
            return FULL
        return self._wait(program, rendition, directives, view, now, compressed=compressed)

    def _wait(
        self,
        program: LiveProgram,
        rendition: Rendition,
        directives: Directives,
        view: bytes,
        now: float,
        *,
        compressed: bool,
    ) -> Pending:
        def make() -> Response:
            program.views.touch(view, time.monotonic())
            return rendition.playlist(directives, compressed=compressed)

        deadline = now + 3 * rendition.target_duration_s
        pending = Pending(directives.msn, directives.part, deadline, make)
        rendition.waiting.append(pending)
        return pending

    async def _held_playlist(self, program: LiveProgram, rendition: Rendition, compressed: bool) -> Response:
        await self._hold(program.ready)
        if not rendition.segments or not rendition.part_target_s:
            return NOT_YET
        return rendition.playlist(Directives(), compressed=compressed)

    def _view(self, request: Request) -> bytes:
        """The viewing session of a request: CMCD's session id, else the playlist URL's own, else a salted hash."""
        query = request.query
        at = query.find(b"sid%3D%22") if b"CMCD=" in query else -1
        if at >= 0:
            return query[at + 9 : at + 9 + KEY_LIMIT].partition(b"%22")[0]
        header = request.header(b"cmcd-session")
        if header is not None and (at := header.find(b'sid="')) >= 0:
            return header[at + 5 : at + 5 + KEY_LIMIT].partition(b'"')[0]
        own = query_value(query, b"s")
        if own:
            return own[:KEY_LIMIT]
        agent = request.header(b"user-agent") or b""
        return hashlib.blake2b(request.remote.encode() + b"\0" + agent, key=self._salt, digest_size=12).digest()

    # -- the rest: nothing below is asked for often -----------------------------------------------------------------

    def _cold(self, request: Request) -> Answer:
        segments = request.path.decode("ascii", "replace").split("/")[1:]
        playback_id, names = segments[0], segments[1:]
        if names == ["manifest", "video.m3u8"]:
            return self._multivariant(request, playback_id)
        if len(names) == 1:
            return self._single(playback_id, names[0])
        if len(names) == 3:
            return self._session_file(request, playback_id, names[0], names[1], names[2])
        return NOT_FOUND

    def _single(self, playback_id: str, name: str) -> Answer:
        if name == "lifecycle":
            return self._lifecycle(playback_id)
        if name == "views":
            return self._views(playback_id)
        if name == "thumbnail.jpg":
            return self._picture(playback_id)
        return NOT_FOUND

    async def _known(self, playback_id: str) -> PlaybackInfo | None:
        info = await self._directory.playback(playback_id)
        return None if info is None or info.disabled else info

    async def _multivariant(self, request: Request, playback_id: str) -> Response:
        info = await self._known(playback_id)
        if info is None:
            return NOT_FOUND
        program = self.programs.get(playback_id)
        if (program is None or program.ended) and info.recording is not None:
            return await self._recorded_multivariant(request, info)
        if program is None:
            await self._hold(self._expected_event(playback_id))
            program = self.programs.get(playback_id)
            if program is None:
                return NOT_YET
        if not program.ready.is_set():
            await self._hold(program.ready)
        if not program.ready.is_set() or not any(r.segments for r in program.renditions.values()):
            return NOT_YET
        dvr = program.recorder is not None and wants_dvr(request.query)
        return multivariant_response(request, program.multivariant(self._mint(request), dvr=dvr), live=True)

    async def _recorded_multivariant(self, request: Request, info: PlaybackInfo) -> Response:
        assert info.recording is not None
        try:
            recorded = await self._recorded(info.recording)
        except HeadwaterError as error:
            log.error("the recording %s cannot be played: %s", info.recording, error)
            return NOT_FOUND
        name = session_name(recorded.recording.session_id)
        return multivariant_response(request, recorded.multivariant(f"../{name}/", "dvr.m3u8"), live=False)

    def _mint(self, request: Request) -> str:
        """A viewing session's name for the URLs of its media playlists."""
        return secrets.token_hex(6)

    def _expected_event(self, playback_id: str) -> asyncio.Event:
        """Set when a session of this playback id opens. Bounded by `max_waiting` through `_hold`."""
        return self._expected.setdefault(playback_id, asyncio.Event())

    async def _hold(self, event: asyncio.Event) -> None:
        """Wait for an event, for a bounded time and in bounded number."""
        if event.is_set() or self._holding >= self.settings.max_waiting:
            return
        self._holding += 1
        try:
            await asyncio.wait_for(event.wait(), self.settings.hold_s)
        except TimeoutError:
            pass
        finally:
            self._holding -= 1
            if self._holding == 0:
                self._expected.clear()

    def _session_file(self, request: Request, playback_id: str, session: str, track: str, name: str) -> Answer:
        program = self._program(playback_id, session)
        if program is not None:
            rendition = next((r for r in program.renditions.values() if r.name == track), None)
            if rendition is not None and name != "dvr.m3u8":
                return self._live_file(request, program, rendition, name)
        return self._recorded_file(request, playback_id, session, track, name, program)

    def _program(self, playback_id: str, session: str) -> LiveProgram | None:
        for program in reversed(self._all):
            if program.info.playback_id == playback_id and session_name(program.session_id) == session:
                return program
        return None

    def _live_file(self, request: Request, program: LiveProgram, rendition: Rendition, name: str) -> Answer:
        if name == rendition.next_part and not rendition.ended:
            return self._hinted(program, rendition)
        stem, _, extension = name.rpartition(".")
        if extension != "m4s":
            return NOT_FOUND
        listed = [*(segment for _, segment in rendition.retired), *rendition.segments]
        if stem[:1] == "p":
            for segment in listed:
                for number, part in segment.parts:
                    if part_name(number) == name and part.offset is not None:
                        return self._from_disk(request, program, rendition, name, [(part.offset, part.size)])
            return NOT_FOUND
        found = next((s for s in listed if s.closed and str(s.msn) == stem), None)
        if found is None:
            return self._recorded_file(
                request, program.info.playback_id, session_name(program.session_id), rendition.name, name, program
            )
        response = program.segment_response(rendition, found)
        if response is not None:
            return conditional(request, response)
        extents = [(part.offset, part.size) for _, part in found.parts if part.offset is not None]
        if len(extents) != len(found.parts):
            return NOT_FOUND
        return self._from_disk(request, program, rendition, name, extents)

    def _hinted(self, program: LiveProgram, rendition: Rendition) -> Answer:
        """The part that EXT-X-PRELOAD-HINT names: sent when it is whole (RFC 8216bis, 6.2.6)."""
        if len(rendition.hinted) >= self.settings.max_waiting:
            return FULL
        deadline = time.monotonic() + 3 * max(1, rendition.target_duration_s)
        pending = Pending(-1, -1, deadline, lambda: GONE)
        rendition.hinted.append(pending)
        return pending

    async def _from_disk(
        self,
        request: Request,
        program: LiveProgram,
        rendition: Rendition,
        name: str,
        extents: list[tuple[int, int]],
    ) -> Response:
        recorder = program.recorder
        if recorder is None:
            return NOT_FOUND
        try:
            data = await self._in_thread(lambda: recorder.read(extents))
        except HeadwaterError as error:
            log.warning("cannot read %s of session %s: %s", name, program.session_id, error)
            return NOT_FOUND
        return conditional(request, media_response((data,), f"{program.session_id}/{rendition.name}/{name}"))

    async def _recorded_file(
        self,
        request: Request,
        playback_id: str,
        session: str,
        track: str,
        name: str,
        program: LiveProgram | None,
    ) -> Response:
        """A playlist, init segment or segment from disk: of a running session, or of the newest ended one."""
        try:
            if program is not None and program.recorder is not None and not program.ended:
                if name == "dvr.m3u8":
                    program.views.touch(self._view(request), time.monotonic())
                recorded = await self._so_far(program)
                reader: RecordingReader = program.recorder
            else:
                info = await self._known(playback_id)
                if info is None or info.recording is None:
                    return NOT_FOUND
                recorded = await self._recorded(info.recording)
                if session_name(recorded.recording.session_id) != session:
                    return NOT_FOUND
                reader = RecordingFile(recorded.recording.path)
            return await self._file_of(request, recorded, reader, track, name)
        except HeadwaterError as error:
            log.warning("cannot serve %s of %s: %s", name, session, error)
            return NOT_FOUND

    async def _file_of(
        self, request: Request, recorded: RecordedProgram, reader: RecordingReader, track: str, name: str
    ) -> Response:
        stem, _, extension = name.rpartition(".")
        if name in ("dvr.m3u8", "live.m3u8"):
            return conditional(request, recorded.playlist(track, compressed=accepts_gzip(request)) or NOT_FOUND)
        etag = f"{recorded.recording.session_id}/{track}/{name}"
        if extension == "mp4" and stem.startswith("init") and stem[4:].isdigit():
            data = recorded.init(track, int(stem[4:7]))
            return conditional(request, media_response((data,), etag)) if data is not None else NOT_FOUND
        if extension != "m4s" or not stem.isdigit() or len(stem) > 15:
            return NOT_FOUND
        segment = recorded.segment(track, int(stem))
        if segment is None:
            return NOT_FOUND
        data = await self._in_thread(lambda: reader.read(segment.extents))
        return conditional(request, media_response((data,), etag))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _recorded(self, relative: str) -> RecordedProgram:
        """The index of an ended recording, from a small cache."""
        known = self._recordings.get(relative)
        if known is None:
            path = self._data_dir / relative
            known = await self._in_thread(lambda: RecordedProgram(RecordingFile(path).recording()))
            self._recordings[relative] = known
            while len(self._recordings) > CACHED_RECORDINGS:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(relative)
        return known

    async def _so_far(self, program: LiveProgram) -> RecordedProgram:
        """The index of a running session, at most a second old."""
        now = time.monotonic()
        known = self._dvr.get(program.session_id)
        if known is None or now - known[0] > DVR_AGE_S:
            recorder = program.recorder
            assert recorder is not None
            known = (now, await self._in_thread(lambda: RecordedProgram(recorder.recording())))
            self._dvr[program.session_id] = known
        return known[1]

    # -- what pages and tools ask -------------------------------------------------------------------------------

    async def _lifecycle(self, playback_id: str) -> Response:
        if await self._known(playback_id) is None:
            return NOT_FOUND
        program = self.programs.get(playback_id)
        live = program is not None and program.ready.is_set() and not program.ended
        return json_text(f'{{"isInput":true,"videoUID":null,"live":{"true" if live else "false"}}}')

    async def _views(self, playback_id: str) -> Response:
        if await self._known(playback_id) is None:
            return NOT_FOUND
        program = self.programs.get(playback_id)
        viewers = program.viewers if program is not None and not program.ended else 0
        return json_text(f'{{"liveViewers":{viewers}}}')

    async def _picture(self, playback_id: str) -> Response:
        if self._thumbnail is None or await self._known(playback_id) is None:
            return NOT_FOUND
        now = time.monotonic()
        known = self._thumbnails.get(playback_id)
        if known is not None and now - known[0] < THUMBNAIL_AGE_S:
            return known[1]
        program = self.programs.get(playback_id)
        source = program.newest_sync() if program is not None and not program.ended else None
        if source is None:
            return NOT_YET
        try:
            jpeg = await self._thumbnail(*source, width=THUMBNAIL_WIDTH)
        except HeadwaterError as error:
            log.warning("no thumbnail of %s: %s", playback_id, error)
            return NOT_FOUND
        headers = [("content-type", "image/jpeg"), ("cache-control", f"public, max-age={THUMBNAIL_AGE_S:.0f}")]
        response = Response(200, headers, (jpeg,))
        self._thumbnails[playback_id] = (now, response)
        self._thumbnails.move_to_end(playback_id)
        while len(self._thumbnails) > CACHED_RECORDINGS * 8:
            self._thumbnails.popitem(last=False)
        return response


def is_ours(path: bytes) -> bool:
    """Whether a path lies below a playback id."""
    return (
        len(path) > PLAYBACK_ID_LENGTH + 2
        and path[PLAYBACK_ID_LENGTH + 1] == 0x2F
        and HEX.issuperset(path[1 : PLAYBACK_ID_LENGTH + 1])
    )


def accepts_gzip(request: Request) -> bool:
    accepted = request.header(b"accept-encoding")
    return accepted is not None and b"gzip" in accepted


def wants_dvr(query: bytes) -> bool:
    return query_value(query, b"dvrEnabled") in (b"true", b"1")


def multivariant_response(request: Request, text: str, *, live: bool) -> Response:
    """Each viewer's own where it names a viewing session, so never to be kept by a shared cache."""
    control = "no-store" if live else "public, max-age=5"
    return conditional(
        request, Response(200, [("content-type", PLAYLIST), ("cache-control", control)], (text.encode(),))
    )


__all__ = ["IMMUTABLE", "Answer", "Origin", "is_ours"]
