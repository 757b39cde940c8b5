"""Meetings on a whole server: made by the API, entered by tokens, seen by the API, ended with the server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np

from headwater.client import Headwater
from headwater.client.models import Meeting
from tests.e2e.support import api
from tests.interop.aiortc_client import Client, Colour, shown
from tests.support import Server, require


class Page:
    """What a page is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    async def read(self, url: str, token: str) -> None:
        async with (
            httpx.AsyncClient(timeout=20) as http,
            http.stream("GET", f"{url}/events", headers={"Authorization": f"Bearer {token}"}) as response,
        ):
            assert response.status_code == 200
            event = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.told.append((event, json.loads(line.removeprefix("data: "))))
                    self._changed.set()

    async def until(self, condition: Any) -> dict[str, Any]:
        """The first state from now on for which the condition holds."""
        async with asyncio.timeout(20):
            while not (self.told and self.told[-1][0] == "state" and condition(self.told[-1][1])):
                self._changed.clear()
                await self._changed.wait()
        return self.told[-1][1]


@asynccontextmanager
async def page(url: str, token: str) -> AsyncIterator[tuple[Page, asyncio.Task[None]]]:
    found = Page()
    reading = asyncio.ensure_future(found.read(url, token))
    try:
        yield found, reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def inside(state: dict[str, Any]) -> list[str]:
    return [each["name"] for each in state["participants"]]


async def test_people_meet_and_the_api_sees_them(server: Server) -> None:
    with api(server) as client:
        meeting: Meeting = client.create_meeting(title="Weekly sync")
        url = f"{server.http}/meet/{meeting.id}"
        anna, bert = (
            client.add_participant(meeting.id, custom_participant_id=name.lower(), name=name, preset_name=preset)
            for name, preset in (("Anna", "host"), ("Bert", "participant"))
        )
        seeing, sending = Client(url, anna.token), Client(url, bert.token)
        try:
            async with page(url, anna.token) as (told, reading):
                state = await told.until(lambda state: inside(state) == ["Anna"])
                assert (state["title"], state["me"]["id"]) == ("Weekly sync", anna.id)
                assert state["me"]["permissions"]["livestream"] is True

                await sending.publish(Colour(60, 60, 200), "VP8")
                await told.until(lambda state: inside(state) == ["Anna", "Bert"] and has_camera(state))
                await shown(await seeing.receive(bert.id), 60, 60, 200)
                session = client.get_active_session(meeting.id)
                assert (session.live_participants, session.meeting_display_name) == (2, "Weekly sync")

                client.mute_participants(meeting.id, participant_ids=[anna.id])
                await told.until(lambda state: state["me"]["audio"] is False)
                client.kick_participants(meeting.id, participant_ids=[bert.id])
                await told.until(lambda state: inside(state) == ["Anna"])

                assert await asyncio.to_thread(server.terminate) == 0
                await asyncio.wait_for(reading, 5)
                assert told.told[-1] == ("bye", {"reason": "SHUTDOWN"})
        finally:
            await seeing.close()
            await sending.close()


def has_camera(state: dict[str, Any]) -> bool:
    return any(each["sources"].get("camera", {}).get("video") for each in state["participants"])


async def test_a_host_broadcasts_what_the_room_shows(server: Server) -> None:
    """Sent by WHIP, forwarded by the room, composed, packaged, and watched: two tiles beside each other."""
    with api(server) as client:
        await a_token_lets_into_its_own_meeting_alone(server, client)
        meeting = client.create_meeting(title="On air")
        url = f"{server.http}/meet/{meeting.id}"
        people = {
            name: client.add_participant(meeting.id, custom_participant_id=name, name=name, preset_name="host")
            for name in ("Anna", "Bert")
        }
        colours = {"Anna": (200, 60, 60), "Bert": (60, 60, 200)}
        clients = {name: Client(url, each.token) for name, each in people.items()}
        try:
            async with page(url, people["Anna"].token) as (told, _):
                for name, each in clients.items():
                    await each.publish(Colour(*colours[name]), "H264" if name == "Anna" else "VP8")
                await told.until(lambda state: [bool(one["sources"]) for one in state["participants"]] == [True, True])
                started = await clients["Anna"].call("POST", "livestream")
                assert started.status_code == 201, started.text
                await told.until(lambda state: state["livestream"] == "LIVE")
                active = client.get_meeting_active_livestreams(meeting.id)
                assert active.id == started.json()["data"]["id"]
                assert (await clients["Bert"].call("POST", "livestream")).status_code == 409

                async with asyncio.timeout(20):
                    while not shows(await asyncio.to_thread(frame, active.playback_url), list(colours.values())):
                        await asyncio.sleep(0.3)

                assert (await clients["Bert"].call("DELETE", "livestream")).status_code == 200
                await told.until(lambda state: state["livestream"] is None)
                assert (await clients["Bert"].call("DELETE", "livestream")).status_code == 404
        finally:
            for each in clients.values():
                await each.close()


async def a_token_lets_into_its_own_meeting_alone(server: Server, client: Headwater) -> None:
    mine, other = client.create_meeting(title="Mine"), client.create_meeting(title="Other")
    viewer = client.add_participant(mine.id, custom_participant_id="v", preset_name="viewer")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {viewer.token}"}) as http:
        refused = await http.get(f"{server.http}/meet/{other.id}/events")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ERR_OTHER_MEETING")
        refused = await http.post(f"{server.http}/meet/{mine.id}/livestream")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ERR_NOT_ALLOWED")
        anonymous = await http.get(f"{server.http}/meet/{mine.id}/events", headers={"Authorization": ""})
        assert anonymous.status_code == 401


def shows(picture: np.ndarray, colours: list[tuple[int, int, int]]) -> bool:
    """Whether two tiles beside each other have these colours."""
    height, width, _ = picture.shape
    seen = [picture[height // 2, width * share // 4].astype(int) for share in (1, 3)]
    return bool(np.all(np.abs(np.array(seen) - colours) < 40))


def frame(playback_url: str) -> np.ndarray:
    """The newest picture that a viewer gets, RGB."""
    command = [require("ffmpeg"), "-v", "error", "-i", playback_url, "-frames:v", "1"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, timeout=20)
    assert len(raw.stdout) == 1280 * 720 * 3, raw.stderr.decode()
    return np.frombuffer(raw.stdout, np.uint8).reshape(720, 1280, 3)
