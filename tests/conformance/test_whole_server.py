"""The official Python SDK against `headwater serve` itself, with a real encoder: what the other tests here fake."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cloudflare
import pytest
from cloudflare import Cloudflare

from headwater.client import Headwater
from tests.e2e.support import duration_s, ffmpeg_command, played, running
from tests.support import Server, require, running_server, start_server

PATIENCE_S = 20


def until(what: Callable[[], Any]) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = what()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def test_a_broadcast(server: Server) -> None:
    """INVOKED, LIVE with numbers that grow, IDLE with totals that are final when `stop` has answered."""
    ffmpeg = require("ffmpeg")
    access = server.credentials
    client = Cloudflare(
        base_url=access["base_url"], api_token=access["api_token"], max_retries=0, _strict_response_validation=True
    )
    livestreams = client.realtime_kit.livestreams
    ids: dict[str, Any] = {"account_id": access["account_id"]}
    app = access["app_id"]
    meeting = client.realtime_kit.meetings.create(app, **ids, title="Weekly sync").data
    assert meeting is not None
    started = livestreams.start_livestreaming_a_meeting(meeting.id, **ids, app_id=app, name="mix").data
    assert started is not None
    assert started.id is not None
    livestream_id: str = started.id

    def active() -> Any:
        try:
            return livestreams.get_active_livestreams_for_livestream_id(livestream_id, **ids, app_id=app).data
        except cloudflare.NotFoundError:
            return None

    assert active() is None
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    url = f"{started.ingest_server}{started.stream_key}"
    command = [ffmpeg, "-loglevel", "error", "-re", *source, *codecs, "-t", "60", "-f", "flv", url]
    encoder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        live = until(lambda: (found := active()) and found.livestream.status == "LIVE" and found)
        first = float(live.session.ingest_seconds)
        until(lambda: float(active().session.ingest_seconds) > first + 0.5)
        with pytest.raises(cloudflare.ConflictError, match=livestream_id):
            livestreams.start_livestreaming_a_meeting(meeting.id, **ids, app_id=app)
        livestreams.stop_livestreaming_a_meeting(meeting.id, **ids, app_id=app)
        shown = livestreams.get_livestream_session_for_livestream_id(livestream_id, **ids, app_id=app).data
        assert encoder.wait(PATIENCE_S) != 0, "it was told to go"
    finally:
        encoder.kill()
        encoder.wait()
    assert shown is not None
    assert shown.livestream is not None
    assert shown.session is not None
    assert shown.livestream.status == "IDLE"
    assert shown.session.stopped_time is not None
    assert shown.session.ingest_seconds is not None
    assert shown.session.ingest_seconds > first
    again = livestreams.get_livestream_session_for_livestream_id(livestream_id, **ids, app_id=app).data
    assert again == shown, "totals are final at once"


def test_a_session_that_a_crash_ended_agrees_with_its_recording(tmp_path: Path) -> None:
    """Killed before the first totals were made durable, the server knows them again from what it recorded."""
    server = start_server(tmp_path / "data", env={"HEADWATER_LIVESTREAM_PROGRESS_INTERVAL_S": "5"})
    try:
        with Headwater(credentials=server.data / "credentials.json") as client:
            made = client.create_independent_livestream()
            with running(ffmpeg_command(server.rtmp + made.stream_key)):
                played(made.playback_url)
                time.sleep(1.5)
                server.kill()
                killed_at = time.time()
    finally:
        server.process.kill()
    with running_server(tmp_path / "data") as restarted:
        with Headwater(credentials=restarted.data / "credentials.json") as client:
            session = client.get_livestream_session_for_livestream_id(made.id).session
        assert session is not None and session.stopped_time is not None
        recording = restarted.data / "recordings" / f"{session.id}.mp4"
        # What was ingested last may have been told, and was not on disk: less than a part, and the encoder's delay.
        assert session.ingest_seconds == pytest.approx(duration_s(str(recording)), abs=0.5)
        assert session.ingest_seconds > 1
        stopped = datetime.fromisoformat(str(session.stopped_time)).timestamp()
        assert killed_at - 2 < stopped <= killed_at
