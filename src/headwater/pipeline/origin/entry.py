"""Where viewers come in: the multivariant playlist of the newest session, or of a certain one.

`/<playback id>/manifest/video.m3u8` is the livestream: what runs, else the newest recording. What a session's recording
is called for good is `/<playback id>/<session>/manifest/video.m3u8`, by the session's id as the API gives it or by its
first 12 hex digits.
"""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.directory import Directory, recording_of, watchable
from headwater.pipeline.origin.holds import Holds
from headwater.pipeline.origin.library import Library
from headwater.pipeline.origin.paths import session_name
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.programs import Programs
from headwater.pipeline.origin.request import Request, accepts_gzip, query_value
from headwater.pipeline.origin.response import NOT_FOUND, NOT_YET, PLAYLIST, Response
from headwater.pipeline.origin.viewer import ViewerKeys

log = logging.getLogger("headwater.origin")

GZIP_LEVEL = 5


class Entry:
    """Answers requests for the multivariant playlist."""

    def __init__(
        self, programs: Programs, directory: Directory, library: Library, holds: Holds, keys: ViewerKeys
    ) -> None:
        self._programs = programs
        self._directory = directory
        self._library = library
        self._holds = holds
        self._keys = keys

    async def answer(self, request: Request, playback_id: str) -> Response:
        """The running session, waited for where there is none yet, or the newest recording."""
        info = await watchable(self._directory, playback_id)
        if info is None:
            return NOT_FOUND
        program = self._programs.newest.get(playback_id)
        if (program is None or program.ended) and info.recording is not None:
            return await self._recorded(request, info.recording, "../")
        if program is None:
            await self._holds.until_opened(playback_id)
            program = self._programs.newest.get(playback_id)
            if program is None:
                return NOT_YET
        return await self._live(request, program, "../")

    async def session(self, request: Request, playback_id: str, session: str) -> Response:
        """A session by its id: while it runs, and its recording for as long as that exists."""
        name = session_name(session)
        program = self._programs.sessions.get((playback_id, name))
        path = None
        if program is None or program.ended:
            path = await recording_of(self._directory, playback_id, name)
        if path is not None:
            return await self._recorded(request, path, "../../")
        if program is None or await watchable(self._directory, playback_id) is None:
            return NOT_FOUND
        return await self._live(request, program, "../../")

    async def _live(self, request: Request, program: LiveProgram, base: str) -> Response:
        await self._holds.until(program.ready, program.room)
        if not any(rendition.playable for rendition in program.renditions.values()):
            return NOT_YET
        dvr = program.recorder is not None and wants_dvr(request.query)
        return multivariant_response(request, program.multivariant(self._keys.new(), base, dvr=dvr), live=True)

    async def _recorded(self, request: Request, path: str, base: str) -> Response:
        try:
            recorded = await self._library.recorded(path)
        except HeadwaterError as error:
            log.error("the recording %s cannot be played: %s", path, error, extra={"session_id": Path(path).stem})
            return NOT_FOUND
        name = session_name(recorded.recording.session_id)
        return multivariant_response(request, recorded.multivariant(f"{base}{name}/", "dvr.m3u8"), live=False)


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
