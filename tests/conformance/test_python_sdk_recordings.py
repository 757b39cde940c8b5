"""The official Python SDK's recordings resource, refusing any JSON type that is not as documented."""

from __future__ import annotations

from typing import Any

import cloudflare
import pytest
from cloudflare import Cloudflare

from headwater.events import RecordingChanged, RecordingReady
from tests.conformance.service import Service


class Recordings:
    def __init__(self, service: Service) -> None:
        access = service.credentials
        self.service = service
        self.client = Cloudflare(
            base_url=access.base_url, api_token=access.api_token, max_retries=0, _strict_response_validation=True
        )
        self.of = {"account_id": access.account_id, "app_id": access.app_id}

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self.client.realtime_kit.recordings, operation)
        return lambda *positional, **arguments: method(*positional, **self.of, **arguments)

    def broadcast(self) -> tuple[str, str, str]:
        """(meeting, livestream, session) of a meeting's livestream that is live and recorded."""
        meeting = self.client.realtime_kit.meetings.create(
            self.of["app_id"], account_id=self.of["account_id"], title="Weekly"
        )
        assert meeting.data is not None
        started = self.client.realtime_kit.livestreams.start_livestreaming_a_meeting(meeting.data.id, **self.of)
        assert started.data is not None and started.data.stream_key is not None and started.data.id is not None
        session = self.service.publish(started.data.stream_key)
        return meeting.data.id, started.data.id, session

    def recorded(self) -> tuple[str, str, str]:
        meeting, livestream, session = self.broadcast()
        now = 1_780_000_000_000
        tell = self.service.plane.listen
        self.service.call(
            tell, RecordingChanged(livestream, session, now, session, "RECORDING", None, "RECORD_ON_START")
        )
        path = f"recordings/{session}.mp4"
        ready = RecordingReady(livestream, session, now + 9000, session, path, 99, 9.0, now + 9000, "ALL_PEERS_LEFT")
        self.service.call(tell, ready)
        return meeting, livestream, session


@pytest.fixture
def recordings(service: Service) -> Recordings:
    return Recordings(service)


def test_get_recordings(recordings: Recordings) -> None:
    meeting, _, session = recordings.recorded()
    method = recordings.client.realtime_kit.recordings.get_recordings
    page = method(
        recordings.of["app_id"],
        account_id=recordings.of["account_id"],
        meeting_id=meeting,
        expired=False,
        page_no=1,
        per_page=5,
        search="Week",
        sort_by="invokedTime",
        sort_order="DESC",
        status=["UPLOADED", "RECORDING"],
    )
    assert page.success is True
    (found,) = page.data
    assert (found.id, found.status, found.session_id) == (session, "UPLOADED", session)
    assert found.meeting is not None and found.meeting.id == meeting
    assert page.paging.total_count == 1


def test_get_one_recording(recordings: Recordings) -> None:
    _, _, session = recordings.recorded()
    found = recordings.get_one_recording(session).data
    assert found.recording_duration == 9
    assert found.download_url is not None and found.download_url_expiry is not None
    assert found.start_reason.reason == "RECORD_ON_START"
    assert found.stop_reason.reason == "ALL_PEERS_LEFT"


def test_start_pause_resume_stop(recordings: Recordings) -> None:
    meeting, _, _ = recordings.broadcast()
    with pytest.raises(cloudflare.NotFoundError):
        recordings.get_active_recordings(meeting)
    started = recordings.start_recordings(meeting_id=meeting).data
    assert recordings.get_active_recordings(meeting).data.id == started.id
    for action, status in (("pause", "PAUSED"), ("resume", "RECORDING"), ("stop", "UPLOADING")):
        changed = recordings.pause_resume_stop_recording(started.id, action=action).data
        assert changed.status == status
    with pytest.raises(cloudflare.ConflictError):
        recordings.pause_resume_stop_recording(started.id, action="resume")
