"""A control plane in a test: with a pipeline that does what the test says."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from headwater.analytics.viewing import Facts
from headwater.control import Addresses, ControlPlane, Credentials
from headwater.events import (
    LiveSnapshot,
    RecordingChanged,
    SessionClosed,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
)
from headwater.health import HealthSample
from tests.unit.control.rooms import FakeRooms

_numbers = itertools.count(1)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Broadcast:
    """An open session, driven by the test."""

    plane: ControlPlane
    livestream_id: str
    session_id: str
    started_ms: int
    playable: bool = False
    publishing: bool = True
    ingest_seconds: float = 0.0
    viewer_seconds: float = 0.0
    health: tuple[HealthSample, ...] = ()


@dataclass
class FakeBroadcasts:
    """Runs broadcasts by emitting the events that a real pipeline emits."""

    plane: ControlPlane
    open: dict[str, Broadcast] = field(default_factory=dict)
    stopped: list[tuple[str, str, str]] = field(default_factory=list)
    recordings: dict[str, str] = field(default_factory=dict)

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        broadcast = self.open.get(livestream_id)
        if broadcast is None:
            return None
        return LiveSnapshot(
            livestream_id,
            broadcast.session_id,
            broadcast.playable,
            broadcast.publishing,
            broadcast.ingest_seconds,
            broadcast.viewer_seconds,
            1,
            broadcast.health,
        )

    def live_all(self) -> Sequence[LiveSnapshot]:
        found = (self.live(livestream_id) for livestream_id in self.open)
        return [snapshot for snapshot in found if snapshot is not None]

    def viewings(self, livestream_id: str, limit: int) -> Sequence[Facts]:
        return [Facts(500, 2, 6000, 54_000, 1000.0, None), Facts()] if livestream_id in self.open else []

    async def stop(self, livestream_id: str, code: str, description: str, *, error: str | None = None) -> None:
        if livestream_id in self.open:
            self.stopped.append((livestream_id, code, description))
            self.close(livestream_id, error=error)

    def start_recording(self, livestream_id: str, recording_id: str, max_seconds: int | None) -> bool:
        broadcast = self.open.get(livestream_id)
        if broadcast is None:
            return False
        self.recordings[recording_id] = "RECORDING"
        self._tell(broadcast, recording_id)
        return True

    def steer_recording(self, livestream_id: str, recording_id: str, action: str) -> bool:
        broadcast = self.open.get(livestream_id)
        if broadcast is None or self.recordings.get(recording_id, "UPLOADING") == "UPLOADING":
            return False
        self.recordings[recording_id] = {"pause": "PAUSED", "resume": "RECORDING", "stop": "UPLOADING"}[action]
        self._tell(broadcast, recording_id)
        return True

    def _tell(self, broadcast: Broadcast, recording_id: str) -> None:
        status = self.recordings[recording_id]
        at_ms = now_ms()
        spans = ((at_ms, None if status == "RECORDING" else at_ms),)
        self.plane.listen(
            RecordingChanged(
                broadcast.livestream_id, broadcast.session_id, at_ms, recording_id, status, spans, "API_CALL"
            )
        )

    async def publish(self, stream_key: str, *, playable: bool = True) -> Broadcast:
        """What happens when an encoder comes with a key."""
        grant = await self.plane.stream_keys.authorize(stream_key)
        started = now_ms()
        broadcast = Broadcast(
            self.plane, grant.livestream_id, f"5e55{next(_numbers):04x}-0000-4000-8000-000000000000", started
        )
        self.open[grant.livestream_id] = broadcast
        self.plane.listen(
            SessionOpened(grant.livestream_id, broadcast.session_id, started, "obs-output 30.1", "192.0.2.7:49152")
        )
        if playable:
            self.playable(grant.livestream_id)
        return broadcast

    def playable(self, livestream_id: str) -> None:
        broadcast = self.open[livestream_id]
        broadcast.playable = True
        self.plane.listen(SessionPlayable(livestream_id, broadcast.session_id, broadcast.started_ms + 300))

    def progress(self, livestream_id: str, ingest_seconds: float, viewer_seconds: float) -> None:
        broadcast = self.open[livestream_id]
        broadcast.ingest_seconds, broadcast.viewer_seconds = ingest_seconds, viewer_seconds
        at_ms = broadcast.started_ms + round(ingest_seconds * 1000)
        self.plane.listen(SessionProgress(livestream_id, broadcast.session_id, at_ms, ingest_seconds, viewer_seconds))

    def close(self, livestream_id: str, *, error: str | None = None, recording: str | None = None) -> None:
        broadcast = self.open.pop(livestream_id)
        at_ms = broadcast.started_ms + round(broadcast.ingest_seconds * 1000)
        self.plane.listen(
            SessionClosed(
                livestream_id,
                broadcast.session_id,
                at_ms,
                broadcast.ingest_seconds,
                broadcast.viewer_seconds,
                error,
                recording,
            )
        )


@dataclass
class Api:
    """The API over ASGI, without a socket."""

    plane: ControlPlane
    broadcasts: FakeBroadcasts
    credentials: Credentials
    http: httpx.AsyncClient
    rooms: FakeRooms

    @property
    def account(self) -> str:
        return f"/accounts/{self.credentials.account_id}/realtime/kit"

    @property
    def app(self) -> str:
        return f"{self.account}/{self.credentials.app_id}"

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call an operation of the app that has to succeed, and return its JSON."""
        response = await self.http.request(method, self.app + path, **arguments)
        assert response.is_success, response.text
        return response.json()

    async def create(self, name: str | None = None) -> Any:
        return (await self.call("POST", "/livestreams", json={"name": name}))["data"]

    async def new_token(self, permission: str = "read", app_id: str | None = None) -> str:
        body = {"name": "test", "permission": permission, "app_id": app_id}
        response = await self.http.post(self.account + "/tokens", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["data"]["api_token"])


ADDRESSES = Addresses(http=("127.0.0.1", 8080), rtmp=("127.0.0.1", 1935))


async def open_api(plane: ControlPlane) -> Api:
    credentials = await plane.announce(ADDRESSES)
    assert credentials is not None
    broadcasts = FakeBroadcasts(plane)
    plane.attach(broadcasts)
    rooms = FakeRooms(plane.hear, now_ms)
    plane.attach_rooms(rooms)
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(plane.api, client=("192.0.2.1", 1234)),
        base_url="http://127.0.0.1:8080/client/v4",
        headers={"Authorization": f"Bearer {credentials.api_token}"},
    )
    return Api(plane, broadcasts, credentials, http, rooms)
