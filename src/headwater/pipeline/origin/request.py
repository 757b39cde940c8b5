"""A request as the origin sees it, whatever carried it."""

from __future__ import annotations

from typing import Protocol

LINGER_BYTES = 64 << 20
"""Read and thrown away of what is still sent after a refusal: clients that send all before they listen."""

LINGER_S = 5.0
"""For so long, at most."""

CONTROLS = bytes((*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F))
"""What no field value may hold (RFC 9110, 5.5); line ends are looked at apart."""

HOST_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=:[]"
"""What a Host may hold (RFC 9110, 7.2; RFC 3986, 3.2.2)."""

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


class HeadFields:
    """The header lines of an HTTP/1.1 request as bytes: a field is found when it is asked for, once.

    Players send the same lines with each request, so a connection keeps these for as long as they come again.

    Attributes:
        raw: The lines, each with the line end before it.
        plain: They announce no body and no upgrade, name one host, and hold nothing odd.
        close: The connection is to be closed after the answer.
    """

    __slots__ = ("_found", "_lower", "close", "plain", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._lower = lower = raw.lower()
        self._found: dict[bytes, bytes | None] = {}
        # Names without their colon, so that the parser sees and refuses what only looks harmless: `Content-Length :`.
        self.plain = (
            b"content-length" not in lower
            and b"transfer-encoding" not in lower
            and b"\r\nupgrade:" not in lower
            and raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
            and len(raw.translate(None, CONTROLS)) == len(raw)
            and lower.count(b"\r\nhost:") == 1
            and is_host(self.get(b"host") or b"")
        )
        connection = self.get(b"connection")
        self.close = connection is not None and b"close" in connection.lower().replace(b" ", b"").split(b",")

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name, trimmed. The names come from us: there are few."""
        if name in self._found:
            return self._found[name]
        at = self._lower.find(b"\r\n" + name + b":")
        value = None
        if at >= 0:
            start = at + len(name) + 3
            end = self.raw.find(b"\r\n", start)
            value = self.raw[start : end if end >= 0 else None].strip()
        self._found[name] = value
        return value


class HeadRequest:
    """A request whose head is HTTP/1.1 bytes."""

    __slots__ = ("header", "method", "path", "query", "remote")

    def __init__(self, method: bytes, path: bytes, query: bytes, fields: HeadFields, remote: str) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.remote = remote
        self.header = fields.get


def is_host(value: bytes) -> bool:
    """Whether a Host field's value can be one; it may be empty (RFC 9112, 3.2)."""
    return not value.translate(None, HOST_BYTES)


def query_value(query: bytes, name: bytes) -> bytes | None:
    """The first value of a query parameter, not decoded; None where it is absent."""
    sought = name + b"="
    start = len(sought)
    if not query.startswith(sought):
        at = query.find(b"&" + sought)
        if at < 0:
            return None
        start += at + 1
    end = query.find(b"&", start)
    return query[start:end] if end >= 0 else query[start:]


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
