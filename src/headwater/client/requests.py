"""Every call of the API as a value: what is sent, and what comes back. No I/O here; `sync` and `aio` send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from msgspec import UNSET, UnsetType

from headwater.client import models
from headwater.client.credentials import Access
from headwater.client.meeting_requests import MeetingRequests
from headwater.client.request import Request, given_values, query_values

T = TypeVar("T")

SortOrder = Literal["ASC", "DSC"]

PER_PAGE = 100
"""Livestreams that iterating fetches at once."""

Time = datetime | str | int


class Requests(MeetingRequests):
    """Builds the calls for one account and app."""

    def __init__(self, access: Access) -> None:
        self._account = f"/accounts/{quote(access.account_id, safe='')}/realtime/kit"
        self._app = f"{self._account}/{quote(access.app_id, safe='')}"

    def _livestream(self, livestream_id: str) -> str:
        return f"{self._app}/livestreams/{quote(livestream_id, safe='')}"

    def _recording(self, recording_id: str) -> str:
        return f"{self._app}/recordings/{quote(recording_id, safe='')}"

    def _webhook(self, webhook_id: str) -> str:
        return f"{self._app}/webhooks/{quote(webhook_id, safe='')}"

    def _delivery(self, webhook_id: str, delivery_id: str) -> str:
        return f"{self._webhook(webhook_id)}/deliveries/{quote(delivery_id, safe='')}"

    # The ten operations of the contract, and day-wise analytics

    def create_independent_livestream(
        self, name: str | None, *, record: bool | None = None
    ) -> Request[models.CreatedLivestream]:
        body = {"name": name} if record is None else {"name": name, "record": record}
        return Request("POST", f"{self._app}/livestreams", models.CreatedLivestream, body=body)

    def get_all_livestreams(
        self,
        *,
        page_no: int | None,
        per_page: int | None,
        exclude_meetings: bool | None,
        sort_order: SortOrder | None,
        status: models.Status | None,
        start_time: Time | None,
        end_time: Time | None,
    ) -> Request[models.LivestreamPage]:
        query = query_values(
            page_no=page_no,
            per_page=per_page,
            exclude_meetings=exclude_meetings,
            sort_order=sort_order,
            status=status,
            start_time=start_time,
            end_time=end_time,
        )
        return Request("GET", f"{self._app}/livestreams", models.LivestreamPage, query)

    def get_livestream_session_for_livestream_id(
        self, livestream_id: str, *, page_no: int | None, per_page: int | None
    ) -> Request[models.LivestreamWithSessions]:
        query = query_values(page_no=page_no, per_page=per_page)
        return Request("GET", self._livestream(livestream_id), models.LivestreamWithSessions, query)

    def get_active_livestreams_for_livestream_id(
        self, livestream_id: str
    ) -> Request[models.LivestreamWithActiveSession]:
        path = f"{self._livestream(livestream_id)}/active-livestream-session"
        return Request("GET", path, models.LivestreamWithActiveSession)

    def get_livestream_session_details_for_session_id(self, session_id: str) -> Request[models.Session]:
        return Request("GET", f"{self._app}/livestreams/sessions/{quote(session_id, safe='')}", models.Session)

    def start_livestreaming_a_meeting(
        self, meeting_id: str, *, name: str | None, width: int | None, height: int | None
    ) -> Request[models.StartedLivestream]:
        body: dict[str, Any] = {"name": name}
        if width is not None or height is not None:
            body["video_config"] = {"width": width, "height": height}
        return Request("POST", f"{self._meeting(meeting_id)}/livestreams", models.StartedLivestream, body=body)

    def stop_livestreaming_a_meeting(self, meeting_id: str) -> Request[models.Message]:
        return Request("POST", f"{self._meeting(meeting_id)}/active-livestream/stop", models.Message)

    def get_meeting_active_livestreams(self, meeting_id: str) -> Request[models.Livestream]:
        return Request("GET", f"{self._meeting(meeting_id)}/active-livestream", models.Livestream)

    def get_livestream_analytics_complete(
        self, *, start_time: Time | None, end_time: Time | None
    ) -> Request[models.LivestreamTotals]:
        query = query_values(start_time=start_time, end_time=end_time)
        return Request("GET", f"{self._app}/analytics/livestreams/overall", models.LivestreamTotals, query)

    def get_livestream_analytics_daywise(
        self, *, start_time: Time | None, end_time: Time | None
    ) -> Request[list[models.LivestreamDay]]:
        query = query_values(start_time=start_time, end_time=end_time)
        return Request("GET", f"{self._app}/analytics/livestreams/daywise", list[models.LivestreamDay], query)

    def get_org_analytics(
        self, *, start_date: date | str | None, end_date: date | str | None
    ) -> Request[models.OrgAnalytics]:
        query = query_values(start_date=start_date, end_date=end_date)
        return Request("GET", f"{self._app}/analytics/daywise", models.OrgAnalytics, query)

    # What Headwater adds

    def get_livestream_session_experience(self, session_id: str) -> Request[models.ViewerExperience]:
        path = f"{self._app}/livestreams/sessions/{quote(session_id, safe='')}/experience"
        return Request("GET", path, models.ViewerExperience)

    def get_livestream_viewings(self, livestream_id: str) -> Request[list[models.Viewing]]:
        return Request("GET", f"{self._livestream(livestream_id)}/experience/viewings", list[models.Viewing])

    def get_livestream_experience(
        self, livestream_id: str, *, start_time: Time | None, end_time: Time | None
    ) -> Request[models.ViewerExperience]:
        query = query_values(start_time=start_time, end_time=end_time)
        return Request("GET", f"{self._livestream(livestream_id)}/experience", models.ViewerExperience, query)

    def update_livestream(
        self,
        livestream_id: str,
        *,
        name: str | UnsetType | None,
        disabled: bool | UnsetType,
        record: bool | UnsetType | None = UNSET,
    ) -> Request[models.Livestream]:
        body = given_values(name=name, disabled=disabled, record=record)
        return Request("PATCH", self._livestream(livestream_id), models.Livestream, body=body)

    def reset_key(self, livestream_id: str) -> Request[models.NewKey]:
        return Request("POST", f"{self._livestream(livestream_id)}/reset-key", models.NewKey)

    def stop_livestream(self, livestream_id: str) -> Request[models.Message]:
        return Request("POST", f"{self._livestream(livestream_id)}/stop", models.Message)

    def delete_livestream(self, livestream_id: str) -> Request[models.Message]:
        return Request("DELETE", self._livestream(livestream_id), models.Message)

    def get_session_health(
        self, session_id: str, *, start_time: Time | None, end_time: Time | None
    ) -> Request[models.SessionHealth]:
        path = f"{self._app}/livestreams/sessions/{quote(session_id, safe='')}/health"
        return Request("GET", path, models.SessionHealth, query_values(start_time=start_time, end_time=end_time))

    def get_livestream_events(
        self, livestream_id: str, *, page_no: int | None, per_page: int | None
    ) -> Request[models.Page[models.LogEntry]]:
        query = query_values(page_no=page_no, per_page=per_page)
        path = f"{self._livestream(livestream_id)}/events"
        return Request("GET", path, models.Page[models.LogEntry], query, in_data=False)

    def list_apps(
        self, *, page_no: int | None, per_page: int | None, search: str | None
    ) -> Request[models.Page[models.App]]:
        query = query_values(page_no=page_no, per_page=per_page, search=search)
        return Request("GET", f"{self._account}/apps", models.Page[models.App], query, in_data=False)

    def create_app(self, name: str) -> Request[models.CreatedApp]:
        return Request("POST", f"{self._account}/apps", models.CreatedApp, body={"name": name})

    def update_app(self, app_id: str, *, name: str | UnsetType, record: bool | UnsetType | None) -> Request[models.App]:
        path = f"{self._account}/apps/{quote(app_id, safe='')}"
        return Request("PATCH", path, models.App, body=given_values(name=name, record=record))

    def get_recordings(
        self,
        *,
        page_no: int | None,
        per_page: int | None,
        meeting_id: str | None,
        livestream_id: str | None,
        search: str | None,
        status: Sequence[models.RecordingStatus] | None,
        expired: bool | None,
        sort_order: SortOrder | None,
        start_time: Time | None,
        end_time: Time | None,
    ) -> Request[models.Page[models.Recording]]:
        query = query_values(
            page_no=page_no,
            per_page=per_page,
            meeting_id=meeting_id,
            livestream_id=livestream_id,
            search=search,
            status=",".join(status) if status else None,
            expired=expired,
            sort_order=sort_order,
            start_time=start_time,
            end_time=end_time,
        )
        return Request("GET", f"{self._app}/recordings", models.Page[models.Recording], query, in_data=False)

    def start_recordings(self, body: Mapping[str, Any]) -> Request[models.Recording]:
        return Request("POST", f"{self._app}/recordings", models.Recording, body=body)

    def get_one_recording(self, recording_id: str) -> Request[models.Recording]:
        return Request("GET", self._recording(recording_id), models.Recording)

    def get_active_recordings(self, of: str) -> Request[models.Recording]:
        return Request("GET", f"{self._app}/recordings/active-recording/{quote(of, safe='')}", models.Recording)

    def pause_resume_stop_recording(self, recording_id: str, action: str) -> Request[models.Recording]:
        return Request("PUT", self._recording(recording_id), models.Recording, body={"action": action})

    def create_clip(
        self, recording_id: str, *, start: float, end: float, file_name_prefix: str | None
    ) -> Request[models.Recording]:
        body = {"start": start, "end": end, "file_name_prefix": file_name_prefix}
        return Request("POST", f"{self._recording(recording_id)}/clips", models.Recording, body=body)

    def list_clips(self, recording_id: str) -> Request[list[models.Recording]]:
        return Request("GET", f"{self._recording(recording_id)}/clips", list[models.Recording])

    def delete_recording(self, recording_id: str) -> Request[models.Message]:
        return Request("DELETE", self._recording(recording_id), models.Message)

    def create_meeting(self, body: Mapping[str, Any]) -> Request[models.Meeting]:
        return Request("POST", f"{self._app}/meetings", models.Meeting, body=body)

    def update_meeting(self, meeting_id: str, body: Mapping[str, Any]) -> Request[models.Meeting]:
        return Request("PATCH", self._meeting(meeting_id), models.Meeting, body=body)

    def get_meeting(self, meeting_id: str) -> Request[models.Meeting]:
        return Request("GET", self._meeting(meeting_id), models.Meeting)

    def list_meetings(
        self, *, page_no: int | None, per_page: int | None, search: str | None
    ) -> Request[models.Page[models.Meeting]]:
        query = query_values(page_no=page_no, per_page=per_page, search=search)
        return Request("GET", f"{self._app}/meetings", models.Page[models.Meeting], query, in_data=False)

    def create_webhook(self, name: str, url: str, events: Sequence[str], *, enabled: bool) -> Request[models.Webhook]:
        body = {"name": name, "url": url, "events": list(events), "enabled": enabled}
        return Request("POST", f"{self._app}/webhooks", models.Webhook, body=body)

    def get_webhooks(self) -> Request[list[models.Webhook]]:
        return Request("GET", f"{self._app}/webhooks", list[models.Webhook])

    def get_webhook_events(self) -> Request[list[str]]:
        return Request("GET", f"{self._app}/webhooks/all", list[str])

    def get_webhook_by_id(self, webhook_id: str) -> Request[models.Webhook]:
        return Request("GET", self._webhook(webhook_id), models.Webhook)

    def edit_webhook(
        self,
        webhook_id: str,
        *,
        name: str | UnsetType,
        url: str | UnsetType,
        events: Sequence[str] | UnsetType,
        enabled: bool | UnsetType,
    ) -> Request[models.Webhook]:
        body = given_values(name=name, url=url, events=events, enabled=enabled)
        return Request("PATCH", self._webhook(webhook_id), models.Webhook, body=body)

    def delete_webhook(self, webhook_id: str) -> Request[models.Webhook]:
        return Request("DELETE", self._webhook(webhook_id), models.Webhook)

    def get_webhook_deliveries(
        self, webhook_id: str, *, state: models.DeliveryState | None, page_no: int | None, per_page: int | None
    ) -> Request[models.Page[models.Delivery]]:
        query = query_values(state=state, page_no=page_no, per_page=per_page)
        path = f"{self._webhook(webhook_id)}/deliveries"
        return Request("GET", path, models.Page[models.Delivery], query, in_data=False)

    def get_webhook_delivery(self, webhook_id: str, delivery_id: str) -> Request[models.DeliveryWithAttempts]:
        return Request("GET", self._delivery(webhook_id, delivery_id), models.DeliveryWithAttempts)

    def redeliver(self, webhook_id: str, delivery_id: str) -> Request[models.Message]:
        return Request("POST", f"{self._delivery(webhook_id, delivery_id)}/redeliver", models.Message)

    def list_tokens(self, *, page_no: int | None, per_page: int | None) -> Request[models.Page[models.Token]]:
        query = query_values(page_no=page_no, per_page=per_page)
        return Request("GET", f"{self._account}/tokens", models.Page[models.Token], query, in_data=False)

    def create_token(
        self, name: str, *, permission: models.Permission, app_id: str | None
    ) -> Request[models.CreatedToken]:
        body = {"name": name, "permission": permission, "app_id": app_id}
        return Request("POST", f"{self._account}/tokens", models.CreatedToken, body=body)

    def revoke_token(self, token_id: str) -> Request[models.Message]:
        return Request("DELETE", f"{self._account}/tokens/{quote(token_id, safe='')}", models.Message)
