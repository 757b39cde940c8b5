"""The official Python SDK as the judge: one class an operation, refusing any JSON type that is not as documented.

`_strict_response_validation` makes the SDK raise APIResponseValidationError on a difference. The file runs with the
version that is pinned, and once more, by `test_python_sdk_newest.py`, with the newest one, which has dropped the create
call and takes Unix seconds on analytics.
"""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime, timedelta
from typing import Any

import cloudflare
import pytest
from cloudflare import Cloudflare
from cloudflare.types.realtime_kit import LivestreamGetAllLivestreamsResponse

from tests.conformance.service import Service


class Sdk:
    """The SDK's livestreams, with the account and app of the server under test filled in."""

    def __init__(self, service: Service) -> None:
        access = service.credentials
        self.client = Cloudflare(
            base_url=access.base_url,
            api_token=access.api_token,
            max_retries=0,
            _strict_response_validation=True,
        )
        self.account_id = access.account_id
        self.app_id = access.app_id

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self.client.realtime_kit.livestreams, operation)
        takes = inspect.signature(method).parameters

        def call(*positional: str, **arguments: Any) -> Any:
            if "app_id" in takes and takes["app_id"].kind is inspect.Parameter.KEYWORD_ONLY:
                return method(*positional, account_id=self.account_id, app_id=self.app_id, **arguments)
            return method(*positional, self.app_id, account_id=self.account_id, **arguments)

        return call

    def create(self, name: str | None = None) -> Any:
        """The create call, by hand where the SDK has dropped it."""
        if hasattr(self.client.realtime_kit.livestreams, "create_independent_livestream"):
            return self.create_independent_livestream(name=name).data
        return self.raw("POST", "/livestreams", {"name": name})["data"]

    def raw(self, method: str, path: str, body: object = None) -> Any:
        url = f"/accounts/{self.account_id}/realtime/kit/{self.app_id}{path}"
        call = self.client.post if method == "POST" else self.client.get
        arguments = {"body": body} if body is not None else {}
        result = call(url, cast_to=object, **arguments)
        return _Attributes(result)

    def meeting(self, title: str = "Weekly sync") -> str:
        created = self.client.realtime_kit.meetings.create(self.app_id, account_id=self.account_id, title=title)
        assert created.data is not None
        return created.data.id


class _Attributes(dict):  # type: ignore[type-arg]
    """A plain JSON object whose members can be read as the SDK's models are."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return _Attributes(value) if isinstance(value, dict) else value

    __getattr__ = __getitem__


@pytest.fixture
def sdk(service: Service) -> Sdk:
    return Sdk(service)


class TestCreateIndependentLivestream:
    def test_answers_where_to_publish_and_where_to_watch(self, sdk: Sdk) -> None:
        data = sdk.create("Livestreaming-Demo")
        assert data.status == "INVOKED"
        assert data.disabled is False
        assert data.meeting_id is None
        assert data.name == "Livestreaming-Demo"
        assert data.ingest_server == "rtmp://127.0.0.1:1935/live/"
        assert data.playback_url.endswith("/manifest/video.m3u8")
        assert len(data.stream_key) == 64

    def test_the_name_may_be_missing(self, sdk: Sdk) -> None:
        assert sdk.create(None).name is None

    def test_it_is_created_with_201(self, sdk: Sdk) -> None:
        if hasattr(sdk.client.realtime_kit.livestreams, "create_independent_livestream"):
            raw = sdk.client.realtime_kit.livestreams.with_raw_response.create_independent_livestream(
                sdk.app_id, account_id=sdk.account_id
            )
            assert raw.status_code == 201
            assert raw.parse().success is True


class TestGetAllLivestreams:
    def test_the_documented_object_is_the_first_of_the_page(self, sdk: Sdk) -> None:
        first = sdk.create("first-of-the-page")
        response: LivestreamGetAllLivestreamsResponse = sdk.get_all_livestreams(per_page=1, page_no=1, sort_order="DSC")
        assert response.success is True
        assert response.data is not None
        assert response.data.id == first.id
        assert response.data.disabled == ""
        assert isinstance(response.data.created_at, datetime)
        assert response.data.paging is not None
        assert response.data.paging.total_count is not None
        assert (response.data.paging.start_offset, response.data.paging.end_offset) == (1, 1)

    def test_every_parameter(self, sdk: Sdk) -> None:
        now = datetime.now(UTC)
        response = sdk.get_all_livestreams(
            start_time=now - timedelta(days=1),
            end_time=now + timedelta(days=1),
            exclude_meetings=True,
            page_no=1,
            per_page=2,
            sort_order="ASC",
            status="INVOKED",
        )
        assert response.data.status == "INVOKED"
        page = response.data.model_extra["livestreams"]
        assert page[0]["id"] == response.data.id

    def test_nothing_found(self, sdk: Sdk) -> None:
        response = sdk.get_all_livestreams(start_time=datetime(2100, 1, 1, tzinfo=UTC))
        assert response.data.id is None
        assert response.data.paging.total_count == 0


class TestSessions:
    """The three operations about a livestream's sessions, through one broadcast."""

    def test_a_broadcast(self, sdk: Sdk, service: Service) -> None:
        created = sdk.create("broadcast")
        with pytest.raises(cloudflare.NotFoundError):
            sdk.get_active_livestreams_for_livestream_id(created.id)
        session_id = service.publish(created.stream_key)
        service.progress(created.id, 12.5, 31.25)

        active = sdk.get_active_livestreams_for_livestream_id(created.id).data
        assert active.livestream.status == "LIVE"
        assert active.session.id == session_id
        assert (active.session.ingest_seconds, active.session.viewer_seconds) == ("12.5", "31.25")
        assert isinstance(active.session.started_time, datetime)
        assert active.session.stopped_time is None

        service.close(created.id)
        shown = sdk.get_livestream_session_for_livestream_id(created.id, page_no=1, per_page=5).data
        assert shown.livestream.status == "IDLE"
        assert shown.livestream.disabled == ""
        assert shown.session.id == session_id
        assert (shown.session.ingest_seconds, shown.session.viewer_seconds) == (12.5, 31.25)
        assert isinstance(shown.session.stopped_time, datetime)
        assert shown.paging.total_count == 1

        by_id = sdk.get_livestream_session_details_for_session_id(session_id).data
        assert by_id.livestream_id == created.id
        assert (by_id.ingest_seconds, by_id.viewer_seconds) == (12, 31)
        assert isinstance(by_id.started_time, str)
        assert by_id.stopped_time.endswith("Z")

    def test_a_livestream_that_was_never_broadcast(self, sdk: Sdk) -> None:
        shown = sdk.get_livestream_session_for_livestream_id(sdk.create().id).data
        assert shown.session is None
        assert (shown.paging.total_count, shown.paging.start_offset, shown.paging.end_offset) == (0, 0, 0)

    def test_an_unknown_session(self, sdk: Sdk) -> None:
        with pytest.raises(cloudflare.NotFoundError):
            sdk.get_livestream_session_details_for_session_id("0d5d7b5e-0000-4000-8000-000000000000")


class TestMeetings:
    """The three operations about a meeting's livestream."""

    def test_start_watch_stop(self, sdk: Sdk, service: Service) -> None:
        meeting_id = sdk.meeting()
        started = sdk.start_livestreaming_a_meeting(
            meeting_id, name="prdmmp-xhycsl", video_config={"width": 1280, "height": 720}
        ).data
        assert started.status == "INVOKED"
        assert len(started.stream_key) == 64

        active = sdk.get_meeting_active_livestreams(meeting_id).data
        assert (active.id, active.meeting_id, active.status) == (started.id, meeting_id, "INVOKED")
        service.publish(started.stream_key)
        assert sdk.get_meeting_active_livestreams(meeting_id).data.status == "LIVE"

        stopped = sdk.stop_livestreaming_a_meeting(meeting_id)
        assert (stopped.success, stopped.data.message) == (True, "Stopped live stream successfully")
        assert sdk.get_livestream_session_for_livestream_id(started.id).data.livestream.status == "IDLE"

    def test_nothing_is_active(self, sdk: Sdk) -> None:
        meeting_id = sdk.meeting()
        with pytest.raises(cloudflare.NotFoundError) as refusal:
            sdk.get_meeting_active_livestreams(meeting_id)
        assert refusal.value.body["error"]["message"] == f"No active livestream found for meeting_id {meeting_id}"
        with pytest.raises(cloudflare.NotFoundError):
            sdk.stop_livestreaming_a_meeting(meeting_id)

    def test_starting_twice_names_the_active_livestream(self, sdk: Sdk) -> None:
        meeting_id = sdk.meeting()
        started = sdk.start_livestreaming_a_meeting(meeting_id).data
        with pytest.raises(cloudflare.ConflictError, match=started.id):
            sdk.start_livestreaming_a_meeting(meeting_id)

    def test_meetings_themselves(self, sdk: Sdk) -> None:
        meetings = sdk.client.realtime_kit.meetings
        meeting_id = sdk.meeting("Budget")
        changed = meetings.update_meeting_by_id(
            meeting_id, account_id=sdk.account_id, app_id=sdk.app_id, title="Budget 2027", status="INACTIVE"
        )
        assert (changed.data.title, changed.data.status) == ("Budget 2027", "INACTIVE")
        listed = meetings.get(sdk.app_id, account_id=sdk.account_id, search="budget 2027")
        assert [meeting.id for meeting in listed.data] == [meeting_id]


class TestAnalytics:
    def _time(self, operation: str, moment: datetime) -> Any:
        """Older SDKs send ISO date-times, newer ones Unix seconds."""
        from cloudflare.types.realtime_kit import livestream_get_livestream_analytics_complete_params as params

        annotation = str(params.LivestreamGetLivestreamAnalyticsCompleteParams.__annotations__["start_time"])
        return moment if "datetime" in annotation else int(moment.timestamp())

    def test_overall(self, sdk: Sdk, service: Service) -> None:
        before = sdk.get_livestream_analytics_complete().data
        created = sdk.create()
        service.publish(created.stream_key)
        service.progress(created.id, 60, 90)
        service.close(created.id)
        after = sdk.get_livestream_analytics_complete().data
        assert (after.count, after.total_ingest_seconds) == (before.count + 1, before.total_ingest_seconds + 60)
        assert after.total_viewer_seconds == before.total_viewer_seconds + 90

        now = datetime.now(UTC)
        past = sdk.get_livestream_analytics_complete(
            start_time=self._time("overall", now - timedelta(days=9)),
            end_time=self._time("overall", now - timedelta(days=8)),
        ).data
        assert (past.count, past.total_ingest_seconds, past.total_viewer_seconds) == (0, 0, 0)

        these_days = sdk.get_livestream_analytics_complete(
            start_time=self._time("overall", now - timedelta(days=1)),
            end_time=self._time("overall", now + timedelta(days=1)),
        ).data
        assert these_days.total_ingest_seconds == after.total_ingest_seconds

    def test_both_formats_of_time(self, sdk: Sdk, service: Service) -> None:
        """A broadcast that reaches over the end of a range counts in part, the same by ISO and by Unix seconds."""
        created = sdk.create()
        service.publish(created.stream_key)
        service.progress(created.id, 3600, 7200)
        service.close(created.id)
        cut = int(datetime.now(UTC).timestamp()) + 1800
        iso = datetime.fromtimestamp(cut, UTC).isoformat().replace("+00:00", "Z")
        until = sdk.raw("GET", f"/analytics/livestreams/overall?end_time={cut}")["data"]
        assert until == sdk.raw("GET", f"/analytics/livestreams/overall?end_time={iso}")["data"]
        after = sdk.raw("GET", f"/analytics/livestreams/overall?start_time={cut}&end_time={cut + 9999}")["data"]
        assert after["count"] == 1
        assert abs(after["total_ingest_seconds"] - 1800) < 60
        assert abs(after["total_viewer_seconds"] - 3600) < 120

    def test_daywise(self, sdk: Sdk, service: Service) -> None:
        today = datetime.now(UTC).date()
        range_ = {"start_date": str(today), "end_date": str(today + timedelta(days=1))}
        before = sdk.get_org_analytics(**range_).data
        created = sdk.create()
        service.publish(created.stream_key)
        service.progress(created.id, 90, 0)
        service.close(created.id)
        after = sdk.get_org_analytics(**range_).data
        assert after.session_stats.sessions_count == before.session_stats.sessions_count + 1
        minutes = after.session_stats.sessions_minutes_consumed - before.session_stats.sessions_minutes_consumed
        assert minutes == pytest.approx(1.5, abs=0.002)
        assert after.recording_stats.recording_count == before.recording_stats.recording_count

        data = sdk.get_org_analytics().data
        assert len(data.session_stats.day_stats) == len(data.recording_stats.day_stats) == 31
        newest = data.session_stats.day_stats[-1]
        assert newest.day == datetime.now(UTC).date().isoformat()
        assert newest.total_sessions == data.session_stats.sessions_count
        one_day = sdk.get_org_analytics(start_date="2023-07-15", end_date=str(date(2023, 7, 15))).data
        assert [entry.day for entry in one_day.session_stats.day_stats] == ["2023-07-15"]

    def test_livestreams_daywise(self, sdk: Sdk) -> None:
        """Only the newer SDKs have this call."""
        if hasattr(sdk.client.realtime_kit.livestreams, "get_livestream_analytics_daywise"):
            rows = sdk.get_livestream_analytics_daywise().data
            assert rows[-1].date == datetime.now(UTC).date().isoformat()
        rows = sdk.raw("GET", "/analytics/livestreams/daywise")["data"]
        assert set(rows[-1]) == {"date", "count", "total_ingest_seconds", "total_viewer_seconds"}


class TestErrors:
    """A refusal raises the SDK's own exception, with our message."""

    def test_not_authenticated(self, sdk: Sdk) -> None:
        sdk.client = sdk.client.copy(api_token="wrong")
        with pytest.raises(cloudflare.AuthenticationError):
            sdk.get_all_livestreams()

    def test_another_account(self, sdk: Sdk) -> None:
        sdk.account_id = "023e105f4ecef8ad9ca31a8372d0c353"
        with pytest.raises(cloudflare.PermissionDeniedError):
            sdk.get_all_livestreams()

    def test_another_app(self, sdk: Sdk) -> None:
        sdk.app_id = "14a396e7-ca44-4937-bf1f-050a69118543"
        with pytest.raises(cloudflare.NotFoundError):
            sdk.get_all_livestreams()

    def test_bad_request(self, sdk: Sdk) -> None:
        with pytest.raises(cloudflare.BadRequestError) as refusal:
            sdk.get_all_livestreams(per_page=0)
        assert refusal.value.body["errors"][0]["code"] == 400


def test_apps(sdk: Sdk) -> None:
    """Apps are created and listed as the SDK wants them."""
    apps = sdk.client.realtime_kit.apps
    created = apps.post(account_id=sdk.account_id, name="my-new-app")
    listed = apps.get(account_id=sdk.account_id)
    assert created.data.app.id in [app.id for app in listed.data]
