"""The HTTP of rooms, below `/meet/{meeting_id}`; everything by a participant's token as bearer.

    POST   whip?source=camera|screen        publish (RFC 9725); PATCH, DELETE at the Location
    POST   whep/{participant_id}/{source}   receive (draft-ietf-wish-whep); likewise
    GET    events                           what goes on, as server-sent events (feed.py); being there is being inside
    GET    me                               who I am, and whether anybody is inside: for a lobby
    PATCH  me      {"audio": bool, "video": bool}    my switches: true is on
    DELETE me                               leave
    POST   livestream, DELETE livestream    start and stop the broadcast: who may
    GET    livestream                       where it plays: who may start it
    PATCH  participants/{participant_id}    {"audio": false, "video": false}: mute somebody: who may
    DELETE participants/{participant_id}    send somebody away: who may

Errors are JSON: `{"success": false, "error": {"code": "ERR_NOT_ALLOWED", "message": "..."}}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from headwater.errors import LimitReached
from headwater.meetings.rooms.feed import told
from headwater.meetings.rooms.open_room import OpenRoom
from headwater.meetings.rooms.room import Participant, SourceName
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.rooms.state import introduction
from headwater.rooms import Admission, AdmissionRefused, Doorkeeper, Livestreams
from headwater.webrtc.peer import Acceptor, Peer
from headwater.webrtc.resources import Refused, bearer_of, endpoint_routes

MAX_BODY_BYTES = 1024
"""Of the JSON bodies: two switches."""

MAX_TOKEN_BYTES = 4096
"""Of a bearer token; ours have below 500."""

RETRY_AFTER_S = 5
"""Where a limit was reached."""

MAX_ID_BYTES = 64
"""Of ids in paths; ours are UUIDs."""

PRIVATE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",  # what admits is the bearer, which no browser adds by itself
    "Access-Control-Expose-Headers": "Retry-After",
}

Handler = Callable[[Request, Admission], Awaitable[Response]]


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What to switch on or off; None: as it is."""

    audio: bool | None = None
    video: bool | None = None


class Door:
    """Lets participants in, by their token."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    async def admit(self, meeting_id: str, bearer: str | None) -> Admission:
        """Raises Refused, with the reason."""
        if bearer is None:
            message = "a participant's token is wanted: Authorization: Bearer TOKEN"
            raise Refused(401, "ERR_TOKEN_MISSING", message, {"WWW-Authenticate": "Bearer"})
        if len(bearer) > MAX_TOKEN_BYTES or len(meeting_id) > MAX_ID_BYTES:
            raise Refused(401, "ERR_TOKEN_INVALID", "this is no participant's token")
        try:
            return await self._doorkeeper.admit(bearer, meeting_id)
        except AdmissionRefused as error:
            raise Refused(error.status, error.code, error.message) from error


class PublishEndpoint:
    """WHIP: `headwater.webrtc.resources.Endpoint`."""

    def __init__(self, rooms: OpenRooms, door: Door) -> None:
        self._rooms = rooms
        self._door = door

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        admission = await self._door.admit(request.path_params["meeting_id"], bearer)
        source = source_named(request.query_params.get("source", "camera"))
        return self._rooms.open(admission.meeting_id).publish(admission, source, offer)


class ReceiveEndpoint:
    """WHEP: `headwater.webrtc.resources.Endpoint`."""

    def __init__(self, rooms: OpenRooms, door: Door) -> None:
        self._rooms = rooms
        self._door = door

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        path = request.path_params
        admission = await self._door.admit(path["meeting_id"], bearer)
        room = self._rooms.find(admission.meeting_id)
        if room is None:
            raise Refused(404, "ERR_NOBODY_INSIDE", "nobody is in the room")
        return room.subscribe(admission, path["participant_id"], source_named(path["source"]), offer)


def source_named(name: str) -> SourceName:
    """Raises Refused 404 for what is no source."""
    for source in get_args(SourceName):
        if name == source:
            known: SourceName = source
            return known
    raise Refused(404, "ERR_NO_SUCH_SOURCE", "a source is camera or screen")


class _Resources:
    """What is beside WHIP and WHEP."""

    def __init__(self, rooms: OpenRooms, door: Door, livestreams: Livestreams) -> None:
        self._rooms = rooms
        self._door = door
        self._livestreams = livestreams

    def routes(self) -> list[BaseRoute]:
        paths = ("/events", "/me", "/livestream", "/participants/{participant_id}")
        return [
            *(Route("/meet/{meeting_id}" + path, preflight, methods=["OPTIONS"]) for path in paths),
            self._route("/events", "GET", self.events),
            self._route("/me", "GET", self.who),
            self._route("/me", "PATCH", self.switch),
            self._route("/me", "DELETE", self.leave),
            self._route("/livestream", "GET", self.watch),
            self._route("/livestream", "POST", self.start),
            self._route("/livestream", "DELETE", self.stop),
            self._route("/participants/{participant_id}", "PATCH", self.mute),
            self._route("/participants/{participant_id}", "DELETE", self.kick),
        ]

    def _route(self, path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                admission = await self._door.admit(request.path_params["meeting_id"], bearer_of(request))
                return await handler(request, admission)
            except Refused as error:
                return failure(error.status, error.code, error.message, error.headers)
            except AdmissionRefused as error:
                return failure(error.status, error.code, error.message)
            except LimitReached as error:
                return failure(503, "ERR_LIMIT_REACHED", str(error), {"Retry-After": str(RETRY_AFTER_S)})

        return Route("/meet/{meeting_id}" + path, endpoint, methods=[method])

    def _inside(self, admission: Admission, participant_id: str | None = None) -> tuple[OpenRoom, Participant]:
        room = self._rooms.find(admission.meeting_id)
        participant = room.room.participants.get(participant_id or admission.participant_id) if room else None
        if room is None or participant is None:
            who = "the participant is" if participant_id else "you are"
            raise Refused(404, "ERR_NOT_INSIDE", f"{who} not in the room")
        return room, participant

    async def events(self, request: Request, admission: Admission) -> Response:
        self._rooms.open(admission.meeting_id).check_page(admission)
        headers = {**PRIVATE, "X-Accel-Buffering": "no"}
        return StreamingResponse(told(self._rooms, admission), headers=headers, media_type="text/event-stream")

    async def who(self, request: Request, admission: Admission) -> Response:
        room = self._rooms.find(admission.meeting_id)
        return success(introduction(admission, () if room is None else room.room.participants))

    async def switch(self, request: Request, admission: Admission) -> Response:
        switches = await read_switches(request)
        room, me = self._inside(admission)
        room.room.set_mute(me, audio=switches.audio, video=switches.video)
        room.sync()
        return success({"audio": me.audio, "video": me.video})

    async def leave(self, request: Request, admission: Admission) -> Response:
        room, me = self._inside(admission)
        room.leave(me, "LEFT")
        return success(None)

    async def mute(self, request: Request, admission: Admission) -> Response:
        allow(admission.permissions.mute_others, admission)
        switches = await read_switches(request)
        if switches.audio or switches.video:
            raise Refused(403, "ERR_NOT_ALLOWED", "nobody can switch on the sound or picture of somebody else")
        room, participant = self._inside(admission, request.path_params["participant_id"])
        room.room.mute([participant], audio=switches.audio is False, video=switches.video is False)
        room.sync()
        return success({"audio": participant.audio, "video": participant.video})

    async def kick(self, request: Request, admission: Admission) -> Response:
        allow(admission.permissions.kick, admission)
        room, participant = self._inside(admission, request.path_params["participant_id"])
        room.leave(participant, "KICKED")
        return success(None)

    async def start(self, request: Request, admission: Admission) -> Response:
        allow(admission.permissions.livestream, admission)
        self._inside(admission)
        return success({"id": await self._livestreams.start(admission.meeting_id)}, 201)

    async def watch(self, request: Request, admission: Admission) -> Response:
        allow(admission.permissions.livestream, admission)
        playback_id = await self._livestreams.playback_id(admission.meeting_id)
        if playback_id is None:
            raise Refused(404, "ERR_NO_LIVESTREAM", "the meeting has no livestream now")
        return success({"playback_id": playback_id, "player": f"/{playback_id}"})

    async def stop(self, request: Request, admission: Admission) -> Response:
        allow(admission.permissions.livestream, admission)
        await self._livestreams.stop(admission.meeting_id)
        return success(None)


async def preflight(request: Request) -> Response:
    """What pages of other origins may ask (Fetch Standard, 3.3); WHIP and WHEP answer for themselves."""
    headers = {
        **PRIVATE,
        "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=204, headers=headers)


def allow(allowed: bool, admission: Admission) -> None:
    """Raises Refused 403 where the role does not let its owner do that."""
    if not allowed:
        raise Refused(403, "ERR_NOT_ALLOWED", f"the role {admission.preset} may not do that")


async def read_switches(request: Request) -> Switches:
    """Raises Refused 400 or 413."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise Refused(413, "ERR_BODY_TOO_LONG", f"the body has more than {MAX_BODY_BYTES} bytes")
        return msgspec.json.decode(bytes(body), type=Switches)
    except ClientDisconnect as error:
        raise Refused(400, "ERR_BODY", "the body ended early") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "ERR_BODY", f'the body has to be JSON, e.g. {{"audio": false}}: {error}') from error


def success(data: Any, status: int = 200) -> Response:
    return _json({"success": True, "data": data}, status)


def failure(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"success": False, "error": {"code": code, "message": message}}, status, headers)


def _json(content: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, {**PRIVATE, **(headers or {})}, media_type="application/json")


def room_routes(rooms: OpenRooms, webrtc: Acceptor, door: Door, livestreams: Livestreams) -> list[BaseRoute]:
    """All routes of rooms, at the root of the server."""
    publish, receive = PublishEndpoint(rooms, door), ReceiveEndpoint(rooms, door)
    whip, whep = "/meet/{meeting_id}/whip", "/meet/{meeting_id}/whep"
    return [
        *endpoint_routes(whip, publish, webrtc, resource_path=whip + "/{resource}"),
        *endpoint_routes(whep + "/{participant_id}/{source}", receive, webrtc, resource_path=whep + "/{resource}"),
        *resource_routes(rooms, door, livestreams),
    ]


def resource_routes(rooms: OpenRooms, door: Door, livestreams: Livestreams) -> list[BaseRoute]:
    """Routes beside WHIP and WHEP, at the root of the server."""
    return _Resources(rooms, door, livestreams).routes()
