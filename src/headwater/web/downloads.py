"""Downloads of recordings by link: whole files or one range of them, from the disk, a piece at a time.

A file is opened before anything is answered, so whoever has begun to read reads to the end: deleting it meanwhile only
takes its name away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from headwater.protocols.byte_range import read_range

CHUNK_BYTES = 256 * 1024
"""Read at once: some 0.1 ms of a disk's time, and what each download holds in memory."""

DOWNLOADS_LIMIT = 200
"""Downloads under way at once, a file descriptor and `CHUNK_BYTES` each."""

READ_THREADS = 2
"""A disk that is slow for downloads must not take the threads of live playback."""


SPRITES = {"sprite.jpg": "image/jpeg", "sprite.vtt": "text/vtt; charset=utf-8"}
"""Names under which a link leads to a recording's pictures in place of itself."""


REDIRECT_HEADERS = {"access-control-allow-origin": "*", "cache-control": "no-store", "referrer-policy": "no-referrer"}


class Body(Protocol):
    """What is sent, whole or in part; closed when it is done."""

    @property
    def size(self) -> int: ...

    @property
    def etag(self) -> str: ...

    @property
    def modified(self) -> str: ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to `end`, a piece at a time."""

    def close(self) -> None: ...


class Downloads(Protocol):
    """Which links lead somewhere."""

    async def find(self, recording_id: str, expires: str, signature: str) -> tuple[Path, str] | None:
        """File and name to save it as, or None: the link is none of ours, has expired, or what it led to is gone."""

    async def stored(self, recording: Path) -> Body | None:
        """A recording that is not on the disk any more, or None: it is nowhere."""

    async def signed(self, recording: Path, method: str, expires: int) -> str | None:
        """A URL of the store's by which such a recording may be had until then (Unix seconds); None: not this way."""

    async def sprite(self, recording: Path, name: str) -> Path | None:
        """A recording's pictures (`sprite.jpg`) or their index (`sprite.vtt`), or None: there are none."""


def download_routes(downloads: Downloads) -> list[BaseRoute]:
    """The route, for the composition root to mount beside the pages'."""
    room = asyncio.Semaphore(DOWNLOADS_LIMIT)
    threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="download")

    async def download(request: Request) -> Response:
        recording_id, expires, signature = (request.path_params[n] for n in ("recording_id", "expires", "signature"))
        found = await downloads.find(recording_id, expires, signature)
        if found is None:
            return gone()
        path, file_name = found
        kind = SPRITES.get(request.path_params["file_name"])
        if kind is not None:
            sprite = await downloads.sprite(path, request.path_params["file_name"])
            if sprite is None:
                return gone()
            path, file_name = sprite, ""
        if room.locked():
            return PlainTextResponse("Too many downloads at once.\n", 503, {"retry-after": "10"})
        try:
            body: Body | None = _File(await asyncio.get_running_loop().run_in_executor(threads, _open, path), threads)
        except OSError:
            elsewhere = await downloads.signed(path, request.method, int(expires)) if kind is None else None
            if elsewhere is not None:
                return RedirectResponse(elsewhere, 302, REDIRECT_HEADERS)
            body = await downloads.stored(path) if kind is None else None
        return gone() if body is None else answer(request, body, file_name, kind or "video/mp4", room)

    return [Route("/recordings/{recording_id}/{expires}/{signature}/{file_name}", download)]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class _File:
    """An open file, of which ranges are read in threads."""

    def __init__(self, fd: int, threads: ThreadPoolExecutor) -> None:
        self._fd = fd
        self._threads = threads
        status = os.fstat(fd)
        self.size = status.st_size
        self.etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        self.modified = formatdate(status.st_mtime, usegmt=True)

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while start < end:
            chunk = await loop.run_in_executor(self._threads, os.pread, self._fd, min(CHUNK_BYTES, end - start), start)
            if not chunk:
                raise OSError("a recording has become shorter")
            start += len(chunk)
            yield chunk

    def close(self) -> None:
        os.close(self._fd)


def answer(request: Request, file: Body, file_name: str, kind: str, room: asyncio.Semaphore) -> Response:
    """The whole file, a range of it (RFC 9110, 14), or why not; closes the file when it is done.

    Args:
        file_name: What it is to be saved as; empty: it is to be shown.
    """
    headers = {
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "Content-Length, Content-Range, ETag",
        "cache-control": "private, no-cache",
        "content-disposition": f"attachment; filename*=utf-8''{quote(file_name, safe='')}" if file_name else "inline",
        "content-type": kind,
        "etag": file.etag,
        "last-modified": file.modified,
        "referrer-policy": "no-referrer",  # the link is all that it takes
        "x-content-type-options": "nosniff",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        file.close()
        return Response(status_code=304, headers=headers)
    status, start, end = 200, 0, file.size
    wanted = request.headers.get("range") if request.method == "GET" else None
    if wanted is not None and request.headers.get("if-range", file.etag) == file.etag:
        found = read_range(wanted.encode("latin-1", "replace"), file.size)
        if found is not None and not found.satisfiable:
            file.close()
            return Response(status_code=416, headers={"content-range": f"bytes */{file.size}"})
        if found is not None:
            status, start, end = 206, found.first, found.last + 1
            headers["content-range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["content-length"] = str(end - start)
    return _Sent(file, (start, end), status, headers, room, bodiless=request.method == "HEAD")


class _Sent(StreamingResponse):
    """A range of a file on its way."""

    def __init__(
        self,
        file: Body,
        part: tuple[int, int],
        status: int,
        headers: dict[str, str],
        room: asyncio.Semaphore,
        *,
        bodiless: bool,
    ) -> None:
        start, end = part
        super().__init__(file.read(start, start if bodiless else end), status, headers)
        self._file = file
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._room:
                await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def gone() -> Response:
    """One answer to all that leads nowhere: nobody learns which recordings there are."""
    words = "This link leads nowhere: it has expired, or the recording has been deleted.\n"
    return PlainTextResponse(words, 404, {"cache-control": "no-store"})
