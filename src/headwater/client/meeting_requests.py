"""Calls about who meets: participants, presets, sessions. Part of `requests.Requests`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from headwater.client import models
from headwater.client.request import Request, given_values, query_values


class MeetingRequests:
    """Builds the calls for one app."""

    _app: str

    def _meeting(self, meeting_id: str) -> str:
        return f"{self._app}/meetings/{quote(meeting_id, safe='')}"

    def _participant(self, meeting_id: str, participant_id: str) -> str:
        return f"{self._meeting(meeting_id)}/participants/{quote(participant_id, safe='')}"

    def _preset(self, preset_id: str) -> str:
        return f"{self._app}/presets/{quote(preset_id, safe='')}"

    def add_participant(self, meeting_id: str, body: Mapping[str, Any]) -> Request[models.ParticipantWithToken]:
        path = f"{self._meeting(meeting_id)}/participants"
        return Request("POST", path, models.ParticipantWithToken, body=body)

    def list_participants(
        self, meeting_id: str, *, page_no: int | None, per_page: int | None
    ) -> Request[models.Page[models.Participant]]:
        path, query = f"{self._meeting(meeting_id)}/participants", query_values(page_no=page_no, per_page=per_page)
        return Request("GET", path, models.Page[models.Participant], query, in_data=False)

    def get_participant(self, meeting_id: str, participant_id: str) -> Request[models.Participant]:
        return Request("GET", self._participant(meeting_id, participant_id), models.Participant)

    def edit_participant(
        self, meeting_id: str, participant_id: str, **values: Any
    ) -> Request[models.ParticipantWithToken]:
        path = self._participant(meeting_id, participant_id)
        return Request("PATCH", path, models.ParticipantWithToken, body=given_values(**values))

    def delete_participant(self, meeting_id: str, participant_id: str) -> Request[models.DeletedParticipant]:
        return Request("DELETE", self._participant(meeting_id, participant_id), models.DeletedParticipant)

    def refresh_participant_token(self, meeting_id: str, participant_id: str) -> Request[models.ParticipantToken]:
        return Request("POST", f"{self._participant(meeting_id, participant_id)}/token", models.ParticipantToken)

    def list_presets(self, *, page_no: int | None, per_page: int | None) -> Request[models.Page[models.PresetListItem]]:
        query = query_values(page_no=page_no, per_page=per_page)
        return Request("GET", f"{self._app}/presets", models.Page[models.PresetListItem], query, in_data=False)

    def get_preset(self, preset_id: str) -> Request[models.Preset]:
        return Request("GET", self._preset(preset_id), models.Preset)

    def create_preset(self, body: Mapping[str, Any]) -> Request[models.Preset]:
        return Request("POST", f"{self._app}/presets", models.Preset, body=body)

    def update_preset(self, preset_id: str, body: Mapping[str, Any]) -> Request[models.Preset]:
        return Request("PATCH", self._preset(preset_id), models.Preset, body=body)

    def delete_preset(self, preset_id: str) -> Request[models.Preset]:
        return Request("DELETE", self._preset(preset_id), models.Preset)

    def get_sessions(
        self,
        *,
        page_no: int | None,
        per_page: int | None,
        meeting_id: str | None,
        status: models.MeetingSessionStatus | None,
        search: str | None,
        sort_by: str | None,
        sort_order: str | None,
    ) -> Request[models.MeetingSessionPage]:
        query = query_values(
            page_no=page_no,
            per_page=per_page,
            associated_id=meeting_id,
            status=status,
            search=search,
            sort_by=sort_by,
            sort_order=sort_order,
        )
        return Request("GET", f"{self._app}/sessions", models.MeetingSessionPage, query, in_data=False)

    def _session(self, session_id: str) -> str:
        return f"{self._app}/sessions/{quote(session_id, safe='')}"

    def get_session_details(self, session_id: str) -> Request[models.MeetingSession]:
        return Request("GET", self._session(session_id), models.MeetingSession)

    def get_session_participants(
        self, session_id: str, *, page_no: int | None, per_page: int | None, search: str | None
    ) -> Request[models.SessionParticipantPage]:
        path = f"{self._session(session_id)}/participants"
        query = query_values(page_no=page_no, per_page=per_page, search=search)
        return Request("GET", path, models.SessionParticipantPage, query, in_data=False)

    def get_session_participant_details(
        self, session_id: str, participant_id: str
    ) -> Request[models.OneSessionParticipant]:
        path = f"{self._session(session_id)}/participants/{quote(participant_id, safe='')}"
        return Request("GET", path, models.OneSessionParticipant)

    def get_session_livestream_sessions(
        self, session_id: str, *, page_no: int | None, per_page: int | None
    ) -> Request[models.Page[models.Session]]:
        path = f"{self._session(session_id)}/livestream-sessions"
        query = query_values(page_no=page_no, per_page=per_page)
        return Request("GET", path, models.Page[models.Session], query)

    def get_active_session(self, meeting_id: str) -> Request[models.MeetingSession]:
        return Request("GET", f"{self._meeting(meeting_id)}/active-session", models.MeetingSession)

    def act_on_participants(
        self, meeting_id: str, action: str, participant_ids: Sequence[str], custom_participant_ids: Sequence[str]
    ) -> Request[models.ActedOn]:
        path = f"{self._meeting(meeting_id)}/active-session/{action}"
        body = {"participant_ids": list(participant_ids), "custom_participant_ids": list(custom_participant_ids)}
        return Request("POST", path, models.ActedOn, body=body)

    def kick_all_participants(self, meeting_id: str) -> Request[models.KickedAll]:
        return Request("POST", f"{self._meeting(meeting_id)}/active-session/kick-all", models.KickedAll)

    def mute_all_participants(self, meeting_id: str, *, allow_unmute: bool) -> Request[models.MutedAll]:
        path, body = f"{self._meeting(meeting_id)}/active-session/mute-all", {"allow_unmute": allow_unmute}
        return Request("POST", path, models.MutedAll, body=body)
