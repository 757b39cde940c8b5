"""Presets, participants and their tokens, over the API and at the door, on both databases."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.control import participant_tokens
from headwater.control.presets import ALIASES, definition, permissions_of
from headwater.control.repository.participants import ParticipantRow
from headwater.rooms import AdmissionRefused, Permissions
from tests.unit.control.support import Api
from tests.unit.control.test_http import refused
from tests.unit.control.test_meetings import new_meeting

SOMEBODY = {
    "custom_participant_id": "user-1",
    "preset_name": "host",
    "name": "Ada",
    "picture": "https://a.example/a.png",
}
NOBODY = "00000000-0000-4000-8000-000000000000"


async def add(api: Api, meeting: str, **values: Any) -> Any:
    response = await api.http.post(f"{api.app}/meetings/{meeting}/participants", json={**SOMEBODY, **values})
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def code_of(api: Api, token: str, meeting: str) -> tuple[int, str]:
    with pytest.raises(AdmissionRefused) as refusal:
        await api.plane.doorkeeper.admit(token, meeting)
    assert token not in str(refusal.value)
    return refusal.value.status, refusal.value.code


class TestParticipants:
    async def test_added_shown_listed(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        added = await add(any_api, of)
        assert {name: added[name] for name in SOMEBODY} == SOMEBODY
        token = added.pop("token")
        assert (await any_api.call("GET", f"/meetings/{of}/participants/{added['id']}"))["data"] == added
        other = await add(any_api, of, custom_participant_id="user-2", name=None, picture=None)
        listed = await any_api.call("GET", f"/meetings/{of}/participants?per_page=1&page_no=2")
        assert [entry["id"] for entry in listed["data"]] == [other["id"]]
        assert listed["paging"] == {"total_count": 2, "start_offset": 2, "end_offset": 2}
        assert "token" not in json.dumps(listed)
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert (claims["orgId"], claims["meetingId"]) == (any_api.credentials.app_id, of)
        assert claims["participantId"] == added["id"]

    async def test_the_same_custom_id_is_the_same_participant(self, any_api: Api) -> None:
        """Applications add their user at every visit."""
        of = await new_meeting(any_api)
        answers = await asyncio.gather(*(add(any_api, of, name=f"n{i}") for i in range(4)))
        assert len({answer["id"] for answer in answers}) == 1
        for answer in answers:
            assert (await any_api.plane.doorkeeper.admit(answer["token"], of)).custom_participant_id == "user-1"

    async def test_edit_and_replace(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        added = await add(any_api, of)
        path = f"/meetings/{of}/participants/{added['id']}"
        edited = (await any_api.call("PATCH", path, json={"preset_name": "viewer", "picture": None}))["data"]
        assert (edited["preset_name"], edited["name"], edited["picture"]) == ("viewer", "Ada", None)
        assert (await any_api.plane.doorkeeper.admit(edited["token"], of)).permissions.publishes is False
        body = {"custom_participant_id": "user-9", "preset_name": "participant"}
        replaced = (await any_api.call("PUT", path, json=body))["data"]
        assert (replaced["custom_participant_id"], replaced["name"]) == ("user-9", None)
        await add(any_api, of, custom_participant_id="taken")
        body["custom_participant_id"] = "taken"
        refused(await any_api.http.put(any_api.app + path, json=body), 409)

    @pytest.mark.parametrize(
        ("body", "word"),
        [
            ({"preset_name": "nobody"}, "preset_name"),
            ({"preset_name": "a\nb"}, "preset_name"),
            ({"preset_name": None}, "preset_name"),
            ({"custom_participant_id": ""}, "custom_participant_id"),
            ({"custom_participant_id": "x" * 256}, "custom_participant_id"),
            ({"custom_participant_id": "a\0"}, "custom_participant_id"),
            ({"name": "x" * 256}, "name"),
            ({"name": "a\x1b[1m"}, "name"),
            ({"picture": "javascript:alert(1)"}, "picture"),
            ({"picture": "https://["}, "picture"),
            ({"picture": "https://a.example/" + "x" * 2048}, "picture"),
        ],
    )
    async def test_what_is_no_participant(self, api: Api, body: dict[str, Any], word: str) -> None:
        of = await new_meeting(api)
        response = await api.http.post(f"{api.app}/meetings/{of}/participants", json={**SOMEBODY, **body})
        assert word in refused(response, 400)

    async def test_walls(self, any_api: Api) -> None:
        """Another meeting, another app and a token that may only read meet closed doors."""
        of, other = await new_meeting(any_api), await new_meeting(any_api)
        added = await add(any_api, of)
        foreign = (await any_api.http.post(any_api.account + "/apps", json={"name": "b"})).json()["data"]["app"]["id"]
        for path in (
            f"{any_api.app}/meetings/{other}/participants/{added['id']}",
            f"{any_api.account}/{foreign}/meetings/{of}/participants/{added['id']}",
            f"{any_api.app}/meetings/{NOBODY}/participants/{added['id']}",
        ):
            refused(await any_api.http.get(path), 404)
            refused(await any_api.http.delete(path), 404)
            refused(await any_api.http.patch(path, json={}), 404)
            refused(await any_api.http.post(path + "/token"), 404)
        headers = {"Authorization": f"Bearer {await any_api.new_token('read')}"}
        path = f"{any_api.app}/meetings/{of}/participants"
        refused(await any_api.http.post(path, json=SOMEBODY, headers=headers), 403)
        refused(await any_api.http.post(f"{path}/{added['id']}/token", headers=headers), 403)
        shown = await any_api.http.get(path, headers=headers)
        assert shown.is_success and "token" not in shown.text


class TestTheDoor:
    async def test_admission(self, any_api: Api) -> None:
        of = await new_meeting(any_api, title="Weekly", session_keep_alive_time_in_secs=90)
        added = await add(any_api, of, preset_name="group_call_host")
        found = await any_api.plane.doorkeeper.admit(added["token"], of)
        assert (found.app_id, found.meeting_id, found.title) == (any_api.credentials.app_id, of, "Weekly")
        assert (found.participant_id, found.custom_participant_id) == (added["id"], "user-1")
        assert (found.name, found.picture, found.preset) == ("Ada", "https://a.example/a.png", "group_call_host")
        assert found.permissions == Permissions(True, True, True, True, True, True)
        assert found.keep_alive_s == 90

    async def test_a_token_ends_with_its_participant_or_a_newer_one(self, any_api: Api) -> None:
        """At once, in this process."""
        of = await new_meeting(any_api)
        added = await add(any_api, of)
        path = f"/meetings/{of}/participants/{added['id']}"
        fresh = (await any_api.call("POST", path + "/token"))["data"]["token"]
        assert await code_of(any_api, added["token"], of) == (401, "ERR_TOKEN_INVALID")
        assert (await any_api.plane.doorkeeper.admit(fresh, of)).participant_id == added["id"]
        deleted = (await any_api.call("DELETE", path))["data"]
        assert set(deleted) == {"created_at", "updated_at", "custom_participant_id", "preset_id"}
        assert await code_of(any_api, fresh, of) == (401, "ERR_PARTICIPANT_REMOVED")
        refused(await any_api.http.get(any_api.app + path), 404)
        again = await add(any_api, of)
        assert again["id"] != added["id"]

    async def test_an_inactive_meeting_lets_nobody_in(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        token = (await add(any_api, of))["token"]
        await any_api.plane.doorkeeper.admit(token, of)
        await any_api.call("PATCH", f"/meetings/{of}", json={"status": "INACTIVE"})
        assert await code_of(any_api, token, of) == (403, "ERR_MEETING_INACTIVE")
        await any_api.call("PATCH", f"/meetings/{of}", json={"status": "ACTIVE"})
        await any_api.plane.doorkeeper.admit(token, of)

    async def test_another_meeting(self, any_api: Api) -> None:
        of, other = await new_meeting(any_api), await new_meeting(any_api)
        token = (await add(any_api, of))["token"]
        assert await code_of(any_api, token, other) == (403, "ERR_OTHER_MEETING")

    async def test_expiry(self, api: Api) -> None:
        of = await new_meeting(api)
        added = await add(api, of)
        expires_ms = (await api.plane.doorkeeper.admit(added["token"], of)).expires_ms
        key = await participant_tokens.TokenKey(api.plane._database).get()
        participant_tokens.read(key, added["token"], expires_ms - 1)
        with pytest.raises(AdmissionRefused) as refusal:
            participant_tokens.read(key, added["token"], expires_ms)
        assert refusal.value.code == "ERR_TOKEN_EXPIRED"

    async def test_a_changed_preset_holds_at_once(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        token = (await add(any_api, of))["token"]
        listed = (await any_api.call("GET", "/presets"))["data"]
        host = next(preset["id"] for preset in listed if preset["name"] == "host")
        change = {"permissions": {"can_livestream": False, "media": {"video": {"can_produce": "CAN_REQUEST"}}}}
        await any_api.call("PATCH", f"/presets/{host}", json=change)
        permissions = (await any_api.plane.doorkeeper.admit(token, of)).permissions
        assert (permissions.livestream, permissions.video, permissions.audio) == (False, False, True)


ROW = ParticipantRow("p", "a", "m", "c", "s", "host", None, None, 3, 0, 0)
KEY = "00" * 32


def is_refused(token: str) -> bool:
    try:
        participant_tokens.read(KEY, token, 0)
    except AdmissionRefused as error:
        return error.code == "ERR_TOKEN_INVALID"
    return False


class TestTokens:
    def test_what_is_signed_reads_back(self) -> None:
        claims = participant_tokens.read(KEY, participant_tokens.sign(KEY, ROW, 5_000, 60_000), 5_000)
        assert claims == participant_tokens.Claims("a", "m", "p", 3, 65_000)

    @given(st.text(max_size=64))
    @settings(deadline=None)
    def test_garbage(self, token: str) -> None:
        assert is_refused(token)

    @given(st.integers(0, 300), st.characters(codec="ascii"))
    @settings(deadline=None)
    def test_a_changed_character(self, at: int, other: str) -> None:
        """Of the last one of each part some bits do not count (base64); the others all do."""
        token = participant_tokens.sign(KEY, ROW, 0, 60_000)
        at %= len(token)
        if token[at] == other or token[at] == "." or at + 1 == len(token) or token[at + 1] == ".":
            return
        assert is_refused(token[:at] + other + token[at + 1 :])

    def test_forgeries(self) -> None:
        """Another key, no signature at all, claims that are missing, and more than we look at."""
        token = participant_tokens.sign(KEY, ROW, 0, 60_000)
        claims = jwt.decode(token, options={"verify_signature": False})
        assert is_refused(jwt.encode(claims, "11" * 32, "HS256"))
        assert is_refused(jwt.encode(claims, None, "none"))
        assert is_refused(jwt.encode({**claims, "exp": None}, KEY, "HS256"))
        assert is_refused(jwt.encode({"participantId": "p"}, KEY, "HS256"))
        assert is_refused(token + "A" * 2048)


class TestPresets:
    async def test_every_app_has_them(self, any_api: Api) -> None:
        made = (await any_api.http.post(any_api.account + "/apps", json={"name": "b"})).json()["data"]["app"]["id"]
        for app in (any_api.credentials.app_id, made):
            listed = (await any_api.http.get(f"{any_api.account}/{app}/presets")).json()
            assert [preset["name"] for preset in listed["data"]] == ["host", "participant", "viewer"]
            assert listed["paging"]["total_count"] == 3

    def test_what_the_roles_may(self) -> None:
        found = {role: permissions_of(definition(role, {})) for role in ("host", "participant", "viewer")}
        assert found["host"] == Permissions(True, True, True, True, True, True)
        assert found["participant"] == Permissions(False, False, False, True, True, True)
        assert found["viewer"] == Permissions(False, False, False, False, False, False)

    @pytest.mark.parametrize("alias", ALIASES)
    async def test_the_products_names(self, api: Api, alias: str) -> None:
        of = await new_meeting(api)
        added = await add(api, of, preset_name=alias)
        assert added["preset_name"] == alias
        expected = permissions_of(definition(ALIASES[alias], {}))
        assert (await api.plane.doorkeeper.admit(added["token"], of)).permissions == expected

    async def test_of_ones_own(self, any_api: Api) -> None:
        body = {
            "name": "stage manager",
            "config": {"max_screenshare_count": 2.0, "media": {"video": {"quality": "vga", "frame_rate": 24}}},
            "permissions": {"kick_participant": True, "plugins": {"config": {"a": {"access_control": "VIEW_ONLY"}}}},
            "ui": {"design_tokens": {"logo": "https://a.example/logo.png"}},
        }
        response = await any_api.http.post(any_api.app + "/presets", json=body)
        assert response.status_code == 201
        made = response.json()["data"]
        assert made["config"]["max_screenshare_count"] == 2
        assert made["config"]["media"]["video"] == {"quality": "vga", "frame_rate": 24}
        assert made["permissions"]["kick_participant"] is True
        assert made["permissions"]["media"]["audio"] == {"can_produce": "NOT_ALLOWED"}
        assert made["ui"]["design_tokens"]["theme"] == "dark"
        path = f"/presets/{made['id']}"
        assert (await any_api.call("GET", path))["data"] == made
        change = {"name": "manager", "config": {"media": {"video": {"quality": "hd"}}}}
        changed = (await any_api.call("PATCH", path, json=change))["data"]
        assert changed["config"]["media"]["video"] == {"quality": "hd", "frame_rate": 24}
        assert changed["permissions"] == made["permissions"]
        replaced = (await any_api.call("PUT", path, json={"name": "manager"}))["data"]
        assert replaced["permissions"]["kick_participant"] is False
        refused(await any_api.http.post(any_api.app + "/presets", json={"name": "manager"}), 409)
        refused(await any_api.http.patch(any_api.app + path, json={"name": "host"}), 409)
        of = await new_meeting(any_api)
        user = await add(any_api, of, preset_name="manager")
        assert "manager" in refused(await any_api.http.delete(any_api.app + path), 409)
        await any_api.call("DELETE", f"/meetings/{of}/participants/{user['id']}")
        assert (await any_api.call("DELETE", path))["data"]["name"] == "manager"
        refused(await any_api.http.get(any_api.app + path), 404)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": "a\nb"},
            {"name": "a", "config": {"view_type": "PARTY"}},
            {"name": "a", "permissions": {"media": {"audio": {"can_produce": True}}}},
            {"name": "a", "permissions": {"kick_participant": "yes"}},
            {"name": "a", "ui": {"design_tokens": {"colors": {"brand": {"x": "y" * 65}}}}},
        ],
    )
    async def test_what_is_no_preset(self, api: Api, body: dict[str, Any]) -> None:
        refused(await api.http.post(api.app + "/presets", json=body), 400)
