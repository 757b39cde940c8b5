"""The open session of a meeting, and those in it: sent away, muted."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.control.api.call import AnyCall, Call
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.routes import meeting_sessions as shown_sessions
from headwater.control.api.schemas import Answer, NoQuery
from headwater.control.api.session_schemas import (
    Acted,
    ActedOn,
    KickedAll,
    MeetingSession,
    MuteAll,
    MutedAll,
    Named,
)
from headwater.control.api.times import iso
from headwater.control.repository import meeting_sessions, meetings, participants
from headwater.rooms import RoomView


async def show(call: AnyCall) -> Answer[MeetingSession]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        if await meetings.get(conn, call.app_id, call.path["meeting_id"]) is None:
            raise not_found("The meeting")
        row = await meeting_sessions.open_of(conn, call.path["meeting_id"])
    if row is None:
        raise _nobody(call)
    return Answer(shown_sessions.shown(call, row))


async def kick(call: Call[NoQuery, Named]) -> Answer[Acted]:
    room = await _room(call)
    ids = _named(room, call.body)
    await call.service.rooms.kick(room.meeting_id, ids, "KICKED")
    return await _acted(call, "kick", ids)


async def kick_all(call: AnyCall) -> Answer[KickedAll]:
    room = await _room(call)
    await call.service.rooms.kick_all(room.meeting_id, "KICKED")
    return Answer(KickedAll("kick_all", len(room.participants)))


async def mute(call: Call[NoQuery, Named]) -> Answer[Acted]:
    room = await _room(call)
    ids = _named(room, call.body)
    call.service.rooms.mute(room.meeting_id, ids)
    return await _acted(call, "mute", ids)


async def mute_all(call: Call[NoQuery, MuteAll]) -> Answer[MutedAll]:
    room = await _room(call)
    call.service.rooms.mute_all(room.meeting_id, allow_unmute=call.body.allow_unmute)
    return Answer(MutedAll("mute_all", len(room.participants)))


async def _room(call: AnyCall) -> RoomView:
    """The open room of a meeting, which is the app's."""
    meeting_id = call.path["meeting_id"]
    async with call.service.database.read() as conn:
        if await meetings.get(conn, call.app_id, meeting_id) is None:
            raise not_found("The meeting")
    room = call.service.rooms.active(meeting_id)
    if room is None:
        raise _nobody(call)
    return room


def _nobody(call: AnyCall) -> ApiError:
    return ApiError(404, f"No active session found for meeting_id {call.path['meeting_id']}")


def _named(room: RoomView, named: Named) -> list[str]:
    """The participants inside that a request names, by their own ids, the application's, or the stay's."""
    ids, custom_ids = set(named.participant_ids or ()), set(named.custom_participant_ids or ())
    if not ids and not custom_ids:
        raise ApiError(400, "participant_ids or custom_participant_ids: name somebody")
    found = {
        inside.participant_id: None
        for inside in room.participants
        if not ids.isdisjoint((inside.participant_id, inside.peer_id)) or inside.custom_participant_id in custom_ids
    }
    if not found:
        raise ApiError(404, "None of the named participants is in the meeting")
    return list(found)


async def _acted(call: AnyCall, action: str, ids: Sequence[str]) -> Answer[Acted]:
    async with call.service.database.read() as conn:
        rows = await participants.get_many(conn, call.path["meeting_id"], ids)
    acted = [ActedOn(row.id, iso(row.created_ms), iso(row.updated_ms), row.name, row.picture) for row in rows]
    return Answer(Acted(action, acted))


_ACTIVE = APP + "/meetings/{meeting_id}/active-session"

OPERATIONS = [
    Operation(
        "get_active_session",
        "GET",
        _ACTIVE,
        "Fetch the open session of a meeting",
        show,
        Answer[MeetingSession],
        tag="Active session",
    ),
    Operation(
        "kick_participants",
        "POST",
        _ACTIVE + "/kick",
        "Send participants away",
        kick,
        Answer[Acted],
        permission="admin",
        body=Named,
        body_required=True,
        tag="Active session",
    ),
    Operation(
        "kick_all_participants",
        "POST",
        _ACTIVE + "/kick-all",
        "Send everybody away, and end the session",
        kick_all,
        Answer[KickedAll],
        permission="admin",
        tag="Active session",
    ),
    Operation(
        "mute_participants",
        "POST",
        _ACTIVE + "/mute",
        "Mute participants",
        mute,
        Answer[Acted],
        permission="admin",
        body=Named,
        body_required=True,
        tag="Active session",
    ),
    Operation(
        "mute_all_participants",
        "POST",
        _ACTIVE + "/mute-all",
        "Mute everybody",
        mute_all,
        Answer[MutedAll],
        permission="admin",
        body=MuteAll,
        tag="Active session",
    ),
]
