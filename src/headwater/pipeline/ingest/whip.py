"""Livestreams by WHIP (RFC 9725): who publishes with which key, as the owner of two endpoints.

    POST /webRTC/publish                  the stream key as bearer
    POST /<stream key>/webRTC/publish     for encoders without a field for a bearer

The offer is answered before the gate is asked: one that we cannot serve must not take over from who is publishing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.routing import BaseRoute

from headwater.errors import OperatorError, PublishRefused
from headwater.pipeline.ingest.gate import GOING_AWAY, Gate, Publication, PublishRequest
from headwater.pipeline.ingest.settings import IngestSettings
from headwater.pipeline.ingest.whip_publisher import PublisherLimits, WhipPublisher
from headwater.webrtc.media import NotServed, Policy
from headwater.webrtc.peer import Acceptor, Peer
from headwater.webrtc.resources import Refused, endpoint_routes

PUBLISH_PATH = "/webRTC/publish"
KEY_PUBLISH_PATH = "/{stream_key}/webRTC/publish"
RESOURCE_PATH = "/webRTC/publish/{resource}"
"""Of both: the key does not show in the resource's address."""

MAX_ENCODER_NAME = 128
"""Characters kept of what a publisher calls itself."""

MAX_KEY = 256
"""Characters of a stream key that are looked up; ours have 64."""

POLICY = Policy(receive_audio=("opus",), receive_video=("H264",))

_STATUS = {"ERR_BAD_STREAM_KEY": 401, "ERR_TOO_MANY_SESSIONS": 503, "ERR_SHUTTING_DOWN": 503}

T = TypeVar("T")

_log = logging.getLogger("headwater.ingest")


class WhipIngest:
    """The `Endpoint` of publishers by WHIP."""

    def __init__(
        self,
        gate: Gate,
        webrtc: Acceptor,
        settings: IngestSettings,
        *,
        keyframe_interval_ms: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keyframe_interval_ms`: how far apart segments are to be cut."""
        self._clock = clock
        self._gate = gate
        self._webrtc = webrtc
        self._settings = settings
        self._limits = PublisherLimits(
            settings.first_media_timeout_s, settings.stall_timeout_s, settings.max_bitrate_bps, keyframe_interval_ms
        )
        self._publishers: set[WhipPublisher] = set()
        self._stopping = False

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        """Admit a publisher and answer its offer: `Endpoint.open`."""
        key = request.path_params.get("stream_key") or bearer
        if not key:
            raise Refused(
                401,
                "ERR_BAD_STREAM_KEY",
                "The stream key is missing: send it as bearer token, or as the first part of the path.",
                {"WWW-Authenticate": "Bearer"},
            )
        if self._stopping:
            raise Refused(503, "ERR_SHUTTING_DOWN", "The server is shutting down; try again in a moment.")
        publish = _request_of(request, key[:MAX_KEY])
        publisher = WhipPublisher(self._limits, self._publishers.discard, self._clock)
        try:
            peer = self._webrtc.accept(offer, POLICY, publisher)
        except NotServed as error:
            await self._ask(self._gate.reject(publish, "ERR_OFFER_NOT_SERVED", str(error)), publish)
            raise
        try:
            publication = await self._ask(self._gate.admit(publish, publisher), publish)
            self._begin(publish, peer, publisher, publication)
        except BaseException:
            peer.close("it was not admitted")
            raise
        return peer

    async def _ask(self, question: Awaitable[T], request: PublishRequest) -> T:
        """What the gate says; a refusal in the words of HTTP."""
        try:
            async with asyncio.timeout(self._settings.admit_timeout_s):
                return await question
        except PublishRefused as refusal:
            _log.warning("publish refused: remote=%s encoder=%s code=%s", request.remote, request.encoder, refusal.code)
            headers = {"WWW-Authenticate": "Bearer"} if refusal.code == "ERR_BAD_STREAM_KEY" else {}
            raise Refused(_STATUS.get(refusal.code, 403), refusal.code, refusal.description, headers) from None
        except TimeoutError:
            _log.error("publish refused: remote=%s: the gate did not decide (admit_timeout_s)", request.remote)
            raise Refused(503, "ERR_UNAVAILABLE", "The server is overloaded; try again.") from None
        except OperatorError as error:  # what is wrong with the database is not the publisher's to know
            _log.error("publish refused: remote=%s: %s", request.remote, error)
            raise Refused(503, "ERR_UNAVAILABLE", "The server cannot look up stream keys now; try again.") from None

    def _begin(self, request: PublishRequest, peer: Peer, publisher: WhipPublisher, publication: Publication) -> None:
        if publisher.ended or peer.state == "closed" or self._stopping:
            publication.end("the publisher was gone before it was admitted", regular=False)
            raise Refused(503, "ERR_UNAVAILABLE", "The connection was closed before it was admitted.")
        self._publishers.add(publisher)
        about = publication.about
        _log.info("publish started: remote=%s protocol=whip encoder=%s", request.remote, request.encoder, extra=about)
        publisher.begin(peer, publication)

    def routes(self) -> list[BaseRoute]:
        """Both endpoints and their resources."""
        return [
            *endpoint_routes(PUBLISH_PATH, self, self._webrtc, resource_path=RESOURCE_PATH),
            *endpoint_routes(KEY_PUBLISH_PATH, self, self._webrtc, resource_path=RESOURCE_PATH),
        ]

    async def stop(self) -> None:
        """The server stops: every publisher is told to go, and its publication that it is gone."""
        self._stopping = True
        for publisher in list(self._publishers):
            publisher.stop(GOING_AWAY)

    @property
    def connections(self) -> int:
        """Publishers that are admitted."""
        return len(self._publishers)


def _request_of(request: Request, key: str) -> PublishRequest:
    agent = request.headers.get("user-agent", "")[:MAX_ENCODER_NAME]
    encoder = "".join(character for character in agent if character.isprintable())
    client = request.client
    host = "unknown" if client is None else f"[{client.host}]" if ":" in client.host else client.host
    return PublishRequest(key, "whip", "", encoder, host if client is None else f"{host}:{client.port}")
