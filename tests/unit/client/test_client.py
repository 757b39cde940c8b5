"""Our client: every method against a running API, and its manners when things go wrong."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from headwater import client
from headwater.client import (
    ApiError,
    AsyncHeadwater,
    AuthenticationFailed,
    BadRequest,
    Conflict,
    Headwater,
    NotConfigured,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerFailed,
    Unreachable,
    aio,
    find_access,
    sync,
    transport,
)
from headwater.errors import CallerError, OperatorError
from tests.conformance.service import Service, running_service

ACCESS = {"base_url": "http://127.0.0.1:1/client/v4", "api_token": "t", "account_id": "a", "app_id": "b"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("client") / "data") as running:
        yield running


@pytest.fixture
def headwater(service: Service) -> Iterator[Headwater]:
    with Headwater(credentials=service.plane._settings.data_dir) as opened:
        yield opened


class TestEveryMethod:
    def test_a_livestream(self, headwater: Headwater, service: Service) -> None:
        created = headwater.create_independent_livestream(name="launch")
        assert (created.status, created.name) == ("INVOKED", "launch")
        with pytest.raises(NotFound):
            headwater.get_active_livestreams_for_livestream_id(created.id)
        session_id = service.publish(created.stream_key)
        service.progress(created.id, 12.5, 31.25)
        active = headwater.get_active_livestreams_for_livestream_id(created.id)
        assert (active.livestream.status, active.session.ingest_seconds) == ("LIVE", "12.5")
        assert headwater.stop_livestream(created.id).message == "Stopped live stream successfully"
        shown = headwater.get_livestream_session_for_livestream_id(created.id, per_page=1)
        assert shown.session is not None
        assert (shown.livestream.status, shown.session.viewer_seconds) == ("IDLE", 31.25)
        assert isinstance(shown.session.stopped_time, datetime)
        assert shown.livestream.created_at.tzinfo is not None
        assert headwater.get_livestream_session_details_for_session_id(session_id).ingest_seconds == 12
        assert "stopped" in [entry.kind for entry in headwater.get_livestream_events(created.id).data]

    def test_changing_a_livestream(self, headwater: Headwater) -> None:
        created = headwater.create_independent_livestream()
        assert headwater.update_livestream(created.id, name="named").name == "named"
        assert headwater.disable(created.id).is_disabled
        enabled = headwater.enable(created.id)
        assert (enabled.is_disabled, enabled.name) == (False, "named")
        assert headwater.update_livestream(created.id, name=None).name is None
        assert headwater.reset_key(created.id).stream_key != created.stream_key
        headwater.delete_livestream(created.id)
        with pytest.raises(NotFound):
            headwater.get_livestream_session_for_livestream_id(created.id)

    def test_listing(self, headwater: Headwater) -> None:
        created = headwater.create_independent_livestream(name="listed")
        now = datetime.now(UTC)
        page = headwater.get_all_livestreams(
            page_no=1,
            per_page=1,
            exclude_meetings=True,
            sort_order="DSC",
            status="INVOKED",
            start_time=now - timedelta(days=1),
            end_time=int(now.timestamp()) + 60,
        )
        assert page.livestreams[0].id == created.id
        assert page.paging.end_offset == 1

    @pytest.mark.parametrize("per_page", [1, 2, 3, 100])
    def test_iterating_over_all_pages(
        self, headwater: Headwater, per_page: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sync, "PER_PAGE", per_page)
        created = [headwater.create_independent_livestream().id for _ in range(3)]
        ids = [livestream.id for livestream in headwater.iterate_livestreams()]
        assert ids[-3:] == created
        assert len(ids) == len(set(ids)) == headwater.get_all_livestreams(per_page=1).paging.total_count

    def test_webhooks(self, headwater: Headwater) -> None:
        made = headwater.create_webhook(name="a", url="https://9.9.9.9/", events=["livestreaming.statusUpdate"])
        assert headwater.edit_webhook(made.id, enabled=False, name="b").name == "b"
        assert not headwater.get_webhook_by_id(made.id).enabled
        assert headwater.edit_webhook(made.id, enabled=True).events == made.events
        assert made.id in [one.id for one in headwater.get_webhooks()]
        created = headwater.create_independent_livestream()
        assert set(made.events) < set(headwater.get_webhook_events())
        (delivery,) = headwater.get_webhook_deliveries(made.id, state="waiting", per_page=5).data
        assert delivery.about == created.id
        assert delivery.payload["streamKey"] == created.stream_key
        headwater.redeliver(made.id, delivery.id)
        shown = headwater.get_webhook_delivery(made.id, delivery.id)
        assert (shown.delivery.id, shown.attempts) == (delivery.id, [])
        assert headwater.delete_webhook(made.id).id == made.id
        with pytest.raises(NotFound):
            headwater.get_webhook_by_id(made.id)

    def test_meetings(self, headwater: Headwater) -> None:
        meeting = headwater.create_meeting(title="Weekly", record_on_start=True)
        assert meeting.record_on_start
        assert headwater.update_meeting(meeting.id, title="Daily").title == "Daily"
        assert headwater.get_meeting(meeting.id).title == "Daily"
        assert [entry.id for entry in headwater.list_meetings(search="daily").data] == [meeting.id]
        started = headwater.start_livestreaming_a_meeting(meeting.id, name="mix", width=1280, height=720)
        with pytest.raises(Conflict, match=started.id):
            headwater.start_livestreaming_a_meeting(meeting.id)
        assert headwater.get_meeting_active_livestreams(meeting.id).id == started.id
        headwater.stop_livestreaming_a_meeting(meeting.id)
        with pytest.raises(NotFound):
            headwater.get_meeting_active_livestreams(meeting.id)

    def test_analytics(self, headwater: Headwater) -> None:
        totals = headwater.get_livestream_analytics_complete(start_time=0, end_time="2100-01-01T00:00:00Z")
        assert totals.count >= 0
        days = headwater.get_livestream_analytics_daywise()
        assert days[-1].date == datetime.now(UTC).date().isoformat()
        org = headwater.get_org_analytics(start_date=date(2022, 9, 1), end_date="2022-09-02")
        assert [day.day for day in org.session_stats.day_stats] == ["2022-09-01", "2022-09-02"]

    def test_how_viewers_fared(self, headwater: Headwater) -> None:
        made = headwater.create_independent_livestream()
        none = headwater.get_livestream_experience(made.id, start_time=0)
        assert (none.sessions, none.views, none.startup_ms.p95, none.updated_at) == (0, 0, None, None)
        assert headwater.get_livestream_viewings(made.id) == []
        with pytest.raises(NotFound):
            headwater.get_livestream_session_experience(made.id)

    def test_apps_and_tokens(self, headwater: Headwater, service: Service) -> None:
        app = headwater.create_app("second")
        assert app in headwater.list_apps(search="second").data
        token = headwater.create_token("reader", permission="read", app_id=app.id)
        listed = headwater.list_tokens().data
        assert token.id in [entry.id for entry in listed]
        access = service.credentials
        with Headwater(
            base_url=access.base_url, account_id=access.account_id, app_id=app.id, api_token=token.api_token
        ) as reader:
            assert reader.get_all_livestreams().livestreams == []
            with pytest.raises(PermissionDenied):
                reader.create_independent_livestream()
            headwater.revoke_token(token.id)
            with pytest.raises(AuthenticationFailed):
                reader.get_all_livestreams()

    def test_bad_requests_carry_the_envelope(self, headwater: Headwater) -> None:
        with pytest.raises(BadRequest) as refusal:
            headwater.create_independent_livestream(name="not a name")
        assert refusal.value.status == refusal.value.code == 400
        assert refusal.value.envelope["errors"][0]["message"] == refusal.value.message

    async def test_the_async_client(self, service: Service) -> None:
        """The same calls, awaited; the methods themselves are held together below."""
        async with AsyncHeadwater(credentials=service.plane._settings.data_dir) as headwater:
            created = await headwater.create_independent_livestream(name="async")
            assert (await headwater.disable(created.id)).is_disabled
            assert created.id in [livestream.id async for livestream in headwater.iterate_livestreams()]
            assert (await headwater.create_app("third")).name == "third"
            assert (await headwater.get_livestream_analytics_daywise())[-1].count >= 0
            assert (await headwater.get_livestream_analytics_complete()).count >= 0
            with pytest.raises(NotFound):
                await headwater.stop_livestream(created.id)


class TestTwins:
    """The async client is the sync one, awaited."""

    def test_the_same_methods(self) -> None:
        def methods(cls: type) -> dict[str, inspect.Signature]:
            return {
                name: inspect.signature(member)
                for name, member in vars(cls).items()
                if inspect.isfunction(member) and not name.startswith("_")
            }

        mine, theirs = methods(Headwater), methods(AsyncHeadwater)
        assert list(mine) == list(theirs)
        for name, signature in mine.items():
            assert list(signature.parameters.values()) == list(theirs[name].parameters.values()), name

    def test_the_same_source(self) -> None:
        """Line by line, but for the words that make a function async."""

        def comparable(cls: type) -> dict[str, str]:
            methods = {name: inspect.getsource(method) for name, method in vars(cls).items() if name[0] != "_"}
            for word in ("async ", "await ", "Async"):
                methods = {name: source.replace(word, "") for name, source in methods.items()}
            # The longer words move line breaks, and with them trailing commas.
            return {name: "".join(source.split()).replace(",)", ")") for name, source in methods.items()}

        mine, theirs = comparable(Headwater), comparable(AsyncHeadwater)
        for different in ("close", "iterate_livestreams"):  # aclose; `yield from` does not exist in async generators
            del mine[different], theirs[different]
        assert len(mine) > 25
        assert mine == theirs

    def test_public_names(self) -> None:
        assert all(hasattr(client, name) for name in client.__all__)

    def test_every_operation_has_a_method(self) -> None:
        from headwater.control.api.catalogue import OPERATIONS

        other_names = {"get_app", "get_meeting_livestream", "replace_meeting", "replace_webhook"}
        other_names |= {"replace_participant", "replace_preset"}
        for operation in OPERATIONS:
            assert operation.name in other_names or hasattr(Headwater, operation.name), operation.name


Handler = Callable[[httpx.Request], httpx.Response]


def answering(handler: Handler) -> Headwater:
    return Headwater(**ACCESS, transport_for_tests=httpx.MockTransport(handler))


def envelope(status: int, message: str = "no", **headers: str) -> httpx.Response:
    problem = {"code": status, "message": message}
    body = {"success": False, "error": problem, "errors": [problem]}
    return httpx.Response(status, json=body, headers=headers)


TOTALS = {"success": True, "data": {"count": 1, "total_ingest_seconds": 2, "total_viewer_seconds": 3}}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, which take no time here."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=taken.append))
    monkeypatch.setattr(aio, "asyncio", SimpleNamespace(sleep=sleep))
    return taken


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, BadRequest),
            (401, AuthenticationFailed),
            (403, PermissionDenied),
            (404, NotFound),
            (409, Conflict),
            (413, BadRequest),
            (415, BadRequest),
            (418, ApiError),
            (500, ServerFailed),
        ],
    )
    def test_each_status_has_its_exception(self, status: int, kind: type[ApiError]) -> None:
        with pytest.raises(kind) as refusal:
            answering(lambda _request: envelope(status, "because")).create_independent_livestream()
        assert type(refusal.value) is kind
        assert isinstance(refusal.value, CallerError)
        assert (refusal.value.status, refusal.value.message) == (status, "because")

    @pytest.mark.parametrize(
        "content", [b"", b"<html>Bad Gateway</html>", b"[1]", b"\xff", b'{"error": 1}', b"[" * 9999]
    )
    def test_a_refusal_without_an_envelope(self, content: bytes) -> None:
        with pytest.raises(ServerFailed) as refusal:
            answering(lambda _request: httpx.Response(500, content=content)).create_independent_livestream()
        assert refusal.value.message == "HTTP status 500"

    @pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b'{"data": {}}', b'{"data": null}', b"[" * 9999])
    def test_something_else_answers(self, content: bytes) -> None:
        """E.g. another server on that port, or a captive portal."""
        with pytest.raises(Unreachable):
            answering(lambda _request: httpx.Response(200, content=content)).create_independent_livestream()

    def test_nobody_answers(self, pauses: list[float]) -> None:
        with Headwater(**ACCESS) as headwater, pytest.raises(Unreachable) as failure:
            headwater.get_livestream_analytics_complete()
        assert isinstance(failure.value, OperatorError)
        assert len(pauses) == transport.RETRIES

    def test_the_token_is_in_no_message(self) -> None:
        with Headwater(**{**ACCESS, "api_token": "the-secret"}) as headwater, pytest.raises(Unreachable) as failure:
            headwater.create_independent_livestream()
        assert "the-secret" not in str(failure.value) + repr(failure.value) + repr(headwater.access)


class TestRetries:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_reading_is_tried_again(self, status: int, pauses: list[float]) -> None:
        answers = [envelope(status), envelope(status), httpx.Response(200, json=TOTALS)]
        assert answering(lambda _request: answers.pop(0)).get_livestream_analytics_complete().count == 1
        assert len(pauses) == 2
        assert pauses[0] < pauses[1] <= 4 * transport.RETRY_FIRST_S

    def test_not_for_ever(self, pauses: list[float]) -> None:
        with pytest.raises(ServerFailed):
            answering(lambda _request: envelope(503)).get_livestream_analytics_complete()
        assert len(pauses) == transport.RETRIES

    def test_the_servers_wish_is_respected(self, pauses: list[float]) -> None:
        answers = [envelope(429, **{"Retry-After": "3"}), httpx.Response(200, json=TOTALS)]
        answering(lambda _request: answers.pop(0)).get_livestream_analytics_complete()
        assert pauses == [3.0]

    def test_a_long_wait_is_the_callers_business(self, pauses: list[float]) -> None:
        with pytest.raises(RateLimited) as refusal:
            answering(lambda _request: envelope(429, **{"Retry-After": "60"})).get_livestream_analytics_complete()
        assert refusal.value.retry_after_s == 60
        assert pauses == []

    @pytest.mark.parametrize("failure", ["status", "network"])
    def test_what_creates_is_never_repeated(self, failure: str, pauses: list[float]) -> None:
        """The first try may have worked."""
        calls = 0

        def handler(_request: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            if failure == "network":
                raise httpx.ReadTimeout("slow")
            return envelope(503)

        with pytest.raises((ServerFailed, Unreachable)):
            answering(handler).create_independent_livestream()
        assert (calls, pauses) == (1, [])

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
    def test_what_will_not_change_is_not_repeated(self, status: int, pauses: list[float]) -> None:
        with pytest.raises(ApiError):
            answering(lambda _request: envelope(status)).get_livestream_analytics_complete()
        assert pauses == []

    async def test_the_async_client_as_well(self, pauses: list[float]) -> None:
        answers = [envelope(503), httpx.Response(200, json=TOTALS)]
        mock = httpx.MockTransport(lambda _request: answers.pop(0))
        async with AsyncHeadwater(**ACCESS, transport_for_tests=mock) as headwater:
            assert (await headwater.get_livestream_analytics_complete()).count == 1
        assert len(pauses) == 1


class TestAccess:
    def _file(self, folder: Path, **values: str) -> Path:
        path = folder / "credentials.json"
        path.write_text(json.dumps({**ACCESS, **values}))
        return path

    def test_arguments_before_environment_before_file(self, tmp_path: Path) -> None:
        path = self._file(tmp_path)
        environ = {"HEADWATER_API_TOKEN": "e", "HEADWATER_APP_ID": "e", "HEADWATER_CREDENTIALS": str(path)}
        access = find_access(app_id="x", environ=environ)
        assert (access.app_id, access.api_token, access.account_id) == ("x", "e", "a")

    def test_a_file_that_is_named_before_the_environment(self, tmp_path: Path) -> None:
        """Who names a server's file means that server, whatever the shell still has set."""
        environ = {"HEADWATER_API_TOKEN": "e", "HEADWATER_BASE_URL": "http://elsewhere"}
        access = find_access(credentials=self._file(tmp_path), app_id="x", environ=environ)
        assert (access.app_id, access.api_token, access.base_url) == ("x", "t", ACCESS["base_url"])

    def test_a_folder_is_as_good_as_the_file(self, tmp_path: Path) -> None:
        self._file(tmp_path)
        assert find_access(credentials=tmp_path, environ={}).api_token == "t"
        assert find_access(environ={"HEADWATER_DATA": str(tmp_path)}).api_token == "t"

    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(NotConfigured, match=r"api_token \(HEADWATER_API_TOKEN\)"):
            find_access(base_url="http://x", account_id="a", app_id="b", environ={})

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"app_id": 1}'])
    def test_a_file_that_is_none(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "credentials.json"
        path.write_text(content)
        with pytest.raises(NotConfigured):
            find_access(credentials=path, environ={})

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotConfigured):
            find_access(credentials=tmp_path / "none.json", environ={})

    def test_ids_cannot_leave_their_place_in_the_path(self) -> None:
        seen: list[bytes] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request.url.raw_path)
            return envelope(404)

        with pytest.raises(NotFound):
            answering(handler).get_meeting("../../tokens?x=")
        assert seen == [b"/client/v4/accounts/a/realtime/kit/b/meetings/..%2F..%2Ftokens%3Fx%3D"]


def test_importing_the_client_loads_no_server() -> None:
    """A script that calls the API needs neither the database nor the web framework."""
    code = (
        "import sys, headwater.client; print([m for m in ('sqlalchemy', 'starlette', 'alembic') if m in sys.modules])"
    )

    async def run() -> bytes:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0]

    assert asyncio.run(run()).strip() == b"[]"
