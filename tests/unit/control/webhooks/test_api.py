"""The webhook resource, its log, and what is stored for it when livestreams change."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from headwater.control.history import Recovered, recover
from headwater.control.repository import sessions
from headwater.control.webhooks import names
from tests.unit.control.support import Api, now_ms
from tests.unit.control.test_http import refused

BODY: dict[str, Any] = {"name": "all", "url": "https://9.9.9.9/hook", "events": ["livestreaming.statusUpdate"]}


async def told(api: Api, hook: dict[str, Any]) -> list[dict[str, Any]]:
    """What a webhook is told, the oldest first."""
    page = await api.call("GET", f"/webhooks/{hook['id']}/deliveries", params={"per_page": 100})
    return list(reversed(page["data"]))


async def create(api: Api, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await api.call("POST", "/webhooks", json={**BODY, **values}))["data"]
    return made


class TestResource:
    async def test_from_creation_to_deletion(self, any_api: Api) -> None:
        made = await create(any_api)
        assert {name: made[name] for name in BODY} == BODY
        assert made["enabled"] is True
        assert (await any_api.call("GET", "/webhooks"))["data"] == [made]
        path = f"/webhooks/{made['id']}"
        edited = (await any_api.call("PATCH", path, json={"enabled": False}))["data"]
        assert {**edited, "updated_at": ""} == {**made, "enabled": False, "updated_at": ""}
        other = {"name": "other", "url": "http://8.8.8.8:8080/", "events": ["meeting.started", "meeting.ended"]}
        replaced = (await any_api.call("PUT", path, json=other))["data"]
        assert {name: replaced[name] for name in other} == other
        assert replaced["enabled"] is True, "replacing gives what is not said its default"
        assert (await any_api.call("GET", path))["data"] == replaced
        assert (await any_api.call("DELETE", path))["data"] == replaced
        refused(await any_api.http.get(any_api.app + path), 404)
        assert (await any_api.call("GET", "/webhooks"))["data"] == []

    async def test_it_is_created_with_201_and_enabled_or_not(self, api: Api) -> None:
        response = await api.http.post(api.app + "/webhooks", json={**BODY, "enabled": False})
        assert response.status_code == 201
        assert response.json()["data"]["enabled"] is False

    async def test_event_names(self, api: Api) -> None:
        assert (await api.call("GET", "/webhooks/all"))["data"] == list(names.SENT)
        message = refused(await api.http.post(api.app + "/webhooks", json={**BODY, "events": ["meeting.begun"]}), 400)
        assert "events" in message
        refused(await api.http.post(api.app + "/webhooks", json={**BODY, "events": []}), 400)
        made = await create(api, events=["meeting.summary", "meeting.started", "meeting.summary"])
        assert made["events"] == ["meeting.summary", "meeting.started"]

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("", "url"),
            ("here", "http"),
            ("ftp://9.9.9.9/", "http"),
            ("file:///etc/passwd", "http"),
            ("http://", "host"),
            ("http:///path", "host"),
            ("https://user:secret@9.9.9.9/", "user name"),
            ("https://user@9.9.9.9/", "user name"),
            ("https://@9.9.9.9/", "user name"),
            ("https://9.9.9.9/#part", "fragment"),
            ("https://9.9.9.9:0/", "port"),
            ("https://9.9.9.9:65536/", "port"),
            ("https://a b/", "characters"),
            ("https://a%20b/", "host"),
            ("https://a\\b/", "host"),
            ("https://9.9.9.9/\r\nX: y", "characters"),
            ("https://bücher.example/", "characters"),
            ("https://9.9.9.9/" + "a" * 2048, "length"),
            ("http://127.0.0.1/", "allow_networks"),
            ("http://[::1]/", "allow_networks"),
            ("http://[::ffff:10.0.0.1]/", "allow_networks"),
            ("http://169.254.169.254/latest/meta-data", "allow_networks"),
            ("http://localhost:8080/", "allow_networks"),
            ("http://2130706433/", "allow_networks"),
        ],
    )
    async def test_urls_that_cannot_be(self, api: Api, url: str, words: str) -> None:
        assert words in refused(await api.http.post(api.app + "/webhooks", json={**BODY, "url": url}), 400)
        made = await create(api)
        refused(await api.http.patch(f"{api.app}/webhooks/{made['id']}", json={"url": url}), 400)
        assert (await api.call("GET", f"/webhooks/{made['id']}"))["data"] == made

    async def test_a_name_without_an_address_may_get_one(self, api: Api) -> None:
        assert (await create(api, url="https://hooks.invalid/"))["url"] == "https://hooks.invalid/"

    async def test_what_is_missing(self, api: Api) -> None:
        for name in BODY:
            body = {key: value for key, value in BODY.items() if key != name}
            assert name in refused(await api.http.post(api.app + "/webhooks", json=body), 400)
        refused(await api.http.post(api.app + "/webhooks"), 400)
        refused(await api.http.post(api.app + "/webhooks", json={**BODY, "name": "a\x07"}), 400)

    async def test_an_app_has_a_limit_of_them(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("headwater.control.api.routes.webhooks.WEBHOOKS_PER_APP", 2)
        for _ in range(2):
            await create(api)
        refused(await api.http.post(api.app + "/webhooks", json=BODY), 409)

    async def test_who_may_read_may_not_write_and_sees_no_keys(self, api: Api) -> None:
        made = await create(api)
        created = await api.create()
        reader = {"Authorization": f"Bearer {await api.new_token('read')}"}
        path = f"{api.app}/webhooks/{made['id']}"
        refused(await api.http.post(api.app + "/webhooks", json=BODY, headers=reader), 403)
        refused(await api.http.patch(path, json={"enabled": False}, headers=reader), 403)
        refused(await api.http.put(path, json=BODY, headers=reader), 403)
        refused(await api.http.delete(path, headers=reader), 403)
        (delivery,) = (await api.http.get(path + "/deliveries", headers=reader)).json()["data"]
        refused(await api.http.post(f"{path}/deliveries/{delivery['id']}/redeliver", headers=reader), 403)
        one = (await api.http.get(f"{path}/deliveries/{delivery['id']}", headers=reader)).json()["data"]["delivery"]
        assert one == delivery
        assert delivery["payload"]["streamKey"] == ""
        assert (await told(api, made))[0]["payload"]["streamKey"] == created["stream_key"]


class TestEvents:
    async def test_a_broadcast(self, any_api: Api) -> None:
        """INVOKED, LIVE, IDLE, each with what the product says and what happened."""
        hook = await create(any_api)
        created = await any_api.create("launch")
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        any_api.broadcasts.progress(created["id"], 5.0, 1.0)
        any_api.broadcasts.close(created["id"])
        await any_api.plane.settle()
        deliveries = await told(any_api, hook)
        payloads = [one["payload"] for one in deliveries]
        assert [payload["status"] for payload in payloads] == ["INVOKED", "LIVE", "IDLE"]
        for payload in payloads:
            assert payload["event"] == "livestreaming.statusUpdate"
            assert payload["streamId"] == created["id"]
            assert payload["streamKey"] == created["stream_key"]
            assert payload["playbackUrl"] == created["playback_url"]
            assert payload["ingestServer"] == created["ingest_server"]
            assert payload["meeting"] is None
            assert payload["manualIngest"] is True
        assert [payload["sessionId"] for payload in payloads] == [None, broadcast.session_id, broadcast.session_id]
        assert {one["about"] for one in deliveries} == {created["id"]}
        assert {one["state"] for one in deliveries} == {"waiting"}

    async def test_a_failed_broadcast_says_why(self, any_api: Api) -> None:
        hook = await create(any_api)
        created = await any_api.create()
        await any_api.broadcasts.publish(created["stream_key"])
        any_api.broadcasts.close(created["id"], error="ERR_GOP_OUT_OF_RANGE: too long")
        await any_api.plane.settle()
        last = (await told(any_api, hook))[-1]["payload"]
        assert (last["status"], last["errMessage"]) == ("ERRORED", "ERR_GOP_OUT_OF_RANGE: too long")

    async def test_a_meetings_livestream(self, any_api: Api) -> None:
        hook = await create(any_api)
        meeting = (await any_api.call("POST", "/meetings", json={"title": "Weekly sync"}))["data"]
        started = (await any_api.call("POST", f"/meetings/{meeting['id']}/livestreams", json={}))["data"]
        await any_api.broadcasts.publish(started["stream_key"])
        await any_api.call("POST", f"/meetings/{meeting['id']}/active-livestream/stop")
        payloads = [one["payload"] for one in await told(any_api, hook)]
        assert [payload["status"] for payload in payloads] == ["INVOKED", "LIVE", "IDLE"]
        summary = payloads[1]["meeting"]
        assert summary["organizedBy"] == {"id": any_api.credentials.app_id, "name": "default"}
        assert (summary["id"], summary["title"], summary["status"]) == (meeting["id"], "Weekly sync", "LIVE")
        assert summary["createdAt"] == meeting["created_at"]
        assert payloads[1]["manualIngest"] is False

    async def test_deletion_ends_what_was_asked_for(self, any_api: Api) -> None:
        hook = await create(any_api)
        created = await any_api.create()
        await any_api.call("DELETE", f"/livestreams/{created['id']}")
        assert [one["payload"]["status"] for one in await told(any_api, hook)] == ["INVOKED", "IDLE"]

    async def test_a_recording_is_told_after_the_end(self, any_api: Api) -> None:
        hook = await create(any_api, events=["recording.statusUpdate", "livestreaming.statusUpdate"])
        created = await any_api.create()
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        any_api.broadcasts.close(created["id"], recording="recordings/x.mp4")
        await any_api.plane.settle()
        deliveries = await told(any_api, hook)
        assert [one["event"] for one in deliveries][-2:] == ["livestreaming.statusUpdate", "recording.statusUpdate"]
        recording = deliveries[-1]["payload"]["recording"]
        assert recording["status"] == "UPLOADED"
        assert recording["sessionId"] == broadcast.session_id
        assert recording["downloadUrl"] is None, "who reads the log asks the recordings API for a link"
        assert deliveries[-1]["about"] == created["id"], "in one order with the livestream's own events"

    async def test_what_a_crash_left_is_told_when_it_is_recovered(self, any_api: Api) -> None:
        hook = await create(any_api, events=["recording.statusUpdate", "livestreaming.statusUpdate"])
        created = await any_api.create()
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        await any_api.plane.settle()
        async with any_api.plane._database.write() as conn:
            session = await sessions.find_any(conn, broadcast.session_id)
            assert session is not None
            await recover(conn, session, Recovered("recordings/x.mp4", now_ms(), 3.0), now_ms())
        kinds = [one["payload"].get("status", one["event"]) for one in await told(any_api, hook)]
        assert kinds == ["INVOKED", "LIVE", "IDLE", "recording.statusUpdate"]

    async def test_an_event_that_is_written_twice_is_told_once(self, any_api: Api) -> None:
        hook = await create(any_api)
        created = await any_api.create()
        await any_api.broadcasts.publish(created["stream_key"])
        any_api.broadcasts.playable(created["id"])
        await any_api.plane.settle()
        assert [one["payload"]["status"] for one in await told(any_api, hook)] == ["INVOKED", "LIVE"]

    async def test_another_apps_webhook_is_told_nothing(self, any_api: Api) -> None:
        response = await any_api.http.post(any_api.account + "/apps", json={"name": "second"})
        second = f"{any_api.account}/{response.json()['data']['app']['id']}"
        hook = (await any_api.http.post(second + "/webhooks", json=BODY)).json()["data"]
        await any_api.create()
        page = (await any_api.http.get(f"{second}/webhooks/{hook['id']}/deliveries")).json()
        assert page["data"] == []


class TestLog:
    async def test_pages_and_states(self, any_api: Api) -> None:
        hook = await create(any_api)
        for _ in range(3):
            await any_api.create()
        path = f"/webhooks/{hook['id']}/deliveries"
        first = await any_api.call("GET", path, params={"per_page": 2, "state": "waiting"})
        second = await any_api.call("GET", path, params={"per_page": 2, "page_no": 2})
        assert [len(first["data"]), len(second["data"])] == [2, 1]
        assert first["paging"] == {"total_count": 3, "start_offset": 1, "end_offset": 2}
        assert (await any_api.call("GET", path, params={"state": "failed"}))["data"] == []
        refused(await any_api.http.get(any_api.app + path, params={"state": "lost"}), 400)

    async def test_redelivery(self, any_api: Api) -> None:
        hook = await create(any_api)
        await any_api.create()
        (delivery,) = await told(any_api, hook)
        path = f"/webhooks/{hook['id']}/deliveries/{delivery['id']}"
        await any_api.call("POST", path + "/redeliver")
        shown = (await any_api.call("GET", path))["data"]
        assert shown["attempts"] == []
        assert shown["delivery"]["state"] == "waiting"
        assert shown["delivery"]["next_attempt_at"] is not None
        await any_api.call("PATCH", f"/webhooks/{hook['id']}", json={"enabled": False})
        refused(await any_api.http.post(any_api.app + path + "/redeliver"), 409)


async def test_the_public_key_is_published_for_anybody(api: Api) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=[*api.plane.routes])), base_url="http://here"
    ) as http:
        response = await http.get("/.well-known/webhooks.json")
    body = response.json()
    assert (body["success"], body["message"]) == (True, "")
    assert body["data"]["publicKey"].startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "PRIVATE" not in response.text
