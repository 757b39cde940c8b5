"""Live media playlists: sent, held until they reach far enough, or refused (RFC 8216bis, 6.2.5)."""

from __future__ import annotations

import time

from headwater.pipeline.origin.blocking import Verdict, parse
from headwater.pipeline.origin.holds import Holds
from headwater.pipeline.origin.personal import is_view
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.rendition import Rendition
from headwater.pipeline.origin.request import Request, accepts_gzip
from headwater.pipeline.origin.response import BUSY, FULL, NOT_YET, Answer, Pending, Response, plain
from headwater.pipeline.origin.viewer import ViewerKeys


class LivePlaylists:
    """Answers requests for `live.m3u8` of renditions that are known."""

    def __init__(self, holds: Holds, keys: ViewerKeys) -> None:
        self._holds = holds
        self._keys = keys

    def answer(self, request: Request, program: LiveProgram, rendition: Rendition) -> Answer:
        """The playlist, now or later. Hot."""
        now = time.monotonic()
        view = self._keys.of(request)
        name = view if is_view(view) else b""
        watching = program.views.touch(view, now)
        directives = parse(request.query)
        compressed = accepts_gzip(request)
        if rendition.ended and rendition.playable:  # whatever is asked for: no directive counts any more (6.2.5)
            return conditional(request, rendition.playlist(skip=False, blocking=False, compressed=compressed))
        if isinstance(directives, str):
            return plain(400, directives)
        if not program.ready.is_set() or not rendition.playable:
            return self._first(request, program, rendition, name)
        msn, part, skip = directives.msn, directives.part, directives.skip
        if msn < 0:
            program.experience.began(request, now)
            answer = rendition.playlist(skip=skip, blocking=False, compressed=compressed, view=name)
            return conditional(request, answer)
        verdict = rendition.decide(msn, part)
        if verdict is Verdict.SERVE:
            answer = rendition.playlist(skip=skip, blocking=True, compressed=compressed, view=name)
            return conditional(request, answer)
        if verdict is Verdict.REJECT:
            return too_far(rendition)
        if self._holds.draining:
            return BUSY
        room, views = program.room, program.views
        if not room.enter():
            return FULL
        watching.held += 1

        def release() -> None:
            room.leave()
            views.release(view, time.monotonic(), left=pending.left)

        pending = Pending(
            now + 3 * rendition.target_duration_s,
            release,
            msn=msn,
            part=part,
            skip=skip,
            compressed=compressed,
            view=name,
        )
        rendition.waiting.append(pending)
        return pending

    async def _first(self, request: Request, program: LiveProgram, rendition: Rendition, name: bytes) -> Response:
        """The first playlist, for a client that came before it. Blocking directives are answered by what there is: it
        has just begun."""
        await self._holds.until(program.ready, program.room)
        if not rendition.playable:
            return NOT_YET
        answer = rendition.playlist(skip=False, blocking=False, compressed=accepts_gzip(request), view=name)
        return conditional(request, answer)


def too_far(rendition: Rendition) -> Response:
    edge = rendition.edge
    newest = f"segment {edge.msn}, of which {edge.parts} parts are there"
    return plain(400, f"_HLS_msn and _HLS_part are too far ahead: the newest is {newest}.")
