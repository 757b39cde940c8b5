"""The recordings resource on both databases; the pipeline does what the test says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from headwater.control import ControlPlane, ControlSettings
from headwater.control.database import open_database
from headwater.control.downloads import download_key
from headwater.control.history import Recovered
from headwater.control.repository import recordings
from headwater.control.repository.sessions import SessionRow
from headwater.events import LiveSnapshot, RecordingChanged, RecordingFailed, RecordingReady
from tests.unit.control.support import Api, Broadcast, now_ms
from tests.unit.control.test_http import refused


async def publish(api: Api, name: str = "show", **settings: Any) -> Broadcast:
    created = (await api.call("POST", "/livestreams", json={"name": name, **settings}))["data"]
    return await api.broadcasts.publish(created["stream_key"])


def begin(api: Api, broadcast: Broadcast) -> str:
    """What the pipeline says of a session that is recorded from its start."""
    api.plane.listen(
        RecordingChanged(
            broadcast.livestream_id,
            broadcast.session_id,
            broadcast.started_ms,
            broadcast.session_id,
            "RECORDING",
            None,
            "RECORD_ON_START",
        )
    )
    return broadcast.session_id


def end(api: Api, broadcast: Broadcast, recording_id: str, *, seconds: float = 61.4) -> None:
    at_ms = broadcast.started_ms + round(seconds * 1000)
    path = f"recordings/{recording_id}.mp4"
    api.plane.listen(
        RecordingReady(
            broadcast.livestream_id,
            broadcast.session_id,
            at_ms,
            recording_id,
            path,
            4321,
            seconds,
            at_ms,
            "ALL_PEERS_LEFT",
        )
    )


async def recorded(api: Api, name: str = "show") -> str:
    """A session that was recorded, and has ended."""
    broadcast = await publish(api, name)
    recording = begin(api, broadcast)
    api.broadcasts.progress(broadcast.livestream_id, 61.4, 5)
    api.broadcasts.close(broadcast.livestream_id, recording=f"recordings/{recording}.mp4")
    end(api, broadcast, recording)
    return recording


async def shown(api: Api, recording: str) -> Any:
    return (await api.call("GET", f"/recordings/{recording}"))["data"]


class TestOfASession:
    async def test_from_recording_to_uploaded(self, any_api: Api) -> None:
        broadcast = await publish(any_api)
        recording = begin(any_api, broadcast)
        running = await shown(any_api, recording)
        assert running["status"] == "RECORDING"
        assert (running["download_url"], running["stopped_time"], running["playback_url"]) == (None, None, None)
        assert running["start_reason"] == {"reason": "RECORD_ON_START"}
        active = await any_api.call("GET", f"/recordings/active-recording/{broadcast.livestream_id}")
        assert active["data"] == running

        any_api.broadcasts.close(broadcast.livestream_id, recording=f"recordings/{recording}.mp4")
        end(any_api, broadcast, recording)
        ended = await shown(any_api, recording)
        assert (ended["status"], ended["file_size"], ended["recording_duration"]) == ("UPLOADED", 4321, 61)
        assert ended["stop_reason"] == {"reason": "ALL_PEERS_LEFT"}
        assert ended["session_id"] == broadcast.session_id
        assert ended["output_file_name"].startswith("show_2")
        assert ended["download_url"].startswith(f"http://127.0.0.1:8080/recordings/{recording}/")
        session = broadcast.session_id.replace("-", "")[:12]
        assert f"/{session}/manifest/video.m3u8" in ended["playback_url"]
        refused(await any_api.http.get(any_api.app + f"/recordings/active-recording/{broadcast.livestream_id}"), 404)

    async def test_events_that_come_twice_change_nothing(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        before = await shown(any_api, recording)
        any_api.plane.listen(
            RecordingFailed(before["livestream_id"], before["session_id"], now_ms(), recording, "ERR_X: no")
        )
        any_api.plane.listen(
            RecordingChanged(
                before["livestream_id"], before["session_id"], now_ms(), recording, "RECORDING", None, "API_CALL"
            )
        )
        after = await shown(any_api, recording)
        links = ("download_url", "download_url_expiry", "sprite_url")  # each answer has new ones
        assert {k: v for k, v in after.items() if k not in links} == {k: v for k, v in before.items() if k not in links}

    async def test_a_close_alone_leaves_a_row(self, any_api: Api) -> None:
        """What told of the recording was lost; the session's end has its path."""
        broadcast = await publish(any_api)
        any_api.broadcasts.close(broadcast.livestream_id, recording="recordings/x.mp4")
        (row,) = (await any_api.call("GET", "/recordings"))["data"]
        assert (row["status"], row["session_id"]) == ("UPLOADED", broadcast.session_id)

    async def test_a_crash_leaves_a_row(self, tmp_path: Path, database_url: str | None, any_api: Api) -> None:
        broadcast = await publish(any_api)
        begin(any_api, broadcast)
        assert await any_api.plane.settle()

        async def found(session: SessionRow) -> Recovered:
            return Recovered(f"recordings/{session.id}.mp4", session.started_ms + 9000, 8.5, 777)

        await any_api.plane.recover(found)
        (unfinished,) = await any_api.plane.unfinished_recordings()
        assert unfinished.id == broadcast.session_id
        end(any_api, broadcast, broadcast.session_id)
        after = await shown(any_api, broadcast.session_id)
        assert (after["status"], after["file_size"], after["recording_duration"]) == ("UPLOADED", 4321, 61)

    async def test_a_crash_before_anything_was_told(self, any_api: Api) -> None:
        broadcast = await publish(any_api)
        assert await any_api.plane.settle()

        async def found(session: SessionRow) -> Recovered:
            return Recovered(f"recordings/{session.id}.mp4", session.started_ms + 9000, 8.5, 777)

        await any_api.plane.recover(found)
        after = await shown(any_api, broadcast.session_id)
        assert (after["status"], after["file_size"], after["recording_duration"]) == ("UPLOADED", 777, 8)


class TestList:
    async def test_filters(self, any_api: Api) -> None:
        meeting = (await any_api.call("POST", "/meetings", json={"title": "Weekly sync"}))["data"]["id"]
        started = (await any_api.call("POST", f"/meetings/{meeting}/livestreams", json={}))["data"]
        of_meeting = await any_api.broadcasts.publish(started["stream_key"])
        first = begin(any_api, of_meeting)
        second = await recorded(any_api, "launch")
        for query, expected in (
            ("", {first, second}),
            (f"meeting_id={meeting}", {first}),
            ("search=weekly", {first}),
            ("search=LAUNCH", {second}),
            ("status=UPLOADED", {second}),
            ("status=RECORDING,UPLOADED", {first, second}),
            ("status=RECORDING&status=PAUSED", {first}),
            ("expired=true", set()),
            ("expired=false&sort_by=invokedTime&sort_order=ASC", {first, second}),
            ("start_time=2100-01-01T00:00:00Z", set()),
        ):
            answer = await any_api.call("GET", "/recordings?" + query)
            assert {row["id"] for row in answer["data"]} == expected, query
            assert answer["paging"]["total_count"] == len(expected)
        (row,) = (await any_api.call("GET", f"/recordings?meeting_id={meeting}"))["data"]
        assert row["meeting"]["title"] == "Weekly sync"
        refused(await any_api.http.get(any_api.app + "/recordings?status=DONE"), 400)


class TestByCall:
    async def test_start_pause_resume_stop(self, any_api: Api) -> None:
        broadcast = await publish(any_api)
        started = await any_api.call(
            "POST", "/recordings", json={"livestream_id": broadcast.livestream_id, "file_name_prefix": "a-"}
        )
        recording = started["data"]["id"]
        assert started["data"]["status"] == "RECORDING"
        assert started["data"]["output_file_name"].startswith("a-show_")
        assert started["data"]["start_reason"] == {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}}
        path = any_api.app + f"/recordings/{recording}"
        for action, status in (("pause", "PAUSED"), ("resume", "RECORDING"), ("stop", "UPLOADING")):
            answer = await any_api.http.put(path, json={"action": action})
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, status)
        refused(await any_api.http.put(path, json={"action": "stop"}), 409)
        refused(await any_api.http.put(path, json={"action": "rewind"}), 400)

    async def test_one_at_a_time_unless_asked(self, any_api: Api) -> None:
        broadcast = await publish(any_api)
        body = {"livestream_id": broadcast.livestream_id}
        await any_api.call("POST", "/recordings", json=body)
        refused(await any_api.http.post(any_api.app + "/recordings", json=body), 409)
        await any_api.call("POST", "/recordings", json={**body, "allow_multiple_recordings": True})

    async def test_where_nothing_is_live(self, any_api: Api) -> None:
        meeting = (await any_api.call("POST", "/meetings", json={}))["data"]["id"]
        created = await any_api.create()
        url = any_api.app + "/recordings"
        refused(await any_api.http.post(url, json={"meeting_id": meeting}), 404)
        refused(await any_api.http.post(url, json={"livestream_id": created["id"]}), 404)
        refused(await any_api.http.post(url, json={}), 400)
        refused(await any_api.http.get(f"{url}/active-recording/{meeting}"), 404)
        assert (await any_api.call("GET", "/recordings"))["data"] == []

    async def test_what_needs_another_encoder_is_refused(self, api: Api) -> None:
        broadcast = await publish(api)
        body = {"livestream_id": broadcast.livestream_id, "video_config": {"width": 640}}
        refused(await api.http.post(api.app + "/recordings", json=body), 400)


class TestDelete:
    async def test_the_row_stays(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        livestream_id = (await shown(any_api, recording))["livestream_id"]
        before = await any_api.call("GET", "/analytics/daywise")
        await any_api.call("DELETE", f"/recordings/{recording}")
        after = await shown(any_api, recording)
        assert (after["status"], after["expired"], after["download_url"]) == ("UPLOADED", True, None)
        assert after["recording_duration"] == 61
        assert await any_api.call("GET", "/analytics/daywise") == before
        (row,) = (await any_api.call("GET", "/recordings?expired=true"))["data"]
        assert row["id"] == recording
        livestream = (await any_api.call("GET", f"/livestreams/{livestream_id}"))["data"]["livestream"]
        playback = await any_api.plane.playbacks.playback(livestream["playback_url"].split("/")[-3])
        assert playback is not None and playback.recording is None

    async def test_not_while_it_is_made(self, any_api: Api) -> None:
        recording = begin(any_api, await publish(any_api))
        refused(await any_api.http.delete(any_api.app + f"/recordings/{recording}"), 409)


class TestClips:
    async def test_a_clip_is_a_recording_of_its_own(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        response = await any_api.http.post(
            any_api.app + f"/recordings/{recording}/clips", json={"start": 1.5, "end": 20}
        )
        assert response.status_code == 201
        clip = response.json()["data"]
        assert (clip["status"], clip["clip_of"], clip["clip_start"], clip["clip_end"]) == (
            "UPLOADING",
            recording,
            1.5,
            20,
        )
        assert clip["output_file_name"].startswith("clip-show_")
        refused(await any_api.http.delete(any_api.app + f"/recordings/{recording}"), 409)
        path = f"recordings/{clip['id']}-part.mp4"
        ids = (clip["livestream_id"], clip["session_id"], now_ms(), clip["id"])
        any_api.plane.listen(RecordingReady(*ids, path, 99, 19.0, now_ms(), "API_CALL"))
        (listed,) = (await any_api.call("GET", f"/recordings/{recording}/clips"))["data"]
        assert (listed["id"], listed["status"], listed["file_size"]) == (clip["id"], "UPLOADED", 99)
        assert listed["download_url"] is not None and listed["playback_url"] is None
        assert [row["id"] for row in (await any_api.call("GET", "/recordings"))["data"]] == [recording]
        livestream = (await any_api.call("GET", f"/livestreams/{clip['livestream_id']}"))["data"]["livestream"]
        playback = await any_api.plane.playbacks.playback(livestream["playback_url"].split("/")[-3])
        assert playback is not None and playback.recording == f"recordings/{recording}.mp4"
        await any_api.call("DELETE", f"/recordings/{clip['id']}")
        assert (await any_api.call("GET", f"/recordings/{recording}/clips"))["data"] == []

    @pytest.mark.parametrize("body", [{"start": 2, "end": 2}, {"start": -1, "end": 2}, {"start": 62, "end": 70}, {}])
    async def test_what_is_no_clip(self, api: Api, body: dict[str, Any]) -> None:
        recording = await recorded(api)
        refused(await api.http.post(api.app + f"/recordings/{recording}/clips", json=body), 400)

    async def test_only_of_what_is_there_and_only_so_many(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("headwater.control.api.routes.recordings.CLIPS_LIMIT", 1)
        running = begin(api, await publish(api))
        body = {"start": 0, "end": 1}
        refused(await api.http.post(api.app + f"/recordings/{running}/clips", json=body), 409)
        recording = await recorded(api)
        clip = (await api.call("POST", f"/recordings/{recording}/clips", json=body))["data"]["id"]
        refused(await api.http.post(api.app + f"/recordings/{recording}/clips", json=body), 409)
        refused(await api.http.post(api.app + f"/recordings/{clip}/clips", json=body), 409)
        refused(await api.http.delete(api.app + f"/recordings/{clip}"), 409)


class TestSwitches:
    @pytest.mark.parametrize(
        ("server", "app", "livestream", "expected"),
        [
            (True, None, None, True),
            (False, None, None, False),
            (True, False, None, False),
            (True, False, True, True),
            (False, True, False, False),
        ],
    )
    async def test_the_narrower_decides(
        self, tmp_path: Path, server: bool, app: bool | None, livestream: bool | None, expected: bool
    ) -> None:
        from tests.unit.control.support import open_api

        plane = await ControlPlane.open(ControlSettings(tmp_path / "data", record=server))
        api = await open_api(plane)
        try:
            response = await api.http.patch(f"{api.account}/apps/{api.credentials.app_id}", json={"record": app})
            assert response.json()["data"]["record"] == app
            created = (await api.call("POST", "/livestreams", json={"record": livestream}))["data"]
            assert (await plane.stream_keys.authorize(created["stream_key"])).record is expected
            changed = await api.call("PATCH", f"/livestreams/{created['id']}", json={"record": not expected})
            assert changed["data"]["record"] is not expected
            assert (await plane.stream_keys.authorize(created["stream_key"])).record is not expected
        finally:
            await api.http.aclose()
            await plane.close()

    async def test_another_session_has_begun_meanwhile(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was asked of one session is not recorded of the next, under the id of the first."""
        broadcast = await publish(api)
        live, asked = api.broadcasts.live, []

        def later(livestream_id: str) -> LiveSnapshot | None:
            asked.append(livestream_id)
            snapshot = live(livestream_id)
            return snapshot if len(asked) == 1 or snapshot is None else replace(snapshot, session_id="another")

        monkeypatch.setattr(api.broadcasts, "live", later)
        body = {"livestream_id": broadcast.livestream_id}
        refused(await api.http.post(api.app + "/recordings", json=body), 409)
        assert api.broadcasts.recordings == {}
        assert (await api.call("GET", "/recordings"))["data"] == []

    async def test_a_meeting_that_is_recorded_on_start(self, any_api: Api) -> None:
        await any_api.http.patch(f"{any_api.account}/apps/{any_api.credentials.app_id}", json={"record": False})
        for on_start in (True, False):
            meeting = (await any_api.call("POST", "/meetings", json={"record_on_start": on_start}))["data"]["id"]
            started = (await any_api.call("POST", f"/meetings/{meeting}/livestreams", json={}))["data"]
            assert (await any_api.plane.stream_keys.authorize(started["stream_key"])).record is on_start


class TestLinks:
    async def test_a_link_holds_until_it_expires(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        url = (await shown(any_api, recording))["download_url"]
        *_, of, expires, signature, name = url.split("/")
        links = any_api.plane.links
        found = await links.find(of, expires, signature, now_ms())
        assert found is not None and found.path == f"recordings/{recording}.mp4"
        assert found.file_name == name
        assert await links.find(of, expires, signature, int(expires) * 1000) is None
        for forged in (
            (of, expires, "0" * 64),
            (of, str(int(expires) + 1), signature),
            (of.replace("0", "1"), expires, signature),
            (of, expires, signature.upper()),
            (of, expires, "\udcff"),
            ("", "", ""),
        ):
            assert await links.find(*forged, now_ms()) is None
        await any_api.call("DELETE", f"/recordings/{recording}")
        assert await links.find(of, expires, signature, now_ms()) is None

    def test_the_key_is_kept_and_private(self, tmp_path: Path) -> None:
        key = download_key(tmp_path)
        assert download_key(tmp_path) == key
        assert (tmp_path / "download-key").stat().st_mode & 0o777 == 0o600


async def test_existing_recordings_are_filled_in(tmp_path: Path, database_url: str | None) -> None:
    """A database from before: its recordings become rows."""
    database = await open_database(database_url, tmp_path)

    def back_and_forth(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "headwater.control:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        for statement in (
            "INSERT INTO accounts VALUES ('a', 'a', 1)",
            "INSERT INTO apps VALUES ('p', 'a', 'p', 1)",
            "INSERT INTO livestreams (id, app_id, status, disabled, stream_key, stream_key_hash, playback_id, "
            "invoked_ms, created_ms, updated_ms) VALUES ('l', 'p', 'IDLE', false, 'k', 'h', 'b', 1, 1, 1)",
            "INSERT INTO livestream_sessions (id, livestream_id, app_id, node, invoked_ms, started_ms, stopped_ms, "
            "known_ms, ingest_seconds, viewer_seconds, recording, encoder, created_ms, updated_ms) "
            "VALUES ('s', 'l', 'p', 'n', 1, 1000, 9000, 9000, 7.5, 0, 'recordings/s.mp4', 'obs', 1, 2)",
        ):
            connection.execute(sa.text(statement))
        command.upgrade(config, "head")

    try:
        async with database.write() as conn:
            await conn.run_sync(back_and_forth)
        async with database.read() as conn:
            row = await recordings.find(conn, "s")
        assert row is not None
        assert (row.status, row.path, row.seconds, row.stopped_ms) == ("UPLOADED", "recordings/s.mp4", 7.5, 9000)
        assert row.file_size is None
    finally:
        await database.close()
