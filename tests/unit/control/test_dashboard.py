"""The dashboard's side of the server: signing in by a token, the API by a cookie, and nothing for any other site."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from headwater.control import ControlPlane, ControlSettings
from headwater.control.dashboard import sign_ins
from headwater.control.dashboard.sign_ins import SignIns
from tests.unit.control.support import Api, open_api

ORIGIN = "http://127.0.0.1:8080"
OURS = {"Origin": ORIGIN, "X-Headwater-Dashboard": "1"}
"""What the page's own requests carry; `Sec-Fetch-Site` is added where a test is about it."""


@asynccontextmanager
async def browser(api: Api, base: str = ORIGIN, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that keeps cookies, on the dashboard's page."""
    app = Starlette(routes=[Mount("/dashboard/api", api.plane.dashboard), Mount("/client/v4", api.plane.api)])
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 1234))
    origin = {"Origin": re.sub(r"(?<=\w)/.*", "", base)}
    async with httpx.AsyncClient(transport=transport, base_url=base, headers={**OURS, **origin, **headers}) as client:
        yield client


@pytest.fixture
async def page(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api) as client:
        yield client


async def sign_in(page: httpx.AsyncClient, token: str) -> httpx.Response:
    return await page.post("/dashboard/api/session", json={"api_token": token})


def livestreams(api: Api) -> str:
    return f"/dashboard/api/client/v4{api.app}/livestreams"


class TestSigningIn:
    async def test_a_token_gives_a_cookie_that_no_script_reads_and_no_other_site_sends(
        self, api: Api, page: httpx.AsyncClient
    ) -> None:
        assert (await page.get("/dashboard/api/session")).json()["data"] is None
        response = await sign_in(page, api.credentials.api_token)
        assert response.status_code == 200 and response.headers["cache-control"] == "no-store"
        cookie = response.headers["set-cookie"]
        name, _, attributes = cookie.partition(";")
        wanted = {"httponly", "path=/dashboard", "samesite=strict", "max-age=604800"}
        assert {part.strip().lower() for part in attributes.split(";")} == wanted
        assert api.credentials.api_token not in cookie and len(name.partition("=")[2]) == 43
        who = (await page.get("/dashboard/api/session")).json()["data"]
        assert who == response.json()["data"]
        assert who == {
            "account_id": api.credentials.account_id,
            "app_id": None,
            "name": "first admin",
            "permission": "admin",
        }

    @pytest.mark.parametrize("base", ["https://127.0.0.1:8080", "http://127.0.0.1:8080"])
    async def test_the_cookie_is_secure_where_the_browser_speaks_tls(self, api: Api, base: str) -> None:
        async with browser(api, base) as page:
            cookie = (await sign_in(page, api.credentials.api_token)).headers["set-cookie"]
        assert ("Secure" in cookie) == base.startswith("https")

    async def test_a_proxy_that_ends_tls_and_renames_the_host_is_known_by_the_public_url(self, tmp_path: Any) -> None:
        settings = ControlSettings(tmp_path / "data", public_url="https://live.example.com")
        plane = await ControlPlane.open(settings)
        api = await open_api(plane)
        async with browser(api, Origin="https://live.example.com") as page:
            response = await sign_in(page, api.credentials.api_token)
        await api.http.aclose()
        await plane.close()
        assert response.status_code == 200 and "Secure" in response.headers["set-cookie"]

    @pytest.mark.parametrize("token", ["", "hw_wrong", "x" * 300, "ключ"])
    async def test_a_wrong_token_gives_no_cookie(self, page: httpx.AsyncClient, token: str) -> None:
        response = await sign_in(page, token)
        assert response.status_code == 401 and "set-cookie" not in response.headers

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"api_token": 1}', b"\xff", b"[" * 5000])
    async def test_what_is_no_credential_is_refused(self, page: httpx.AsyncClient, body: bytes) -> None:
        assert (await page.post("/dashboard/api/session", content=body)).status_code == 400

    async def test_who_fails_too_often_waits_and_it_counts_for_the_api_too(
        self, api: Api, page: httpx.AsyncClient
    ) -> None:
        answers = [(await sign_in(page, "hw_wrong")).status_code for _ in range(25)]
        assert answers[:20] == [401] * 20 and 429 in answers[20:]
        wrong = {"Authorization": "Bearer hw_wrong"}
        assert (await page.get(f"/client/v4{api.app}/livestreams", headers=wrong)).status_code == 429
        assert (await sign_in(page, api.credentials.api_token)).status_code == 200

    async def test_signing_out_ends_it_also_for_who_has_kept_the_cookie(
        self, api: Api, page: httpx.AsyncClient
    ) -> None:
        await sign_in(page, api.credentials.api_token)
        kept = dict(page.cookies)
        assert (await page.get(livestreams(api))).status_code == 200
        assert (await page.delete("/dashboard/api/session")).status_code == 200
        assert not page.cookies
        page.cookies.update(kept)
        assert (await page.get(livestreams(api))).status_code == 401

    async def test_signing_in_again_ends_the_sign_in_before(self, api: Api, page: httpx.AsyncClient) -> None:
        await sign_in(page, api.credentials.api_token)
        before = dict(page.cookies)
        await sign_in(page, api.credentials.api_token)
        assert dict(page.cookies) != before
        async with browser(api) as other:
            other.cookies.update(before)
            assert (await other.get(livestreams(api))).status_code == 401

    async def test_a_revoked_token_ends_it(self, api: Api, page: httpx.AsyncClient) -> None:
        await sign_in(page, await api.new_token("read"))
        assert (await page.get(livestreams(api))).status_code == 200
        listed = (await api.http.get(api.account + "/tokens")).json()["data"]
        (of_test,) = (entry for entry in listed if entry["name"] == "test")
        await api.http.delete(f"{api.account}/tokens/{of_test['id']}")
        assert (await page.get(livestreams(api))).status_code == 401
        assert (await page.get("/dashboard/api/session")).json()["data"] is None


class TestTheApiByCookie:
    async def test_reading_and_changing_as_the_token_may(self, api: Api, page: httpx.AsyncClient) -> None:
        await sign_in(page, api.credentials.api_token)
        made = await page.post(livestreams(api), json={"name": "by-cookie"})
        assert made.status_code == 201 and len(made.json()["data"]["stream_key"]) == 64
        listed = (await page.get(livestreams(api))).json()["data"]["livestreams"]
        assert [entry["name"] for entry in listed] == ["by-cookie"]

    async def test_a_read_token_sees_and_cannot_change(self, api: Api, page: httpx.AsyncClient) -> None:
        made = await api.create("seen")
        await sign_in(page, await api.new_token("read"))
        (seen,) = (await page.get(livestreams(api))).json()["data"]["livestreams"]
        assert seen["name"] == "seen" and seen["stream_key"] == ""
        for method, path in [("POST", ""), ("DELETE", f"/{made['id']}"), ("POST", f"/{made['id']}/reset-key")]:
            response = await page.request(method, livestreams(api) + path, json={})
            assert response.status_code == 403 and "admin" in response.text

    async def test_the_api_itself_knows_no_cookie(self, api: Api, page: httpx.AsyncClient) -> None:
        await sign_in(page, api.credentials.api_token)
        jar = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
        response = await page.get(f"/client/v4{api.app}/livestreams", headers={"Cookie": jar})
        assert response.status_code == 401

    async def test_the_dashboards_paths_know_no_token(self, api: Api, page: httpx.AsyncClient) -> None:
        bearer = {"Authorization": f"Bearer {api.credentials.api_token}"}
        assert (await page.get(livestreams(api), headers=bearer)).status_code == 401


FOREIGN: list[dict[str, str | None]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8081"},
    {"Origin": "http://127.0.0.1:8080.evil.example"},
    {"Origin": "http://[broken"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"X-Headwater-Dashboard": None},
    {"Origin": None},
]


class TestOtherSites:
    @pytest.mark.parametrize("change", FOREIGN, ids=str)
    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "OPTIONS"])
    async def test_no_other_site_changes_anything_by_the_cookie(
        self, api: Api, page: httpx.AsyncClient, change: dict[str, str | None], method: str
    ) -> None:
        await sign_in(page, api.credentials.api_token)
        headers = {name: value for name, value in {**OURS, **change}.items() if value is not None}
        async with browser(api) as other:
            other.headers = httpx.Headers(headers)
            other.cookies.update(dict(page.cookies))
            for path in (livestreams(api), "/dashboard/api/session"):
                response = await other.request(method, path, json={"name": "x", "api_token": api.credentials.api_token})
                assert response.status_code in (403, 405)
                assert not [name for name in response.headers if name.startswith("access-control")]
                assert "set-cookie" not in response.headers
        assert (await page.get(livestreams(api))).json()["data"]["livestreams"] == []

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
    async def test_no_other_site_reads_by_it_where_the_browser_says_so(
        self, api: Api, page: httpx.AsyncClient, site: str
    ) -> None:
        await sign_in(page, api.credentials.api_token)
        for path in (livestreams(api), "/dashboard/api/session"):
            assert (await page.get(path, headers={"Sec-Fetch-Site": site})).status_code == 403
            assert (await page.get(path, headers={"Sec-Fetch-Site": "same-origin"})).status_code == 200

    async def test_an_origin_that_may_call_the_api_may_not_ride_on_the_dashboard(self, tmp_path: Any) -> None:
        settings = ControlSettings(tmp_path / "data", cors_origins=("https://partner.example",))
        plane = await ControlPlane.open(settings)
        api = await open_api(plane)
        async with browser(api, Origin="https://partner.example") as page:
            ask = {"Access-Control-Request-Method": "GET"}
            allowed = await page.options(f"/client/v4{api.app}/livestreams", headers=ask)
            refused = await page.options(livestreams(api), headers=ask)
        await api.http.aclose()
        await plane.close()
        assert allowed.headers["access-control-allow-origin"] == "https://partner.example"
        assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers


class TestSignIns:
    def test_it_ends_when_it_is_not_used_and_at_the_end_of_its_life(self) -> None:
        known = SignIns()
        _, cookie = known.open("token", 0.0)
        assert known.find(cookie, sign_ins.IDLE_S - 1) is not None
        assert known.find(cookie, 2 * sign_ins.IDLE_S - 2) is not None
        assert known.find(cookie, 3 * sign_ins.IDLE_S) is None and len(known) == 0
        _, cookie = known.open("token", 0.0)
        used = range(0, int(sign_ins.LIFETIME_S), 3600)
        assert all(known.find(cookie, float(now)) for now in used)
        assert known.find(cookie, sign_ins.LIFETIME_S) is None

    @pytest.mark.parametrize("cookie", [None, "", "x", "x" * 1_000_000, "\udcff"])
    def test_made_up_cookies_are_nobody(self, cookie: str | None) -> None:
        known = SignIns()
        known.open("token", 0.0)
        assert known.find(cookie, 1.0) is None

    def test_one_token_ends_its_own_oldest_and_nobody_elses(self) -> None:
        known = SignIns()
        _, other = known.open("other", 0.0)
        cookies = [known.open("token", float(i))[1] for i in range(sign_ins.PER_TOKEN + 1)]
        assert known.find(cookies[0], 50.0) is None and known.find(cookies[1], 50.0) is not None
        assert known.find(other, 50.0) is not None

    def test_they_are_bounded(self) -> None:
        known = SignIns()
        _, first = known.open("first", 0.0)
        _, second = known.open("second", 0.0)
        assert known.find(first, 1.0) is not None
        for i in range(sign_ins.LIMIT):
            known.open(f"token {i}", 2.0)
        assert len(known) == sign_ins.LIMIT
        assert known.find(second, 3.0) is None
