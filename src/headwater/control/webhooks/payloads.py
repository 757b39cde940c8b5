"""What webhooks are told, in the product's words. Pure.

A payload is stored when something happens and sent later, perhaps by a server that is reached under another name, so
URLs are stored as paths and completed when it is sent. What the product does not have stands beside what it has:
`sessionId`, `name`, `errMessage`, `occurredAt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.control.api.times import iso, iso_or_none
from headwater.control.repository.accounts import AppRow
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.meeting_sessions import MeetingSessionRow, PeerRow
from headwater.control.repository.meetings import MeetingRow
from headwater.control.urls import Urls
from headwater.control.webhooks import names

if TYPE_CHECKING:  # these import the repository of recordings, which imports this module
    from headwater.control.downloads import Links
    from headwater.control.repository.recordings import RecordingRow

Payload = dict[str, Any]

_KEYS: Final = ("streamKey",)
"""Members that let their holder act: blank for who may only read."""


def livestream_status(
    livestream: LivestreamRow,
    app: AppRow,
    meeting: MeetingRow | None,
    *,
    status: str,
    at_ms: int,
    session_id: str | None,
    error: str | None,
) -> Payload:
    """`livestreaming.statusUpdate`: a livestream's status is now another one."""
    return {
        "event": names.LIVESTREAM_STATUS,
        "streamId": livestream.id,
        "status": status,
        "manualIngest": meeting is None,
        "playbackUrl": f"/{livestream.playback_id}/manifest/video.m3u8",
        "ingestServer": "",
        "streamKey": livestream.stream_key,
        "meeting": None if meeting is None else meeting_summary(meeting, app, live=status == "LIVE"),
        "name": livestream.name,
        "sessionId": session_id,
        "errMessage": error,
        "occurredAt": iso(at_ms),
    }


def meeting_started(meeting: MeetingRow, app: AppRow, *, session_id: str, started_ms: int) -> Payload:
    """`meeting.started`: somebody is in the meeting."""
    return {
        "event": names.MEETING_STARTED,
        "meeting": _meeting_session(meeting, app, session_id, started_ms, live=True),
    }


def meeting_ended(
    meeting: MeetingRow, app: AppRow, *, session_id: str, started_ms: int, ended_ms: int, reason: str
) -> Payload:
    """`meeting.ended`.

    Args:
        reason: `HOST_ENDED_MEETING` or `ALL_PARTICIPANTS_LEFT`.
    """
    session = _meeting_session(meeting, app, session_id, started_ms, live=False)
    return {"event": names.MEETING_ENDED, "meeting": {**session, "endedAt": iso(ended_ms)}, "reason": reason}


def participant_joined(meeting: MeetingRow, app: AppRow, session: MeetingSessionRow, peer: PeerRow) -> Payload:
    """`meeting.participantJoined`."""
    return {
        "event": names.PARTICIPANT_JOINED,
        "meeting": _meeting_session(meeting, app, session.id, session.started_ms, live=True),
        "participant": _participant(peer),
    }


def participant_left(
    meeting: MeetingRow, app: AppRow, session: MeetingSessionRow, peer: PeerRow, *, left_ms: int, reason: str
) -> Payload:
    """`meeting.participantLeft`; `reason` is ours: `LEFT`, `KICKED`, `LOST` and the like."""
    return {
        "event": names.PARTICIPANT_LEFT,
        "meeting": _meeting_session(meeting, app, session.id, session.started_ms, live=True),
        "participant": {**_participant(peer), "leftAt": iso(left_ms)},
        "reason": reason,
    }


def _participant(peer: PeerRow) -> Payload:
    return {
        "peerId": peer.id,
        "participantId": peer.participant_id,
        "customParticipantId": peer.custom_participant_id,
        "userDisplayName": peer.name,
        "presetName": peer.preset_name,
        "joinedAt": iso(peer.joined_ms),
    }


def _meeting_session(meeting: MeetingRow, app: AppRow, session_id: str, started_ms: int, *, live: bool) -> Payload:
    summary = meeting_summary(meeting, app, live=live)
    return {**summary, "sessionId": session_id, "startedAt": iso(started_ms)}


def meeting_summary(meeting: MeetingRow, app: AppRow, *, live: bool) -> Payload:
    """A meeting as payloads name it; the organizer is the app."""
    return {
        "id": meeting.id,
        "title": meeting.title,
        "createdAt": iso(meeting.created_ms),
        "status": "LIVE" if live else "ENDED",
        "organizedBy": {"id": app.id, "name": app.name},
    }


def recording_status(
    recording: RecordingRow, livestream: LivestreamRow, app: AppRow, meeting: MeetingRow | None, at_ms: int
) -> Payload:
    """`recording.statusUpdate`: a recording's status is now another one."""
    return {
        "event": names.RECORDING_STATUS,
        "recording": {
            "id": recording.id,
            "recordingId": recording.id,
            "status": recording.status,
            "downloadUrl": None,
            "downloadUrlExpiry": None,
            "fileSize": recording.file_size,
            "outputFileName": recording.file_name,
            "recordingDuration": None if recording.seconds is None else round(recording.seconds),
            "invokedTime": iso(recording.invoked_ms),
            "startedTime": iso_or_none(recording.started_ms),
            "stoppedTime": iso_or_none(recording.stopped_ms),
            "sessionId": recording.session_id,
            "errMessage": recording.err_message,
        },
        "meeting": None if meeting is None else meeting_summary(meeting, app, live=livestream.status == "LIVE"),
        "streamId": livestream.id,
        "occurredAt": iso(at_ms),
    }


def stored(payload: Payload) -> str:
    return msgspec.json.encode(payload).decode()


def completed(body: str, urls: Urls) -> Payload:
    """A stored payload with its URLs, as it is sent."""
    payload: Payload = msgspec.json.decode(body)
    if "ingestServer" in payload:
        payload["ingestServer"] = urls.ingest()
    if str(payload.get("playbackUrl") or "").startswith("/"):
        payload["playbackUrl"] = urls.base() + payload["playbackUrl"]
    return payload


def with_download(payload: Payload, urls: Urls, links: Links, expires_ms: int) -> Payload:
    """A payload with a link to the recording, where it tells that one is there."""
    recording = payload.get("recording") or {}
    if recording.get("status") != "UPLOADED":
        return payload
    path = links.path_to(recording["id"], recording["outputFileName"], expires_ms)
    link = {"downloadUrl": urls.base() + path, "downloadUrlExpiry": iso(expires_ms)}
    return {**payload, "recording": {**recording, **link}}


def without_keys(payload: Payload) -> Payload:
    """A payload for those who may not publish."""
    return {**payload, **{name: "" for name in _KEYS if name in payload}}
