"""A request as the origin sees it, whatever carried it."""

from __future__ import annotations

from typing import Protocol

ACCEPT_LIMIT = 256
"""Bytes of Accept-Encoding that are read; browsers send some 25."""


class Request(Protocol):
    """Bytes as they came; names of headers in lower case.

    Attributes:
        method: `GET`, `HEAD`, `OPTIONS`, ...
        path: Without the query, not decoded: everything of ours is plain ASCII.
        query: Without the question mark; empty where there is none.
    """

    method: bytes
    path: bytes
    query: bytes

    @property
    def remote(self) -> str:
        """The viewer's address without port; used only salted and hashed."""

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name, trimmed."""


class HeadRequest:
    """A request whose head is HTTP/1.1 bytes: headers are found when asked for, never parsed as a whole."""

    __slots__ = ("_head", "_lower", "method", "path", "query", "remote")

    def __init__(self, method: bytes, path: bytes, query: bytes, head: bytes, lower: bytes, remote: str) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.remote = remote
        self._head = head
        self._lower = lower

    def header(self, name: bytes) -> bytes | None:
        at = self._lower.find(b"\r\n" + name + b":")
        if at < 0:
            return None
        start = at + len(name) + 3
        end = self._head.find(b"\r\n", start)
        return self._head[start : end if end >= 0 else None].strip()


def query_value(query: bytes, name: bytes) -> bytes | None:
    """The first value of a query parameter, not decoded; None where it is absent."""
    if not query:
        return None
    at = 0 if query.startswith(name + b"=") else query.find(b"&" + name + b"=") + 1
    if at == 0 and not query.startswith(name + b"="):
        return None
    start = at + len(name) + 1
    end = query.find(b"&", start)
    return query[start : end if end >= 0 else None]


def accepts_gzip(request: Request) -> bool:
    """Whether gzip is listed in Accept-Encoding with a weight above 0 (RFC 9110, 12.5.3)."""
    accepted = request.header(b"accept-encoding")
    if accepted is None or b"gzip" not in accepted:
        return False
    if b"=" not in accepted:
        return True
    for coding in accepted[:ACCEPT_LIMIT].split(b","):
        name, _, weight = coding.partition(b";")
        if name.strip().lower() == b"gzip":
            return weight.replace(b" ", b"").lower().strip(b"0.") != b"q="
    return False
