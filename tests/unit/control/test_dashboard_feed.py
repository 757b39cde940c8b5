"""What open dashboards are told: what is live in their app, what has changed, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from headwater.control.dashboard import feed as feeds
from headwater.control.dashboard.feed import NOTHING_LIVE, Feed, Listener
from headwater.errors import LimitReached
from headwater.events import RoomOpened, SessionHealth
from headwater.health import HealthSample
from tests.unit.control.support import Api
from tests.unit.control.test_dashboard import browser, sign_in


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "TICK_S", 0.005)
    monkeypatch.setattr(feeds, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(feeds, "CHECK_S", 0.01)


class Reader:
    """Reads messages as a browser does."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream

    async def next(self, event: str) -> Any:
        """The data of the next message of this kind."""
        async with asyncio.timeout(5):
            async for content in self._stream:
                for message in content.decode().split("\n\n"):
                    if message.startswith(f"event: {event}\ndata: "):
                        return json.loads(message.partition("data: ")[2])
                    if message == ":" and event == "heartbeat":
                        return None
        raise AssertionError("the stream has ended")

    async def ended(self) -> None:
        async with asyncio.timeout(5):
            async for _ in self._stream:
                pass


async def yes() -> bool:
    return True


def feed_of(api: Api) -> Feed:
    return api.plane._feed


def listening(api: Api, owner: str = "me", app_id: str | None = None) -> Reader:
    return Reader(feed_of(api).stream(owner, app_id or api.credentials.app_id, yes))


async def test_what_is_live_comes_at_once_and_as_it_changes(api: Api) -> None:
    made = await api.create("on-air")
    reader = listening(api)
    assert await reader.next("live") == {"live": []}
    broadcast = await api.broadcasts.publish(made["stream_key"])
    (session,) = (await reader.next("live"))["live"]
    assert session["livestream_id"] == made["id"] and session["session_id"] == broadcast.session_id
    assert session["playable"] and session["publishing"] and session["viewers"] == 1
    assert session["started_at"].endswith("Z")
    api.broadcasts.progress(made["id"], 12.34, 5.0)
    (session,) = (await reader.next("live"))["live"]
    assert (session["ingest_seconds"], session["viewer_seconds"]) == (12.3, 5.0)
    assert (session["health"], session["warnings"]) == ([], [])
    broadcast.health = tuple(HealthSample(1000 * k, 3_000_000, 9, 30.0, 8000, 0, 0, 5, 1.5, 3) for k in range(20))
    (session,) = (await reader.next("live"))["live"]
    told = [sample[:10] for sample in session["health"]]
    assert told == [[1000 * k, 3_000_000, 9, 30.0, 8000, 0, 0, 5, 1.5, 3] for k in (18, 19)]
    assert session["warnings"] == ["keyframes every 8 s: viewers start slowly; set 2 s in your encoder"]
    api.broadcasts.close(made["id"])
    assert await reader.next("live") == {"live": []}


async def test_changes_are_told_by_pipeline_and_api_alike(api: Api) -> None:
    made = await api.create("changes")
    reader = listening(api)
    await reader.next("live")
    await api.broadcasts.publish(made["stream_key"])
    assert await reader.next("changed") == {"livestreams": [made["id"]]}
    api.plane.listen(SessionHealth(made["id"], "session", (HealthSample(1, 1, 1, 1.0, 1, 0, 0, 0),)))
    assert not feed_of(api)._touched, "figures are no change"
    await api.create("another")
    assert await reader.next("changed") == {"livestreams": None}


async def test_silence_is_broken_by_comments(api: Api) -> None:
    reader = listening(api)
    await reader.next("live")
    await reader.next("heartbeat")
    await reader.next("heartbeat")


async def test_another_apps_livestreams_are_not_told(api: Api) -> None:
    other = (await api.http.post(api.account + "/apps", json={"name": "other"})).json()["data"]["app"]["id"]
    made = await api.create("mine")
    await api.broadcasts.publish(made["stream_key"])
    assert await api.plane.settle()
    mine, others = listening(api), listening(api, app_id=other)
    assert len((await mine.next("live"))["live"]) == 1
    assert (await others.next("live"))["live"] == []
    api.broadcasts.close(made["id"])
    assert await mine.next("changed") == {"livestreams": [made["id"]]}
    everything = asyncio.create_task(others.next("changed"))
    await mine.next("heartbeat")
    feed_of(api).touch()
    assert await everything == {"livestreams": None}


async def test_attempts_of_webhooks_are_told_to_their_app_and_many_at_once_as_anything(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (await api.http.post(api.account + "/apps", json={"name": "other"})).json()["data"]["app"]["id"]
    body = {"name": "hook", "url": "https://192.0.2.1/", "events": ["meeting.started"], "enabled": False}
    monkeypatch.setattr(api.plane.webhooks.outbound, "addresses", no_addresses)
    made = (await api.http.post(api.app + "/webhooks", json=body)).json()["data"]
    mine, others, feed = listening(api), listening(api, app_id=other), feed_of(api)
    await asyncio.gather(mine.next("live"), others.next("live"))
    api.plane.webhooks.attempted(made["id"])
    api.plane.webhooks.attempted("unknown")
    assert await mine.next("attempted") == {"webhooks": [made["id"]]}
    everything = asyncio.create_task(others.next("changed"))
    await mine.next("heartbeat")
    for number in range(feeds.OTHERS_LIMIT + 1):
        feed.attempted(str(number))
    assert await everything == {"livestreams": None}
    assert await mine.next("changed") == {"livestreams": None}


async def test_who_comes_and_goes_is_told_by_meeting(api: Api) -> None:
    made = (await api.http.post(api.app + "/meetings", json={"title": "stand-up"})).json()["data"]
    mine = listening(api)
    await mine.next("live")
    api.plane.hear(RoomOpened(made["id"], "00000000-0000-4000-8000-000000000001", 1))
    assert await mine.next("met") == {"meetings": [made["id"]]}


async def no_addresses(*_: Any) -> list[str]:
    return []


def test_state_is_told_once_and_changes_add_up_within_bounds() -> None:
    listener = Listener("me", "app")
    assert b"event: live" in listener.news(NOTHING_LIVE)
    assert listener.news(NOTHING_LIVE) == b""
    listener.touch("b")
    listener.touch("a")
    listener.touch("b")
    assert listener.news(NOTHING_LIVE) == b'event: changed\ndata: {"livestreams":["a","b"]}\n\n'
    for i in range(feeds.CHANGED_LIMIT + 1):
        listener.touch(str(i))
    assert listener.news(NOTHING_LIVE) == b'event: changed\ndata: {"livestreams":null}\n\n'
    assert listener.news(NOTHING_LIVE) == b""


async def test_nobody_looks_where_nobody_listens(api: Api) -> None:
    feed = feed_of(api)
    stream = feed.stream("me", api.credentials.app_id, yes)
    await Reader(stream).next("live")
    await stream.aclose()  # type: ignore[attr-defined]
    looking = feed._looking
    assert looking is not None
    await asyncio.wait_for(asyncio.shield(looking), 5)
    assert feed._looking is None and not feed._listeners
    await listening(api).next("live")  # and again


async def test_listeners_are_bounded_for_one_and_for_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LISTENERS_LIMIT", feeds.LISTENERS_OF_ONE + 1)
    readers = [listening(api) for _ in range(feeds.LISTENERS_OF_ONE)]
    await asyncio.gather(*(reader.next("live") for reader in readers))
    with pytest.raises(LimitReached):
        listening(api)
    other = listening(api, "other")
    await other.next("live")
    with pytest.raises(LimitReached):
        listening(api, "third")


async def test_it_ends_with_the_sign_in_and_with_the_server(api: Api) -> None:
    mine, other = listening(api, "me"), listening(api, "other")
    await asyncio.gather(mine.next("live"), other.next("live"))
    feed_of(api).end("me")
    await mine.ended()
    await other.next("heartbeat")
    await api.plane.hang_up()
    await other.ended()
    with pytest.raises(LimitReached):
        listening(api)


async def test_it_ends_when_it_is_not_allowed_any_more(api: Api) -> None:
    allowed = True

    async def holds() -> bool:
        return allowed

    reader = Reader(feed_of(api).stream("me", api.credentials.app_id, holds))
    await reader.next("heartbeat")
    allowed = False
    await reader.ended()


async def test_by_http_it_needs_a_sign_in_and_ends_with_it(api: Api) -> None:
    """Over ASGI by hand: httpx waits for the end of an answer."""
    async with browser(api) as page:
        path = f"/dashboard/api/events?app_id={api.credentials.app_id}"
        assert (await page.get(path)).status_code == 401
        await sign_in(page, api.credentials.api_token)
        for wrong in ("x", "%00", "x" * 100, ""):
            assert (await page.get(f"/dashboard/api/events?app_id={wrong}")).status_code == 404
        assert (await page.get(path, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
        stream = asyncio.create_task(page.get(path))
        feed = feed_of(api)
        while not feed._listeners:
            await asyncio.sleep(0)
        await page.delete("/dashboard/api/session")
        response = await asyncio.wait_for(stream, 5)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store" and b"retry: 2000" in response.content


async def test_a_revoked_token_ends_the_stream(api: Api) -> None:
    async with browser(api) as page:
        await sign_in(page, await api.new_token("read"))
        stream = asyncio.create_task(page.get(f"/dashboard/api/events?app_id={api.credentials.app_id}"))
        while not feed_of(api)._listeners:
            await asyncio.sleep(0)
        listed = (await api.http.get(api.account + "/tokens")).json()["data"]
        (of_test,) = (entry for entry in listed if entry["name"] == "test")
        await api.http.delete(f"{api.account}/tokens/{of_test['id']}")
        assert (await asyncio.wait_for(stream, 5)).status_code == 200
