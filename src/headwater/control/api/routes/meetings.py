"""Meetings, and their livestreams: started here, pushed to over RTMP, stopped here."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.api import render
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.meeting_schemas import DEFAULTS, SECRETS, ListMeetings, Meeting, MeetingBody
from headwater.control.api.operations import APP, Operation
from headwater.control.api.schemas import (
    HEIGHTS,
    WIDTHS,
    Answer,
    Livestream,
    LivestreamWithSessions,
    Message,
    NoQuery,
    Page,
    PagedAnswer,
    PageQuery,
    StartedLivestream,
    StartLivestream,
    VideoConfig,
)
from headwater.control.api.times import check_range, iso, parse_time
from headwater.control.api.validation import check_name, check_text
from headwater.control.lifecycle import Status
from headwater.control.meeting_livestreams import DEFAULT_SIZE, AlreadyActive, NoMeeting, NoneActive
from headwater.control.repository import livestreams, meetings, sessions
from headwater.control.repository.meetings import MeetingRow


async def create(call: Call[NoQuery, MeetingBody]) -> Answer[Meeting]:
    values = _checked(call.body)
    async with call.service.database.write() as conn:
        row = await meetings.create(conn, call.app_id, **_columns(values), now_ms=call.now_ms)
    return Answer(shown(call, row))


async def show(call: Call[NoQuery, None]) -> Answer[Meeting]:
    async with call.service.database.read() as conn:
        return Answer(shown(call, await _get(conn, call)))


async def list_all(call: Call[ListMeetings, None]) -> Page[Meeting]:
    query = call.query
    from_ms, to_ms = parse_time("start_time", query.start_time), parse_time("end_time", query.end_time)
    check_range(from_ms, to_ms)
    check_text("search", query.search)
    offset, limit = window(query.page_no, query.per_page)
    async with call.service.database.read() as conn:
        rows, total = await meetings.list_page(
            conn,
            call.app_id,
            search=query.search,
            status=query.status,
            from_ms=from_ms,
            to_ms=to_ms,
            descending=query.sort_order != "ASC",
            offset=offset,
            limit=limit,
        )
    return Page([shown(call, row) for row in rows], paging(total, offset, len(rows)))


async def update(call: Call[NoQuery, MeetingBody]) -> Answer[Meeting]:
    return await _change(call, replace=False)


async def replace(call: Call[NoQuery, MeetingBody]) -> Answer[Meeting]:
    return await _change(call, replace=True)


async def _change(call: Call[NoQuery, MeetingBody], *, replace: bool) -> Answer[Meeting]:
    values = _checked(call.body)
    async with call.service.database.write() as conn:
        row = await _get(conn, call, lock=True)
        before = {} if replace else {"title": row.title, "status": row.status, **msgspec.json.decode(row.settings)}
        await meetings.update(conn, row.id, **_columns({**before, **values}), now_ms=call.now_ms)
        row = await _get(conn, call)
    call.service.changed()
    return Answer(shown(call, row))


def _checked(body: MeetingBody) -> dict[str, Any]:
    values = body.given()
    check_text("title", values.get("title"))
    return values


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """What the repository wants; null and absent are the default alike."""
    kept = {name: value for name, value in values.items() if value is not None}
    title, status = kept.pop("title", None), kept.pop("status", "ACTIVE")
    return {"title": title, "status": status, "settings": msgspec.json.encode(kept).decode()}


def shown(call: AnyCall, row: MeetingRow) -> Meeting:
    settings = {**DEFAULTS, **msgspec.json.decode(row.settings)}
    recording = settings.get("recording_config", {})
    if not call.is_admin:
        recording.pop("live_streaming_config", None)  # its RTMP URL has somebody's stream key in it
    storage = recording.get("storage_config")
    for secret in SECRETS if storage else ():
        storage.pop(secret, None)
    fields = {"id": row.id, "created_at": iso(row.created_ms), "updated_at": iso(row.updated_ms), "title": row.title}
    return msgspec.convert({**settings, **fields, "status": row.status}, Meeting)


async def start_livestream(call: Call[NoQuery, StartLivestream]) -> Answer[StartedLivestream]:
    check_name(call.body.name)
    size = _size(call.body.video_config or VideoConfig())
    try:
        row = await call.service.meeting_livestreams.begin(
            call.path["meeting_id"], app_id=call.app_id, name=call.body.name, size=size
        )
    except AlreadyActive as error:
        raise ApiError(409, str(error)) from error
    except NoMeeting as error:
        raise ApiError(404, str(error)) from error
    return Answer(
        StartedLivestream(
            id=row.id,
            ingest_server=render.ingest_server(call),
            playback_url=render.playback_url(call, row),
            status=Status.INVOKED.value,
            stream_key=row.stream_key,
        )
    )


def _size(video: VideoConfig) -> tuple[int, int]:
    """Width and height; what is not given is the default."""
    width = DEFAULT_SIZE[0] if video.width is None else video.width
    height = DEFAULT_SIZE[1] if video.height is None else video.height
    for name, side, (least, most) in (("width", width, WIDTHS), ("height", height, HEIGHTS)):
        if side % 2 or not least <= side <= most:
            raise ApiError(400, f"video_config.{name}: expected an even number from {least} to {most}, got {side}")
    return width, height


async def stop_livestream(call: Call[NoQuery, None]) -> Answer[Message]:
    try:
        await call.service.meeting_livestreams.end(call.path["meeting_id"], app_id=call.app_id)
    except (NoneActive, NoMeeting) as error:
        raise ApiError(404, str(error)) from error
    return Answer(Message("Stopped live stream successfully"))


async def active_livestream(call: Call[NoQuery, None]) -> Answer[Livestream]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        meeting = await _get(conn, call)
        row = await livestreams.active_of_meeting(conn, call.app_id, meeting.id)
    if row is None:
        raise ApiError(404, str(NoneActive(meeting.id)))
    return Answer(render.livestream(call, row))


async def livestream_of(call: Call[PageQuery, None]) -> PagedAnswer[LivestreamWithSessions]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        meeting = await _get(conn, call)
        row = await livestreams.newest_of_meeting(conn, call.app_id, meeting.id)
        if row is None:
            raise ApiError(404, f"No livestream found for meeting_id {meeting.id}")
        rows, total = await sessions.list_page(conn, row.id, offset=offset, limit=limit)
        latest = rows[0] if offset == 0 and rows else await sessions.latest_of(conn, row.id)
    return render.livestream_with_sessions(call, row, latest, rows, paging(total, offset, len(rows)))


async def _get(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> MeetingRow:
    find = meetings.lock if lock else meetings.get
    row = await find(conn, call.app_id, call.path["meeting_id"])
    if row is None:
        raise not_found("The meeting")
    return row


_MEETINGS = APP + "/meetings"
_MEETING = _MEETINGS + "/{meeting_id}"

OPERATIONS = [
    Operation(
        "start_livestreaming_a_meeting",
        "POST",
        _MEETING + "/livestreams",
        "Start livestreaming a meeting",
        start_livestream,
        Answer[StartedLivestream],
        permission="admin",
        body=StartLivestream,
        status=201,
    ),
    Operation(
        "stop_livestreaming_a_meeting",
        "POST",
        _MEETING + "/active-livestream/stop",
        "Stop livestreaming a meeting",
        stop_livestream,
        Answer[Message],
        permission="admin",
    ),
    Operation(
        "get_meeting_active_livestreams",
        "GET",
        _MEETING + "/active-livestream",
        "Fetch active livestreams for a meeting",
        active_livestream,
        Answer[Livestream],
    ),
    Operation(
        "get_meeting_livestream",
        "GET",
        _MEETING + "/livestream",
        "Fetch the newest livestream of a meeting with its sessions",
        livestream_of,
        PagedAnswer[LivestreamWithSessions],
        query=PageQuery,
    ),
    Operation(
        "create_meeting",
        "POST",
        _MEETINGS,
        "Create a meeting",
        create,
        Answer[Meeting],
        permission="admin",
        body=MeetingBody,
        status=201,
        tag="Meetings",
    ),
    Operation(
        "list_meetings",
        "GET",
        _MEETINGS,
        "Fetch all meetings of an app",
        list_all,
        Page[Meeting],
        query=ListMeetings,
        tag="Meetings",
    ),
    Operation("get_meeting", "GET", _MEETING, "Fetch a meeting", show, Answer[Meeting], tag="Meetings"),
    Operation(
        "update_meeting",
        "PATCH",
        _MEETING,
        "Update a meeting",
        update,
        Answer[Meeting],
        permission="admin",
        body=MeetingBody,
        body_required=True,
        tag="Meetings",
    ),
    Operation(
        "replace_meeting",
        "PUT",
        _MEETING,
        "Replace a meeting",
        replace,
        Answer[Meeting],
        permission="admin",
        body=MeetingBody,
        body_required=True,
        tag="Meetings",
    ),
]
