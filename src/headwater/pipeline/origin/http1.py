"""HTTP/1.1 without TLS: the origin's resources from prepared bytes, everything else through uvicorn.

`DeliveryProtocol` is uvicorn's own protocol that does one more thing: between two requests it looks whether the next
one is the origin's, and answers it with no more work than finding the path. Whatever is not (a request with a body, the
API, the pages) goes to uvicorn's parser untouched, on the same connection, in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from headwater.pipeline.origin.origin import Answer, Origin, is_ours
from headwater.pipeline.origin.request import HeadRequest
from headwater.pipeline.origin.response import Pending, Response, plain

log = logging.getLogger("headwater.origin")

METHODS = {b"GET", b"HEAD", b"OPTIONS"}
TOO_LARGE = plain(431, "The request head is too large.")
FAILED = plain(500, "The server failed; its log says why.")


class DeliveryProtocol(HttpToolsProtocol):
    """One connection."""

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
        self._rest = b""  # what has come and is not served yet
        self._answering: Pending | asyncio.Task[None] | None = None
        self._in_message = False  # uvicorn's parser is within a request
        self._head_only = False
        self._close_after = False
        self._stalled = False  # the viewer does not read what it asked for
        self._closing = False
        self.active_at = time.monotonic()

    # -- the connection -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.active_at = time.monotonic()
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
        if len(data) > self._origin.settings.max_head_bytes:
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
        self.active_at = time.monotonic()
        if self._rest and self._answering is None and not self.transport.is_closing():
            self._go_on()

    def shutdown(self) -> None:
        """Called when the server stops: end after what is under way."""
        self._closing = True
        if self._answering is None:
            super().shutdown()

    def on_message_begin(self) -> None:
        self._in_message = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    @property
    def idle(self) -> bool:
        """Nothing is being answered."""
        return self._answering is None and (self.cycle is None or self.cycle.response_complete) and not self._in_message

    @property
    def stalled(self) -> bool:
        return self._stalled

    @property
    def head_pending(self) -> bool:
        """Part of a request head has come, and not its end."""
        return bool(self._rest) and self._answering is None and not self._stalled

    # -- requests -----------------------------------------------------------------------------------------------

    def _serve(self, data: bytes) -> None:
        """Answer whole requests from `data` until one has to wait, one is uvicorn's, or nothing is left."""
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._incomplete(data)
                return
            request = self._read(data, end)
            if request is None:
                self._unset_keepalive_if_required()
                super().data_received(data)
                return
            try:
                answer = self._origin.respond(request)
            except Exception:
                log.exception("a request failed: %r", request.path[:200])
                answer = FAILED
            if answer is None:
                self._unset_keepalive_if_required()
                super().data_received(data)
                return
            self._unset_keepalive_if_required()
            data = data[end + 4 :]
            if isinstance(answer, Response):
                self._write(answer)
                if self.transport.is_closing():
                    return
                if self._stalled and data:
                    self._keep(data)
                    return
                continue
            self._rest = data
            self._wait(answer)
            return

    def _incomplete(self, data: bytes) -> None:
        if not data.startswith((b"GET ", b"HEAD ", b"OPTIONS ")) and len(data) >= 8:
            super().data_received(data)
        elif len(data) > self._origin.settings.max_head_bytes:
            self._close_after = True
            self._write(TOO_LARGE)
        else:
            self._rest = data

    def _read(self, data: bytes, end: int) -> HeadRequest | None:
        """The request whose head ends at `end`, if it can be the origin's and has no body."""
        space = data.find(b" ", 0, 8)
        method = data[:space]
        line_end = data.find(b"\r\n", 0, end + 2)
        target_end = data.rfind(b" ", space + 1, line_end)
        if method not in METHODS or target_end < 0 or end > self._origin.settings.max_head_bytes:
            return None
        target = data[space + 1 : target_end]
        path, _, query = target.partition(b"?")
        if not is_ours(path):
            return None
        head = data[line_end:end]
        lower = head.lower()
        if b"content-length:" in lower or b"transfer-encoding:" in lower or b"upgrade:" in lower:
            return None
        version_1_1 = data[target_end + 1 : line_end] == b"HTTP/1.1"
        at = lower.find(b"\r\nconnection:")
        connection = (
            lower[at + 13 : lower.find(b"\r\n", at + 2) if b"\r\n" in lower[at + 2 :] else None] if at >= 0 else b""
        )
        self._close_after = b"close" in connection if version_1_1 else b"keep-alive" not in connection
        self._head_only = method == b"HEAD"
        return HeadRequest(method, path, query, head, lower, self.client[0] if self.client else "")

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
        """The answer that was waited for; then what has come meanwhile."""
        self._answering = None
        if self.transport.is_closing():
            return
        self.active_at = time.monotonic()
        self._write(response)
        if self._closing:
            self.transport.close()
        elif self._rest and not self._stalled and not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        data, self._rest = self._rest, b""
        self.flow.resume_reading()
        self._serve(data)

    def _write(self, response: Response) -> None:
        head = response.head
        if self._close_after:
            head = head[:-2] + b"connection: close\r\n\r\n"
        if self._head_only or not response.chunks:
            self.transport.write(head)
        else:
            self.transport.writelines([head, *response.chunks])
        if self._close_after:
            self.transport.close()
