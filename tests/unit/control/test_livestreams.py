"""Livestreams over the API, on both databases: what the contract promises, driven by real event sequences."""

from __future__ import annotations

import pytest

from headwater.control import PublishRefusedOf
from headwater.control.tables import livestream_sessions
from headwater.events import PublishRejected, SessionHealth
from headwater.health import HealthSample
from tests.unit.control.support import Api, now_ms
from tests.unit.control.test_http import refused


async def test_a_livestream_lives(any_api: Api) -> None:
    """INVOKED when created, LIVE when playable, IDLE when ended, with totals that are final at once."""
    created = await any_api.create("launch")
    assert (created["status"], created["disabled"], created["meeting_id"]) == ("INVOKED", False, None)
    path = f"/livestreams/{created['id']}"

    broadcast = await any_api.broadcasts.publish(created["stream_key"], playable=False)
    assert (await any_api.call("GET", path))["data"]["livestream"]["status"] == "INVOKED"
    any_api.broadcasts.playable(created["id"])
    any_api.broadcasts.progress(created["id"], 12.25, 30.5)
    active = (await any_api.call("GET", path + "/active-livestream-session"))["data"]
    assert active["livestream"]["status"] == "LIVE"
    assert (active["session"]["ingest_seconds"], active["session"]["viewer_seconds"]) == ("12.25", "30.5")
    assert active["session"]["stopped_time"] is None

    any_api.broadcasts.close(created["id"], recording="recordings/a.mp4")
    shown = (await any_api.call("GET", path))["data"]
    assert shown["livestream"]["status"] == "IDLE"
    assert (shown["session"]["ingest_seconds"], shown["session"]["viewer_seconds"]) == (12.25, 30.5)
    assert shown["session"]["stopped_time"] is not None
    assert shown["session"] == shown["sessions"][0]
    by_id = (await any_api.call("GET", f"/livestreams/sessions/{broadcast.session_id}"))["data"]
    assert (by_id["ingest_seconds"], by_id["viewer_seconds"]) == (12, 30)
    response = await any_api.http.get(any_api.app + path + "/active-livestream-session")
    assert response.status_code == 404


async def test_live_numbers_are_current(any_api: Api) -> None:
    """An open session is answered with the pipeline's numbers of now, not with the last progress."""
    created = await any_api.create()
    broadcast = await any_api.broadcasts.publish(created["stream_key"])
    any_api.broadcasts.progress(created["id"], 5, 5)
    broadcast.ingest_seconds, broadcast.viewer_seconds = 7.5, 9.125
    session = (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]["session"]
    assert (session["ingest_seconds"], session["viewer_seconds"]) == (7.5, 9.125)


async def test_a_failed_broadcast_says_why(any_api: Api) -> None:
    created = await any_api.create()
    await any_api.broadcasts.publish(created["stream_key"])
    any_api.broadcasts.close(created["id"], error="ERR_STORAGE_QUOTA_EXHAUSTED: The disk is full.")
    shown = (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]
    assert shown["livestream"]["status"] == "ERRORED"
    assert shown["session"]["err_message"] == "ERR_STORAGE_QUOTA_EXHAUSTED: The disk is full."
    log = (await any_api.call("GET", f"/livestreams/{created['id']}/events"))["data"]
    assert (log[0]["kind"], log[0]["code"]) == ("failed", "ERR_STORAGE_QUOTA_EXHAUSTED")


async def test_an_unsupported_codec_is_one_failed_session(any_api: Api) -> None:
    """A publish that is refused for what it sends fails the livestream; the encoder's retries add no sessions."""
    created = await any_api.create()
    code, sentence = "ERR_UNSUPPORTED_VIDEO_CODEC", "VP6 is not supported."
    for _ in range(3):
        any_api.plane.listen(PublishRejected(created["id"], now_ms(), code, sentence, "192.0.2.7:1", "old\0"))
        await any_api.broadcasts.publish(created["stream_key"], playable=False)
        any_api.broadcasts.close(created["id"], error=f"{code}: {sentence}")
    shown = (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]
    assert shown["livestream"]["status"] == "ERRORED"
    assert [session["err_message"] for session in shown["sessions"]] == [
        "ERR_UNSUPPORTED_VIDEO_CODEC: VP6 is not supported."
    ]
    assert shown["session"]["stopped_time"] is not None
    log = (await any_api.call("GET", f"/livestreams/{created['id']}/events"))["data"]
    assert [entry["kind"] for entry in log] == ["failed", "opened", "rejected"] * 3 + ["created"]
    assert {entry["code"] for entry in log if entry["kind"] in ("failed", "rejected")} == {code}


async def test_a_refused_visitor_fails_nothing(any_api: Api) -> None:
    """Who comes to a disabled livestream is in the log, but no broadcast has failed."""
    created = await any_api.create()
    refused = PublishRejected(created["id"], now_ms(), "ERR_LIVESTREAM_DISABLED", "Disabled.", "192.0.2.7:1", "obs")
    any_api.plane.listen(refused)
    shown = (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]
    assert (shown["livestream"]["status"], shown["session"], shown["sessions"]) == ("INVOKED", None, [])
    log = (await any_api.call("GET", f"/livestreams/{created['id']}/events"))["data"]
    assert log[0]["code"] == "ERR_LIVESTREAM_DISABLED"


async def test_disable_ends_the_broadcast_and_keeps_publishers_out(any_api: Api) -> None:
    created = await any_api.create()
    await any_api.broadcasts.publish(created["stream_key"])
    path = f"/livestreams/{created['id']}"
    changed = (await any_api.call("PATCH", path, json={"disabled": True}))["data"]
    assert (changed["disabled"], changed["status"]) == ("disabled", "IDLE")
    assert [stop[:2] for stop in any_api.broadcasts.stopped] == [(created["id"], "ERR_LIVESTREAM_DISABLED")]
    with pytest.raises(PublishRefusedOf) as refusal:
        await any_api.plane.stream_keys.authorize(created["stream_key"])
    assert (refusal.value.code, refusal.value.livestream_id) == ("ERR_LIVESTREAM_DISABLED", created["id"])
    playback_id = created["playback_url"].split("/")[3]
    playback = await any_api.plane.playbacks.playback(playback_id)
    assert playback is not None
    assert playback.disabled

    assert (await any_api.call("PATCH", path, json={"disabled": False}))["data"]["disabled"] == ""
    assert (await any_api.plane.stream_keys.authorize(created["stream_key"])).livestream_id == created["id"]


async def test_a_session_that_slips_in_while_it_is_disabled_is_ended(any_api: Api) -> None:
    """A publisher that was admitted just before, and whose first media comes just after, is cut off as well."""
    created = await any_api.create()
    grant_before = await any_api.plane.stream_keys.authorize(created["stream_key"])
    await any_api.call("PATCH", f"/livestreams/{created['id']}", json={"disabled": True})
    any_api.plane.stream_keys.forget()
    original = any_api.plane.stream_keys.authorize

    async def admitted_before(_key: str) -> object:
        return grant_before

    any_api.plane.stream_keys.authorize = admitted_before  # type: ignore[assignment,method-assign]
    await any_api.broadcasts.publish(created["stream_key"])
    any_api.plane.stream_keys.authorize = original  # type: ignore[method-assign]
    for check in list(any_api.plane._checks):
        await check
    assert any_api.broadcasts.open == {}
    assert any_api.broadcasts.stopped[0][1] == "ERR_LIVESTREAM_DISABLED"


async def test_rename(any_api: Api) -> None:
    created = await any_api.create("before")
    path = f"/livestreams/{created['id']}"
    assert (await any_api.call("PATCH", path, json={"name": "after"}))["data"]["name"] == "after"
    assert (await any_api.call("PATCH", path, json={"name": None}))["data"]["name"] is None
    assert (await any_api.call("PATCH", path, json={}))["data"]["name"] is None


async def test_reset_key_replaces_the_key_and_cuts_off_the_old_one(any_api: Api) -> None:
    created = await any_api.create()
    await any_api.broadcasts.publish(created["stream_key"])
    fresh = (await any_api.call("POST", f"/livestreams/{created['id']}/reset-key"))["data"]["stream_key"]
    assert len(fresh) == 64
    assert fresh != created["stream_key"]
    assert any_api.broadcasts.open == {}
    with pytest.raises(PublishRefusedOf) as refusal:
        await any_api.plane.stream_keys.authorize(created["stream_key"])
    assert (refusal.value.code, refusal.value.livestream_id) == ("ERR_BAD_STREAM_KEY", None)
    assert (await any_api.plane.stream_keys.authorize(fresh)).livestream_id == created["id"]


async def test_stop(any_api: Api) -> None:
    created = await any_api.create()
    path = f"/livestreams/{created['id']}/stop"
    assert (await any_api.http.post(any_api.app + path)).status_code == 404
    await any_api.broadcasts.publish(created["stream_key"])
    assert (await any_api.call("POST", path))["data"]["message"] == "Stopped live stream successfully"
    assert (await any_api.call("GET", f"/livestreams/{created['id']}"))["data"]["livestream"]["status"] == "IDLE"


async def test_delete_keeps_what_was_broadcast(any_api: Api) -> None:
    created = await any_api.create()
    await any_api.broadcasts.publish(created["stream_key"])
    any_api.broadcasts.progress(created["id"], 60, 120)
    await any_api.call("DELETE", f"/livestreams/{created['id']}")
    assert any_api.broadcasts.open == {}
    assert (await any_api.http.get(f"{any_api.app}/livestreams/{created['id']}")).status_code == 404
    assert (await any_api.call("GET", "/livestreams"))["data"]["livestreams"] == []
    assert await any_api.plane.playbacks.playback(created["playback_url"].split("/")[3]) is None
    with pytest.raises(PublishRefusedOf):
        await any_api.plane.stream_keys.authorize(created["stream_key"])
    totals = (await any_api.call("GET", "/analytics/livestreams/overall"))["data"]
    assert totals == {"count": 1, "total_ingest_seconds": 60, "total_viewer_seconds": 120}


class TestList:
    """Paging, sorting, filters."""

    async def test_the_contract_and_what_it_promises(self, any_api: Api) -> None:
        """`data` is the documented object (the first livestream, `paging`), and holds the whole page besides."""
        ids = [(await any_api.create(f"n{i}"))["id"] for i in range(3)]
        answer = await any_api.call("GET", "/livestreams?sort_order=ASC")
        data = answer["data"]
        assert data["id"] == ids[0]
        assert [entry["id"] for entry in data["livestreams"]] == ids
        assert data["paging"] == answer["paging"] == {"total_count": 3, "start_offset": 1, "end_offset": 3}
        assert data["livestreams"][0] == {name: data[name] for name in data["livestreams"][0]}

    async def test_an_empty_page(self, any_api: Api) -> None:
        answer = await any_api.call("GET", "/livestreams")
        empty = {"total_count": 0, "start_offset": 0, "end_offset": 0}
        assert answer == {"data": {"paging": empty, "livestreams": []}, "paging": empty, "success": True}

    async def test_pages_are_the_whole_without_overlap(self, any_api: Api) -> None:
        ids = {(await any_api.create())["id"] for _ in range(7)}
        seen: list[str] = []
        for page_no in range(1, 5):
            data = (await any_api.call("GET", f"/livestreams?per_page=3&page_no={page_no}"))["data"]
            seen += [entry["id"] for entry in data["livestreams"]]
            if page_no == 3:
                assert data["paging"] == {"total_count": 7, "start_offset": 7, "end_offset": 7}
        assert data["paging"] == {"total_count": 7, "start_offset": 0, "end_offset": 0}
        assert len(seen) == 7
        assert set(seen) == ids

    @pytest.mark.parametrize("order", ["DSC", "DESC"])
    async def test_newest_first(self, any_api: Api, order: str) -> None:
        for name in ("a", "b"):
            await any_api.create(name)
        ascending = (await any_api.call("GET", "/livestreams?sort_order=ASC"))["data"]["livestreams"]
        descending = (await any_api.call("GET", f"/livestreams?sort_order={order}"))["data"]["livestreams"]
        assert ascending == descending[::-1]

    async def test_by_status(self, any_api: Api) -> None:
        """The status that is filtered by is the one that is shown, also of a broadcast that began a moment ago."""
        live, _invoked = await any_api.create("live"), await any_api.create("invoked")
        await any_api.broadcasts.publish(live["stream_key"])
        for status, names in (("LIVE", ["live"]), ("INVOKED", ["invoked"]), ("IDLE", []), ("ERRORED", [])):
            data = (await any_api.call("GET", f"/livestreams?status={status}"))["data"]
            assert [entry["name"] for entry in data["livestreams"]] == names
            assert {entry["status"] for entry in data["livestreams"]} <= {status}

    async def test_by_time(self, any_api: Api) -> None:
        await any_api.create()
        for query, count in (
            ("start_time=2020-01-01T00:00:00Z", 1),
            ("start_time=2020-01-01T00:00:00%2B01:00&end_time=2020-02-01T00:00:00.000Z", 0),
            ("end_time=4102444800", 1),
            ("start_time=4102444800", 0),
        ):
            data = (await any_api.call("GET", "/livestreams?" + query))["data"]
            assert data["paging"]["total_count"] == count, query

    async def test_without_meetings(self, any_api: Api) -> None:
        await any_api.create("own")
        meeting = (await any_api.call("POST", "/meetings", json={"title": "t"}))["data"]
        await any_api.call("POST", f"/meetings/{meeting['id']}/livestreams", json={"name": "of-meeting"})
        both = (await any_api.call("GET", "/livestreams?exclude_meetings=false"))["data"]["livestreams"]
        own = (await any_api.call("GET", "/livestreams?exclude_meetings=true"))["data"]["livestreams"]
        assert {entry["name"] for entry in both} == {"own", "of-meeting"}
        assert [entry["name"] for entry in own] == ["own"]


async def test_of_a_long_session_the_last_day_is_answered_and_a_week_at_most(api: Api) -> None:
    created = await api.create()
    broadcast = await api.broadcasts.publish(created["stream_key"])
    day, last = 86_400_000, now_ms() // 1000 * 1000
    for days_ago in (10, 3, 0):
        sample = HealthSample(last - days_ago * day, 3_000_000, 1, 30.0, 2000, 0, 0, 5, 1.5)
        api.plane.listen(SessionHealth(created["id"], broadcast.session_id, (sample,)))
    await api.plane.settle()
    path = f"/livestreams/sessions/{broadcast.session_id}/health"

    async def found(query: str) -> int:
        return len((await api.call("GET", path + query))["data"]["samples"])

    assert await found("") == 1
    assert await found(f"?start_time={(last - 4 * day) // 1000}") == 2
    assert await found("?start_time=0") == 3, "the session has only just begun"
    async with api.plane._database.write() as conn:
        began = last - 20 * day
        await conn.execute(livestream_sessions.update().values(started_ms=began))
    refused(await api.http.get(api.app + path + "?start_time=0"), 400)
    assert await found(f"?start_time=0&end_time={(last - 14 * day) // 1000}") == 0
    assert await found(f"?end_time={(last - 10 * day) // 1000 + 1}") == 1


async def test_health_is_answered_stored_and_live_in_one(any_api: Api) -> None:
    created = await any_api.create()
    broadcast = await any_api.broadcasts.publish(created["stream_key"])
    start = now_ms() // 1000 * 1000
    samples = tuple(HealthSample(start + 1000 * k, 3_000_000, 1, 30.0, 8000, 0, 0, 5, 1.5, 3) for k in range(20))
    path = f"/livestreams/sessions/{broadcast.session_id}/health"
    assert (await any_api.call("GET", path))["data"]["samples"] == []
    any_api.plane.listen(SessionHealth(created["id"], broadcast.session_id, samples[:10]))
    broadcast.health = samples[5:]
    await any_api.plane.settle()
    shown = (await any_api.call("GET", path))["data"]
    assert shown["session_id"] == broadcast.session_id and shown["encoder"] == "obs-output 30.1"
    assert len(shown["samples"]) == 20 and len({sample["at"] for sample in shown["samples"]}) == 20
    assert shown["samples"][3]["video_bps"] == 3_000_000 and shown["samples"][3]["rtt_ms"] == 1.5
    assert shown["samples"][3]["viewers"] == 3
    assert [warning["code"] for warning in shown["warnings"]] == ["KEYFRAMES_FAR_APART"]
    window = f"?start_time={start // 1000 + 8}&end_time={start // 1000 + 12}"
    assert len((await any_api.call("GET", path + window))["data"]["samples"]) == 4

    any_api.broadcasts.close(created["id"])
    await any_api.plane.settle()
    assert len((await any_api.call("GET", path))["data"]["samples"]) == 10
    response = await any_api.http.get(any_api.app + "/livestreams/sessions/none/health")
    assert response.status_code == 404
