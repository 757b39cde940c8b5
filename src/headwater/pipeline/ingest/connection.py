"""One publisher's connection: the I/O around `ServerSession`, and the way of its media to the `Publication`.

    data_received ─► ServerSession.receive_data ─► TrackReader.message ─► Publication.push

Everything runs in the event loop, without queues: what was read has been pushed when `data_received` returns. Reading
is paused while the gate decides. An error ends this connection, with a log line, and no other.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from headwater.errors import HeadwaterError, OperatorError, ProtocolError, PublishRefused, UnsupportedCodec
from headwater.pipeline.ingest.gate import GOING_AWAY, Publication, PublishRequest
from headwater.pipeline.ingest.pacer import ReadPacer
from headwater.pipeline.ingest.stream_key import find_stream_key, without_stream_key
from headwater.pipeline.ingest.tracks import TrackReader
from headwater.protocols.rtmp.events import Event, Metadata, PublishEnded, PublishRequested, TimedOut
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.protocols.rtmp.server import ServerSession, State

if TYPE_CHECKING:
    from headwater.pipeline.ingest.listener import RtmpIngest

MAX_ENCODER_NAME = 128
"""Characters kept of what a publisher calls itself."""

BITRATE_WINDOW_S = 10.0
"""Over which `max_bitrate_bps` is a mean: key frames and a burst after a stall are no offence."""

_BAD_KEY = "NetStream.Publish.BadName"
_DENIED = "NetStream.Publish.Denied"
_REJECTED = "NetStream.Publish.Rejected"
_STATUS_CODES = {"ERR_BAD_STREAM_KEY": _BAD_KEY, "ERR_LIVESTREAM_DISABLED": _DENIED}

_log = logging.getLogger("headwater.ingest")


class RtmpConnection(asyncio.Protocol):
    """A `Publisher` that speaks RTMP or RTMPS."""

    __slots__ = (
        "_admission",
        "_bitrate_base",
        "_encoder",
        "_held",
        "_ingest",
        "_linger_until",
        "_log",
        "_loop",
        "_pacer",
        "_publication",
        "_reader",
        "_scheme",
        "_session",
        "_transport",
        "address",
        "admitted",
        "remote",
    )

    def __init__(self, ingest: RtmpIngest, scheme: str, loop: asyncio.AbstractEventLoop) -> None:
        self._ingest = ingest
        self._scheme = scheme
        self._loop = loop
        self._session = ServerSession(ingest.session_limits, random=os.urandom(RANDOM_SIZE), now=loop.time())
        self._transport: asyncio.Transport | None = None
        self._publication: Publication | None = None
        self._reader: TrackReader | None = None
        self._pacer: ReadPacer | None = None
        self._admission: asyncio.Task[None] | None = None
        self._held: list[Event] = []
        self._linger_until: float | None = None
        self._bitrate_base = (0.0, 0)
        self._encoder = ""
        self._log: logging.Logger | logging.LoggerAdapter[logging.Logger] = _log
        self.address = ""
        self.remote = ""
        self.admitted = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.address, self.remote = _remote(transport.get_extra_info("peername"))
        refusal = self._ingest.register(self)
        if refusal is not None:
            self._log.warning("connection refused: remote=%s limit=%s", self.remote, refusal)
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._ingest.settings.write_buffer)

    def data_received(self, data: bytes) -> None:
        if self._linger_until is not None:
            return
        try:
            events = self._session.receive_data(data, self._loop.time())
            if events:
                self._handle(events)
        except Exception as error:
            self._fail(error)
        if self._session.outgoing:
            self._flush()
        if self._pacer is not None and self._publication is not None:
            self._pacer.wait(self._publication.patience_ms())

    def pause_writing(self) -> None:
        self._fail(ProtocolError("the publisher does not read what it is answered (write_buffer)"))
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end("the connection was lost", regular=False)
        self._session.close()
        if self._admission is not None:
            self._admission.cancel()
        self._ingest.unregister(self)

    @property
    def bytes_received(self) -> int:
        """All bytes taken so far."""
        return self._session.bytes_received

    # Publisher

    def close(self, code: str, description: str) -> None:
        """Tell the publisher why, and close. Idempotent; no `Publication.end` follows."""
        if self._publication is not None:
            self._log.info("publish closed: remote=%s code=%s reason=%s", self.remote, code, description)
        self._forget()
        if code == GOING_AWAY:
            self._linger()
        else:
            self._refuse(code, description)

    def round_trip_ms(self) -> float | None:
        return self._pacer.round_trip_ms() if self._pacer is not None else None

    def request_keyframe(self) -> None:
        """RTMP cannot."""

    # called by the listener

    def tick(self, now: float) -> None:
        """Let time pass; at least twice a second."""
        if self._linger_until is not None:
            if now >= self._linger_until:
                self.abort()
            return
        try:
            self._handle(self._session.handle_timeout(now))
            if self._pacer is not None:
                self._pacer.measure(self._session.bytes_received)
            if self.admitted and self._ingest.settings.max_bitrate_bps:
                self._check_bitrate(now)
        except Exception as error:
            self._fail(error)
        self._flush()

    def stop(self) -> asyncio.Task[None] | None:
        """The server stops: end the publish, say why, close. Returns a task to wait for, if one runs."""
        self._end("the server is stopping", regular=False)
        self._linger()
        if self._transport is not None:
            self._transport.close()
        if self._admission is not None:
            self._admission.cancel()
        return self._admission

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # events of the session

    def _handle(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is tuple:
                reader = self._reader
                if reader is not None:
                    reader.message(event)
                elif self._admission is not None:
                    self._held.append(event)
            else:
                self._on_event(event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, PublishRequested):
            self._request(event)
        elif isinstance(event, Metadata):
            if self._reader is not None:
                self._reader.metadata(event.values)
            elif self._admission is not None:
                self._held.append(event)
        elif isinstance(event, PublishEnded):
            self._end("the publisher ended it", regular=True)
            self._linger(hang_up=False)  # rtmp2sink takes a server that closes first for an error
        elif isinstance(event, TimedOut):
            self._log.info("connection timed out: remote=%s limit=%s: %s", self.remote, event.limit, event.description)
            self._end(event.description, regular=False)
            self._linger()

    def _request(self, event: PublishRequested) -> None:
        assert self._transport is not None
        self._encoder = _printable(event.encoder)
        key = find_stream_key(event.app, event.stream_name)
        app = _printable(without_stream_key(event.app, key))
        request = PublishRequest(key, self._scheme, app, self._encoder, self.remote)
        self._transport.pause_reading()
        self._admission = self._loop.create_task(self._admit(request))

    async def _admit(self, request: PublishRequest) -> None:
        """Ask the gate, then take up the publish or refuse it."""
        try:
            async with asyncio.timeout(self._ingest.settings.admit_timeout_s):
                publication = await self._ingest.gate.admit(request, self)
            self._admission = None
            self._begin(publication)
        except PublishRefused as error:
            livestream_id = getattr(error, "livestream_id", None)
            self._log.warning(
                "publish refused: remote=%s encoder=%s code=%s",
                self.remote,
                self._encoder,
                error.code,
                extra={"livestream_id": livestream_id} if livestream_id else None,
            )
            self._refuse(error.code, error.description)
        except TimeoutError:
            self._log.error("publish refused: remote=%s: the gate did not decide (admit_timeout_s)", self.remote)
            self._refuse("ERR_UNAVAILABLE", "the server is overloaded; try again")
        except OperatorError as error:  # what is wrong with the database is not the publisher's to know
            self._log.error("publish refused: remote=%s: %s", self.remote, error)
            self._refuse("ERR_UNAVAILABLE", "the server cannot look up stream keys now; try again")
        except Exception as error:
            self._fail(error)
        finally:
            self._admission = None
            self._held = []
            self._flush()

    def _begin(self, publication: Publication) -> None:
        if self._session.state is not State.DECIDING or self._transport is None:
            publication.end("the publisher was gone before it was admitted", regular=False)
            return
        self._publication = publication
        self._log = logging.LoggerAdapter(_log, publication.about)
        settings = self._ingest.settings
        self._reader = TrackReader(
            publication, max_video_tracks=settings.max_video_tracks, max_audio_tracks=settings.max_audio_tracks
        )
        self._pacer = ReadPacer(self._loop, self._transport.get_extra_info("socket"))
        now = self._loop.time()
        self._session.accept_publish(now)
        self._ingest.admit(self)
        self._bitrate_base = (now, self._session.bytes_received)
        self._log.info("publish started: remote=%s protocol=%s encoder=%s", self.remote, self._scheme, self._encoder)
        self._handle(self._held)
        self._transport.resume_reading()

    # the end

    def _fail(self, error: Exception) -> None:
        """An error ends this connection: the publisher's with its reason, a bug with its trace."""
        if isinstance(error, UnsupportedCodec):
            code, description = error.code, error.description
        elif isinstance(error, HeadwaterError):
            code, description = "ERR_PROTOCOL", str(error)
        else:
            code, description = "ERR_INTERNAL", "an internal error"
            self._log.error("internal error: remote=%s", self.remote, exc_info=error)
        if self._linger_until is None and code != "ERR_INTERNAL":
            self._log.warning("connection refused: remote=%s code=%s: %s", self.remote, code, description)
        self._end(f"{code}: {description}", regular=False)
        self._refuse(code, description)

    def _end(self, reason: str, *, regular: bool) -> None:
        publication = self._publication
        if publication is None:
            return
        self._forget()
        self._log.info(
            "publish ended: remote=%s reason=%s messages=%d", self.remote, reason, self._session.media_messages
        )
        try:
            publication.end(reason, regular=regular)
        except Exception:
            self._log.exception("internal error at the end of a publish: remote=%s", self.remote)

    def _forget(self) -> None:
        self._publication = None
        self._reader = None
        if self._pacer is not None:
            self._pacer.close()
            self._pacer = None

    def _refuse(self, code: str, description: str) -> None:
        self._session.reject(_STATUS_CODES.get(code, _REJECTED), description)
        self._flush()
        self._linger()

    def _linger(self, *, hang_up: bool = True) -> None:
        """Close, but leave time to read the reason: closing with unread data would reset the connection at once.

        Args:
            hang_up: Say at once that no more is coming; else the publisher closes, or the time runs out.
        """
        if self._linger_until is not None or self._transport is None:
            return
        self._session.close()
        self._linger_until = self._loop.time() + self._ingest.settings.linger_s
        self._transport.resume_reading()
        self._flush()
        if hang_up and self._transport.can_write_eof():
            try:
                self._transport.write_eof()
            except OSError:
                pass  # the publisher has closed already

    def _flush(self) -> None:
        data = self._session.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _check_bitrate(self, now: float) -> None:
        since, base = self._bitrate_base
        if now - since < BITRATE_WINDOW_S:
            return
        received = self._session.bytes_received
        self._bitrate_base = (now, received)
        rate = (received - base) * 8 / (now - since)
        limit = self._ingest.settings.max_bitrate_bps
        if rate > limit:
            raise ProtocolError(f"{rate / 1e6:.1f} Mbit/s, {limit / 1e6:.1f} are allowed (max_bitrate_bps)")


def _printable(text: str) -> str:
    """A stranger's text for logs and the API: no control characters, not too long."""
    return "".join(character for character in text[:MAX_ENCODER_NAME] if character.isprintable())


def _remote(peer: object) -> tuple[str, str]:
    """Address, and `ADDRESS:PORT`."""
    if not isinstance(peer, tuple) or len(peer) < 2:
        return "unknown", "unknown"
    address, port = str(peer[0]), peer[1]
    return address, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
