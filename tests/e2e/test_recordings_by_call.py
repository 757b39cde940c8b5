"""Recordings that begin, pause and stop by the API, through the whole server, and one that a crash cuts short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headwater.client import Headwater
from headwater.client.models import Recording
from tests.e2e.support import api, card_command, create, decode_complaints, duration_s, played, running, until
from tests.support import Server, running_server

NOT_BY_DEFAULT = {"HEADWATER_LIVESTREAM_RECORD": "0", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("by-call") / "data", env=NOT_BY_DEFAULT) as running:
        yield running


def ready(client: Headwater, recording_id: str, *, within_s: float = 30) -> Recording:
    def found() -> Recording | None:
        now = client.get_one_recording(recording_id)
        return now if now.status in ("UPLOADED", "ERRORED") else None

    recording: Recording = until(found, "the recording is made", within_s=within_s)
    assert recording.status == "UPLOADED", recording.err_message
    return recording


def fetched(recording: Recording, folder: Path) -> Path:
    path = folder / f"{recording.id}.mp4"
    path.write_bytes(httpx.get(str(recording.download_url)).content)
    assert path.stat().st_size == recording.file_size
    assert decode_complaints(path) == ""
    return path


def test_start_pause_resume_stop(server: Server, tmp_path: Path) -> None:
    """A part of a livestream that is not recorded otherwise, made while it goes on; a second one to its end."""
    made = create(server)
    with api(server) as client:
        with running(card_command(server.rtmp + made.stream_key, "--gop", "1")):
            played(made.playback_url)
            assert client.get_recordings(livestream_id=made.id).data == []
            first = client.start_recordings(livestream_id=made.id)
            assert first.status == "RECORDING"
            time.sleep(3)
            assert client.pause_resume_stop_recording(first.id, "pause").status == "PAUSED"
            time.sleep(3)
            client.pause_resume_stop_recording(first.id, "resume")
            time.sleep(3)
            assert client.pause_resume_stop_recording(first.id, "stop").status in ("UPLOADING", "UPLOADED")
            second = client.start_recordings(livestream_id=made.id)
            done = ready(client, first.id)
            assert client.get_active_recordings(made.id).id == second.id
        path = fetched(done, tmp_path)
        assert 5 < duration_s(str(path)) < 10, "two times three seconds, each with a GOP around it"
        last = ready(client, second.id, within_s=75)
        fetched(last, tmp_path)
        assert last.playback_url is not None
        until(lambda: httpx.get(str(last.playback_url)).status_code == 200, "it plays", within_s=40)
        stats = client.get_org_analytics().recording_stats
        assert stats.recording_count == 2, "each counts by itself"
        whole_s = sum(duration_s(str(tmp_path / f"{one.id}.mp4")) for one in (done, last))
        assert abs(stats.recording_minutes_consumed * 60 - whole_s) < 0.2
    spool = server.data / "spool"
    until(lambda: not spool.exists() or not list(spool.iterdir()), "what it was cut out of is gone")


def test_a_crash_leaves_the_part_that_was_recorded(tmp_path: Path) -> None:
    """`kill -9` while a recording pauses: the next start makes it, of what there is."""
    with running_server(tmp_path / "data", env=NOT_BY_DEFAULT) as server, api(server) as client:
        made = create(server)
        with running(card_command(server.rtmp + made.stream_key, "--gop", "1")):
            played(made.playback_url)
            recording = client.start_recordings(livestream_id=made.id)
            time.sleep(3)
            client.pause_resume_stop_recording(recording.id, "pause")
            time.sleep(1)
            server.kill()
    with running_server(tmp_path / "data", env=NOT_BY_DEFAULT) as server, api(server) as client:
        done = ready(client, recording.id)
        assert 2 < duration_s(str(fetched(done, tmp_path))) < 6
        until(lambda: not list((server.data / "spool").iterdir()), "what it was cut out of is gone")


def test_one_that_began_with_its_session_pauses(tmp_path: Path) -> None:
    """Viewers notice nothing; what is left of it is the one file that stays, and its session plays by it."""
    env = {"HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0", "HEADWATER_ORIGIN_ENDED_S": "0"}
    with running_server(tmp_path / "data", env=env) as server, api(server) as client:
        made = create(server)
        with running(card_command(server.rtmp + made.stream_key, "--gop", "1", "--duration", "9")) as publisher:
            played(made.playback_url)
            recording = client.get_active_recordings(made.id)
            client.pause_resume_stop_recording(recording.id, "pause")
            time.sleep(3)
            assert httpx.get(made.playback_url).status_code == 200
            client.pause_resume_stop_recording(recording.id, "resume")
            publisher.wait(40)
        done = ready(client, recording.id)
        assert 2 < duration_s(str(fetched(done, tmp_path))) < 8
        files = server.data / "recordings"
        until(lambda: [path.name for path in files.glob("*.mp4")] == [f"{recording.id}-part.mp4"], "one file is left")
        until(lambda: httpx.get(str(done.playback_url)).status_code == 200, "it plays")
        assert 2 < duration_s(str(done.playback_url)) < 8
        assert client.get_org_analytics().recording_stats.recording_count == 1
