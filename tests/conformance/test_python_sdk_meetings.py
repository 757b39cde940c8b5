"""The official Python SDK's meetings, participants and presets, refusing any JSON type that is not as documented."""

from __future__ import annotations

from typing import Any

import cloudflare
import pytest
from cloudflare import Cloudflare

from tests.conformance.service import Service

OLD = cloudflare.__version__ == "5.2.0"


@pytest.fixture
def kit(service: Service) -> Any:
    return client_of(service).realtime_kit


def client_of(service: Service, *, strict: bool = True) -> Cloudflare:
    access = service.credentials
    return Cloudflare(
        base_url=access.base_url, api_token=access.api_token, max_retries=0, _strict_response_validation=strict
    )


@pytest.fixture
def app(service: Service) -> str:
    return service.credentials.app_id


@pytest.fixture
def ids(service: Service) -> dict[str, Any]:
    return {"account_id": service.credentials.account_id}


@pytest.fixture
def of(app: str, ids: dict[str, Any]) -> dict[str, Any]:
    return {**ids, "app_id": app}


class TestMeetings:
    def test_create_get_list_update_replace(self, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]) -> None:
        made = kit.meetings.create(
            app,
            **ids,
            title="Weekly",
            live_stream_on_start=True,
            record_on_start=True,
            session_keep_alive_time_in_secs=90,
        ).data
        assert (made.title, made.live_stream_on_start, made.record_on_start) == ("Weekly", True, True)
        assert kit.meetings.get_meeting_by_id(made.id, **of).data.session_keep_alive_time_in_secs == 90
        assert made.id in {one.id for one in kit.meetings.get(app, **ids, search="Week", per_page=1000).data}
        changed = kit.meetings.update_meeting_by_id(made.id, **of, title="Daily", status="INACTIVE").data
        assert (changed.title, changed.status, changed.live_stream_on_start) == ("Daily", "INACTIVE", True)
        replaced = kit.meetings.replace_meeting_by_id(made.id, **of, title="New").data
        assert (replaced.title, replaced.status, replaced.live_stream_on_start) == ("New", "ACTIVE", False)


class TestParticipants:
    def test_add_get_list_edit_refresh_delete(
        self, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]
    ) -> None:
        meeting = kit.meetings.create(app, **ids, title="Weekly").data.id
        added = kit.meetings.add_participant(
            meeting,
            **of,
            custom_participant_id="user-1",
            preset_name="group_call_host",
            name="Ada",
            picture="https://a.example/a.png",
        ).data
        assert (added.custom_participant_id, added.preset_name, added.name) == ("user-1", "group_call_host", "Ada")
        assert len(added.token.split(".")) == 3
        path = {**of, "meeting_id": meeting}
        assert kit.meetings.get_meeting_participant(added.id, **path).data.picture == "https://a.example/a.png"
        page = kit.meetings.get_meeting_participants(meeting, **of, page_no=1, per_page=10)
        assert [one.id for one in page.data] == [added.id]
        assert page.paging.total_count == 1
        edited = kit.meetings.edit_participant(added.id, **path, name="Grace", preset_name="viewer").data
        assert (edited.name, edited.preset_name) == ("Grace", "viewer")
        refreshed = kit.meetings.refresh_participant_token(added.id, **path).data.token
        assert refreshed != added.token
        assert kit.meetings.delete_meeting_participant(added.id, **path).data.custom_participant_id == "user-1"
        with pytest.raises(cloudflare.NotFoundError):
            kit.meetings.get_meeting_participant(added.id, **path)

    def test_an_unknown_preset(self, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]) -> None:
        meeting = kit.meetings.create(app, **ids, title="Weekly").data.id
        with pytest.raises(cloudflare.BadRequestError, match="preset_name"):
            kit.meetings.add_participant(meeting, **of, custom_participant_id="u", preset_name="nobody")


class TestPresets:
    def test_list(self, kit: Any, app: str, ids: dict[str, Any]) -> None:
        page = kit.presets.get(app, **ids, page_no=1, per_page=10)
        assert {"host", "participant", "viewer"} <= {one.name for one in page.data}

    def test_get_create_update_delete(self, service: Service, app: str, ids: dict[str, Any]) -> None:
        """The pinned version wants plugins to be configured, the newest one wants none: it is the one that is right."""
        presets: Any = client_of(service, strict=not OLD).realtime_kit.presets
        of = {**ids, "app_id": app}
        host = next(one for one in presets.get(app, **ids).data if one.name == "host")
        found = presets.get_preset_by_id(host.id, **of).data
        assert (found.name, found.permissions.can_livestream) == ("host", True)
        assert found.permissions.media.video.can_produce == "ALLOWED"
        given = {
            name: getattr(found, name).model_dump(by_alias=True, exclude_none=True, warnings=False)
            for name in ("config", "permissions", "ui")
        }
        made = presets.create(app, **ids, name="of my own", **given).data
        assert made.permissions.kick_participant is True
        changed = presets.update(made.id, **of, permissions={"kick_participant": False}).data
        assert (changed.permissions.kick_participant, changed.permissions.can_record) == (False, True)
        assert presets.delete(made.id, **of).data.name == "of my own"
        with pytest.raises(cloudflare.NotFoundError):
            presets.get_preset_by_id(made.id, **of)


class TestSessions:
    def test_list_details_participants(
        self, service: Service, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]
    ) -> None:
        meeting, participant = met(service, kit, app, ids, of)
        page = kit.sessions.get_sessions(
            app,
            **ids,
            associated_id=meeting,
            page_no=1,
            per_page=10,
            participants="1:10",
            search="Week",
            sort_by="minutesConsumed",
            sort_order="DESC",
            status="LIVE",
        )
        (found,) = page.data.sessions
        assert (found.associated_id, found.live_participants, found.status) == (meeting, 1, "LIVE")
        assert page.to_dict()["paging"]["total_count"] == 1
        details = kit.sessions.get_session_details(found.id, **of, include_breakout_rooms=False).data
        assert (details.session if OLD else details).id == found.id
        listed = kit.sessions.get_session_participants(
            found.id,
            **of,
            include_peer_events=True,
            page_no=1,
            per_page=10,
            search="Ada",
            sort_by="joinedAt",
            sort_order="ASC",
            view="raw",
        ).data.participants
        assert [(one.user_id, one.display_name, one.preset_name) for one in listed] == [(participant, "Ada", "host")]
        path = {**of, "session_id": found.id}
        one = kit.sessions.get_session_participant_details(listed[0].id, **path, include_peer_events=True)
        assert one.data.participant.custom_participant_id == "user-1"

    def test_an_unknown_one(self, kit: Any, of: dict[str, Any]) -> None:
        with pytest.raises(cloudflare.NotFoundError):
            kit.sessions.get_session_details("00000000-0000-4000-8000-000000000000", **of)


class TestActiveSession:
    def test_get_kick_kick_all(
        self, service: Service, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]
    ) -> None:
        meeting, participant = met(service, kit, app, ids, of)
        active = kit.active_session.get_active_session(meeting, **of).data
        assert (active.status, active.live_participants, active.type) == ("LIVE", 1, "meeting")
        kicked = kit.active_session.kick_participants(
            meeting, **of, custom_participant_ids=["user-1"], participant_ids=[participant]
        ).data
        assert [one.id for one in kicked.participants] == [participant]
        assert kit.active_session.get_active_session(meeting, **of).data.live_participants == 0
        assert kit.active_session.kick_all_participants(meeting, **of).data.kicked_participants_count == 0
        with pytest.raises(cloudflare.NotFoundError) as refusal:
            kit.active_session.get_active_session(meeting, **of)
        body: Any = refusal.value.body
        assert (
            body["error"]["message"]
            == body["errors"][0]["message"]
            == f"No active session found for meeting_id {meeting}"
        )
        with pytest.raises(cloudflare.NotFoundError):
            kit.active_session.kick_participants(
                meeting, **of, participant_ids=[participant], custom_participant_ids=[]
            )


def met(service: Service, kit: Any, app: str, ids: dict[str, Any], of: dict[str, Any]) -> tuple[str, str]:
    """(meeting, participant) of a meeting that somebody is in."""
    meeting = kit.meetings.create(app, **ids, title="Weekly").data.id
    added = kit.meetings.add_participant(
        meeting, **of, custom_participant_id="user-1", preset_name="host", name="Ada"
    ).data
    service.join(added.token, meeting)
    return meeting, added.id
