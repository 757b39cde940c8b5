"""Meetings, and their livestreams, over the API on both databases."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headwater.control import PublishRefusedOf
from tests.unit.control.support import Api
from tests.unit.control.test_http import refused

FULL: dict[str, Any] = {
    "title": "Weekly sync",
    "live_stream_on_start": True,
    "record_on_start": True,
    "persist_chat": True,
    "session_keep_alive_time_in_secs": 120.5,
    "summarize_on_end": True,
    "transcribe_on_end": True,
    "ai_config": {
        "summarization": {"summary_type": "interview", "text_format": "markdown", "word_limit": 300},
        "transcription": {"keywords": ["HLS"], "language": "de", "profanity_filter": True},
    },
    "recording_config": {
        "audio_config": {"channel": "stereo", "codec": "AAC", "export_file": True},
        "file_name_prefix": "sync-",
        "live_streaming_config": {"rtmp_url": "rtmp://a.example/live"},
        "max_seconds": 3600,
        "realtimekit_bucket_config": {"enabled": False},
        "video_config": {
            "codec": "H264",
            "width": 1280,
            "height": 720,
            "watermark": {"position": "left top", "size": {"height": 9, "width": 9}, "url": "https://a.example/w.png"},
        },
    },
}


async def new_meeting(api: Api, **settings: Any) -> str:
    return str((await api.call("POST", "/meetings", json=settings))["data"]["id"])


class TestStored:
    async def test_what_is_given_is_shown(self, any_api: Api) -> None:
        created = await any_api.http.post(any_api.app + "/meetings", json=FULL)
        assert created.status_code == 201
        data = created.json()["data"]
        assert {name: data[name] for name in FULL} == FULL
        assert data["status"] == "ACTIVE"
        assert (await any_api.call("GET", f"/meetings/{data['id']}"))["data"] == data

    async def test_defaults(self, any_api: Api) -> None:
        data = (await any_api.call("POST", "/meetings"))["data"]
        assert data["title"] is None
        assert (data["live_stream_on_start"], data["record_on_start"], data["persist_chat"]) == (False, False, False)
        assert data["session_keep_alive_time_in_secs"] == 60
        assert "recording_config" not in data

    async def test_null_is_the_default(self, any_api: Api) -> None:
        data = (await any_api.call("POST", "/meetings", json={"title": None, "record_on_start": None}))["data"]
        assert (data["title"], data["record_on_start"]) == (None, False)

    async def test_update_changes_what_is_given(self, any_api: Api) -> None:
        of = await new_meeting(any_api, **FULL)
        data = (await any_api.call("PATCH", f"/meetings/{of}", json={"title": "New", "persist_chat": None}))["data"]
        assert {name: data[name] for name in FULL} == {**FULL, "title": "New", "persist_chat": False}

    async def test_replace_changes_everything(self, any_api: Api) -> None:
        of = await new_meeting(any_api, **FULL)
        data = (await any_api.call("PUT", f"/meetings/{of}", json={"title": "New", "status": "INACTIVE"}))["data"]
        assert (data["title"], data["status"], data["record_on_start"]) == ("New", "INACTIVE", False)
        assert "ai_config" not in data

    async def test_a_storages_secrets_are_written_and_never_shown(self, any_api: Api) -> None:
        secrets = {"access_key": "s1", "secret": "s2", "password": "s3", "private_key": "s4"}
        storage = {"type": "aws", "bucket": "b", "region": "eu-west-1", **secrets}
        of = await new_meeting(any_api, recording_config={"storage_config": storage})
        for path in (f"/meetings/{of}", "/meetings"):
            shown = json.dumps(await any_api.call("GET", path))
            assert '"bucket": "b"' in shown
            assert not any(f'"{value}"' in shown for value in secrets.values())

    @pytest.mark.parametrize(
        "body",
        [
            {"title": 1},
            {"title": "x" * 256},
            {"title": "a\0b"},
            {"status": "OPEN"},
            {"session_keep_alive_time_in_secs": 59},
            {"record_on_start": "yes"},
            {"recording_config": {"max_seconds": 1}},
            {"recording_config": {"storage_config": {"type": "ftp"}}},
            {"ai_config": []},
        ],
    )
    async def test_what_is_no_meeting(self, api: Api, body: dict[str, Any]) -> None:
        refused(await api.http.post(api.app + "/meetings", json=body), 400)

    async def test_list(self, any_api: Api) -> None:
        for title in ("Alpha 100%", "beta_x", "alphabet"):
            await new_meeting(any_api, title=title)
        inactive = await new_meeting(any_api, title="gone", status="INACTIVE")
        for query, titles in (
            ("search=ALPHA", {"Alpha 100%", "alphabet"}),
            ("search=100%25", {"Alpha 100%"}),
            ("search=_", {"beta_x"}),
            (f"search={inactive}", {"gone"}),
            ("status=INACTIVE", {"gone"}),
            ("search='%20OR%201=1", set()),
            ("start_time=2100-01-01T00:00:00Z", set()),
        ):
            answer = await any_api.call("GET", "/meetings?" + query)
            assert {meeting["title"] for meeting in answer["data"]} == titles, query
            assert answer["paging"]["total_count"] == len(titles)

    async def test_unknown(self, any_api: Api) -> None:
        path = f"{any_api.app}/meetings/00000000-0000-4000-8000-000000000000"
        refused(await any_api.http.get(path), 404)
        refused(await any_api.http.patch(path, json={}), 404)
        refused(await any_api.http.post(path + "/livestreams"), 404)
        refused(await any_api.http.get(path + "/active-livestream"), 404)


class TestLivestream:
    async def test_a_meeting_is_livestreamed(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        body = {"name": "mix", "video_config": {"width": 1280, "height": 720}}
        response = await any_api.http.post(f"{any_api.app}/meetings/{of}/livestreams", json=body)
        assert response.status_code == 201
        started = response.json()["data"]
        assert set(started) == {"id", "ingest_server", "playback_url", "status", "stream_key"}
        await any_api.broadcasts.publish(started["stream_key"])
        active = (await any_api.call("GET", f"/meetings/{of}/active-livestream"))["data"]
        assert (active["id"], active["status"], active["meeting_id"]) == (started["id"], "LIVE", of)
        whole = (await any_api.call("GET", f"/meetings/{of}/livestream"))["data"]
        assert whole["livestream"]["id"] == started["id"]
        assert len(whole["sessions"]) == 1

    async def test_stop_is_final(self, any_api: Api) -> None:
        """The broadcast ends, and an encoder that comes back at once, as they do, stays out."""
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await any_api.broadcasts.publish(started["stream_key"])
        await any_api.call("POST", f"/meetings/{of}/active-livestream/stop")
        assert any_api.broadcasts.open == {}
        with pytest.raises(PublishRefusedOf) as refusal:
            await any_api.plane.stream_keys.authorize(started["stream_key"])
        assert refusal.value.code == "ERR_LIVESTREAM_ENDED"
        refused(await any_api.http.post(f"{any_api.app}/meetings/{of}/active-livestream/stop"), 404)
        again = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        assert again["id"] != started["id"]

    async def test_stopping_what_was_only_asked_for(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await any_api.call("POST", f"/meetings/{of}/active-livestream/stop")
        assert (await any_api.call("GET", f"/livestreams/{started['id']}"))["data"]["livestream"]["status"] == "IDLE"

    async def test_starting_twice_names_the_active_one(self, any_api: Api) -> None:
        of = await new_meeting(any_api)
        started = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        response = await any_api.http.post(f"{any_api.app}/meetings/{of}/livestreams")
        assert started["id"] in refused(response, 409)

    async def test_starting_at_the_same_time(self, any_api: Api) -> None:
        """One of them starts it."""
        of = await new_meeting(any_api)
        path = f"{any_api.app}/meetings/{of}/livestreams"
        statuses = [
            response.status_code for response in await asyncio.gather(*(any_api.http.post(path) for _ in range(6)))
        ]
        assert sorted(statuses) == [201] + [409] * 5

    async def test_an_encoder_that_went_away_frees_the_meeting(self, any_api: Api) -> None:
        """The livestream is IDLE then; starting again closes it for good."""
        of = await new_meeting(any_api)
        first = (await any_api.call("POST", f"/meetings/{of}/livestreams"))["data"]
        await any_api.broadcasts.publish(first["stream_key"])
        any_api.broadcasts.close(first["id"])
        refused(await any_api.http.get(f"{any_api.app}/meetings/{of}/active-livestream"), 404)
        await any_api.call("POST", f"/meetings/{of}/livestreams")
        with pytest.raises(PublishRefusedOf):
            await any_api.plane.stream_keys.authorize(first["stream_key"])

    @pytest.mark.parametrize("video", [{"width": 1921}, {"height": 0}, {"width": "x"}, []])
    async def test_sizes(self, api: Api, video: Any) -> None:
        of = await new_meeting(api)
        path = f"{api.app}/meetings/{of}/livestreams"
        refused(await api.http.post(path, json={"video_config": video}), 400)


async def test_apps(any_api: Api) -> None:
    """Created with 200, as the product does; listed, searched, shown."""
    response = await any_api.http.post(any_api.account + "/apps", json={"name": "Größe 2"})
    assert response.status_code == 200
    app = response.json()["data"]["app"]
    assert (await any_api.http.get(f"{any_api.account}/apps/{app['id']}")).json()["data"] == app
    listed = (await any_api.http.get(any_api.account + "/apps?sort_order=ASC")).json()
    assert [entry["name"] for entry in listed["data"]] == ["default", "Größe 2"]
    found = (await any_api.http.get(any_api.account + "/apps?search=2")).json()
    assert [entry["id"] for entry in found["data"]] == [app["id"]]
    for body in ({}, {"name": ""}, {"name": None}, {"name": "a\nb"}):
        refused(await any_api.http.post(any_api.account + "/apps", json=body), 400)
    refused(await any_api.http.post(any_api.account + "/apps"), 400)


async def test_where_a_meeting_is_sent_is_for_those_who_may_publish(any_api: Api) -> None:
    """The RTMP URL of another service ends in a stream key."""
    config = {"live_streaming_config": {"rtmp_url": "rtmp://elsewhere.example/live/the-key"}, "file_name_prefix": "x"}
    made = (await any_api.call("POST", "/meetings", json={"recording_config": config}))["data"]
    assert made["recording_config"] == config
    headers = {"Authorization": f"Bearer {await any_api.new_token('read')}"}
    for path in ("/meetings", f"/meetings/{made['id']}"):
        shown = await any_api.http.get(any_api.app + path, headers=headers)
        assert "the-key" not in shown.text
        assert '"file_name_prefix":"x"' in shown.text
    assert (await any_api.call("GET", f"/meetings/{made['id']}"))["data"] == made
