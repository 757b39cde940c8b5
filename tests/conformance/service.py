"""The API on a real port, for SDKs of any language, with a pipeline that does what it is told.

Beside `/client/v4` it answers POST `/drive/...`, so that a script in another language makes things happen as well:

    /drive/publish/STREAM_KEY              an encoder comes; answers {"session_id": ...}
    /drive/progress/LIVESTREAM_ID/INGEST/VIEWER    totals so far, in seconds
    /drive/close/LIVESTREAM_ID             the encoder goes
    /drive/join/MEETING_ID/TOKEN           a participant comes into a meeting
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from headwater.control import Addresses, ControlPlane, ControlSettings, Credentials
from headwater.rooms import Inside
from tests.unit.control.rooms import FakeRooms
from tests.unit.control.support import FakeBroadcasts, now_ms

T = TypeVar("T")


@dataclass
class Service:
    """A running API; the methods may be called from any thread."""

    plane: ControlPlane
    broadcasts: FakeBroadcasts
    rooms: FakeRooms
    credentials: Credentials
    root: str
    loop: asyncio.AbstractEventLoop

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def publish(self, stream_key: str) -> str:
        """An encoder comes; returns the session's id."""
        return self._run(self.broadcasts.publish(stream_key)).session_id

    def progress(self, livestream_id: str, ingest_seconds: float, viewer_seconds: float) -> None:
        self._run(self._do(self.broadcasts.progress, livestream_id, ingest_seconds, viewer_seconds))

    def close(self, livestream_id: str) -> None:
        """The encoder goes."""
        self._run(self._do(self.broadcasts.close, livestream_id))

    def join(self, token: str, meeting_id: str) -> Inside:
        """A participant comes into a meeting."""

        async def join() -> Inside:
            return self.rooms.join(await self.plane.doorkeeper.admit(token, meeting_id))

        return self._run(join())

    def call(self, function: Any, *arguments: Any) -> None:
        """Call something in the server's event loop."""
        self._run(self._do(function, *arguments))

    @staticmethod
    async def _do(function: Any, *arguments: Any) -> None:
        function(*arguments)


@contextmanager
def running_service(data: Path) -> Iterator[Service]:
    """Start the API in a thread with its own event loop, and end both."""
    listener = socket.create_server(("127.0.0.1", 0))
    started: list[Service] = []
    ready = threading.Event()
    failure: list[BaseException] = []
    server: list[uvicorn.Server] = []

    def serve() -> None:
        try:
            asyncio.run(_serve(data, listener, started, server, ready))
        except BaseException as error:
            failure.append(error)
            ready.set()

    thread = threading.Thread(target=serve, name="conformance-service")
    thread.start()
    try:
        assert ready.wait(30), "the API did not start"
        if failure:
            raise failure[0]
        yield started[0]
    finally:
        for running in server:
            running.should_exit = True
        thread.join(20)
        listener.close()


async def _serve(
    data: Path,
    listener: socket.socket,
    started: list[Service],
    server: list[uvicorn.Server],
    ready: threading.Event,
) -> None:
    # A whole suite runs through one token and one address: the limits have tests of their own.
    settings = ControlSettings(data, requests_burst=100_000, failed_auth_burst=1000)
    plane = await ControlPlane.open(settings)
    broadcasts = FakeBroadcasts(plane)
    plane.attach(broadcasts)
    rooms = FakeRooms(plane.hear, now_ms)
    plane.attach_rooms(rooms)
    host, port = listener.getsockname()[:2]
    credentials = await plane.announce(Addresses(http=(host, port), rtmp=("127.0.0.1", 1935)))
    assert credentials is not None
    root = f"http://{host}:{port}"
    started.append(Service(plane, broadcasts, rooms, credentials, root, asyncio.get_running_loop()))
    app = Starlette(routes=[*_drive(plane, broadcasts, rooms), Mount("/client/v4", plane.api)])
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
    server.append(running)
    ready.set()
    try:
        await running.serve([listener])
    finally:
        await plane.close()


def _drive(plane: ControlPlane, broadcasts: FakeBroadcasts, rooms: FakeRooms) -> list[Route]:
    async def publish(request: Request) -> JSONResponse:
        broadcast = await broadcasts.publish(request.path_params["key"])
        return JSONResponse({"session_id": broadcast.session_id})

    async def progress(request: Request) -> JSONResponse:
        path = request.path_params
        broadcasts.progress(path["id"], path["ingest"], path["viewer"])
        return JSONResponse({})

    async def close(request: Request) -> JSONResponse:
        broadcasts.close(request.path_params["id"])
        return JSONResponse({})

    async def join(request: Request) -> JSONResponse:
        path = request.path_params
        rooms.join(await plane.doorkeeper.admit(path["token"], path["id"]))
        return JSONResponse({})

    return [
        Route("/drive/publish/{key}", publish, methods=["POST"]),
        Route("/drive/progress/{id}/{ingest:float}/{viewer:float}", progress, methods=["POST"]),
        Route("/drive/close/{id}", close, methods=["POST"]),
        Route("/drive/join/{id}/{token}", join, methods=["POST"]),
    ]


def write_access(service: Service, path: Path) -> Path:
    """What a script in another language needs to know, as JSON."""
    access = {
        "base_url": service.credentials.base_url,
        "drive_url": service.root + "/drive",
        "api_token": service.credentials.api_token,
        "account_id": service.credentials.account_id,
        "app_id": service.credentials.app_id,
    }
    path.write_text(json.dumps(access), "utf-8")
    return path
