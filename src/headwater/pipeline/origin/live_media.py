"""A running session's media beyond the parts in memory: whole segments, the part that is hinted, what is on disk."""

from __future__ import annotations

import logging
import time

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.holds import Holds
from headwater.pipeline.origin.library import Library
from headwater.pipeline.origin.paths import number_of, session_name
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.rendition import Rendition
from headwater.pipeline.origin.request import Request
from headwater.pipeline.origin.response import BUSY, FULL, NOT_FOUND, Answer, Pending, Response

log = logging.getLogger("headwater.origin")


class LiveMedia:
    """Answers requests for `p<n>.m4s` and `<msn>.m4s` of renditions that are known."""

    def __init__(self, holds: Holds, library: Library) -> None:
        self._holds = holds
        self._library = library

    def answer(self, request: Request, program: LiveProgram, rendition: Rendition, name: str) -> Answer | None:
        """A part that is hinted or on disk, or a segment; None: the recording may know."""
        if name == rendition.next_part and not rendition.ended:
            return self._hinted(program, rendition)
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

    def _hinted(self, program: LiveProgram, rendition: Rendition) -> Answer:
        """The part that EXT-X-PRELOAD-HINT names: sent when it is whole (RFC 8216bis, 6.2.6)."""
        if self._holds.draining:
            return BUSY
        if not program.room.enter():
            return FULL
        pending = Pending(time.monotonic() + 3 * max(1, rendition.target_duration_s), program.room.leave)
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
            about = {"session_id": program.session_id, "livestream_id": program.info.livestream_id}
            log.warning("cannot read %s: %s", name, error, extra=about)
            return NOT_FOUND
