"""What pages and tools ask about a livestream: whether it is live, how many watch, what it looks like."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headwater.errors import HeadwaterError
from headwater.pipeline.origin.directory import Directory, watchable
from headwater.pipeline.origin.programs import Programs
from headwater.pipeline.origin.response import NOT_FOUND, NOT_YET, Answer, Response, json_text

log = logging.getLogger("headwater.origin")

THUMBNAIL_WIDTH = 640
THUMBNAIL_AGE_S = 2.0
THUMBNAILS = 128
"""Pictures kept, some 50 KB each."""

Thumbnail: TypeAlias = Callable[..., Awaitable[bytes]]


class About:
    """Answers requests for `/<playback id>/lifecycle`, `/views` and `/thumbnail.jpg`."""

    def __init__(self, programs: Programs, directory: Directory, thumbnail: Thumbnail | None) -> None:
        self._programs = programs
        self._directory = directory
        self._thumbnail = thumbnail
        self._thumbnails: OrderedDict[str, tuple[float, Response]] = OrderedDict()
        self._drawing: dict[str, asyncio.Task[Response]] = {}

    def answer(self, playback_id: str, name: str) -> Answer:
        if name == "lifecycle":
            return self._lifecycle(playback_id)
        if name == "views":
            return self._views(playback_id)
        if name == "thumbnail.jpg":
            return self._picture(playback_id)
        return NOT_FOUND

    async def _lifecycle(self, playback_id: str) -> Response:
        if await watchable(self._directory, playback_id) is None:
            return NOT_FOUND
        program = self._programs.newest.get(playback_id)
        live = program is not None and program.ready.is_set() and not program.ended
        return json_text(f'{{"isInput":true,"videoUID":null,"live":{"true" if live else "false"}}}')

    async def _views(self, playback_id: str) -> Response:
        if await watchable(self._directory, playback_id) is None:
            return NOT_FOUND
        program = self._programs.newest.get(playback_id)
        viewers = program.viewers if program is not None and not program.ended else 0
        return json_text(f'{{"liveViewers":{viewers}}}')

    async def _picture(self, playback_id: str) -> Response:
        if self._thumbnail is None or await watchable(self._directory, playback_id) is None:
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
        program = self._programs.newest.get(playback_id)
        source = program.newest_sync() if program is not None and not program.ended else None
        if source is None:
            return NOT_YET
        now = time.monotonic()
        try:
            jpeg = await thumbnail(*source, width=THUMBNAIL_WIDTH)
        except HeadwaterError as error:
            assert program is not None, "it has a sync sample"
            about = {"session_id": program.session_id, "livestream_id": program.info.livestream_id}
            log.warning("no thumbnail: %s", error, extra=about)
            return NOT_FOUND
        headers = [("content-type", "image/jpeg"), ("cache-control", f"public, max-age={THUMBNAIL_AGE_S:.0f}")]
        response = Response(200, headers, (jpeg,))
        self._thumbnails[playback_id] = (now, response)
        self._thumbnails.move_to_end(playback_id)
        while len(self._thumbnails) > THUMBNAILS:
            self._thumbnails.popitem(last=False)
        return response
