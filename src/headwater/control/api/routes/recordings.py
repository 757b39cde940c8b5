"""Recordings: of livestreams, as they were published; those of a meeting are its livestreams'."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control import recording_history
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.recording_schemas import (
    STATUSES,
    Caller,
    CreateClip,
    ListRecordings,
    Recording,
    StartReason,
    StartRecording,
    SteerRecording,
    StopReason,
)
from headwater.control.api.routes.meetings import shown as shown_meeting
from headwater.control.api.schemas import Answer, ListAnswer, Message, NoQuery, Page
from headwater.control.api.times import check_range, iso, iso_or_none, parse_time
from headwater.control.api.validation import check_name, check_text
from headwater.control.ids import new_uuid
from headwater.control.repository import livestreams, meetings, recordings
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.meetings import MeetingRow
from headwater.control.repository.recordings import RUNNING, RecordingRow, RecordingStatus
from headwater.errors import LimitReached

T = TypeVar("T")

CLIPS_LIMIT = 100
"""Clips of one recording that are there or being made."""

CLIP_SECONDS_LIMIT = 6 * 3600
"""How long a clip may be: longer ones are recordings of their own."""

NOT_FOR_LIVESTREAMS = (
    "audio_config",
    "video_config",
    "interactive_config",
    "rtmp_out_config",
    "storage_config",
    "url",
)


async def list_all(call: Call[ListRecordings, None]) -> Page[Recording]:
    query = call.query
    from_ms, to_ms = parse_time("start_time", query.start_time), parse_time("end_time", query.end_time)
    check_range(from_ms, to_ms)
    check_text("search", query.search)
    offset, limit = window(query.page_no, query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        rows, total = await recordings.list_page(
            conn,
            call.app_id,
            meeting_id=query.meeting_id,
            livestream_id=query.livestream_id,
            search=query.search,
            statuses=_statuses(query.status),
            expired=query.expired,
            from_ms=from_ms,
            to_ms=to_ms,
            descending=query.sort_order != "ASC",
            offset=offset,
            limit=limit,
        )
        owners = await _owners(conn, rows)
        of_meetings = await meetings.get_many(conn, {one.meeting_id for one in owners.values() if one.meeting_id})
    page = [shown(call, row, owners[row.livestream_id]) for row in rows]
    for entry, row in zip(page, rows, strict=True):
        meeting_id = owners[row.livestream_id].meeting_id
        if meeting_id is not None:
            entry.meeting = shown_meeting(call, of_meetings[meeting_id])
    return Page(page, paging(total, offset, len(page)))


def _statuses(text: str | None) -> list[str] | None:
    if text is None:
        return None
    wanted = [word.strip() for word in text.split(",")]
    if not set(wanted) <= set(STATUSES):
        raise ApiError(400, f"status: expected some of {', '.join(STATUSES)}")
    return wanted


async def _owners(conn: AsyncConnection, rows: Iterable[RecordingRow]) -> dict[str, LivestreamRow]:
    return await livestreams.get_many(conn, {row.livestream_id for row in rows})


async def show(call: AnyCall) -> Answer[Recording]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        return Answer(await _shown_in_full(conn, call, await _get(conn, call)))


async def active(call: Call[NoQuery, None]) -> Answer[Recording]:
    """Of a meeting, or (ours) of the livestream with that id."""
    of = call.path["meeting_id"]
    await call.service.settled()
    async with call.service.database.read() as conn:
        livestream = await livestreams.active_of_meeting(conn, call.app_id, of)
        livestream = livestream or await livestreams.get(conn, call.app_id, of)
        if livestream is None and await meetings.get(conn, call.app_id, of) is None:
            raise not_found("The meeting")
        running = [] if livestream is None else await recordings.running(conn, livestream.id)
        if not running:
            raise ApiError(404, f"No active recording found for meeting_id {of}")
        return Answer(await _shown_in_full(conn, call, running[0]))


async def start(call: Call[NoQuery, StartRecording]) -> Answer[Recording]:
    body = call.body
    for name in NOT_FOR_LIVESTREAMS:
        if getattr(body, name) not in (msgspec.UNSET, None):
            raise ApiError(400, f"{name}: a livestream is recorded as it was published; this is not possible")
    prefix = body.file_name_prefix or ""
    check_name(prefix)
    await call.service.settled()
    async with call.service.database.write() as conn:
        livestream, meeting = await _to_record(conn, call)
        session = call.service.broadcasts.live(livestream.id)
        if session is None:
            raise ApiError(404, f"No active session found for livestream_id {livestream.id}")
        running = await recordings.running(conn, livestream.id)
        if running and not body.allow_multiple_recordings:
            raise ApiError(409, f"There is an active recording already: {running[0].id}")
        if meeting is not None and not prefix:
            prefix = msgspec.json.decode(meeting.settings).get("recording_config", {}).get("file_name_prefix") or ""
        row = recording_history.new_row(
            livestream,
            new_uuid(),
            session.session_id,
            call.service.node,
            recording_history.BY_CALL,
            call.now_ms,
            recording_history.safe_prefix(prefix),
        )
        await recordings.insert(conn, row)
    await _begin(call, livestream, row)
    await call.service.settled()
    async with call.service.database.read() as conn:
        now = await recordings.find(conn, row.id)
        return Answer(await _shown_in_full(conn, call, now or row))


async def _begin(call: Call[NoQuery, StartRecording], livestream: LivestreamRow, row: RecordingRow) -> None:
    begun, words = False, "The session has ended meanwhile, or the server keeps nothing on disk"
    broadcasts = call.service.broadcasts
    session = broadcasts.live(livestream.id)
    try:
        # Not of another session, which may have begun since the row was written: it has the one's id.
        begun = session is not None and session.session_id == row.session_id
        begun = begun and broadcasts.start_recording(livestream.id, row.id, call.body.max_seconds or None)
    except LimitReached as error:
        words = str(error)
    if not begun:
        async with call.service.database.write() as conn:
            await recordings.delete(conn, row.id)
        raise ApiError(409, words)


async def _to_record(
    conn: AsyncConnection, call: Call[NoQuery, StartRecording]
) -> tuple[LivestreamRow, MeetingRow | None]:
    """The livestream to record, locked: two who start a recording meet at it."""
    body = call.body
    if body.livestream_id is not msgspec.UNSET:
        livestream = await livestreams.lock(conn, call.app_id, body.livestream_id)
        if livestream is None:
            raise not_found("The livestream")
        return livestream, None
    if body.meeting_id is msgspec.UNSET:
        raise ApiError(400, "meeting_id: it is required (or livestream_id)")
    meeting = await meetings.lock(conn, call.app_id, body.meeting_id)
    if meeting is None:
        raise not_found("The meeting")
    livestream = await livestreams.active_of_meeting(conn, call.app_id, meeting.id)
    if livestream is None:
        raise ApiError(404, f"No active session found for meeting_id {meeting.id}")
    return livestream, meeting


async def steer(call: Call[NoQuery, SteerRecording]) -> Answer[Recording]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        row = await _get(conn, call)
    if row.status not in RUNNING:
        raise ApiError(409, f"The recording is {row.status}: it cannot {call.body.action} any more")
    try:
        steered = call.service.broadcasts.steer_recording(row.livestream_id, row.id, call.body.action)
    except LimitReached as error:
        raise ApiError(409, str(error)) from error
    if not steered:
        raise ApiError(409, f"The recording has ended: it cannot {call.body.action} any more")
    return await show(call)


async def delete(call: Call[NoQuery, None]) -> Answer[Message]:
    """The file goes, the row stays."""
    await call.service.settled()
    async with call.service.database.write() as conn:
        row = await _get(conn, call, lock=True)
        if row.status in (*RUNNING, RecordingStatus.UPLOADING):
            raise ApiError(409, f"The recording is {row.status}: it has to end first")
        clips = await recordings.clips_of(conn, row.id)
        if any(clip.status == RecordingStatus.UPLOADING for clip in clips):
            raise ApiError(409, "A clip is being made of the recording: try again when it is done")
        if row.is_there:
            await recordings.update(conn, row.id, call.now_ms, removed_ms=call.now_ms)
    if row.is_there:
        call.service.changed()
        await call.service.files.remove([row])
    return Answer(Message("Deleted the recording"))


async def create_clip(call: Call[NoQuery, CreateClip]) -> Answer[Recording]:
    body = call.body
    check_name(body.file_name_prefix or "")
    if not 0 < body.end - body.start <= CLIP_SECONDS_LIMIT:
        raise ApiError(400, f"end: it has to lie after start, by {CLIP_SECONDS_LIMIT} seconds at most")
    await call.service.settled()
    async with call.service.database.write() as conn:
        source = await _get(conn, call, lock=True)
        if source.status != RecordingStatus.UPLOADED or not source.is_there or source.clip_of is not None:
            raise ApiError(409, "Clips are made of whole recordings that are there")
        if source.seconds is not None and body.start >= source.seconds:
            raise ApiError(400, f"start: the recording is {source.seconds:.1f} seconds long")
        clips = [clip for clip in await recordings.clips_of(conn, source.id) if _counts(clip)]
        if len(clips) >= CLIPS_LIMIT:
            raise ApiError(409, f"The recording has {CLIPS_LIMIT} clips: delete one first")
        owner = (await _owners(conn, [source]))[source.livestream_id]
        reason, prefix = recording_history.BY_CALL, body.file_name_prefix or "clip-"
        begin_ms = (source.started_ms or source.invoked_ms) + round(body.start * 1000)
        clip = replace(
            recording_history.new_row(owner, new_uuid(), source.session_id, source.node, reason, call.now_ms),
            file_name=recording_history.file_name(owner, begin_ms, prefix),
            clip_of=source.id,
            clip_start=body.start,
            clip_end=body.end,
            stop_reason=reason,
        )
        await recordings.insert(conn, clip)
        clip = await recordings.change(conn, clip, RecordingStatus.UPLOADING, call.now_ms, started_ms=begin_ms)
    try:
        await call.service.files.clip(clip, source)
    except LimitReached as error:
        async with call.service.database.write() as conn:
            await recordings.delete(conn, clip.id)
        raise ApiError(429, str(error), {"Retry-After": "30"}) from error
    async with call.service.database.read() as conn:
        return Answer(await _shown_in_full(conn, call, clip))


def _counts(clip: RecordingRow) -> bool:
    return clip.is_there or clip.status == RecordingStatus.UPLOADING


async def list_clips(call: Call[NoQuery, None]) -> ListAnswer[Recording]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        source = await _get(conn, call)
        clips = await recordings.clips_of(conn, source.id)
        owner = (await _owners(conn, [source]))[source.livestream_id]
    return ListAnswer([shown(call, clip, owner) for clip in clips if _counts(clip)])


def shown(call: AnyCall, row: RecordingRow, livestream: LivestreamRow) -> Recording:
    """A recording as a list has it."""
    download_url = expiry = playback_url = sprite_url = None
    if row.is_there and row.clip_of is None:
        playback_url = call.service.urls.session(livestream.playback_id, row.session_id, call.scheme, call.host)
    if row.is_there and row.status == RecordingStatus.UPLOADED:
        base = call.service.urls.base(call.scheme, call.host)
        expires_ms = (call.now_ms + call.service.link_ms) // 1000 * 1000
        download_url, expiry = base + call.service.links.path(row, expires_ms), iso(expires_ms)
        sprite_url = f"{base}{call.service.links.folder(row, expires_ms)}/sprite.vtt"
    return Recording(
        id=row.id,
        audio_download_url=None,
        download_url=download_url,
        download_url_expiry=expiry,
        file_size=row.file_size,
        invoked_time=iso(row.invoked_ms),
        livestream_id=row.livestream_id,
        output_file_name=row.file_name,
        playback_url=playback_url,
        session_id=row.session_id,
        sprite_url=sprite_url,
        started_time=iso_or_none(row.started_ms),
        status=RecordingStatus(row.status).value,
        stopped_time=iso_or_none(row.stopped_ms),
        expired=row.removed_ms is not None,
        err_message=row.err_message,
        clip_of=_given(row.clip_of),
        clip_start=_given(row.clip_start),
        clip_end=_given(row.clip_end),
        recording_duration=msgspec.UNSET if row.seconds is None else round(row.seconds),
    )


def _given(value: T | None) -> T | msgspec.UnsetType:
    return msgspec.UNSET if value is None else value


async def _shown_in_full(conn: AsyncConnection, call: AnyCall, row: RecordingRow) -> Recording:
    entry = shown(call, row, (await _owners(conn, [row]))[row.livestream_id])
    entry.start_reason = StartReason(row.start_reason, _caller(row.start_reason))  # type: ignore[arg-type]
    if row.stop_reason is not None:
        entry.stop_reason = StopReason(row.stop_reason, _caller(row.stop_reason))  # type: ignore[arg-type]
    return entry


def _caller(reason: str) -> Caller | msgspec.UnsetType:
    return Caller() if reason == recording_history.BY_CALL else msgspec.UNSET


async def _get(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> RecordingRow:
    row = await recordings.get(conn, call.app_id, call.path["recording_id"], lock=lock)
    if row is None:
        raise not_found("The recording")
    return row


_RECORDINGS = APP + "/recordings"
_RECORDING = _RECORDINGS + "/{recording_id}"

OPERATIONS = [
    Operation(
        "get_recordings",
        "GET",
        _RECORDINGS,
        "Fetch all recordings of an app",
        list_all,
        Page[Recording],
        query=ListRecordings,
        lists=("status",),
        tag="Recordings",
    ),
    Operation(
        "start_recordings",
        "POST",
        _RECORDINGS,
        "Start recording a meeting's livestream, or a livestream",
        start,
        Answer[Recording],
        permission="admin",
        body=StartRecording,
        body_required=True,
        tag="Recordings",
    ),
    Operation(
        "get_active_recordings",
        "GET",
        _RECORDINGS + "/active-recording/{meeting_id}",
        "Fetch the active recording of a meeting, or of a livestream",
        active,
        Answer[Recording],
        tag="Recordings",
    ),
    Operation(
        "get_one_recording",
        "GET",
        _RECORDING,
        "Fetch a recording",
        show,
        Answer[Recording],
        tag="Recordings",
    ),
    Operation(
        "pause_resume_stop_recording",
        "PUT",
        _RECORDING,
        "Pause, resume or stop a recording",
        steer,
        Answer[Recording],
        permission="admin",
        body=SteerRecording,
        body_required=True,
        tag="Recordings",
    ),
    Operation(
        "create_clip",
        "POST",
        _RECORDING + "/clips",
        "Cut a clip out of a recording; it is a recording of its own",
        create_clip,
        Answer[Recording],
        permission="admin",
        body=CreateClip,
        body_required=True,
        status=201,
        tag="Recordings",
    ),
    Operation(
        "list_clips",
        "GET",
        _RECORDING + "/clips",
        "Fetch the clips of a recording",
        list_clips,
        ListAnswer[Recording],
        tag="Recordings",
    ),
    Operation(
        "delete_recording",
        "DELETE",
        _RECORDING,
        "Delete a recording's file; what it was stays in the list and in the analytics",
        delete,
        Answer[Message],
        permission="admin",
        tag="Recordings",
    ),
]
