"""Sessions of meetings, from the rooms' events to the API and to webhooks, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from headwater.control import ControlPlane, ControlSettings
from headwater.control.repository import meeting_sessions
from headwater.control.tables import webhook_deliveries
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomEvent, RoomOpened
from headwater.rooms import Inside
from tests.unit.control.rooms import FakeRooms
from tests.unit.control.support import Api, open_api
from tests.unit.control.test_http import refused
from tests.unit.control.test_meetings import new_meeting
from tests.unit.control.test_participants import NOBODY, add

HOOK = {
    "name": "hook",
    "url": "https://hooks.example/in",
    "events": ["meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft"],
}
MINUTE = 60_000


class Clock:
    """The rooms' clock: what happens in them happened then."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock(any_api: Api) -> Clock:
    """An hour ago, so that nothing that the test lets happen lies in the future."""
    clock = Clock(any_api.rooms.now_ms() - 60 * MINUTE)
    any_api.rooms.now_ms = clock
    return clock


async def join(api: Api, meeting: str, custom_id: str, preset: str = "host") -> Inside:
    added = await add(api, meeting, custom_participant_id=custom_id, preset_name=preset, name=custom_id.title())
    return api.rooms.join(await api.plane.doorkeeper.admit(added["token"], meeting))


async def get_sessions(api: Api, query: str = "") -> list[Any]:
    found: list[Any] = (await api.call("GET", "/sessions" + query))["data"]["sessions"]
    return found


class TestSessions:
    async def test_from_the_first_to_the_last(self, any_api: Api, clock: Clock) -> None:
        of = await new_meeting(any_api, title="Weekly")
        started = clock.now_ms
        ada = await join(any_api, of, "ada")
        clock.now_ms += MINUTE
        await join(any_api, of, "bob", "participant")
        (live,) = await get_sessions(any_api)
        assert (live["status"], live["live_participants"], live["max_concurrent_participants"]) == ("LIVE", 2, 2)
        assert (live["associated_id"], live["meeting_display_name"], live["type"]) == (of, "Weekly", "meeting")
        assert "ended_at" not in live
        assert live["organization_id"] == any_api.credentials.app_id
        assert live["minutes_consumed"] >= 119  # of both, for the hour that passed since
        clock.now_ms += MINUTE
        any_api.rooms.leave(of, ada)
        clock.now_ms += 2 * MINUTE
        any_api.rooms.close(of)
        (ended,) = await get_sessions(any_api)
        assert (ended["id"], ended["status"], ended["live_participants"]) == (live["id"], "ENDED", 0)
        assert (ended["minutes_consumed"], ended["max_concurrent_participants"]) == (5, 2)
        details = (await any_api.call("GET", f"/sessions/{live['id']}"))["data"]
        assert details.pop("session") == details == ended
        async with any_api.plane._database.read() as conn:
            row = await meeting_sessions.find_any(conn, live["id"])
        assert row is not None
        assert (row.started_ms, row.ended_ms, row.end_reason) == (started, clock.now_ms, "ALL_PARTICIPANTS_LEFT")

    async def test_participants(self, any_api: Api, clock: Clock) -> None:
        """One entry a stay: who comes back has two."""
        of = await new_meeting(any_api)
        ada = await join(any_api, of, "ada", "group_call_host")
        clock.now_ms += MINUTE
        bob = await join(any_api, of, "bob", "viewer")
        any_api.rooms.leave(of, ada, "LOST")
        clock.now_ms += 3 * MINUTE
        again = await join(any_api, of, "ada")
        clock.now_ms += MINUTE
        any_api.rooms.close(of)
        (session,) = await get_sessions(any_api)
        path = f"/sessions/{session['id']}/participants"
        answer = await any_api.call("GET", path)
        found = answer["data"]["participants"]
        assert [(one["id"], one["duration"]) for one in found] == [
            (ada.peer_id, 1),
            (bob.peer_id, 4),
            (again.peer_id, 1),
        ]
        first = found[0]
        assert (first["user_id"], first["custom_participant_id"]) == (ada.participant_id, "ada")
        assert (first["display_name"], first["preset_name"]) == ("Ada", "group_call_host")
        assert "peer_events" not in first
        assert answer["paging"]["total_count"] == 3

        async def ids(query: str) -> list[str]:
            page = (await any_api.call("GET", path + query))["data"]["participants"]
            return [one["id"] for one in page]

        assert await ids("?sort_by=duration&sort_order=DESC&per_page=1") == [bob.peer_id]
        assert await ids("?sort_order=DESC&per_page=1&page_no=2") == [bob.peer_id]
        assert await ids("?search=bo&view=consolidated") == [bob.peer_id]
        assert await ids(f"?search={ada.participant_id}") == [ada.peer_id, again.peer_id]
        for of_whom, which in ((ada.peer_id, ada), (ada.participant_id, again)):
            one = (await any_api.call("GET", f"{path}/{of_whom}?include_peer_events=true"))["data"]["participant"]
            assert one["id"] == which.peer_id
            assert [event["event_name"] for event in one["peer_events"]] == ["PEER_JOINING", "PEER_LEAVING"]
        refused(await any_api.http.get(any_api.app + path + "/" + NOBODY), 404)

    async def test_list(self, any_api: Api, clock: Clock) -> None:
        """By the API's filters: the first has had two at once, the second one, for longer; the third is open."""
        names = {}
        for title, many, minutes in (("Alpha", 2, 1), ("Beta", 1, 5), ("Gamma", 1, 0)):
            of = await new_meeting(any_api, title=title)
            clock.now_ms += MINUTE
            for number in range(many):
                await join(any_api, of, f"user-{number}")
            names[of] = title
            clock.now_ms += minutes * MINUTE
            if minutes:
                any_api.rooms.close(of)
        _, beta, gamma = names

        async def titles(query: str) -> list[str]:
            return [one["meeting_display_name"] for one in await get_sessions(any_api, query)]

        assert await titles("") == ["Gamma", "Beta", "Alpha"]
        assert await titles("?sort_order=ASC") == ["Alpha", "Beta", "Gamma"]
        assert await titles("?sort_order=DESC&page_no=2&per_page=1") == ["Beta"]
        assert await titles("?status=LIVE") == ["Gamma"]
        assert await titles("?status=ENDED&sort_by=minutesConsumed") == ["Beta", "Alpha"]
        assert await titles("?sort_by=minutesConsumed&sort_order=ASC") == ["Alpha", "Beta", "Gamma"]
        assert await titles("?participants=2") == ["Alpha"]
        assert await titles("?participants=:1") == ["Gamma", "Beta"]
        assert await titles("?participants=1:10") == ["Gamma", "Beta", "Alpha"]
        assert await titles("?participants=3:") == []
        assert await titles(f"?associated_id={beta}") == ["Beta"]
        assert await titles(f"?search={gamma}") == ["Gamma"]
        assert await titles("?search=LPH") == ["Alpha"]
        assert await titles("?end_time=2000-01-01T00:00:00Z") == []
        refused(await any_api.http.get(any_api.app + "/sessions?participants=x"), 400)
        refused(await any_api.http.get(any_api.app + "/sessions?participants=1:2:3"), 400)
        refused(await any_api.http.get(any_api.app + "/sessions?sort_by=title"), 400)
        foreign = (await any_api.http.post(any_api.account + "/apps", json={"name": "b"})).json()["data"]["app"]["id"]
        other = await any_api.http.get(f"{any_api.account}/{foreign}/sessions")
        assert other.json()["data"] == {"sessions": []}

    async def test_broadcasts_of_a_session(self, any_api: Api, clock: Clock) -> None:
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        broadcast = await any_api.broadcasts.publish(started["stream_key"])
        (session,) = await get_sessions(any_api)
        found = (await any_api.call("GET", f"/sessions/{session['id']}/livestream-sessions"))["data"]
        assert [one["id"] for one in found["data"]] == [broadcast.session_id]
        assert found["paging"]["total_count"] == 1

    async def test_unknown(self, any_api: Api) -> None:
        for path in ("", "/participants", "/livestream-sessions"):
            refused(await any_api.http.get(f"{any_api.app}/sessions/{NOBODY}{path}"), 404)


class TestActiveSession:
    async def test_get(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        path = f"/meetings/{of}/active-session"
        message = refused(await any_api.http.get(any_api.app + path), 404)
        assert message == f"No active session found for meeting_id {of}"
        await join(any_api, of, "ada")
        assert (await any_api.call("GET", path))["data"]["live_participants"] == 1
        any_api.rooms.close(of)
        refused(await any_api.http.get(any_api.app + path), 404)

    async def test_kick_and_mute(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        path = f"/meetings/{of}/active-session"
        ada, bob, eve = [await join(any_api, of, name) for name in ("ada", "bob", "eve")]
        muted = (await any_api.call("POST", path + "/mute", json={"participant_ids": [ada.participant_id]}))["data"]
        assert [one["id"] for one in muted["participants"]] == [ada.participant_id]
        assert any_api.rooms.muted == [(ada.participant_id, True, False)]
        body = {"custom_participant_ids": ["bob", "nobody"], "participant_ids": [eve.peer_id]}
        kicked = (await any_api.call("POST", path + "/kick", json=body))["data"]
        assert [one["name"] for one in kicked["participants"]] == ["Bob", "Eve"]
        assert kicked["action"] == "kick"
        assert any_api.rooms.kicked == [(bob.participant_id, "KICKED"), (eve.participant_id, "KICKED")]
        assert (await any_api.call("GET", path))["data"]["live_participants"] == 1
        all_muted = (await any_api.call("POST", path + "/mute-all", json={"allow_unmute": False}))["data"]
        assert all_muted["muted_participants_count"] == 1
        assert any_api.rooms.all_muted == [(of, False)]
        refused(await any_api.http.post(any_api.app + path + "/kick", json=body), 404)
        refused(await any_api.http.post(any_api.app + path + "/kick", json={}), 400)
        refused(await any_api.http.post(any_api.app + path + "/kick"), 400)
        assert (await any_api.call("POST", path + "/kick-all"))["data"]["kicked_participants_count"] == 1
        for action in ("kick", "kick-all", "mute", "mute-all"):
            refused(await any_api.http.post(f"{any_api.app}{path}/{action}", json=body), 404)

    async def test_a_deleted_participant_is_sent_away(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        ada = await join(any_api, of, "ada")
        await any_api.call("DELETE", f"/meetings/{of}/participants/{ada.participant_id}")
        assert any_api.rooms.kicked == [(ada.participant_id, "PARTICIPANT_DELETED")]
        (session,) = await get_sessions(any_api)
        (stay,) = (await any_api.call("GET", f"/sessions/{session['id']}/participants"))["data"]["participants"]
        assert stay["display_name"] == "Ada"

    async def test_another_app(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        foreign = (await any_api.http.post(any_api.account + "/apps", json={"name": "b"})).json()["data"]["app"]["id"]
        path = f"{any_api.account}/{foreign}/meetings/{of}/active-session"
        refused(await any_api.http.get(path), 404)
        refused(await any_api.http.post(path + "/kick-all"), 404)
        assert of in any_api.rooms.open


async def told(api: Api) -> list[dict[str, Any]]:
    """What webhooks are to be told, in order."""
    assert await api.plane.settle()
    async with api.plane._database.read() as conn:
        rows = (await conn.execute(select(webhook_deliveries).order_by(webhook_deliveries.c.seq))).all()
    from headwater.control.webhooks import payloads

    return [{**payloads.completed(row.body, api.plane._urls), "lane": row.lane} for row in rows]


class TestWebhooks:
    async def test_each_event_is_told_once_in_order(self, any_api: Api, clock: Clock) -> None:
        await any_api.call("POST", "/webhooks", json=HOOK)
        of = await new_meeting(any_api, title="Weekly")
        ada = await join(any_api, of, "ada")
        clock.now_ms += MINUTE
        bob = await join(any_api, of, "bob")
        any_api.rooms.leave(of, ada, "LEFT")
        any_api.rooms.close(of)
        found = await told(any_api)
        assert [one["event"].removeprefix("meeting.") for one in found] == [
            "started",
            "participantJoined",
            "participantJoined",
            "participantLeft",
            "participantLeft",
            "ended",
        ]
        assert {one["lane"] for one in found} == {of}
        assert len({one["meeting"]["sessionId"] for one in found}) == 1
        assert [one["participant"]["peerId"] for one in found[1:5]] == [
            ada.peer_id,
            bob.peer_id,
            ada.peer_id,
            bob.peer_id,
        ]
        assert found[1]["participant"]["customParticipantId"] == "ada"
        assert found[1]["participant"]["userDisplayName"] == "Ada"
        assert "leftAt" not in found[1]["participant"]
        assert (found[3]["reason"], found[3]["participant"]["leftAt"]) == ("LEFT", found[2]["participant"]["joinedAt"])
        assert (found[0]["meeting"]["title"], found[0]["meeting"]["status"]) == ("Weekly", "LIVE")
        assert (found[-1]["reason"], found[-1]["meeting"]["status"]) == ("ALL_PARTICIPANTS_LEFT", "ENDED")

    async def test_events_that_come_again_tell_nobody(self, any_api: Api, clock: Clock) -> None:
        """The writer tries again where it cannot know what was stored."""
        await any_api.call("POST", "/webhooks", json=HOOK)
        of = await new_meeting(any_api)
        seen: list[RoomEvent] = []
        tell = any_api.rooms.tell
        any_api.rooms.tell = lambda event: (seen.append(event), tell(event))[1]
        await join(any_api, of, "ada")
        any_api.rooms.close(of)
        before = await told(any_api)
        assert len(before) == 4
        for event in seen:
            any_api.plane.hear(event)
        assert await told(any_api) == before

    async def test_what_was_lost_is_made_good(self, any_api: Api, clock: Clock) -> None:
        """A close that was lost, and leaves that were: everybody is out, and told so, once."""
        await any_api.call("POST", "/webhooks", json=HOOK)
        of = await new_meeting(any_api)
        await join(any_api, of, "ada")
        clock.now_ms += MINUTE
        del any_api.rooms.open[of]  # nobody hears of it
        bob = await join(any_api, of, "bob")
        any_api.plane.hear(RoomClosed(of, any_api.rooms.open[of].session_id, clock.now_ms + 5, "HOST_ENDED_MEETING"))
        names = [one["event"].removeprefix("meeting.") for one in await told(any_api)]
        assert names == ["started", "participantJoined", "participantLeft", "ended"] * 2
        late = ParticipantLeft(of, any_api.rooms.open[of].session_id, clock.now_ms, bob.peer_id, "x", "LEFT")
        any_api.plane.hear(late)
        any_api.plane.hear(replace(late, session_id=NOBODY, peer_id=NOBODY))
        any_api.plane.hear(ParticipantJoined(of, NOBODY, 1, NOBODY, "p", "c", "n", None, "host"))
        any_api.plane.hear(RoomOpened(NOBODY, NOBODY, 1))
        assert len(await told(any_api)) == 8


class TestACrash:
    @pytest.fixture
    async def places(self, tmp_path: Path, database_url: str | None) -> AsyncIterator[ControlSettings]:
        yield ControlSettings(tmp_path / "data", database_url=database_url)

    async def test_open_sessions_end_where_they_were_last_known(self, places: ControlSettings) -> None:
        plane = await ControlPlane.open(places)
        api = await open_api(plane)
        await api.call("POST", "/webhooks", json=HOOK)
        of = await new_meeting(api)
        clock = Clock(api.rooms.now_ms() - 60 * MINUTE)
        api.rooms.now_ms = clock
        await join(api, of, "ada")
        (live,) = await get_sessions(api)
        async with plane._database.write() as conn:
            await meeting_sessions.known(conn, [live["id"]], clock.now_ms + 2 * MINUTE)
        await api.http.aclose()
        await plane.close()

        plane = await ControlPlane.open(places)
        try:
            api = await open_api(plane)

            async def nothing(_session: object) -> None:
                return None

            for _ in range(2):
                await plane.recover(nothing)
            (ended,) = await get_sessions(api)
            assert (ended["status"], ended["minutes_consumed"], ended["live_participants"]) == ("ENDED", 2, 0)
            events = [one["event"].removeprefix("meeting.") for one in await told(api)]
            assert events == ["started", "participantJoined", "participantLeft", "ended"]
            assert isinstance(api.rooms, FakeRooms)
            await join(api, of, "ada")
            assert len(await get_sessions(api, "?status=LIVE")) == 1
            await api.http.aclose()
        finally:
            await plane.close()
