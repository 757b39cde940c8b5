"""Livestreams of meetings: by the API, by a host inside, with the meeting itself; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headwater.control import ControlPlane, ControlSettings, PublishRefusedOf, meeting_livestreams
from headwater.control.urls import Addresses, Urls
from headwater.errors import LimitReached
from headwater.events import RoomOpened
from headwater.rooms import AdmissionRefused
from tests.unit.control.rooms import FakeCompositors
from tests.unit.control.support import Api, open_api
from tests.unit.control.test_http import refused
from tests.unit.control.test_meeting_sessions import join
from tests.unit.control.test_meetings import new_meeting


@pytest.fixture
async def compositors(any_api: Api) -> FakeCompositors:
    made = FakeCompositors()
    any_api.plane.attach_rooms(any_api.rooms, made)
    return made


async def until(true: Callable[[], bool]) -> None:
    """What follows from an event follows soon."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def followed(api: Api) -> None:
    """Everything that follows from the rooms' events has happened."""
    await until(lambda: not api.plane._following)


async def active(api: Api, meeting: str) -> Any:
    response = await api.http.get(f"{api.app}/meetings/{meeting}/active-livestream")
    return response.json()["data"] if response.is_success else None


class TestByTheApi:
    async def test_the_compositor_publishes_with_the_key_at_the_size(
        self, any_api: Api, compositors: FakeCompositors
    ) -> None:
        of = await new_meeting(any_api)
        body = {"video_config": {"width": 854, "height": 480}}
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams", json=body))["data"]
        assert started["status"] == "INVOKED"
        assert compositors.running == {
            started["id"]: (of, "rtmp://127.0.0.1:1935/live/", started["stream_key"], 854, 480)
        }
        await any_api.broadcasts.publish(started["stream_key"])
        assert (await active(any_api, of))["status"] == "LIVE"
        await any_api.call("POST", f"/meetings/{of}/active-livestream/stop")
        assert compositors.running == {}
        assert any_api.broadcasts.stopped[0][:2] == (started["id"], "STOPPED_BY_API")
        assert (await any_api.call("GET", f"/livestreams/{started['id']}"))["data"]["livestream"]["status"] == "IDLE"
        message = refused(await any_api.http.post(f"{any_api.app}/meetings/{of}/active-livestream/stop"), 404)
        assert message == f"No active livestream found for meeting_id {of}"

    @pytest.mark.parametrize(
        ("video", "size"),
        [
            (None, (1280, 720)),
            ({}, (1280, 720)),
            ({"width": None, "height": None}, (1280, 720)),
            ({"width": 320, "height": 180}, (320, 180)),
            ({"width": 1920, "height": 1080}, (1920, 1080)),
            ({"height": 1080}, (1280, 1080)),
        ],
    )
    async def test_sizes(self, any_api: Api, compositors: FakeCompositors, video: Any, size: tuple[int, int]) -> None:
        of = await new_meeting(any_api)
        await any_api.call("POST", f"/meetings/{of}/livestreams", json={"video_config": video})
        assert [asked[3:] for asked in compositors.running.values()] == [size]

    @pytest.mark.parametrize(
        ("video", "words"),
        [
            ({"width": 318}, "video_config.width: expected an even number from 320 to 1920, got 318"),
            ({"width": 1922}, "video_config.width: expected an even number from 320 to 1920, got 1922"),
            ({"width": 1281}, "video_config.width: expected an even number from 320 to 1920, got 1281"),
            ({"height": 178}, "video_config.height: expected an even number from 180 to 1080, got 178"),
            ({"height": 1082}, "video_config.height: expected an even number from 180 to 1080, got 1082"),
            ({"height": -720}, "video_config.height: expected an even number from 180 to 1080, got -720"),
            ({"height": 10**30}, "video_config.height"),
            ({"width": 640.5}, "video_config.width"),
            ({"width": "640"}, "video_config.width"),
        ],
    )
    async def test_what_is_no_size(self, any_api: Api, compositors: FakeCompositors, video: Any, words: str) -> None:
        of = await new_meeting(any_api)
        response = await any_api.http.post(f"{any_api.app}/meetings/{of}/livestreams", json={"video_config": video})
        assert words in refused(response, 400)
        assert await active(any_api, of) is None
        assert compositors.started == 0

    async def test_twice(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        message = refused(await any_api.http.post(f"{any_api.app}/meetings/{of}/livestreams"), 409)
        assert message == f"The meeting already has an active livestream: {started['id']}"
        assert compositors.started == 1


class TestAsALivestream:
    """What can be done with any livestream can be done with a meeting's, and its compositor does not come back."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("POST", "/stop", None), ("DELETE", "", None), ("PATCH", "", {"disabled": True})],
    )
    async def test_its_compositor_ends_first(
        self, any_api: Api, compositors: FakeCompositors, method: str, path: str, body: Any
    ) -> None:
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await any_api.broadcasts.publish(started["stream_key"])
        await until(lambda: not any_api.plane._checks)  # of who has just been admitted
        order: list[str] = []
        silence, stop = compositors.stop, any_api.broadcasts.stop

        async def silenced(*arguments: Any) -> None:
            order.append("compositor")
            await silence(*arguments)

        async def stopped(*arguments: Any, **options: Any) -> None:
            order.append("session")
            await stop(*arguments, **options)

        compositors.stop, any_api.broadcasts.stop = silenced, stopped  # type: ignore[method-assign]
        await any_api.call(method, f"/livestreams/{started['id']}{path}", json=body)
        assert order == ["compositor", "session"]
        assert compositors.running == {} and any_api.broadcasts.open == {}
        assert await active(any_api, of) is None

    async def test_a_new_key(self, any_api: Api, compositors: FakeCompositors) -> None:
        """It goes on by the new one, at the size that it had."""
        of = await new_meeting(any_api)
        body = {"video_config": {"width": 640, "height": 360}}
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams", json=body))["data"]
        key = (await any_api.call("POST", f"/livestreams/{started['id']}/reset-key"))["data"]["stream_key"]
        assert key != started["stream_key"]
        assert compositors.running[started["id"]][2:] == (key, 640, 360)
        await any_api.call("POST", f"/meetings/{of}/active-livestream/stop")
        again = (await any_api.call("POST", f"/livestreams/{started['id']}/reset-key"))["data"]
        assert again["stream_key"] != key and compositors.running == {}


class TestByAHost:
    async def test_start_status_stop(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        door = any_api.plane.meeting_livestreams
        assert await door.status(of) is None
        assert await door.playback_id(of) is None
        livestream = await door.start(of)
        assert await door.status(of) == "INVOKED"
        shown = (await any_api.call("GET", f"/livestreams/{livestream}"))["data"]["livestream"]
        assert f"/{await door.playback_id(of)}/" in shown["playback_url"]
        with pytest.raises(AdmissionRefused) as refusal:
            await door.start(of)
        assert (refusal.value.status, refusal.value.code) == (409, "ERR_LIVESTREAM_ACTIVE")
        assert livestream in refusal.value.message
        await any_api.broadcasts.publish(compositors.running[livestream][2])
        await until(lambda: (of, "LIVE") in any_api.rooms.livestreams)
        assert await door.status(of) == "LIVE"
        await door.stop(of)
        assert await door.status(of) is await door.playback_id(of) is None
        assert any_api.rooms.livestreams[0] == (of, "INVOKED")
        await until(lambda: any_api.rooms.livestreams[-1] == (of, None))
        with pytest.raises(AdmissionRefused) as refusal:
            await door.stop(of)
        assert (refusal.value.status, refusal.value.code) == (404, "ERR_NO_LIVESTREAM")

    async def test_of_no_meeting(self, any_api: Api) -> None:
        for act in (any_api.plane.meeting_livestreams.start, any_api.plane.meeting_livestreams.stop):
            with pytest.raises(AdmissionRefused) as refusal:
                await act("no-such-meeting")
            assert refusal.value.status == 404


class TestWithTheMeeting:
    async def test_it_starts_and_ends_with_it(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api, live_stream_on_start=True)
        ada = await join(any_api, of, "ada")
        await followed(any_api)
        first = await active(any_api, of)
        assert (first["status"], first["meeting_id"]) == ("INVOKED", of)
        assert list(compositors.running) == [first["id"]]
        await join(any_api, of, "bob")
        any_api.rooms.leave(of, ada)
        await followed(any_api)
        assert compositors.started == 1
        any_api.rooms.close(of)
        await followed(any_api)
        assert await active(any_api, of) is None
        assert compositors.running == {}
        with pytest.raises(PublishRefusedOf):
            await any_api.plane.stream_keys.authorize(first["stream_key"])
        await join(any_api, of, "ada")
        await followed(any_api)
        assert (await active(any_api, of))["id"] != first["id"]

    async def test_a_second_opening_does_nothing(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api, live_stream_on_start=True)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await join(any_api, of, "ada")
        room = any_api.rooms.open[of]
        any_api.plane.hear(RoomOpened(of, room.session_id, room.opened_ms))
        await followed(any_api)
        assert (await active(any_api, of))["id"] == started["id"]
        assert compositors.started == 1

    async def test_others_do_not_start_by_themselves(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        await followed(any_api)
        assert await active(any_api, of) is None
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        any_api.rooms.close(of)
        await followed(any_api)
        assert await active(any_api, of) is None
        log = (await any_api.call("GET", f"/livestreams/{started['id']}/events"))["data"]
        assert log[0]["message"] == "The meeting has ended."

    async def test_in_quick_succession(self, any_api: Api, compositors: FakeCompositors) -> None:
        """Ended and opened again before anything could follow: in the end the new one is on."""
        of = await new_meeting(any_api, live_stream_on_start=True)
        for _ in range(5):
            await join(any_api, of, "ada")
            any_api.rooms.close(of)
        await join(any_api, of, "ada")
        await followed(any_api)
        assert list(compositors.running) == [(await active(any_api, of))["id"]]


class TestFailures:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(meeting_livestreams, "GONE_S", 0.0)

    async def test_a_compositor_that_cannot_be_started(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api)
        compositors.refuses = LimitReached("compositor.max", "There are 4 broadcasts already.")
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        found = (await any_api.call("GET", f"/livestreams/{started['id']}"))["data"]
        assert found["livestream"]["status"] == "ERRORED"
        assert "There are 4 broadcasts already." in found["session"]["err_message"]
        assert found["session"]["err_message"].startswith("ERR_BROADCAST_FAILED: ")
        assert found["session"]["stopped_time"] is not None
        compositors.refuses = None
        again = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        assert list(compositors.running) == [again["id"]]

    async def test_one_that_gives_up(self, any_api: Api, compositors: FakeCompositors) -> None:
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        broadcast = await any_api.broadcasts.publish(started["stream_key"])
        broadcast.publishing = False
        await any_api.plane.meeting_livestreams.failed(started["id"], "ERR_COMPOSITOR", "It died 4 times in 9 s.")
        found = (await any_api.call("GET", f"/livestreams/{started['id']}"))["data"]
        assert found["livestream"]["status"] == "ERRORED"
        assert found["session"]["id"] == broadcast.session_id
        assert found["session"]["err_message"] == "ERR_COMPOSITOR: It died 4 times in 9 s."
        assert await any_api.plane.meeting_livestreams.status(of) == "ERRORED"
        await until(lambda: any_api.rooms.livestreams[-1] == (of, "ERRORED"))
        assert await active(any_api, of) is None

    async def test_one_that_somebody_took_over_from(self, any_api: Api, compositors: FakeCompositors) -> None:
        """An encoder of one's own, with the same key: the broadcast is theirs, and goes on."""
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await any_api.broadcasts.publish(started["stream_key"])
        await any_api.plane.meeting_livestreams.failed(started["id"], "ERR_COMPOSITOR", "It was taken over.")
        assert (await active(any_api, of))["status"] == "LIVE"
        assert any_api.broadcasts.stopped == []
        (entry, *_) = (await any_api.call("GET", f"/livestreams/{started['id']}/events"))["data"]
        assert (entry["kind"], entry["code"]) == ("warning", "ERR_COMPOSITOR")
        await any_api.call("POST", f"/meetings/{of}/active-livestream/stop")
        assert any_api.broadcasts.open == {}


async def test_a_crash_ends_the_livestream_with_the_meeting(tmp_path: Path, database_url: str | None) -> None:
    settings = ControlSettings(tmp_path / "data", database_url=database_url)
    plane = await ControlPlane.open(settings)
    api = await open_api(plane)
    of = await new_meeting(api, live_stream_on_start=True)
    await join(api, of, "ada")
    await followed(api)
    started = await active(api, of)
    await api.http.aclose()
    await plane.close()
    plane = await ControlPlane.open(settings)
    try:
        api = await open_api(plane)

        async def nothing(_session: object) -> None:
            return None

        await plane.recover(nothing)
        assert await active(api, of) is None
        assert (await api.call("GET", f"/livestreams/{started['id']}"))["data"]["livestream"]["status"] == "IDLE"
        await api.http.aclose()
    finally:
        await plane.close()


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        (Addresses(rtmp=("0.0.0.0", 1936)), "rtmp://127.0.0.1:1936/live/"),
        (Addresses(rtmp=("::", 1936), rtmps=("::", 1)), "rtmp://127.0.0.1:1936/live/"),
        (Addresses(rtmp=("192.0.2.7", 1936)), "rtmp://192.0.2.7:1936/live/"),
        (Addresses(rtmps=("0.0.0.0", 443)), "rtmps://127.0.0.1:443/live/"),
    ],
)
def test_where_the_compositor_publishes(tmp_path: Path, addresses: Addresses, url: str) -> None:
    """In this machine, whatever the public URL is."""
    urls = Urls(ControlSettings(tmp_path, public_rtmp_url="rtmps://live.example.com/live/"))
    urls.listening(addresses)
    assert urls.loopback_ingest() == url
