"""The async client: the sync one, awaited; a test holds their methods together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx
from msgspec import UNSET, UnsetType

from headwater.client import transport
from headwater.client.credentials import find_access
from headwater.client.errors import ApiError, Unreachable
from headwater.client.models import (
    ActedOn,
    App,
    CreatedLivestream,
    CreatedToken,
    DeletedParticipant,
    Delivery,
    DeliveryState,
    DeliveryWithAttempts,
    KickedAll,
    Livestream,
    LivestreamDay,
    LivestreamPage,
    LivestreamTotals,
    LivestreamWithActiveSession,
    LivestreamWithSessions,
    LogEntry,
    Meeting,
    MeetingSession,
    MeetingSessionPage,
    MeetingSessionStatus,
    Message,
    MutedAll,
    NewKey,
    OrgAnalytics,
    Page,
    Participant,
    ParticipantToken,
    ParticipantWithToken,
    Permission,
    Preset,
    PresetListItem,
    Recording,
    RecordingStatus,
    Session,
    SessionHealth,
    SessionParticipant,
    SessionParticipantPage,
    StartedLivestream,
    Status,
    Token,
    ViewerExperience,
    Viewing,
    Webhook,
)
from headwater.client.request import Request
from headwater.client.requests import PER_PAGE, Requests, SortOrder, Time

T = TypeVar("T")


class AsyncHeadwater:
    """A client of one app.

    Whom to call, and as whom: see `headwater.client.credentials`. Every method raises `ApiError` where the server
    refuses, and `Unreachable` where it does not answer; GET and DELETE are tried again twice before.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_token: str | None = None,
        account_id: str | None = None,
        app_id: str | None = None,
        credentials: Path | str | None = None,
        timeout: httpx.Timeout | float = transport.TIMEOUT,
        transport_for_tests: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises NotConfigured where something is missing."""
        self.access = find_access(
            base_url=base_url,
            api_token=api_token,
            account_id=account_id,
            app_id=app_id,
            credentials=credentials,
        )
        self._requests = Requests(self.access)
        self._http = httpx.AsyncClient(
            headers=transport.headers(self.access), timeout=timeout, transport=transport_for_tests
        )

    async def __aenter__(self) -> AsyncHeadwater:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: Request[T]) -> T:
        attempt = 0
        while True:
            try:
                return await self._send_once(request)
            except (ApiError, Unreachable) as error:
                pause_s = transport.pause_before_retry(request, attempt, error)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _send_once(self, request: Request[T]) -> T:
        try:
            response = await self._http.request(**transport.arguments(self.access, request))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise transport.unreachable(self.access, error) from error
        return transport.outcome(request, response)

    # The operations of the contract

    async def create_independent_livestream(
        self, *, name: str | None = None, record: bool | None = None
    ) -> CreatedLivestream:
        """Create a livestream; publish to its `ingest_server` with its `stream_key`, watch at its `playback_url`.

        Args:
            name: Letters, digits, `-` and `_`.
            record: Whether its sessions are recorded; None: as the app says.
        """
        return await self._send(self._requests.create_independent_livestream(name, record=record))

    async def get_all_livestreams(
        self,
        *,
        page_no: int | None = None,
        per_page: int | None = None,
        exclude_meetings: bool | None = None,
        sort_order: SortOrder | None = None,
        status: Status | None = None,
        start_time: Time | None = None,
        end_time: Time | None = None,
    ) -> LivestreamPage:
        """Fetch a page of the app's livestreams, by default the newest first."""
        request = self._requests.get_all_livestreams(
            page_no=page_no,
            per_page=per_page,
            exclude_meetings=exclude_meetings,
            sort_order=sort_order,
            status=status,
            start_time=start_time,
            end_time=end_time,
        )
        return await self._send(request)

    async def iterate_livestreams(
        self, *, status: Status | None = None, exclude_meetings: bool | None = None
    ) -> AsyncIterator[Livestream]:
        """All livestreams, page by page, the oldest first: what is created meanwhile moves nothing."""
        page_no = 1
        while True:
            page = await self.get_all_livestreams(
                page_no=page_no, per_page=PER_PAGE, sort_order="ASC", status=status, exclude_meetings=exclude_meetings
            )
            for livestream in page.livestreams:
                yield livestream
            if page.paging.end_offset >= page.paging.total_count or not page.livestreams:
                return
            page_no += 1

    async def get_livestream_session_for_livestream_id(
        self, livestream_id: str, *, page_no: int | None = None, per_page: int | None = None
    ) -> LivestreamWithSessions:
        """Fetch a livestream with its latest session and a page of its sessions."""
        request = self._requests.get_livestream_session_for_livestream_id(
            livestream_id, page_no=page_no, per_page=per_page
        )
        return await self._send(request)

    async def get_active_livestreams_for_livestream_id(self, livestream_id: str) -> LivestreamWithActiveSession:
        """Fetch a livestream with its open session; NotFound where none is open."""
        return await self._send(self._requests.get_active_livestreams_for_livestream_id(livestream_id))

    async def get_livestream_session_details_for_session_id(self, session_id: str) -> Session:
        """Fetch one session; its seconds are whole ones."""
        return await self._send(self._requests.get_livestream_session_details_for_session_id(session_id))

    async def start_livestreaming_a_meeting(
        self, meeting_id: str, *, name: str | None = None, width: int | None = None, height: int | None = None
    ) -> StartedLivestream:
        """Start the livestream of a meeting; Conflict where one is active."""
        request = self._requests.start_livestreaming_a_meeting(meeting_id, name=name, width=width, height=height)
        return await self._send(request)

    async def stop_livestreaming_a_meeting(self, meeting_id: str) -> Message:
        """Stop the active livestream of a meeting; NotFound where none is."""
        return await self._send(self._requests.stop_livestreaming_a_meeting(meeting_id))

    async def get_meeting_active_livestreams(self, meeting_id: str) -> Livestream:
        """Fetch the active livestream of a meeting; NotFound where none is."""
        return await self._send(self._requests.get_meeting_active_livestreams(meeting_id))

    async def get_livestream_analytics_complete(
        self, *, start_time: Time | None = None, end_time: Time | None = None
    ) -> LivestreamTotals:
        """Fetch totals of the livestreams in a time range, by default the last 30 days."""
        request = self._requests.get_livestream_analytics_complete(start_time=start_time, end_time=end_time)
        return await self._send(request)

    async def get_livestream_analytics_daywise(
        self, *, start_time: Time | None = None, end_time: Time | None = None
    ) -> list[LivestreamDay]:
        """Fetch the same per day, by default of the last 30 days."""
        request = self._requests.get_livestream_analytics_daywise(start_time=start_time, end_time=end_time)
        return await self._send(request)

    async def get_org_analytics(
        self, *, start_date: date | str | None = None, end_date: date | str | None = None
    ) -> OrgAnalytics:
        """Fetch sessions and recordings per day, by default of the last 30 days."""
        return await self._send(self._requests.get_org_analytics(start_date=start_date, end_date=end_date))

    # What Headwater adds

    async def get_livestream_session_experience(self, session_id: str) -> ViewerExperience:
        """Fetch how the viewers of a livestream session fared; of an open one, some seconds ago."""
        return await self._send(self._requests.get_livestream_session_experience(session_id))

    async def get_livestream_viewings(self, livestream_id: str) -> list[Viewing]:
        """Fetch how each of those fares who watch now and report, the worst first, at most 100."""
        return await self._send(self._requests.get_livestream_viewings(livestream_id))

    async def get_livestream_experience(
        self, livestream_id: str, *, start_time: Time | None = None, end_time: Time | None = None
    ) -> ViewerExperience:
        """Fetch how the viewers of a livestream fared in all its sessions, or in those of a time range."""
        request = self._requests.get_livestream_experience(livestream_id, start_time=start_time, end_time=end_time)
        return await self._send(request)

    async def update_livestream(
        self,
        livestream_id: str,
        *,
        name: str | UnsetType | None = UNSET,
        disabled: bool | UnsetType = UNSET,
        record: bool | UnsetType | None = UNSET,
    ) -> Livestream:
        """Rename, disable or enable a livestream, or switch its recording; what is not given stays."""
        return await self._send(
            self._requests.update_livestream(livestream_id, name=name, disabled=disabled, record=record)
        )

    async def disable(self, livestream_id: str) -> Livestream:
        """Let nobody publish to a livestream or watch it; a broadcast ends."""
        return await self.update_livestream(livestream_id, disabled=True)

    async def enable(self, livestream_id: str) -> Livestream:
        """Undo `disable`."""
        return await self.update_livestream(livestream_id, disabled=False)

    async def reset_key(self, livestream_id: str) -> NewKey:
        """Give a livestream a new stream key; whoever publishes by the old one is cut off."""
        return await self._send(self._requests.reset_key(livestream_id))

    async def stop_livestream(self, livestream_id: str) -> Message:
        """Stop a broadcast; NotFound where none is. An encoder may come back: `disable` keeps it out."""
        return await self._send(self._requests.stop_livestream(livestream_id))

    async def delete_livestream(self, livestream_id: str) -> Message:
        """Delete a livestream; what it broadcast stays in the analytics."""
        return await self._send(self._requests.delete_livestream(livestream_id))

    async def get_session_health(
        self, session_id: str, *, start_time: Time | None = None, end_time: Time | None = None
    ) -> SessionHealth:
        """Fetch how a session's media arrived, second by second, with warnings in words."""
        return await self._send(self._requests.get_session_health(session_id, start_time=start_time, end_time=end_time))

    async def get_livestream_events(
        self, livestream_id: str, *, page_no: int | None = None, per_page: int | None = None
    ) -> Page[LogEntry]:
        """Fetch a page of a livestream's event log, the newest first."""
        return await self._send(self._requests.get_livestream_events(livestream_id, page_no=page_no, per_page=per_page))

    async def list_apps(
        self, *, page_no: int | None = None, per_page: int | None = None, search: str | None = None
    ) -> Page[App]:
        """Fetch a page of the account's apps, the newest first."""
        return await self._send(self._requests.list_apps(page_no=page_no, per_page=per_page, search=search))

    async def create_app(self, name: str) -> App:
        """Create an app."""
        created = await self._send(self._requests.create_app(name))
        return created.app

    async def create_meeting(self, *, title: str | None = None, **settings: Any) -> Meeting:
        """Create a meeting; further settings are named as in the API (`live_stream_on_start=True`)."""
        return await self._send(self._requests.create_meeting({"title": title, **settings}))

    async def update_meeting(self, meeting_id: str, **settings: Any) -> Meeting:
        """Change settings of a meeting."""
        return await self._send(self._requests.update_meeting(meeting_id, settings))

    async def get_meeting(self, meeting_id: str) -> Meeting:
        """Fetch a meeting."""
        return await self._send(self._requests.get_meeting(meeting_id))

    async def list_meetings(
        self, *, page_no: int | None = None, per_page: int | None = None, search: str | None = None
    ) -> Page[Meeting]:
        """Fetch a page of the app's meetings, the newest first."""
        return await self._send(self._requests.list_meetings(page_no=page_no, per_page=per_page, search=search))

    async def add_participant(
        self,
        meeting_id: str,
        *,
        custom_participant_id: str,
        preset_name: str,
        name: str | None = None,
        picture: str | None = None,
    ) -> ParticipantWithToken:
        """Let somebody into a meeting; the same custom id is the same participant, with another token."""
        body = {"custom_participant_id": custom_participant_id, "preset_name": preset_name}
        request = self._requests.add_participant(meeting_id, {**body, "name": name, "picture": picture})
        return await self._send(request)

    async def list_participants(
        self, meeting_id: str, *, page_no: int | None = None, per_page: int | None = None
    ) -> Page[Participant]:
        """Fetch a page of those who may come into a meeting, the oldest first."""
        return await self._send(self._requests.list_participants(meeting_id, page_no=page_no, per_page=per_page))

    async def get_participant(self, meeting_id: str, participant_id: str) -> Participant:
        """Fetch a participant of a meeting."""
        return await self._send(self._requests.get_participant(meeting_id, participant_id))

    async def edit_participant(
        self,
        meeting_id: str,
        participant_id: str,
        *,
        preset_name: str | UnsetType = UNSET,
        name: str | UnsetType | None = UNSET,
        picture: str | UnsetType | None = UNSET,
    ) -> ParticipantWithToken:
        """Change a participant; what is not given stays."""
        request = self._requests.edit_participant(
            meeting_id, participant_id, preset_name=preset_name, name=name, picture=picture
        )
        return await self._send(request)

    async def delete_participant(self, meeting_id: str, participant_id: str) -> DeletedParticipant:
        """Remove a participant: tokens end at once, and whoever is inside is sent away."""
        return await self._send(self._requests.delete_participant(meeting_id, participant_id))

    async def refresh_participant_token(self, meeting_id: str, participant_id: str) -> ParticipantToken:
        """Give a participant a new token; those before it end."""
        return await self._send(self._requests.refresh_participant_token(meeting_id, participant_id))

    async def list_presets(self, *, page_no: int | None = None, per_page: int | None = None) -> Page[PresetListItem]:
        """Fetch a page of the app's presets, the oldest first."""
        return await self._send(self._requests.list_presets(page_no=page_no, per_page=per_page))

    async def get_preset(self, preset_id: str) -> Preset:
        """Fetch a preset with all that it says."""
        return await self._send(self._requests.get_preset(preset_id))

    async def create_preset(self, name: str, **settings: Any) -> Preset:
        """Create a preset; `config`, `permissions` and `ui` as in the API, a viewer's where they are not given."""
        return await self._send(self._requests.create_preset({"name": name, **settings}))

    async def update_preset(self, preset_id: str, **settings: Any) -> Preset:
        """Change a preset; what is not given stays."""
        return await self._send(self._requests.update_preset(preset_id, settings))

    async def delete_preset(self, preset_id: str) -> Preset:
        """Delete a preset; Conflict where participants have it."""
        return await self._send(self._requests.delete_preset(preset_id))

    async def get_sessions(
        self,
        *,
        page_no: int | None = None,
        per_page: int | None = None,
        meeting_id: str | None = None,
        status: MeetingSessionStatus | None = None,
        search: str | None = None,
        sort_by: Literal["minutesConsumed", "createdAt"] | None = None,
        sort_order: Literal["ASC", "DESC"] | None = None,
    ) -> MeetingSessionPage:
        """Fetch a page of the sessions of the app's meetings, by default the newest first."""
        request = self._requests.get_sessions(
            page_no=page_no,
            per_page=per_page,
            meeting_id=meeting_id,
            status=status,
            search=search,
            sort_by=sort_by,
            sort_order=sort_order,
        )
        return await self._send(request)

    async def get_session_details(self, session_id: str) -> MeetingSession:
        """Fetch a session of a meeting."""
        return await self._send(self._requests.get_session_details(session_id))

    async def get_session_participants(
        self, session_id: str, *, page_no: int | None = None, per_page: int | None = None, search: str | None = None
    ) -> SessionParticipantPage:
        """Fetch a page of who was in a session of a meeting, one entry a stay."""
        request = self._requests.get_session_participants(session_id, page_no=page_no, per_page=per_page, search=search)
        return await self._send(request)

    async def get_session_participant_details(self, session_id: str, participant_id: str) -> SessionParticipant:
        """Fetch one stay, or the newest one of a participant."""
        found = await self._send(self._requests.get_session_participant_details(session_id, participant_id))
        return found.participant

    async def get_session_livestream_sessions(
        self, session_id: str, *, page_no: int | None = None, per_page: int | None = None
    ) -> Page[Session]:
        """Fetch a page of the broadcasts of a meeting while a session of it was open."""
        request = self._requests.get_session_livestream_sessions(session_id, page_no=page_no, per_page=per_page)
        return await self._send(request)

    async def get_active_session(self, meeting_id: str) -> MeetingSession:
        """Fetch the open session of a meeting; NotFound where nobody meets."""
        return await self._send(self._requests.get_active_session(meeting_id))

    async def kick_participants(
        self, meeting_id: str, *, participant_ids: Sequence[str] = (), custom_participant_ids: Sequence[str] = ()
    ) -> ActedOn:
        """Send participants away; NotFound where none of them is in the meeting."""
        request = self._requests.act_on_participants(meeting_id, "kick", participant_ids, custom_participant_ids)
        return await self._send(request)

    async def kick_all_participants(self, meeting_id: str) -> KickedAll:
        """Send everybody away, and end the session."""
        return await self._send(self._requests.kick_all_participants(meeting_id))

    async def mute_participants(
        self, meeting_id: str, *, participant_ids: Sequence[str] = (), custom_participant_ids: Sequence[str] = ()
    ) -> ActedOn:
        """Mute participants; they may unmute themselves."""
        request = self._requests.act_on_participants(meeting_id, "mute", participant_ids, custom_participant_ids)
        return await self._send(request)

    async def mute_all_participants(self, meeting_id: str, *, allow_unmute: bool = True) -> MutedAll:
        """Mute everybody."""
        return await self._send(self._requests.mute_all_participants(meeting_id, allow_unmute=allow_unmute))

    async def create_webhook(self, *, name: str, url: str, events: Sequence[str], enabled: bool = True) -> Webhook:
        """Have events sent to a URL; `get_webhook_events` says which there are."""
        return await self._send(self._requests.create_webhook(name, url, events, enabled=enabled))

    async def get_webhooks(self) -> list[Webhook]:
        """Fetch all webhooks of the app."""
        return await self._send(self._requests.get_webhooks())

    async def get_webhook_events(self) -> list[str]:
        """Fetch the names of the events that webhooks are told."""
        return await self._send(self._requests.get_webhook_events())

    async def get_webhook_by_id(self, webhook_id: str) -> Webhook:
        """Fetch a webhook."""
        return await self._send(self._requests.get_webhook_by_id(webhook_id))

    async def edit_webhook(
        self,
        webhook_id: str,
        *,
        name: str | UnsetType = UNSET,
        url: str | UnsetType = UNSET,
        events: Sequence[str] | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> Webhook:
        """Change a webhook; what is not given stays. What waits for it is tried at once."""
        request = self._requests.edit_webhook(webhook_id, name=name, url=url, events=events, enabled=enabled)
        return await self._send(request)

    async def delete_webhook(self, webhook_id: str) -> Webhook:
        """Delete a webhook, what waits for it, and its log."""
        return await self._send(self._requests.delete_webhook(webhook_id))

    async def get_webhook_deliveries(
        self,
        webhook_id: str,
        *,
        state: DeliveryState | None = None,
        page_no: int | None = None,
        per_page: int | None = None,
    ) -> Page[Delivery]:
        """Fetch a page of what a webhook was told, the newest first."""
        request = self._requests.get_webhook_deliveries(webhook_id, state=state, page_no=page_no, per_page=per_page)
        return await self._send(request)

    async def get_webhook_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryWithAttempts:
        """Fetch one delivery with its attempts."""
        return await self._send(self._requests.get_webhook_delivery(webhook_id, delivery_id))

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Message:
        """Deliver an event again, or now what waits for its next attempt."""
        return await self._send(self._requests.redeliver(webhook_id, delivery_id))

    async def list_tokens(self, *, page_no: int | None = None, per_page: int | None = None) -> Page[Token]:
        """Fetch a page of the account's API tokens."""
        return await self._send(self._requests.list_tokens(page_no=page_no, per_page=per_page))

    async def create_token(
        self, name: str, *, permission: Permission = "read", app_id: str | None = None
    ) -> CreatedToken:
        """Create an API token; its secret is in this answer only."""
        return await self._send(self._requests.create_token(name, permission=permission, app_id=app_id))

    async def revoke_token(self, token_id: str) -> Message:
        """Revoke an API token."""
        return await self._send(self._requests.revoke_token(token_id))

    # Recordings

    async def get_recordings(
        self,
        *,
        page_no: int | None = None,
        per_page: int | None = None,
        meeting_id: str | None = None,
        livestream_id: str | None = None,
        search: str | None = None,
        status: Sequence[RecordingStatus] | None = None,
        expired: bool | None = None,
        sort_order: SortOrder | None = None,
        start_time: Time | None = None,
        end_time: Time | None = None,
    ) -> Page[Recording]:
        """Fetch a page of the app's recordings, by default the newest first."""
        request = self._requests.get_recordings(
            page_no=page_no,
            per_page=per_page,
            meeting_id=meeting_id,
            livestream_id=livestream_id,
            search=search,
            status=status,
            expired=expired,
            sort_order=sort_order,
            start_time=start_time,
            end_time=end_time,
        )
        return await self._send(request)

    async def get_one_recording(self, recording_id: str) -> Recording:
        """Fetch a recording, with a new download link."""
        return await self._send(self._requests.get_one_recording(recording_id))

    async def get_active_recordings(self, of: str) -> Recording:
        """Fetch the newest running recording of a meeting or livestream; NotFound where none runs."""
        return await self._send(self._requests.get_active_recordings(of))

    async def start_recordings(
        self, *, livestream_id: str | None = None, meeting_id: str | None = None, **settings: Any
    ) -> Recording:
        """Record an open session from now on; `max_seconds`, `file_name_prefix` and `allow_multiple_recordings`."""
        of = {"livestream_id": livestream_id} if meeting_id is None else {"meeting_id": meeting_id}
        return await self._send(self._requests.start_recordings({**of, **settings}))

    async def pause_resume_stop_recording(
        self, recording_id: str, action: Literal["pause", "resume", "stop"]
    ) -> Recording:
        """Pause, resume or stop a running recording."""
        return await self._send(self._requests.pause_resume_stop_recording(recording_id, action))

    async def create_clip(
        self, recording_id: str, *, start: float, end: float, file_name_prefix: str | None = None
    ) -> Recording:
        """Cut a clip out of a recording, in seconds from its beginning; it is a recording of its own, made soon."""
        request = self._requests.create_clip(recording_id, start=start, end=end, file_name_prefix=file_name_prefix)
        return await self._send(request)

    async def list_clips(self, recording_id: str) -> list[Recording]:
        """Fetch the clips of a recording, the newest first."""
        return await self._send(self._requests.list_clips(recording_id))

    async def delete_recording(self, recording_id: str) -> Message:
        """Delete a recording's file; what it was stays in the list and in the analytics."""
        return await self._send(self._requests.delete_recording(recording_id))

    async def update_app(self, *, name: str | UnsetType = UNSET, record: bool | UnsetType | None = UNSET) -> App:
        """Rename this client's app, or switch whether its sessions are recorded (None: as the server says)."""
        return await self._send(self._requests.update_app(self.access.app_id, name=name, record=record))
