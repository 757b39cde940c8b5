"""What is played from disk: of a running session from its beginning, or of one that has ended."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.directory import Directory, recording_of
from headwater.pipeline.origin.library import Library
from headwater.pipeline.origin.paths import number_of, session_name
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.recorded import RecordedProgram
from headwater.pipeline.origin.request import Request, accepts_gzip
from headwater.pipeline.origin.response import NOT_FOUND, Response, media_response
from headwater.pipeline.origin.viewer import ViewerKeys
from headwater.pipeline.recorder.recording import RecordingReader

log = logging.getLogger("headwater.origin")


class RecordedMedia:
    """Answers requests for `dvr.m3u8`, init segments and segments that are not in memory."""

    def __init__(self, directory: Directory, library: Library, keys: ViewerKeys) -> None:
        self._directory = directory
        self._library = library
        self._keys = keys

    async def answer(
        self,
        request: Request,
        playback_id: str,
        session: str,
        track: str,
        name: str,
        program: LiveProgram | None,
    ) -> Response:
        """A playlist, init segment or segment from disk: of a running session, or of one that has ended."""
        about: dict[str, str] = {}
        try:
            if program is not None and program.recorder is not None and not program.ended:
                if name == "dvr.m3u8":
                    program.views.touch(self._keys.of(request), time.monotonic())
                reader: RecordingReader = program.recorder
                about |= {"session_id": program.session_id, "livestream_id": program.info.livestream_id}
                recorded = await self._library.so_far(program, reader)
            else:
                path = await recording_of(self._directory, playback_id, session)
                if path is None:
                    return NOT_FOUND
                about["session_id"] = Path(path).stem
                recorded = await self._library.recorded(path)
                if session_name(recorded.recording.session_id) != session:
                    return NOT_FOUND
                reader = self._library.reader(recorded.recording.path)
            return await self._file_of(request, recorded, reader, f"/{playback_id}/{session}", track, name)
        except HeadwaterError as error:
            log.warning("cannot serve %s of %s: %s", name, session, error, extra=about)
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
