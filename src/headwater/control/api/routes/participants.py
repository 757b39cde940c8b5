"""Participants of a meeting, and the tokens that let them in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control import participant_tokens
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.participant_schemas import (
    PARTICIPANTS_LIMIT,
    DeletedParticipant,
    EditParticipant,
    Participant,
    ParticipantBody,
    ParticipantWithToken,
    Token,
)
from headwater.control.api.schemas import Answer, NoQuery, Page, PageQuery
from headwater.control.api.times import iso
from headwater.control.api.validation import check_text
from headwater.control.repository import meetings, participants, presets
from headwater.control.repository.meetings import MeetingRow
from headwater.control.repository.participants import ParticipantRow
from headwater.control.repository.presets import PresetRow


async def add(call: Call[NoQuery, ParticipantBody]) -> Answer[ParticipantWithToken]:
    """Who was added before under the same custom id is the same participant, now as given here, with another token."""
    body = call.body
    _check(body.name, body.picture)
    check_text("custom_participant_id", body.custom_participant_id)
    key = await call.service.token_key.get()
    async with call.service.database.write() as conn:
        meeting = await _meeting(conn, call, lock=True)
        preset = await _preset(conn, call, body.preset_name)
        row = await participants.of_custom_id(conn, meeting.id, body.custom_participant_id)
        if row is None:
            row = await _create(conn, call, meeting, preset)
        else:
            row = await _replace(conn, call, row, preset)
    call.service.changed()
    return Answer(_with_token(call, key, row))


async def _create(
    conn: AsyncConnection, call: Call[NoQuery, ParticipantBody], meeting: MeetingRow, preset: PresetRow
) -> ParticipantRow:
    if await participants.count(conn, meeting.id) >= PARTICIPANTS_LIMIT:
        raise ApiError(409, f"The meeting has {PARTICIPANTS_LIMIT} participants already; delete some first")
    return await participants.create(
        conn,
        call.app_id,
        meeting.id,
        custom_id=call.body.custom_participant_id,
        preset=preset,
        preset_name=call.body.preset_name,
        name=call.body.name,
        picture=call.body.picture,
        now_ms=call.now_ms,
    )


async def list_all(call: Call[PageQuery, None]) -> Page[Participant]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    async with call.service.database.read() as conn:
        meeting = await _meeting(conn, call)
        rows, total = await participants.list_page(conn, meeting.id, offset=offset, limit=limit)
    return Page([Participant(**_fields(row)) for row in rows], paging(total, offset, len(rows)))


async def show(call: AnyCall) -> Answer[Participant]:
    async with call.service.database.read() as conn:
        return Answer(Participant(**_fields(await _get(conn, call))))


async def edit(call: Call[NoQuery, EditParticipant]) -> Answer[ParticipantWithToken]:
    given = {name: getattr(call.body, name) for name in ("name", "picture")}
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    _check(changes.get("name"), changes.get("picture"))
    key = await call.service.token_key.get()
    async with call.service.database.write() as conn:
        await _meeting(conn, call, lock=True)
        row = await _get(conn, call)
        name = call.body.preset_name
        if name is None or name is msgspec.UNSET:
            await participants.update(conn, row.id, call.now_ms, **changes)
        else:
            preset = await _preset(conn, call, name)
            await participants.update(conn, row.id, call.now_ms, preset=preset, preset_name=name, **changes)
        row = await _get(conn, call)
    call.service.changed()
    return Answer(_with_token(call, key, row))


async def replace(call: Call[NoQuery, ParticipantBody]) -> Answer[ParticipantWithToken]:
    body = call.body
    _check(body.name, body.picture)
    check_text("custom_participant_id", body.custom_participant_id)
    key = await call.service.token_key.get()
    async with call.service.database.write() as conn:
        meeting = await _meeting(conn, call, lock=True)
        row = await _get(conn, call)
        other = await participants.of_custom_id(conn, meeting.id, body.custom_participant_id)
        if other is not None and other.id != row.id:
            raise ApiError(409, f"custom_participant_id: it is the participant {other.id}'s")
        row = await _replace(conn, call, row, await _preset(conn, call, body.preset_name))
    call.service.changed()
    return Answer(_with_token(call, key, row))


async def _replace(
    conn: AsyncConnection, call: Call[NoQuery, ParticipantBody], row: ParticipantRow, preset: PresetRow
) -> ParticipantRow:
    body = call.body
    values: dict[str, Any] = {"custom_participant_id": body.custom_participant_id, "name": body.name}
    await participants.update(
        conn, row.id, call.now_ms, preset=preset, preset_name=body.preset_name, picture=body.picture, **values
    )
    changed = await participants.get(conn, row.meeting_id, row.id)
    assert changed is not None, "its meeting is locked"
    return changed


async def delete(call: AnyCall) -> Answer[DeletedParticipant]:
    """Its tokens end at once, and whoever is inside with one is sent away."""
    async with call.service.database.write() as conn:
        await _meeting(conn, call, lock=True)
        row = await _get(conn, call)
        await participants.delete(conn, row.id, call.now_ms)
    call.service.changed()
    await call.service.rooms.kick(row.meeting_id, [row.id], "PARTICIPANT_DELETED")
    return Answer(
        DeletedParticipant(
            created_at=iso(row.created_ms),
            updated_at=iso(call.now_ms),
            custom_participant_id=row.custom_participant_id,
            preset_id=row.preset_id,
        )
    )


async def refresh_token(call: AnyCall) -> Answer[Token]:
    """A new token; those before it end. Whoever is inside stays."""
    key = await call.service.token_key.get()
    async with call.service.database.write() as conn:
        await _meeting(conn, call, lock=True)
        row = await _get(conn, call)
        await participants.renew_tokens(conn, row.id, call.now_ms)
        row = await _get(conn, call)
    call.service.changed()
    return Answer(Token(_sign(call, key, row)))


def _check(name: str | None, picture: str | None) -> None:
    check_text("name", name)
    check_text("picture", picture)
    if picture:
        try:
            parts = urlsplit(picture)
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
            raise ApiError(400, "picture: expected a URL that begins with http:// or https://")


def _fields(row: ParticipantRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": iso(row.created_ms),
        "updated_at": iso(row.updated_ms),
        "custom_participant_id": row.custom_participant_id,
        "preset_name": row.preset_name,
        "name": row.name,
        "picture": row.picture,
    }


def _with_token(call: AnyCall, key: str, row: ParticipantRow) -> ParticipantWithToken:
    return ParticipantWithToken(**_fields(row), token=_sign(call, key, row))


def _sign(call: AnyCall, key: str, row: ParticipantRow) -> str:
    return participant_tokens.sign(key, row, call.now_ms, call.service.token_ms)


async def _meeting(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> MeetingRow:
    find = meetings.lock if lock else meetings.get
    row = await find(conn, call.app_id, call.path["meeting_id"])
    if row is None:
        raise not_found("The meeting")
    return row


async def _preset(conn: AsyncConnection, call: AnyCall, name: str) -> PresetRow:
    row = await presets.meant(conn, call.app_id, name)
    if row is None:
        check_text("preset_name", name)
        raise ApiError(400, f"preset_name: the app has no preset {name}")
    return row


async def _get(conn: AsyncConnection, call: AnyCall) -> ParticipantRow:
    meeting = await _meeting(conn, call)
    row = await participants.get(conn, meeting.id, call.path["participant_id"])
    if row is None:
        raise not_found("The participant")
    return row


_PARTICIPANTS = APP + "/meetings/{meeting_id}/participants"
_PARTICIPANT = _PARTICIPANTS + "/{participant_id}"

OPERATIONS = [
    Operation(
        "add_participant",
        "POST",
        _PARTICIPANTS,
        "Add a participant to a meeting",
        add,
        Answer[ParticipantWithToken],
        permission="admin",
        body=ParticipantBody,
        body_required=True,
        status=201,
        tag="Meetings",
    ),
    Operation(
        "list_participants",
        "GET",
        _PARTICIPANTS,
        "Fetch all participants of a meeting",
        list_all,
        Page[Participant],
        query=PageQuery,
        tag="Meetings",
    ),
    Operation("get_participant", "GET", _PARTICIPANT, "Fetch a participant", show, Answer[Participant], tag="Meetings"),
    Operation(
        "edit_participant",
        "PATCH",
        _PARTICIPANT,
        "Edit a participant",
        edit,
        Answer[ParticipantWithToken],
        permission="admin",
        body=EditParticipant,
        body_required=True,
        tag="Meetings",
    ),
    Operation(
        "replace_participant",
        "PUT",
        _PARTICIPANT,
        "Replace a participant",
        replace,
        Answer[ParticipantWithToken],
        permission="admin",
        body=ParticipantBody,
        body_required=True,
        tag="Meetings",
    ),
    Operation(
        "delete_participant",
        "DELETE",
        _PARTICIPANT,
        "Delete a participant",
        delete,
        Answer[DeletedParticipant],
        permission="admin",
        tag="Meetings",
    ),
    Operation(
        "refresh_participant_token",
        "POST",
        _PARTICIPANT + "/token",
        "Refresh a participant's token",
        refresh_token,
        Answer[Token],
        permission="admin",
        tag="Meetings",
    ),
]
