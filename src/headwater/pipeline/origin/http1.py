"""HTTP/1.1 without TLS: the origin's resources from prepared bytes, everything else through uvicorn.

`DeliveryProtocol` is uvicorn's own protocol (`http1_parser.py`) that does one more thing: between two requests it looks
whether the next one is the origin's, and answers it with no more work than finding the path. Whatever is not (a request
with a body, the API, the pages, HTTP/1.0, anything odd) goes to uvicorn's parser untouched, on the same connection, in
order; behind that parser stands `asgi.OriginFirst`, so that a request is answered alike whichever way it takes.

    bytes ──► in the midst of uvicorn's? ──yes──► uvicorn ──► OriginFirst ──► the app
                      │no                            ▲
                      ▼                              │ not ours, not plain
              a whole head? ──► ours and plain? ─────┘
                      │no               │yes
                      ▼                 ▼
                 kept, bounded     answered, now or later; what comes meanwhile is kept, bounded
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from headwater.pipeline.origin.http1_parser import TOKEN, ParserProtocol
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.paths import is_ours
from headwater.pipeline.origin.request import HeadFields, HeadRequest
from headwater.pipeline.origin.response import FAILED, JOINED_BYTES, Answer, Pending, Response, plain

log = logging.getLogger("headwater.origin")

METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS"))
KEPT_FIELDS_BYTES = 2048
"""Header lines up to this size are kept with the connection, to be known again."""
NO_FIELDS = HeadFields(b"")

TOO_LARGE = plain(431, "The request head is too large.")


class DeliveryProtocol(ParserProtocol):
    """One connection.

    Attributes:
        active_at: When something last came or was answered; monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        origin: Origin,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, origin, _loop)
        self._remote = ""
        self._tally = origin.tally
        self._fields = NO_FIELDS
        self._rest = b""  # what has come and is not served yet
        self._answering: Pending | asyncio.Task[None] | None = None
        self._head_only = False
        self._close_after = False
        self._stalled = False  # the viewer does not read what it asked for
        self._unread_since: float | None = None  # seen so by the sweep, and nothing was read since
        self._closing = False
        self.active_at = time.monotonic()

    # -- the connection -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._remote = self.client[0] if self.client else ""
        if len(self.connections) > self._origin.settings.max_connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.active_at = time.monotonic()
        if self._linger_until is not None:
            self.overlong(data)
            return
        if self._in_message or (self.cycle is not None and not self.cycle.response_complete):
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self._answering is not None or self._stalled:
            self._keep(data)
            return
        self._serve(data)

    def _keep(self, data: bytes) -> None:
        """Later: an answer is under way. More than a head's worth is not taken from the socket."""
        self._rest = data
        if len(data) > self._max_head:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.cancel()
        self._rest = b""
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._stalled = True
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = False
        self._unread_since = None
        self.active_at = time.monotonic()
        if self._rest and self._answering is None and not self.transport.is_closing():
            self._go_on()

    def shutdown(self) -> None:
        """Called when the server stops: end after what is under way."""
        self._closing = True
        if self._linger_until is not None:
            self.transport.close()
        elif self._answering is None:
            super().shutdown()

    def overdue(self, now: float) -> bool:
        """It reads nothing of what it asked for, or sends a request too slowly.

        What it sends meanwhile does not count; a closed connection whose last bytes are not read would stay for ever.
        """
        settings = self._origin.settings
        if self._linger_until is not None:
            return now > self._linger_until
        if self._stalled or self.transport.is_closing():
            if self._unread_since is None:
                self._unread_since = now
            return now - self._unread_since > settings.stalled_s
        if self._begun_at is None:
            return False
        return now - self._begun_at > (settings.body_timeout_s if self._in_message else settings.head_timeout_s)

    @property
    def idle(self) -> bool:
        """Nothing is being asked or answered."""
        complete = self.cycle is None or self.cycle.response_complete
        return complete and self._answering is None and self._begun_at is None and not self._stalled

    # -- requests -----------------------------------------------------------------------------------------------

    def _serve(self, data: bytes) -> None:
        """Answer whole requests from `data` until one has to wait, one is uvicorn's, or nothing is left."""
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > self._max_head:
                self._incomplete(data)
                return
            self._begun_at = None
            request = self._read(data, end)
            answer = self._ask(request) if request is not None else None
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            if answer is None:
                super().data_received(self.readable(data))
                return
            data = data[end + 4 :]
            if not isinstance(answer, Response):
                self._rest = data
                self._wait(answer)
                return
            self._write(answer)
            if self.transport.is_closing():
                return
            if self._stalled and data:
                self._keep(data)
                return

    def _incomplete(self, data: bytes) -> None:
        """The head is not all there, or larger than it may be; what begins no request is refused at once."""
        if len(data) > self._max_head:
            self.refuse(TOO_LARGE)
        elif not (data[0] in TOKEN or data[0] in b"\r\n"):
            super().data_received(data)
        else:
            self._rest = data
            if self._begun_at is None:
                self._begun_at = time.monotonic()

    def _read(self, data: bytes, end: int) -> HeadRequest | None:
        """The request whose head ends at `end`, if it is the origin's and plain: HTTP/1.1, no body, no upgrade."""
        line_end = data.find(b"\r\n")
        words = data[:line_end].split(b" ")
        if len(words) != 3 or words[2] != b"HTTP/1.1" or words[0] not in METHODS:
            return None
        path, _, query = words[1].partition(b"?")
        origin = self._origin
        if path not in origin.media and path not in origin.playlists and (not is_ours(path) or b"%" in path):
            return None
        raw, fields = data[line_end:end], self._fields
        if fields.raw != raw:
            fields = HeadFields(raw)
            if len(raw) <= KEPT_FIELDS_BYTES:
                self._fields = fields
        if not fields.plain:
            return None
        self._close_after = fields.close
        self._head_only = words[0] == b"HEAD"
        return HeadRequest(words[0], path, query, fields, self._remote)

    def _ask(self, request: HeadRequest) -> Answer | None:
        try:
            return self._origin.respond(request)
        except Exception:
            log.exception("a request failed: %r", request.path[:200])
            return FAILED

    def _wait(self, answer: Answer) -> None:
        if isinstance(answer, Pending):
            self._answering = answer
            answer.deliver = self._deliver
            return
        task = self.loop.create_task(self._work(answer))
        self._answering = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _work(self, answer: Any) -> None:
        try:
            response = await answer
        except Exception:
            log.exception("a request failed")
            response = FAILED
        if self._answering is not None:
            self._deliver(response)

    def _deliver(self, response: Response) -> None:
        """The answer that was waited for; then what has come meanwhile. Hot."""
        self._answering = None
        transport = self.transport
        if transport.is_closing():
            return
        self.active_at = time.monotonic()
        if self._closing:
            self._close_after = True
        self._write(response)
        if self._rest and not self._stalled and not self._close_after:
            self._go_on()

    def _go_on(self) -> None:
        data, self._rest = self._rest, b""
        self.flow.resume_reading()
        self._serve(data)

    def _write(self, response: Response) -> None:
        date, transport, tally = self._origin.date, self.transport, self._tally
        tally.classes[response.status // 100] += 1
        if not self._head_only:
            tally.body_bytes += response.size
        if self._close_after:
            chunks = () if self._head_only else response.chunks
            transport.writelines((response.head(date)[:-2] + b"connection: close\r\n\r\n", *chunks))
            transport.close()
        elif self._head_only or not response.size:
            transport.write(response.head(date))
        elif response.size <= JOINED_BYTES:
            transport.write(response.joined(date))
        else:
            transport.writelines((response.head(date), *response.chunks))
