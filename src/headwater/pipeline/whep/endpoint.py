"""Livestreams by WHEP: `POST /<playback id>/webRTC/play`, from any page (CORS), without a credential, as HLS is.

What cannot be played by WebRTC is refused in words; who waits for a livestream that has not begun comes again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.routing import BaseRoute

from headwater.pipeline.origin.directory import Directory, watchable
from headwater.pipeline.origin.paths import HEX, PLAYBACK_ID_LENGTH
from headwater.pipeline.whep.playout import Playout, Stage, first, why_not
from headwater.pipeline.whep.viewer import Viewer
from headwater.webrtc.media import Outgoing, Policy
from headwater.webrtc.peer import Acceptor, Peer
from headwater.webrtc.resources import Refused, endpoint_routes

PLAY_PATH = "/{playback_id}/webRTC/play"
RESOURCE_PATH = "/{playback_id}/webRTC/play/{resource}"

RETRY_AFTER_S = "3"
"""For who comes before the livestream does."""


class Stages(Protocol):
    """Where sessions are found: `Livestreams`."""

    def session_of(self, playback_id: str) -> Stage | None: ...


class WhepPlayback:
    """The `Endpoint` of viewers by WHEP."""

    def __init__(
        self, stages: Stages, directory: Directory, webrtc: Acceptor, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = stages
        self._directory = directory
        self._webrtc = webrtc
        self._clock = clock
        self._playouts: dict[str, Playout] = {}

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        """Admit a viewer and answer its offer: `Endpoint.open`."""
        playback_id = request.path_params["playback_id"]
        known = len(playback_id) == PLAYBACK_ID_LENGTH and HEX.issuperset(playback_id.encode())
        if not known or await watchable(self._directory, playback_id) is None:
            raise Refused(404, "ERR_NO_SUCH_LIVESTREAM", "There is no such livestream.")
        stage = self._stages.session_of(playback_id)
        if stage is None or not stage.tracks:
            retry = {"Retry-After": RETRY_AFTER_S}
            raise Refused(404, "ERR_NOT_LIVE", "The livestream is not live; try again when it is.", retry)
        reason = why_not(stage.tracks, reorders=stage.reorders)
        if reason is not None:
            raise Refused(406, "ERR_NOT_PLAYABLE_BY_WEBRTC", reason)
        viewer = Viewer(self._clock, playback_id)
        peer = self._webrtc.accept(offer, _policy(stage, playback_id), viewer)
        playout = self._playout(stage)
        playout.expect(viewer)
        viewer.begin(peer, playout)
        return peer

    def routes(self) -> list[BaseRoute]:
        """The endpoint and its resources."""
        return endpoint_routes(PLAY_PATH, self, self._webrtc, resource_path=RESOURCE_PATH)

    async def stop(self) -> None:
        """The server stops."""
        for playout in list(self._playouts.values()):
            playout.end("the server stops")

    @property
    def viewers(self) -> int:
        """Who watches now."""
        return sum(len(playout.viewers) for playout in self._playouts.values())

    def _playout(self, stage: Stage) -> Playout:
        session_id = stage.about["session_id"]
        playout = self._playouts.get(session_id)
        if playout is None:
            playout = self._playouts[session_id] = Playout(stage, self._forget, clock=self._clock)
        return playout

    def _forget(self, playout: Playout) -> None:
        self._playouts = {key: value for key, value in self._playouts.items() if value is not playout}


def _policy(stage: Stage, playback_id: str) -> Policy:
    """The picture if there is one, with the profile that the encoder uses; the sound also where it is yet to come."""
    picture = first(stage.tracks, video=True)
    sound = Outgoing("audio", "opus", playback_id, "audio", optional=picture is not None)
    if picture is None:
        return Policy(send=(sound,), anonymous=True)
    parameters = {"profile-level-id": picture.config.record[1:4].hex(), "packetization-mode": "1"}
    shown = Outgoing(
        "video", "H264", playback_id, "video", parameters, optional=first(stage.tracks, video=False) is not None
    )
    return Policy(send=(shown, sound), anonymous=True)
