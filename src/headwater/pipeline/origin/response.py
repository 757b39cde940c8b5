"""What the origin answers: whole responses, prepared once and written many times, or something to wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

PLAYLIST = "application/vnd.apple.mpegurl"
MP4 = "video/mp4"
JSON = "application/json"

COMMON: tuple[tuple[str, str], ...] = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "Date, ETag, Content-Length, Content-Range, Retry-After"),
    ("timing-allow-origin", "*"),
    ("x-content-type-options", "nosniff"),
)

IMMUTABLE = "public, max-age=31536000, immutable"

JOINED_BYTES = 8192
"""Bodies up to this size, all playlists, are kept joined with their head, once more."""

BODILESS = (204, 304)
"""Statuses without a body, and so without Content-Length: RFC 9110 (8.6) forbids it in a 204, and a 304's would have
to be that of the 200."""


class Response:
    """A whole HTTP response.

    Attributes:
        status: HTTP status.
        headers: Lower-case names; content-length is among them, date is not: each shell adds its own.
        chunks: The body, in pieces that are written in one go: a segment is its parts, uncopied.
        size: Bytes of the body.
        etag: The entity tag with its quotes, empty where there is none.
        ranged: Byte ranges of it can be had.
    """

    __slots__ = ("_date", "_head", "_joined", "chunks", "etag", "headers", "ranged", "size", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]],
        chunks: tuple[bytes, ...],
        *,
        etag: str = "",
        ranged: bool = False,
    ) -> None:
        self.status = status
        self.chunks = chunks
        self.etag = etag.encode()
        self.ranged = ranged
        self.size = sum(map(len, chunks))
        self.headers = [*headers, *COMMON]
        if etag:
            self.headers.append(("etag", etag))
        if ranged:
            self.headers.append(("accept-ranges", "bytes"))
        if status not in BODILESS:
            self.headers.append(("content-length", str(self.size)))
        self._date: bytes | None = None
        self._head = b""
        self._joined = b""

    def of(self, view: bytes) -> Response:
        """It as a viewing session gets it: all alike, unless a subclass says otherwise."""
        return self

    def head(self, date: bytes) -> bytes:
        """Status line and headers for HTTP/1.1, through the empty line; written anew when the date is another."""
        if self._date is not date:
            lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in self.headers]
            self._head = b"\r\ndate: ".join(("\r\n".join(lines).encode("latin-1"), date)) + b"\r\n\r\n"
            self._date = date
            self._joined = b""
        return self._head

    def joined(self, date: bytes) -> bytes:
        """Head and body in one, kept: for small bodies, where one piece is written faster than two."""
        head = self.head(date)
        if not self._joined:
            self._joined = head + self.body
        return self._joined

    @property
    def body(self) -> bytes:
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


def plain(status: int, text: str, *extra: tuple[str, str]) -> Response:
    """An answer in words, never cached unless `extra` says so."""
    headers = [("content-type", "text/plain; charset=utf-8"), *extra]
    if not any(name == "cache-control" for name, _ in extra):
        headers.append(("cache-control", "no-store"))
    return Response(status, headers, ((text + "\n").encode(),))


def json_text(text: str) -> Response:
    return Response(200, [("content-type", JSON), ("cache-control", "no-store")], (text.encode(),))


def media_response(data: tuple[bytes, ...], etag: str) -> Response:
    """An immutable piece of media."""
    headers = [("content-type", MP4), ("cache-control", IMMUTABLE)]
    return Response(200, headers, data, etag=f'"{etag}"', ranged=True)


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
BAD_REQUEST = plain(400, "This is no HTTP request.")
BAD_HOST = plain(400, "An HTTP/1.1 request names one host (RFC 9112, 3.2).", ("connection", "close"))
NOT_FOUND = plain(404, "There is nothing here.", ("cache-control", "public, max-age=1"))
NOT_YET = plain(404, "The livestream has not started; try again.", ("retry-after", "2"))
FAILED = plain(500, "The server failed; its log says why.")
EXPIRED = plain(503, "Nothing new came in time.", ("retry-after", "1"))
BUSY = plain(503, "The server is stopping.", ("retry-after", "2"))
FULL = plain(503, "Too many viewers wait at once.", ("retry-after", "1"))


class Pending:
    """An answer that comes later: the shell sets `deliver`, and calls `cancel` when its viewer is gone.

    Attributes:
        msn, part, skip, compressed, view: What is waited for, and by whom; of a part that is hinted, nothing.
        deadline: Monotonic seconds at which it is answered 503.
        release: Called once, when the wait is over, whatever ends it.
        gone: Answered or cancelled.
        left: Cancelled: its viewer went.
    """

    __slots__ = ("compressed", "deadline", "deliver", "gone", "left", "msn", "part", "release", "skip", "view")

    def __init__(
        self,
        deadline: float,
        release: Callable[[], None] | None = None,
        *,
        msn: int = -1,
        part: int = -1,
        skip: bool = False,
        compressed: bool = False,
        view: bytes = b"",
    ) -> None:
        self.msn = msn
        self.part = part
        self.skip = skip
        self.compressed = compressed
        self.view = view
        self.deadline = deadline
        self.release = release
        self.deliver: Callable[[Response], None] | None = None
        self.gone = False
        self.left = False

    def resolve(self, response: Response) -> None:
        """Answer it. Hot: thousands wait for the same part."""
        if self.gone:
            return
        self.gone = True
        if self.release is not None:
            self.release()
        if self.deliver is not None:
            self.deliver(response)

    def cancel(self) -> None:
        """The viewer is gone. Whoever keeps the list of those who wait drops it in time."""
        if not self.gone:
            self.gone = self.left = True
            if self.release is not None:
                self.release()


Answer: TypeAlias = Response | Pending | Awaitable[Response]
"""What a request is answered with: at once, when something comes, or when it has been looked up."""
