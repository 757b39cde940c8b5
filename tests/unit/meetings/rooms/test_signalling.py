"""The HTTP of rooms beside WHIP and WHEP, and what pages are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from headwater.meetings.rooms.feed import told
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.signalling import Door, PublishEndpoint, ReceiveEndpoint, resource_routes
from headwater.rooms import Admission, AdmissionRefused, Permissions
from headwater.webrtc.media import NotServed
from headwater.webrtc.resources import Refused
from tests.unit.meetings.rooms.support import FakeAcceptor, Heard, admission

NOTHING = Permissions(False, False, False, True, True, True)


class Control:
    """The control plane's side: tokens are names, `viewer-anna` has no permissions."""

    def __init__(self) -> None:
        self.active: str | None = None

    async def admit(self, token: str, meeting_id: str) -> Admission:
        if token == "expired":
            raise AdmissionRefused(401, "ERR_TOKEN_EXPIRED", "the token has expired")
        if meeting_id != "meeting":
            raise AdmissionRefused(403, "ERR_OTHER_MEETING", "the token is for another meeting")
        if token.startswith("viewer-"):
            return admission(token.removeprefix("viewer-"), preset="viewer", permissions=NOTHING)
        return admission(token)

    async def start(self, meeting_id: str) -> str:
        if self.active is not None:
            raise AdmissionRefused(409, "ERR_LIVESTREAM_ACTIVE", f"active: {self.active}")
        self.active = "livestream-1"
        return self.active

    async def stop(self, meeting_id: str) -> None:
        if self.active is None:
            raise AdmissionRefused(404, "ERR_NO_LIVESTREAM", "none is active")
        self.active = None

    async def playback_id(self, meeting_id: str) -> str | None:
        return None if self.active is None else "f" * 32

    async def status(self, meeting_id: str) -> str | None:
        return None if self.active is None else "LIVE"


class Site:
    """The routes, called by HTTP."""

    def __init__(self, **settings: int) -> None:
        self.control, self.heard, self.acceptor = Control(), Heard(), FakeAcceptor()
        limits = RoomSettings(**settings)  # type: ignore[arg-type]
        self.rooms = OpenRooms(self.acceptor, self.control, self.heard, limits)
        self.door = Door(self.control)
        routes = resource_routes(self.rooms, self.door, self.control)
        transport = httpx.ASGITransport(Starlette(routes=routes))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test/meet/meeting/")

    async def call(self, method: str, path: str, token: str | None = "anna", body: object = None) -> tuple[int, Any]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        response = await self.client.request(method, path, headers=headers, content=content)
        return response.status_code, response.json()

    async def enter(self, *names: str) -> None:
        for name in names:
            room = self.rooms.open("meeting")
            room.publish(await self.control.admit(name, "meeting"), "camera", "audio video")
            self.acceptor.peers[-1].connect()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    await site.rooms.stop()
    await site.client.aclose()


class TestDoor:
    async def test_a_token_is_wanted_and_has_to_be_good(self, site: Site) -> None:
        status, answer = await site.call("DELETE", "me", None)
        assert status == 401
        assert answer["success"] is False and answer["error"]["code"] == "ERR_TOKEN_MISSING"
        assert (await site.call("DELETE", "me", "expired"))[1]["error"]["message"] == "the token has expired"
        assert (await site.call("DELETE", "me", "x" * 5000))[0] == 401
        assert (await site.call("GET", "http://test/meet/other/events"))[0] == 403

    async def test_who_is_not_inside_cannot_act_inside(self, site: Site) -> None:
        for method, path, body in (("PATCH", "me", {}), ("DELETE", "me", None), ("POST", "livestream", None)):
            assert (await site.call(method, path, body=body))[0] == 404


class TestLobby:
    async def test_who_has_a_token_is_told_who_they_are_and_does_not_come_in(self, site: Site) -> None:
        await site.enter("anna")
        status, answer = await site.call("GET", "me", "viewer-bert")
        told = answer["data"]
        assert (status, told["id"], told["preset"], told["participants"], told["inside"]) == (
            200,
            "bert",
            "viewer",
            1,
            False,
        )
        assert told["permissions"]["audio"] is True and told["permissions"]["mute_others"] is False
        assert (await site.call("GET", "me"))[1]["data"]["inside"] is True
        assert (await site.call("GET", "http://test/meet/other/me"))[0] == 403

    async def test_pages_of_other_origins_may_ask(self, site: Site) -> None:
        """As of WHIP and WHEP: somebody's own page takes part too."""
        for path in ("events", "me", "livestream", "participants/anna"):
            response = await site.client.options(path, headers={"Origin": "https://example.com"})
            assert response.status_code == 204
            assert response.headers["access-control-allow-headers"] == "Authorization, Content-Type"
        refused = await site.client.delete("me", headers={"Origin": "https://example.com"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


class TestSwitches:
    async def test_own_sound_and_picture(self, site: Site) -> None:
        await site.enter("anna")
        assert await site.call("PATCH", "me", body={"audio": False}) == (
            200,
            {"success": True, "data": {"audio": False, "video": True}},
        )
        assert (await site.call("PATCH", "me", body={}))[1]["data"] == {"audio": False, "video": True}

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"[]", 400),
            (b'{"audio": 1}', 400),
            (b'{"sound": true}', 400),
            (b"[" * 1024, 400),
            (b'{"audio": true}' + b" " * 1024, 413),
        ],
    )
    async def test_a_body_that_says_something_else_is_refused(self, site: Site, body: bytes, status: int) -> None:
        await site.enter("anna")
        assert (await site.call("PATCH", "me", body=body))[0] == status

    async def test_of_others_only_off_and_only_by_who_may(self, site: Site) -> None:
        await site.enter("anna", "bert")
        assert (await site.call("PATCH", "participants/bert", body={"audio": False}))[1]["data"]["audio"] is False
        assert (await site.call("PATCH", "participants/bert", body={"audio": True}))[0] == 403
        assert (await site.call("PATCH", "participants/anna", "viewer-bert", {"audio": False}))[0] == 403
        assert (await site.call("PATCH", "participants/cleo", body={"audio": False}))[0] == 404

    async def test_sending_somebody_away(self, site: Site) -> None:
        await site.enter("anna", "bert")
        assert (await site.call("DELETE", "participants/anna", "viewer-bert"))[0] == 403
        assert (await site.call("DELETE", "participants/bert"))[0] == 200
        view = site.rooms.active("meeting")
        assert view is not None and [each.participant_id for each in view.participants] == ["anna"]

    async def test_leaving(self, site: Site) -> None:
        await site.enter("anna")
        assert (await site.call("DELETE", "me"))[0] == 200
        assert (await site.call("DELETE", "me"))[0] == 404
        assert site.acceptor.peers[0].closed_for == "LEFT"


class TestLivestream:
    async def test_hosts_start_and_stop_it(self, site: Site) -> None:
        await site.enter("anna")
        assert await site.call("POST", "livestream") == (201, {"success": True, "data": {"id": "livestream-1"}})
        assert (await site.call("POST", "livestream"))[0] == 409
        assert (await site.call("GET", "livestream"))[1]["data"] == {"playback_id": "f" * 32, "player": "/" + "f" * 32}
        assert (await site.call("GET", "livestream", "viewer-anna"))[0] == 403
        assert (await site.call("DELETE", "livestream"))[0] == 200
        assert (await site.call("DELETE", "livestream"))[0] == 404
        assert (await site.call("GET", "livestream"))[1]["error"]["code"] == "ERR_NO_LIVESTREAM"
        assert (await site.call("POST", "livestream", "viewer-anna"))[0] == 403

    async def test_a_room_that_opens_while_it_is_on_air_says_so(self, site: Site) -> None:
        site.control.active = "livestream-1"
        await site.enter("anna")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        room = site.rooms.find("meeting")
        assert room is not None and room.room.livestream == "LIVE"


class TestFeed:
    async def test_a_page_is_inside_is_told_each_change_and_why_it_is_over(self, site: Site) -> None:
        events = told(site.rooms, admission("anna"))
        first = decoded(await anext(events))
        assert first[0] == "state" and first[1]["me"]["id"] == "anna"
        await site.enter("bert")
        second = decoded(await anext(events))
        assert [each["id"] for each in second[1]["participants"]] == ["anna", "bert"]
        await site.rooms.kick("meeting", ["anna"], "KICKED")
        assert decoded(await anext(events)) == ("bye", {"reason": "KICKED"})
        with pytest.raises(StopAsyncIteration):
            await anext(events)

    async def test_many_changes_are_one_state(self, site: Site) -> None:
        events = told(site.rooms, admission("anna"))
        await anext(events)
        for status in ("INVOKED", "LIVE", None, "LIVE"):
            site.rooms.livestream_changed("meeting", status)
        assert decoded(await anext(events))[1]["livestream"] == "LIVE"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.3)

    async def test_who_stops_listening_has_a_while_to_come_back(self, site: Site) -> None:
        events = told(site.rooms, admission("anna"))
        await anext(events)
        await events.aclose()
        room = site.rooms.find("meeting")
        assert room is not None and room.room.participants["anna"].alone_since_s is not None

    async def test_a_full_room_is_said_before_anything_is_told(self) -> None:
        site = Site(max_participants=1)
        await site.enter("bert")
        assert (await site.call("GET", "events"))[0] == 503
        await site.rooms.stop()
        await site.client.aclose()

    async def test_a_server_that_stops_says_goodbye(self, site: Site) -> None:
        events = told(site.rooms, admission("anna"))
        await anext(events)
        await site.rooms.stop()
        assert decoded(await anext(events)) == ("bye", {"reason": "SHUTDOWN"})
        assert site.heard.names[-2:] == ["ParticipantLeft", "RoomClosed"]
        assert (await site.call("GET", "events"))[0] == 503


class TestEndpoints:
    async def test_whip_and_whep_open_peers(self, site: Site) -> None:
        published = await PublishEndpoint(site.rooms, site.door).open(request("screen"), "video", "anna")
        site.acceptor.peers[-1].connect()
        assert [section.kind for section in published.sections] == ["video"]
        path = {"participant_id": "anna", "source": "screen"}
        received = await ReceiveEndpoint(site.rooms, site.door).open(request(**path), "video", "bert")
        assert [section.direction for section in received.sections] == ["sendonly"]

    async def test_refusals_have_their_status(self, site: Site) -> None:
        publish, receive = PublishEndpoint(site.rooms, site.door), ReceiveEndpoint(site.rooms, site.door)
        for opening, status in (
            (publish.open(request(), "video", None), 401),
            (publish.open(request(), "video", "expired"), 401),
            (publish.open(request("desktop"), "video", "anna"), 404),
            (receive.open(request(participant_id="anna", source="camera"), "video", "bert"), 404),
        ):
            with pytest.raises(Refused) as refused:
                await opening
            assert refused.value.status == status
        assert site.rooms.all() == []


class TestApi:
    async def test_rooms_answer_the_control_plane(self, site: Site) -> None:
        assert site.rooms.active("meeting") is None
        await site.enter("anna", "bert")
        site.rooms.mute("meeting", ["anna", "nobody"], video=True)
        room = site.rooms.find("meeting")
        assert room is not None
        anna, bert = room.room.participants.values()
        assert (anna.audio, anna.video, bert.audio) == (False, False, True)
        site.rooms.mute_all("meeting", allow_unmute=False)
        assert (bert.audio, bert.may_unmute) == (False, False)
        await site.rooms.kick_all("meeting", "MEETING_ENDED")
        assert site.rooms.all() == []
        assert site.heard.names[-1] == "RoomClosed"

    async def test_what_is_asked_of_rooms_that_are_not_open_does_nothing(self, site: Site) -> None:
        await site.rooms.kick("meeting", ["anna"], "KICKED")
        await site.rooms.kick_all("meeting", "MEETING_ENDED")
        site.rooms.mute("meeting", ["anna"])
        site.rooms.mute_all("meeting", allow_unmute=True)
        site.rooms.livestream_changed("meeting", "LIVE")
        assert site.heard.events == []

    async def test_who_could_not_come_in_opens_no_session(self, site: Site) -> None:
        with pytest.raises(NotServed):
            site.rooms.open("meeting").publish(admission("anna"), "camera", "nothing")
        assert site.rooms.active("meeting") is None and site.rooms.all() == []
        await site.rooms.kick_all("meeting", "MEETING_ENDED")
        assert site.heard.events == []

    async def test_there_are_only_so_many_rooms(self) -> None:
        site = Site(max_rooms=1)
        await site.enter("anna")
        with pytest.raises(Exception, match="max_rooms"):
            site.rooms.open("another")
        await site.rooms.stop()
        await site.client.aclose()


def decoded(event: bytes) -> tuple[str, Any]:
    name, data = event.decode().rstrip("\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def request(source: str | None = None, **path: str) -> Request:
    query = b"" if source is None or path else f"source={source}".encode()
    if source is not None and path:
        path["source"] = source
    return Request(
        {
            "type": "http",
            "query_string": query,
            "path_params": {"meeting_id": "meeting", **path},
            "headers": [],
        }
    )
