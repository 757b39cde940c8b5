"""uvicorn's HTTP/1.1 protocol with what it lacks: bounded heads, methods that it does not know, and ends that arrive.

A connection that is closed with bytes unread is reset by the system, and with it goes the answer that is still on its
way. So whoever is refused in the midst of sending is answered, told that nothing more comes, and listened to for a
while (RFC 9112, 9.6): bounded in bytes and in time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.request import LINGER_BYTES, LINGER_S
from headwater.pipeline.origin.response import BAD_REQUEST, Response

STAND_IN = b"POST"
"""In place of a method that the parser does not know: of all that it knows, this one is read like any other."""

METHOD_LIMIT = 32
"""Bytes of a method; the longest registered one has 17."""

KNOWN = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"))
"""The parser knows these, and some of WebDAV's; it refuses all others in plain text, whoever they are for."""

TOKEN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")
"""What a method may hold (RFC 9110, 5.6.2)."""


class ParserProtocol(HttpToolsProtocol):
    """One connection, as far as uvicorn's parser serves it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        origin: Origin,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._origin = origin
        self._max_head = origin.settings.max_head_bytes
        self._method = ""  # of the next request for the parser, where it does not know it
        self._in_message = False  # the parser is within a request
        self._head_bytes = 0  # of that request
        self._begun_at: float | None = None  # a request has begun to come, and is not whole
        self._linger_until: float | None = None  # it is refused: what comes is thrown away
        self._linger_bytes = LINGER_BYTES

    # -- a request through the parser ---------------------------------------------------------------------------

    def readable(self, data: bytes) -> bytes:
        """A request as the parser can read it: of a method that it does not know, the application is to say so, in its
        own words."""
        method = data[: data.find(b" ", 0, METHOD_LIMIT + 1)]
        if method in KNOWN or len(method) > METHOD_LIMIT or not method or not TOKEN.issuperset(method):
            return data
        self._method = method.decode()
        return STAND_IN + data[len(method) :]

    def on_message_begin(self) -> None:
        self._in_message = True
        self._head_bytes = 0
        self._begun_at = time.monotonic()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        """The parser knows no limit of its own; a head can also come behind another request, or as trailers."""
        self._head_bytes += size
        if self._head_bytes > self._max_head:
            raise ValueError("the request head is too large")  # the parser makes it a 400

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.cycle.transport = LingeringTransport(self)  # type: ignore[assignment]
        if self._method:
            self.scope["method"], self._method = self._method, ""

    def on_message_complete(self) -> None:
        self._in_message = False
        self._begun_at = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.refuse(BAD_REQUEST)

    # -- ends ---------------------------------------------------------------------------------------------------

    def refuse(self, response: Response) -> None:
        """Answer, and end, while the viewer may still be sending."""
        self._origin.tally.classes[response.status // 100] += 1
        head = response.head(self._origin.date)[:-2] + b"connection: close\r\n\r\n"
        self.transport.writelines((head, *response.chunks))
        self.linger()

    def linger(self) -> None:
        """End the connection, so that what was written arrives."""
        if self._linger_until is not None or self.transport.is_closing():
            return
        self._linger_until = time.monotonic() + LINGER_S
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write_eof()
        self.flow.resume_reading()

    @property
    def lingering(self) -> bool:
        return self._linger_until is not None

    def overlong(self, data: bytes) -> None:
        """Throw away what comes after a refusal, within bounds."""
        self._linger_bytes -= len(data)
        if self._linger_bytes < 0:
            self.transport.close()

    def end_of_answer(self) -> None:
        """The application's answer was the last one of this connection."""
        if self._in_message:
            self.linger()
        else:
            self.transport.close()


class LingeringTransport:
    """What an answer is written to: the connection's transport, whose end waits for what is still being sent."""

    __slots__ = ("_protocol", "is_closing")

    def __init__(self, protocol: ParserProtocol) -> None:
        self._protocol = protocol
        self.is_closing = protocol.transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._protocol.lingering:  # else this answer was overtaken by a refusal
            self._protocol.transport.write(data)

    def close(self) -> None:
        self._protocol.end_of_answer()
