"""What the origin answers: whole responses, prepared once and written many times, or something to wait for."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

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


class Response:
    """A whole HTTP response.

    Attributes:
        status: HTTP status.
        headers: Lower-case names; content-length is among them.
        chunks: The body, in pieces that are written in one go: a segment is its parts, uncopied.
    """

    __slots__ = ("_head", "chunks", "headers", "size", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], chunks: tuple[bytes, ...]) -> None:
        self.status = status
        self.chunks = chunks
        self.size = sum(map(len, chunks))
        self.headers = [*headers, *COMMON, ("content-length", str(self.size))]
        self._head: bytes | None = None

    @property
    def head(self) -> bytes:
        """Status line and headers for HTTP/1.1, through the empty line."""
        if self._head is None:
            lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in self.headers]
            self._head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return self._head

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


class Pending:
    """An answer that comes later: the shell sets `deliver`, and `cancel` when its viewer is gone.

    Attributes:
        msn, part: What is waited for; -1 where it is no blocking reload.
        deadline: Monotonic seconds at which it is answered 503.
    """

    __slots__ = ("deadline", "deliver", "gone", "make", "msn", "part")

    def __init__(self, msn: int, part: int, deadline: float, make: Callable[[], Response]) -> None:
        self.msn = msn
        self.part = part
        self.deadline = deadline
        self.make = make
        self.deliver: Callable[[Response], None] | None = None
        self.gone = False

    def resolve(self, response: Response) -> None:
        if not self.gone and self.deliver is not None:
            self.gone = True
            self.deliver(response)

    def cancel(self) -> None:
        self.gone = True
