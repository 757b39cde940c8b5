"""How the API refuses: every status, always in the double envelope, and within its limits."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from headwater.control import ControlPlane, ControlSettings
from headwater.control.api.catalogue import OPERATIONS
from tests.unit.control.support import Api, open_api


def refused(response: httpx.Response, status: int) -> str:
    """Check that a response is a refusal in both shapes, and return its message."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["success"] is False
    assert body["error"]["code"] == status
    assert body["errors"] == [body["error"]]
    assert set(body) == {"success", "error", "errors"}
    assert response.headers["content-type"] == "application/json"
    return str(body["error"]["message"])


class TestRouting:
    @pytest.mark.parametrize("path", ["/", "/x", "/accounts", "/livestreams/"])
    async def test_unknown_paths(self, api: Api, path: str) -> None:
        refused(await api.http.get(path), 404)
        refused(await api.http.get(api.app + path + "/x/y/z"), 404)

    async def test_a_trailing_slash_is_another_path(self, api: Api) -> None:
        refused(await api.http.get(api.app + "/livestreams/"), 404)

    async def test_other_methods(self, api: Api) -> None:
        response = await api.http.put(api.app + "/livestreams")
        refused(response, 405)
        assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
        refused(await api.http.options(api.app + "/livestreams"), 405)

    @pytest.mark.parametrize("method", ["FOO", "PROPFIND", "TRACE", "X" * 1000])
    async def test_methods_that_nobody_knows(self, api: Api, method: str) -> None:
        for path in (api.app + "/livestreams", "/openapi.json", "/docs"):
            response = await api.http.request(method, path)
            refused(response, 405)
            assert "GET" in response.headers["allow"]

    async def test_head_is_get_without_the_body(self, api: Api) -> None:
        get = await api.http.get(api.app + "/livestreams")
        head = await api.http.head(api.app + "/livestreams")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]

    async def test_mounted_and_whole_paths_are_the_same(self, api: Api) -> None:
        """`base_url` here holds `/client/v4`; mounted, the application is given the rest with a root path."""
        scope_path = api.app + "/livestreams"
        mounted = httpx.ASGITransport(api.plane.api, root_path="/client/v4", client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=mounted, headers=api.http.headers) as http:
            response = await http.get("http://127.0.0.1:8080/client/v4" + scope_path)
        assert response.status_code == 200

    @pytest.mark.parametrize(
        "identifier", ["%00", "a%00b", "..%2f..", "x" * 65, "%F0%9F%8E%A5", "'; DROP TABLE apps", "%"]
    )
    async def test_what_cannot_be_an_id_is_not_found(self, any_api: Api, identifier: str) -> None:
        """Also NUL, which PostgreSQL refuses in text with an error."""
        refused(await any_api.http.get(f"{any_api.app}/livestreams/{identifier}"), 404)


class TestAuthentication:
    @pytest.mark.parametrize(
        "authorization",
        [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc", "Bearer wrong", "Bearer " + "x" * 10_000],
    )
    async def test_no_or_a_wrong_token(self, api: Api, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        async with httpx.AsyncClient(transport=api.http._transport, base_url=api.http.base_url) as http:
            response = await http.get(api.app + "/livestreams", headers=headers)
        refused(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")

    async def test_the_scheme_is_case_insensitive(self, api: Api) -> None:
        headers = {"Authorization": "bearer " + api.credentials.api_token}
        assert (await api.http.get(api.app + "/livestreams", headers=headers)).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Auth-Key": "TOKEN", "X-Auth-Email": "a@example.com"},
            {"X-Api-Token": "TOKEN"},
            {"Cookie": "token=TOKEN"},
            {"X-Forwarded-User": "admin", "X-Real-IP": "127.0.0.1", "X-Forwarded-For": "127.0.0.1"},
            {"X-Original-URL": "/openapi.json", "X-Rewrite-URL": "/openapi.json"},
            {"Proxy-Authorization": "Bearer TOKEN"},
        ],
    )
    async def test_no_other_header_lets_anybody_in(self, api: Api, headers: dict[str, str]) -> None:
        sent = {name: value.replace("TOKEN", api.credentials.api_token) for name, value in headers.items()}
        async with httpx.AsyncClient(transport=api.http._transport, base_url=api.http.base_url) as http:
            refused(await http.get(api.app + "/livestreams", headers=sent), 401)
            url = f"{api.app}/livestreams?token={api.credentials.api_token}"
            refused(await http.get(url, headers=sent), 401)

    async def test_every_operation_needs_a_token(self, api: Api) -> None:
        """Nothing of an account is open, whatever is added later."""
        async with httpx.AsyncClient(transport=api.http._transport, base_url=api.http.base_url) as http:
            for operation in OPERATIONS:
                path = operation.path.format_map(_Ids(api))
                response = await http.request(operation.method, path, headers={"Authorization": ""})
                assert response.status_code in (401, 429), operation.name

    async def test_a_read_token_reads_only(self, api: Api) -> None:
        """Every operation that changes something answers 403 to it, every other one does not."""
        token = await api.new_token("read")
        for operation in OPERATIONS:
            path = operation.path.format_map(_Ids(api))
            response = await api.http.request(operation.method, path, headers={"Authorization": f"Bearer {token}"})
            if operation.permission == "admin":
                refused(response, 403)
                continue
            assert response.status_code in (200, 404), operation.name
        assert {operation.permission for operation in OPERATIONS if operation.method != "GET"} == {"admin"}

    async def test_a_read_token_sees_no_keys(self, api: Api) -> None:
        """Leave to read is not leave to publish."""
        created = await api.create()
        await api.broadcasts.publish(created["stream_key"])
        headers = {"Authorization": f"Bearer {await api.new_token('read')}"}
        paths = (
            "/livestreams",
            f"/livestreams/{created['id']}",
            f"/livestreams/{created['id']}/active-livestream-session",
        )
        for path in paths:
            response = await api.http.get(api.app + path, headers=headers)
            assert response.status_code == 200
            assert created["stream_key"] not in response.text
            assert '"stream_key":""' in response.text
            assert created["stream_key"] in (await api.http.get(api.app + path)).text


class _Ids(dict[str, str]):
    """Path parameters: our account and app, and ids of nothing."""

    def __init__(self, api: Api) -> None:
        super().__init__(account_id=api.credentials.account_id, app_id=api.credentials.app_id)

    def __missing__(self, name: str) -> str:
        return "00000000-0000-4000-8000-000000000000"


HOOK = {"name": "hook", "url": "https://9.9.9.9/hook", "events": ["livestreaming.statusUpdate"]}
COLLECTIONS = ("/livestreams", "/meetings", "/presets", "/sessions", "/webhooks", "/webhooks/all")
SOMEBODY = {"custom_participant_id": "user-1", "preset_name": "host", "name": "ours"}


async def meet(api: Api, meeting_id: str, token: str) -> str:
    """Somebody comes into a meeting; returns the session's id."""
    api.rooms.join(await api.plane.doorkeeper.admit(token, meeting_id))
    return api.rooms.open[meeting_id].session_id


class TestCrossing:
    """Accounts and apps are walls."""

    async def test_another_account(self, any_api: Api) -> None:
        """403, and the same for one that does not exist."""
        other = await _account_with_token(any_api)
        for account in (other[0], "f" * 32):
            path = f"/accounts/{account}/realtime/kit/{any_api.credentials.app_id}/livestreams"
            refused(await any_api.http.get(path), 403)

    async def test_another_account_by_every_operation(self, any_api: Api) -> None:
        """Whoever is of another account finds nothing of ours, and changes nothing, by its own paths or by ours."""
        hook = (await any_api.call("POST", "/webhooks", json=HOOK))["data"]
        created = await any_api.create("ours")
        (delivery,) = (await any_api.call("GET", f"/webhooks/{hook['id']}/deliveries"))["data"]
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        meeting = (await any_api.call("POST", "/meetings", json={"title": "ours"}))["data"]
        (token,) = (await any_api.http.get(any_api.account + "/tokens")).json()["data"]
        recording = (await any_api.call("POST", "/recordings", json={"livestream_id": created["id"]}))["data"]
        participant = (await any_api.call("POST", f"/meetings/{meeting['id']}/participants", json=SOMEBODY))["data"]
        preset = (await any_api.call("POST", "/presets", json={"name": "ours"}))["data"]
        met = await meet(any_api, meeting["id"], participant["token"])
        account_id, app_id, secret = await _account_with_token(any_api)
        ids = {
            "participant_id": participant["id"],
            "preset_id": preset["id"],
            "livestream_id": created["id"],
            "session_id": broadcast.session_id,
            "meeting_id": meeting["id"],
            "token_id": token["id"],
            "recording_id": recording["id"],
            "webhook_id": hook["id"],
            "delivery_id": delivery["id"],
        }
        before = (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]["livestream"]
        ours, theirs = any_api.credentials, {"account_id": account_id, "app_id": app_id}
        for operation in OPERATIONS:
            given = {**HOOK, **SOMEBODY, "name": "x", "disabled": True, "action": "stop", "start": 0, "end": 1}
            given["livestream_id"] = created["id"]
            body = {"json": given} if operation.body is not None else {}
            headers = {"Authorization": f"Bearer {secret}"}
            ids["session_id"] = met if operation.tag == "Sessions" else broadcast.session_id
            our_path = operation.path.format(account_id=ours.account_id, app_id=ours.app_id, **ids)
            refused(await any_api.http.request(operation.method, our_path, headers=headers, **body), 403)
            if "{app_id}" in operation.path:
                mixed = operation.path.format(account_id=account_id, app_id=ours.app_id, **ids)
                refused(await any_api.http.request(operation.method, mixed, headers=headers, **body), 404)
            path = operation.path.format(**theirs, **ids)
            response = await any_api.http.request(operation.method, path, headers=headers, **body)
            if any(f"{{{name}}}" in operation.path for name in ids):
                refused(response, 404)
            assert not [word for word in (*ids.values(), created["stream_key"], "ours") if word in response.text]
        assert (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]["livestream"] == before
        assert any_api.broadcasts.open != {}
        assert len(any_api.rooms.open[meeting["id"]].participants) == 1

    async def test_another_accounts_app_does_not_exist(self, any_api: Api) -> None:
        created = await any_api.create()
        account_id, app_id, token = await _account_with_token(any_api)
        headers = {"Authorization": f"Bearer {token}"}
        ours = f"/accounts/{account_id}/realtime/kit/{any_api.credentials.app_id}/livestreams"
        refused(await any_api.http.get(ours, headers=headers), 404)
        refused(await any_api.http.get(f"{ours}/{created['id']}", headers=headers), 404)
        theirs = f"/accounts/{account_id}/realtime/kit/{app_id}/livestreams"
        assert (await any_api.http.get(theirs, headers=headers)).json()["data"]["livestreams"] == []
        refused(await any_api.http.get(f"{theirs}/{created['id']}", headers=headers), 404)

    async def test_another_app_of_the_account(self, any_api: Api) -> None:
        """A livestream, session, meeting, webhook of one app is not found through another, by any operation."""
        hook = (await any_api.call("POST", "/webhooks", json=HOOK))["data"]
        created = await any_api.create()
        (delivery,) = (await any_api.call("GET", f"/webhooks/{hook['id']}/deliveries"))["data"]
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        meeting = (await any_api.call("POST", "/meetings", json={}))["data"]
        recording = (await any_api.call("POST", "/recordings", json={"livestream_id": created["id"]}))["data"]
        participant = (await any_api.call("POST", f"/meetings/{meeting['id']}/participants", json=SOMEBODY))["data"]
        preset = (await any_api.call("POST", "/presets", json={"name": "ours"}))["data"]
        met = await meet(any_api, meeting["id"], participant["token"])
        response = await any_api.http.post(any_api.account + "/apps", json={"name": "second"})
        second = f"{any_api.account}/{response.json()['data']['app']['id']}"
        ids = {
            "account_id": any_api.credentials.account_id,
            "app_id": response.json()["data"]["app"]["id"],
            "livestream_id": created["id"],
            "session_id": broadcast.session_id,
            "meeting_id": meeting["id"],
            "recording_id": recording["id"],
            "webhook_id": hook["id"],
            "delivery_id": delivery["id"],
            "participant_id": participant["id"],
            "preset_id": preset["id"],
        }
        crossing = [
            operation
            for operation in OPERATIONS
            if operation.path.startswith("/accounts/{account_id}/realtime/kit/{app_id}/")
        ]
        for operation in crossing:
            ids["session_id"] = met if operation.tag == "Sessions" else broadcast.session_id
            path = operation.path.format_map(ids)
            if path.removeprefix(second) in COLLECTIONS or "analytics" in path:
                continue
            if (operation.method, path.removeprefix(second)) == ("GET", "/recordings"):
                continue
            given = {"action": "stop", "livestream_id": created["id"], "start": 0, "end": 1}
            given = HOOK if "/webhooks" in path else {**SOMEBODY, **given}
            body = {"json": given} if operation.body is not None else {}
            refused(await any_api.http.request(operation.method, path, **body), 404)
        totals = (await any_api.http.get(second + "/analytics/livestreams/overall")).json()["data"]
        assert totals["count"] == 0
        assert any_api.broadcasts.open != {}

    async def test_a_token_of_one_app(self, any_api: Api) -> None:
        response = await any_api.http.post(any_api.account + "/apps", json={"name": "second"})
        second = response.json()["data"]["app"]["id"]
        token = await any_api.new_token("admin", second)
        headers = {"Authorization": f"Bearer {token}"}
        assert (await any_api.http.get(f"{any_api.account}/{second}/livestreams", headers=headers)).status_code == 200
        refused(await any_api.http.get(any_api.app + "/livestreams", headers=headers), 403)
        for method, path in (("POST", "/apps"), ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/x")):
            body = {"json": {"name": "x"}} if method == "POST" else {}
            refused(await any_api.http.request(method, any_api.account + path, headers=headers, **body), 403)
        apps = (await any_api.http.get(any_api.account + "/apps", headers=headers)).json()["data"]
        assert [app["id"] for app in apps] == [second]


async def _account_with_token(api: Api) -> tuple[str, str, str]:
    from headwater.control.repository import accounts, tokens

    async with api.plane._database.write() as conn:
        account = await accounts.create_account(conn, "other", 1)
        app = await accounts.create_app(conn, account, "other", 1)
        _, secret = await tokens.create(conn, account, app_id=None, name="t", permission="admin", now_ms=1)
    return account, app.id, secret


class TestTokens:
    async def test_a_revoked_token_is_refused_at_once(self, any_api: Api) -> None:
        token = await any_api.new_token("read")
        headers = {"Authorization": f"Bearer {token}"}
        assert (await any_api.http.get(any_api.app + "/livestreams", headers=headers)).status_code == 200
        listed = (await any_api.http.get(any_api.account + "/tokens")).json()
        assert token not in json.dumps(listed)
        (of_test,) = (entry for entry in listed["data"] if entry["name"] == "test")
        assert of_test["permission"] == "read"
        assert (await any_api.http.delete(f"{any_api.account}/tokens/{of_test['id']}")).status_code == 200
        refused(await any_api.http.get(any_api.app + "/livestreams", headers=headers), 401)
        refused(await any_api.http.delete(f"{any_api.account}/tokens/{of_test['id']}"), 404)

    async def test_a_token_does_not_revoke_itself(self, api: Api) -> None:
        (own,) = (await api.http.get(api.account + "/tokens")).json()["data"]
        refused(await api.http.delete(f"{api.account}/tokens/{own['id']}"), 409)

    async def test_only_hashes_are_stored(self, api: Api, settings: ControlSettings) -> None:
        token = await api.new_token("read")
        stored = b"".join(path.read_bytes() for path in settings.data_dir.glob("headwater.db*"))
        assert token.encode() not in stored
        assert api.credentials.api_token.encode() not in stored

    @pytest.mark.parametrize(
        "body",
        [{}, {"name": ""}, {"name": "a\0"}, {"name": "x", "permission": "root"}, {"name": "x" * 256}, {"name": 1}],
    )
    async def test_what_is_no_token(self, api: Api, body: dict[str, Any]) -> None:
        refused(await api.http.post(api.account + "/tokens", json=body), 400)

    async def test_a_token_for_nobodys_app(self, api: Api) -> None:
        body = {"name": "x", "app_id": "00000000-0000-4000-8000-000000000000"}
        refused(await api.http.post(api.account + "/tokens", json=body), 404)


class TestValidation:
    @pytest.mark.parametrize(
        "query",
        [
            "per_page=0",
            "per_page=1001",
            "per_page=-1",
            "per_page=x",
            "per_page=1.5",
            "page_no=-1",
            "page_no=9999999999",
            "sort_order=UP",
            "status=live",
            "status=LIVE&status=x",
            "exclude_meetings=maybe",
            "start_time=x",
            "start_time=2024-01-02T00:00:00Z&end_time=2024-01-01T00:00:00Z",
            "page_no=%00",
            "page_no=x&page_no=1",
            "sort_order=ASC&sort_order=ASC",
            "start_time=%D9%A1",
            "start_time=1700000000000",
            "start_time=0001-01-01T00:00:00%2B14:00",
            "end_time=99999999999999999999",
        ],
    )
    async def test_queries(self, api: Api, query: str) -> None:
        """The message names the parameter that is wrong."""
        message = refused(await api.http.get(f"{api.app}/livestreams?{query}"), 400)
        assert message.split(":")[0] in query

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("livestreams/overall", "start_time=2024-01-02&end_time=2024-01-01"),
            ("livestreams/daywise", "start_time=9999999999"),
            ("livestreams/daywise", "start_time=1&end_time=1700000000"),
            ("livestreams/daywise", "start_time=-1"),
            ("daywise", "start_date=2024-W01-1&end_date=2024-01-02"),
            ("daywise", "start_date=2024-02-30"),
            ("daywise", "start_date=9999-12-31"),
            ("daywise", "start_date=2024-01-02&end_date=2024-01-01"),
            ("daywise", "end_date=0001-01-01"),
        ],
    )
    async def test_time_ranges_of_analytics(self, api: Api, path: str, query: str) -> None:
        message = refused(await api.http.get(f"{api.app}/analytics/{path}?{query}"), 400)
        assert message.split(":")[0] in query

    @pytest.mark.parametrize("query", ["search=%FF", "%ED%A0%80=1"])
    async def test_queries_that_are_not_utf8(self, api: Api, query: str) -> None:
        refused(await api.http.get(f"{api.app}/meetings?{query}"), 400)

    async def test_what_is_unknown_may_be_repeated(self, api: Api) -> None:
        await api.call("GET", "/livestreams?utm=1&utm=2&page_no=&page_no=1")

    async def test_pages_of_apps_count_from_1(self, api: Api) -> None:
        """As the documented schema has it; for everything else it names no minimum, or 0."""
        message = refused(await api.http.get(f"{api.account}/apps?page_no=0"), 400)
        assert message.startswith("page_no:")
        assert (await api.http.get(f"{api.account}/apps?page_no=1")).is_success

    @pytest.mark.parametrize("path", ["/livestreams", "/meetings"])
    async def test_fields_that_are_ignored_have_to_be_utf8_too(self, api: Api, path: str) -> None:
        headers = {"Content-Type": "application/json"}
        refused(await api.http.post(api.app + path, content=b'{"other": "\xff"}', headers=headers), 400)

    async def test_unknown_and_empty_parameters_are_ignored(self, api: Api) -> None:
        await api.call("GET", "/livestreams?filters=x&page_no=&unknown=1")
        await api.call("GET", "/analytics/livestreams/overall?filters=anything")

    async def test_page_0_is_the_first(self, api: Api) -> None:
        await api.create()
        assert (await api.call("GET", "/livestreams?page_no=0"))["data"]["paging"]["start_offset"] == 1

    @pytest.mark.parametrize("name", ["a b", "a\n", "ä", "'; DROP TABLE livestreams;--", "a" * 256, 7, [], {}, True])
    async def test_names(self, any_api: Api, name: Any) -> None:
        message = refused(await any_api.http.post(any_api.app + "/livestreams", json={"name": name}), 400)
        assert "name" in message
        assert (await any_api.call("GET", "/livestreams"))["data"]["paging"]["total_count"] == 0

    @pytest.mark.parametrize("content", [b"", b"  ", b"{}", b'{"name": null}', b'{"other": 1}'])
    async def test_a_livestream_needs_no_body_and_no_name(self, api: Api, content: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        response = await api.http.post(api.app + "/livestreams", content=content, headers=headers)
        assert response.status_code == 201
        assert response.json()["data"]["name"] is None

    async def test_no_body_and_no_content_type(self, api: Api) -> None:
        """As the Go SDK sends a POST without parameters."""
        assert (await api.http.post(api.app + "/livestreams")).status_code == 201

    @pytest.mark.parametrize(
        "content",
        [b"{", b"nonsense", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"name":"\xed\xa0\x80"}', b'{"name":"a"} x'],
    )
    async def test_what_is_no_json_object(self, api: Api, content: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        refused(await api.http.post(api.app + "/livestreams", content=content, headers=headers), 400)

    async def test_deep_json(self, api: Api) -> None:
        for content in (b"[" * 60_000, b'{"x":' * 10_000, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"):
            headers = {"Content-Type": "application/json"}
            refused(await api.http.post(api.app + "/livestreams", content=content, headers=headers), 400)

    @pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data", ""])
    async def test_other_media_types(self, api: Api, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        refused(await api.http.post(api.app + "/livestreams", content=b"{}", headers=headers), 415)

    @given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
    @hypothesis_settings(max_examples=50, deadline=None)
    def test_any_body_is_taken_or_refused(self, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Whatever is sent, the answer is one of the documented ones."""

        async def check() -> None:
            plane = await ControlPlane.open(ControlSettings(tmp_path_factory.getbasetemp() / "any-body"))
            api = await open_api(plane)
            headers = {"Content-Type": "application/json"}
            for path in ("/livestreams", "/meetings"):
                response = await api.http.post(api.app + path, content=content, headers=headers)
                assert response.status_code in (201, 400)
            await api.http.aclose()
            await plane.close()

        asyncio.run(check())


class TestLimits:
    async def test_large_bodies(self, api: Api, settings: ControlSettings) -> None:
        large = b" " * (settings.body_limit_bytes + 1)
        headers = {"Content-Type": "application/json"}
        response = await api.http.post(api.app + "/livestreams", content=large, headers=headers)
        refused(response, 413)
        assert response.headers["connection"] == "close"

    async def test_large_bodies_without_a_length(self, api: Api) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 8192
                yield b" " * 8192

        refused(await api.http.post(api.app + "/livestreams", content=endless()), 413)
        assert sent < 200_000

    async def test_a_body_where_none_is_wanted_is_limited_too(self, api: Api) -> None:
        created = await api.create()
        large = b"x" * 100_000
        refused(await api.http.post(f"{api.app}/livestreams/{created['id']}/reset-key", content=large), 413)

    async def test_slow_bodies(self, tmp_path: Path) -> None:
        plane = await ControlPlane.open(ControlSettings(tmp_path / "data", body_timeout_s=0.05))
        api = await open_api(plane)

        async def stalled() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        refused(await api.http.post(api.app + "/livestreams", content=stalled()), 408)
        await api.http.aclose()
        await plane.close()

    async def test_long_queries(self, api: Api) -> None:
        refused(await api.http.get(f"{api.app}/livestreams?x={'y' * 5000}"), 414)

    async def test_requests_of_one_token(self, settings: ControlSettings) -> None:
        plane = await ControlPlane.open(replace(settings, requests_per_s=0.01, requests_burst=3))
        api = await open_api(plane)
        statuses = [(await api.http.get(api.app + "/livestreams")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        response = await api.http.get(api.app + "/livestreams")
        refused(response, 429)
        assert 1 <= int(response.headers["retry-after"]) <= 100
        await api.http.aclose()
        await plane.close()

    async def test_failed_authentications_of_one_address(self, settings: ControlSettings) -> None:
        """Then 429; a valid token from the same address still works, and no header makes it another address."""
        plane = await ControlPlane.open(replace(settings, failed_auth_per_s=0.01, failed_auth_burst=3))
        api = await open_api(plane)

        async def status(**headers: str) -> int:
            response = await api.http.get(api.app + "/livestreams", headers=headers)
            return response.status_code

        assert [await status(Authorization=f"Bearer {n}") for n in range(4)] == [401, 401, 401, 429]
        forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
        assert await status(Authorization="Bearer x", **forged) == 429
        assert await status() == 200
        await api.http.aclose()
        await plane.close()


class TestFailures:
    async def test_a_database_that_is_away(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def away() -> None:
            raise OperationalError("SELECT secret", {"key": "value"}, Exception("gone"))

        await api.call("GET", "/livestreams")
        monkeypatch.setattr(api.plane._database, "read", away)
        response = await api.http.get(api.app + "/livestreams")
        message = refused(response, 503)
        assert "secret" not in message
        assert response.headers["retry-after"] == "1"

    async def test_a_bug_is_one_requests_500(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def bug() -> None:
            raise AssertionError("the secret inner state")

        monkeypatch.setattr(api.plane._database, "read", bug)
        assert "secret" not in refused(await api.http.get(api.app + "/livestreams"), 500)


class TestSecrets:
    async def test_no_key_and_no_token_in_the_log(
        self, api: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither where all goes well, nor in errors, nor in what objects print of themselves."""
        created = await api.create("quiet")
        await api.broadcasts.publish(created["stream_key"])
        await api.call("POST", f"/livestreams/{created['id']}/reset-key")
        await api.http.get(api.app + "/livestreams", headers={"Authorization": "Bearer hw_wrong-secret"})
        grant = await api.plane.stream_keys.authorize((await api.call("GET", "/livestreams"))["data"]["stream_key"])
        from headwater.control.repository import livestreams

        async with api.plane._database.read() as conn:
            row = await livestreams.find_any(conn, created["id"])
        assert row is not None
        text = repr((grant, row, api.credentials)) + caplog.text + "".join(capsys.readouterr())
        for secret in (created["stream_key"], row.stream_key, api.credentials.api_token, "hw_wrong-secret"):
            assert secret not in text

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_no_local_variables_in_tracebacks(self, log_format: str) -> None:
        """A traceback in the log says where, and not what was in the variables: they hold keys."""
        code = (
            "import logging, sys\n"
            "from headwater.logs import configure_logging\n"
            "configure_logging(sys.argv[1], 'info')\n"
            "def fail(secret):\n    1 / 0\n"
            "try:\n    fail('the-' + 'secret')\nexcept ZeroDivisionError:\n    logging.exception('failed')\n"
        )
        run = subprocess.run([sys.executable, "-c", code, log_format], capture_output=True, text=True, check=True)
        assert "ZeroDivisionError" in run.stderr
        assert "the-secret" not in run.stderr

    async def test_answers_are_not_stored(self, api: Api) -> None:
        response = await api.http.get(api.app + "/livestreams")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"

    async def test_database_errors_hide_values(self, any_api: Api) -> None:
        """Statements' values may be keys, and errors are logged."""
        from sqlalchemy import text

        with pytest.raises(Exception) as failure:
            async with any_api.plane._database.read() as conn:
                await conn.execute(text("SELECT * FROM nowhere WHERE x = :key"), {"key": "the-secret"})
        assert "the-secret" not in str(failure.value)


class TestCors:
    async def test_off_by_default(self, api: Api) -> None:
        response = await api.http.get(api.app + "/livestreams", headers={"Origin": "https://evil.example"})
        assert not [name for name in response.headers if name.startswith("access-control")]

    async def test_for_named_origins(self, settings: ControlSettings) -> None:
        plane = await ControlPlane.open(replace(settings, cors_origins=("https://dash.example",)))
        api = await open_api(plane)
        preflight = {"Origin": "https://dash.example", "Access-Control-Request-Method": "POST"}
        allowed = await api.http.options(api.app + "/livestreams", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == "https://dash.example"
        other = await api.http.get(api.app + "/livestreams", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        await api.http.aclose()
        await plane.close()
