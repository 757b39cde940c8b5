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
import gzip
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import TypeAlias

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.blocking import Verdict, decide, parse
from headwater.pipeline.origin.directory import Directory, PlaybackInfo
from headwater.pipeline.origin.library import Library
from headwater.pipeline.origin.program import LiveProgram, session_name
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.recorded import RecordedProgram
from headwater.pipeline.origin.rendition import Rendition
from headwater.pipeline.origin.request import Request, accepts_gzip, query_value
from headwater.pipeline.origin.response import BUSY, FULL, PLAYLIST, Pending, Response, json_text, media_response, plain
from headwater.pipeline.origin.settings import OriginSettings
from headwater.pipeline.origin.views import KEY_LIMIT
from headwater.pipeline.recorder import RecordingFile
from headwater.pipeline.recorder.recording import RecordingReader

log = logging.getLogger("headwater.origin")

Answer: TypeAlias = Response | Pending | Awaitable[Response]

PLAYBACK_ID_LENGTH = 32
HEX = frozenset(b"0123456789abcdef")
SWEEP_S = 0.5
VIEWS_SWEEP_S = 2.0
VIEW_BYTES = 6
"""Of a viewing session's name in the URLs of its playlists."""
GZIP_LEVEL = 5
NAME_LIMIT = 15
"""Digits of a number in a name."""
THUMBNAIL_WIDTH = 640
THUMBNAIL_AGE_S = 2.0
THUMBNAILS = 128
"""Pictures kept, some 50 KB each."""

NOT_FOUND = plain(404, "There is nothing here.", ("cache-control", "public, max-age=1"))
NOT_YET = plain(404, "The livestream has not started; try again.", ("retry-after", "2"))
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
        date: The Date of responses, some half a second old at most; a shell that writes it calls `refresh_date`.
    """

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
        self.date = b""
        self.refresh_date()
        self._directory = directory
        self._thumbnail = thumbnail
        self._thumbnails: OrderedDict[str, tuple[float, Response]] = OrderedDict()
        self._drawing: dict[str, asyncio.Task[Response]] = {}
        self._sessions: dict[tuple[str, str], LiveProgram] = {}
        self._expected: dict[str, tuple[asyncio.Event, int]] = {}
        self._holding = 0
        self._salt = secrets.token_bytes(16)
        self._library = Library(data_dir, settings.read_threads)
        self._sweeper: asyncio.Task[None] | None = None
        self._views_swept_at = 0.0
        self._draining = False

    # -- the pipeline's side ------------------------------------------------------------------------------------

    def open(self, info: PlaybackInfo, session_id: str, *, recorder: RecordingReader | None) -> LiveProgram:
        """A session begins: from now on its playlists are waited for."""
        program = LiveProgram(self, info, session_id, recorder)
        self.programs[info.playback_id] = program
        self._sessions[info.playback_id, session_name(session_id)] = program
        expected = self._expected.get(info.playback_id)
        if expected is not None:
            expected[0].set()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever(), name="origin-sweeper")
        return program

    def drain(self) -> None:
        """Answer everybody who waits, and let nobody wait any more: the server stops."""
        self._draining = True
        for program in self._sessions.values():
            program.ready.set()
            for rendition in program.renditions.values():
                rendition.dismiss()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for event, _ in self._expected.values():
            event.set()
        self._library.stop()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self.sweep(time.monotonic())
            except Exception:
                log.exception("sweeping failed")

    def sweep(self, now: float) -> None:
        """Answer who waited too long, forget who is gone and what has ended."""
        fold = now - self._views_swept_at >= VIEWS_SWEEP_S
        if fold:
            self._views_swept_at = now
        for key, program in list(self._sessions.items()):
            for rendition in program.renditions.values():
                if rendition.waiting or rendition.hinted:
                    rendition.expire(now)
            if fold:
                program.views.fold(now)
            if program.ended and now - program.ended_at > self.settings.ended_s:
                del self._sessions[key]
                program.close()
                if self.programs.get(program.info.playback_id) is program:
                    del self.programs[program.info.playback_id]

    def refresh_date(self) -> bytes:
        """Date (RFC 9110, 6.6.1): one bytes object a second, by whose identity prepared heads know it again."""
        date = formatdate(usegmt=True).encode()
        if date != self.date:
            self.date = date
        return self.date

    # -- requests -----------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer | None:
        """Answer a request; None: not ours (the pages, the API). Hot: what is asked for most comes first."""
        path, method = request.path, request.method
        if method == b"GET":
            response = self.media.get(path)
            if response is not None:
                return conditional(request, response)
            found = self.playlists.get(path)
            if found is not None:
                return self._playlist(request, *found)
        if not is_ours(path):
            return None
        if method == b"OPTIONS":
            return PREFLIGHT
        if method not in (b"GET", b"HEAD"):
            return NOT_ALLOWED
        response = self.media.get(path)
        if response is not None:
            return conditional(request, response)
        found = self.playlists.get(path)
        return self._playlist(request, *found) if found is not None else self._cold(request)

    def _playlist(self, request: Request, program: LiveProgram, rendition: Rendition) -> Answer:
        now = time.monotonic()
        view = self._view(request)
        program.views.touch(view, now)
        directives = parse(request.query)
        compressed = accepts_gzip(request)
        if rendition.ended and rendition.playable:  # whatever is asked for: no directive counts any more (6.2.5)
            return conditional(request, rendition.playlist(skip=False, blocking=False, compressed=compressed))
        if isinstance(directives, str):
            return plain(400, directives)
        if not program.ready.is_set() or not rendition.playable:
            return self._held_playlist(request, program, rendition)
        msn, part, skip = directives.msn, directives.part, directives.skip
        if msn < 0:
            return conditional(request, rendition.playlist(skip=skip, blocking=False, compressed=compressed))
        verdict = decide(rendition.edge, msn, part)
        if verdict is Verdict.SERVE:
            return conditional(request, rendition.playlist(skip=skip, blocking=True, compressed=compressed))
        if verdict is Verdict.REJECT:
            return too_far(rendition)
        if self._draining:
            return BUSY
        if len(rendition.waiting) >= self.settings.max_waiting:
            return FULL
        views = program.views
        views.hold(view, now)
        pending = Pending(
            now + 3 * rendition.target_duration_s,
            lambda: views.release(view, time.monotonic()),
            msn=msn,
            part=part,
            skip=skip,
            compressed=compressed,
        )
        rendition.waiting.append(pending)
        return pending

    async def _held_playlist(self, request: Request, program: LiveProgram, rendition: Rendition) -> Response:
        """The first playlist, for a client that came before it. Blocking directives are answered by what there is: it
        has just begun."""
        await self._hold(program.ready)
        if not rendition.playable:
            return NOT_YET
        answer = rendition.playlist(skip=False, blocking=False, compressed=accepts_gzip(request))
        return conditional(request, answer)

    def _view(self, request: Request) -> bytes:
        """The viewing session of a request: the playlist URL's own, else CMCD's, else a salted hash."""
        query = request.query
        own = query_value(query, b"s")
        if own:
            return own[:KEY_LIMIT]
        at = query.find(b"sid%3D%22") if b"CMCD=" in query else -1
        if at >= 0:
            return query[at + 9 : at + 9 + KEY_LIMIT].partition(b"%22")[0]
        header = request.header(b"cmcd-session")
        if header is not None and (at := header.find(b'sid="')) >= 0:
            return header[at + 5 : at + 5 + KEY_LIMIT].partition(b'"')[0]
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
        # A viewer that goes cancels its request, not the lookup: the database would drop its connection for it.
        info = await asyncio.shield(self._directory.playback(playback_id))
        return None if info is None or info.disabled else info

    async def _multivariant(self, request: Request, playback_id: str) -> Response:
        info = await self._known(playback_id)
        if info is None:
            return NOT_FOUND
        program = self.programs.get(playback_id)
        if (program is None or program.ended) and info.recording is not None:
            return await self._recorded_multivariant(request, info)
        if program is None:
            await self._expect(playback_id)
            program = self.programs.get(playback_id)
            if program is None:
                return NOT_YET
        await self._hold(program.ready)
        if not any(rendition.playable for rendition in program.renditions.values()):
            return NOT_YET
        dvr = program.recorder is not None and wants_dvr(request.query)
        return multivariant_response(request, program.multivariant(secrets.token_hex(VIEW_BYTES), dvr=dvr), live=True)

    async def _recorded_multivariant(self, request: Request, info: PlaybackInfo) -> Response:
        assert info.recording is not None
        try:
            recorded = await self._library.recorded(info.recording)
        except HeadwaterError as error:
            log.error("the recording %s cannot be played: %s", info.recording, error)
            return NOT_FOUND
        name = session_name(recorded.recording.session_id)
        return multivariant_response(request, recorded.multivariant(f"../{name}/", "dvr.m3u8"), live=False)

    async def _expect(self, playback_id: str) -> None:
        """Wait until a session of this playback id opens."""
        event, waiting = self._expected.get(playback_id) or (asyncio.Event(), 0)
        self._expected[playback_id] = (event, waiting + 1)
        try:
            await self._hold(event)
        finally:
            event, waiting = self._expected[playback_id]
            if waiting > 1:
                self._expected[playback_id] = (event, waiting - 1)
            else:
                del self._expected[playback_id]

    async def _hold(self, event: asyncio.Event) -> None:
        """Wait for an event, for a bounded time and in bounded number."""
        if event.is_set() or self._draining or self._holding >= self.settings.max_waiting:
            return
        self._holding += 1
        try:
            await asyncio.wait_for(event.wait(), self.settings.hold_s)
        except TimeoutError:
            pass
        finally:
            self._holding -= 1

    def _session_file(self, request: Request, playback_id: str, session: str, track: str, name: str) -> Answer:
        program = self._sessions.get((playback_id, session))
        if program is not None and name != "dvr.m3u8":
            for rendition in program.renditions.values():
                if rendition.name == track:
                    answer = self._live_file(request, program, rendition, name)
                    if answer is not None:
                        return answer
        return self._recorded_file(request, playback_id, session, track, name, program)

    def _live_file(self, request: Request, program: LiveProgram, rendition: Rendition, name: str) -> Answer | None:
        """A part that is hinted or on disk, or a segment; None: the recording may know."""
        if name == rendition.next_part and not rendition.ended:
            return self._hinted(rendition)
        stem, _, extension = name.rpartition(".")
        if extension != "m4s":
            return None
        if stem[:1] == "p":
            return self._part_from_disk(request, program, rendition, number_of(stem[1:]))
        msn = number_of(stem)
        listed = (*(segment for _, segment in rendition.retired), *rendition.segments)
        found = next((s for s in listed if s.msn == msn and s.closed), None)
        if found is None:
            return None
        if not found.parts:
            return NOT_FOUND  # EXT-X-GAP
        response = program.segment_response(rendition, found)
        if response is not None:
            return conditional(request, response)
        return self._from_disk(request, program, rendition, name, found.extents) if found.recorded else NOT_FOUND

    def _hinted(self, rendition: Rendition) -> Answer:
        """The part that EXT-X-PRELOAD-HINT names: sent when it is whole (RFC 8216bis, 6.2.6)."""
        if self._draining:
            return BUSY
        if len(rendition.hinted) >= self.settings.max_waiting:
            return FULL
        pending = Pending(time.monotonic() + 3 * max(1, rendition.target_duration_s))
        rendition.hinted.append(pending)
        return pending

    def _part_from_disk(self, request: Request, program: LiveProgram, rendition: Rendition, wanted: int) -> Answer:
        for segment in (*(segment for _, segment in rendition.retired), *rendition.segments):
            if segment.parts and segment.parts[0][0] <= wanted <= segment.parts[-1][0]:
                part = segment.parts[wanted - segment.parts[0][0]][1]
                if part.offset is not None:
                    extents = [(part.offset, part.size)]
                    return self._from_disk(request, program, rendition, f"p{wanted}.m4s", extents)
        return NOT_FOUND

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
        etag = f"/{program.info.playback_id}/{session_name(program.session_id)}/{rendition.name}/{name}"
        try:
            return conditional(request, await self._library.media(recorder, extents, etag))
        except HeadwaterError as error:
            log.warning("cannot read %s of session %s: %s", name, program.session_id, error)
            return NOT_FOUND

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
                reader: RecordingReader = program.recorder
                recorded = await self._library.so_far(program, reader)
            else:
                info = await self._known(playback_id)
                if info is None or info.recording is None:
                    return NOT_FOUND
                recorded = await self._library.recorded(info.recording)
                if session_name(recorded.recording.session_id) != session:
                    return NOT_FOUND
                reader = RecordingFile(recorded.recording.path)
            return await self._file_of(request, recorded, reader, f"/{playback_id}/{session}", track, name)
        except HeadwaterError as error:
            log.warning("cannot serve %s of %s: %s", name, session, error)
            return NOT_FOUND

    async def _file_of(
        self, request: Request, recorded: RecordedProgram, reader: RecordingReader, base: str, track: str, name: str
    ) -> Response:
        etag = f"{base}/{track}/{name}"
        stem, _, extension = name.rpartition(".")
        if name in ("dvr.m3u8", "live.m3u8"):
            playlist = await self._library.playlist(recorded, track, compressed=accepts_gzip(request))
            return conditional(request, playlist) if playlist is not None else NOT_FOUND
        if extension == "mp4" and stem.startswith("init"):
            data = recorded.init(track, number_of(stem[4:]))
            return conditional(request, media_response((data,), etag)) if data is not None else NOT_FOUND
        segment = recorded.segment(track, number_of(stem)) if extension == "m4s" else None
        if segment is None or not segment.extents:
            return NOT_FOUND
        return conditional(request, await self._library.media(reader, segment.extents, etag))

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
        known = self._thumbnails.get(playback_id)
        if known is not None and time.monotonic() - known[0] < THUMBNAIL_AGE_S:
            return known[1]
        drawing = self._drawing.get(playback_id)
        if drawing is None:  # whoever asks meanwhile gets the same picture
            drawing = self._drawing[playback_id] = asyncio.create_task(self._draw(playback_id, self._thumbnail))
            drawing.add_done_callback(lambda _: self._drawing.pop(playback_id, None))
        return await asyncio.shield(drawing)

    async def _draw(self, playback_id: str, thumbnail: Thumbnail) -> Response:
        program = self.programs.get(playback_id)
        source = program.newest_sync() if program is not None and not program.ended else None
        if source is None:
            return NOT_YET
        now = time.monotonic()
        try:
            jpeg = await thumbnail(*source, width=THUMBNAIL_WIDTH)
        except HeadwaterError as error:
            log.warning("no thumbnail of %s: %s", playback_id, error)
            return NOT_FOUND
        headers = [("content-type", "image/jpeg"), ("cache-control", f"public, max-age={THUMBNAIL_AGE_S:.0f}")]
        response = Response(200, headers, (jpeg,))
        self._thumbnails[playback_id] = (now, response)
        self._thumbnails.move_to_end(playback_id)
        while len(self._thumbnails) > THUMBNAILS:
            self._thumbnails.popitem(last=False)
        return response


def too_far(rendition: Rendition) -> Response:
    edge = rendition.edge
    newest = f"segment {edge.msn}, of which {edge.parts} parts are there"
    return plain(400, f"_HLS_msn and _HLS_part are too far ahead: the newest is {newest}.")


def number_of(digits: str) -> int:
    """A number in a name as we write it, without leading zeros; -1: it is none."""
    if not digits.isascii() or not digits.isdigit() or len(digits) > NAME_LIMIT or (digits[0] == "0" and digits != "0"):
        return -1
    return int(digits)


def is_ours(path: bytes) -> bool:
    """Whether a path lies below a playback id."""
    return (
        len(path) > PLAYBACK_ID_LENGTH + 2
        and path[PLAYBACK_ID_LENGTH + 1] == 0x2F
        and path[0] == 0x2F
        and HEX.issuperset(path[1 : PLAYBACK_ID_LENGTH + 1])
    )


def wants_dvr(query: bytes) -> bool:
    return query_value(query, b"dvrEnabled") in (b"true", b"1")


def multivariant_response(request: Request, text: str, *, live: bool) -> Response:
    """Each viewer's own where it names a viewing session, so never to be kept by a shared cache."""
    headers = [("content-type", PLAYLIST), ("cache-control", "no-store" if live else "public, max-age=5")]
    headers.append(("vary", "accept-encoding"))
    body = text.encode()
    if accepts_gzip(request):
        headers.append(("content-encoding", "gzip"))
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return Response(200, headers, (body,))
