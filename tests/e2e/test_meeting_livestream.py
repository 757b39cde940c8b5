"""A meeting with `live_stream_on_start`, from its first participant to its end, in a whole server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from headwater.client import NotFound
from headwater.client.models import Livestream
from tests.e2e.support import api, ffmpeg_command, running, until
from tests.support import Server, running_server


@contextmanager
def inside(server: Server, meeting_id: str, token: str) -> Iterator[None]:
    """Somebody who only listens to what goes on: that is enough to be there."""
    ready = threading.Event()

    def listen() -> None:
        url, headers = f"{server.http}/meet/{meeting_id}/events", {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", url, headers=headers, timeout=60) as events:
            for _ in events.iter_lines():
                ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert ready.wait(20), "nobody came in"
    yield
    listener.join(20)
    assert not listener.is_alive(), "the meeting has not ended"


def test_it_is_live_with_the_meeting_and_ends_with_it(tmp_path: Path) -> None:
    """An encoder takes over from its picture meanwhile, and is on air until the meeting is ended."""
    with running_server(tmp_path / "data") as server, api(server) as client:
        meeting = client.create_meeting(title="Weekly", live_stream_on_start=True)
        person = client.add_participant(meeting.id, custom_participant_id="ada", preset_name="host", name="Ada")

        def active() -> Livestream | None:
            try:
                return client.get_meeting_active_livestreams(meeting.id)
            except NotFound:
                return None

        assert active() is None
        with inside(server, meeting.id, person.token):
            live = until(lambda: (found := active()) and found.status == "LIVE" and found, "the meeting is on air")
            assert live.meeting_id == meeting.id
            with running(ffmpeg_command(f"{live.ingest_server}{live.stream_key}", size="320x180")) as encoder:
                until(
                    lambda: {("resumed", ""), ("warning", "ERR_COMPOSITOR_FAILED")} <= _log(server, live.id),
                    "the encoder took over, and the meeting's own picture has ended",
                )
                assert encoder.poll() is None
                still = active()
                assert still is not None and still.status == "LIVE"
                session = client.get_active_session(meeting.id)
                assert session.live_participants == 1
                client.kick_all_participants(meeting.id)
                until(lambda: active() is None, "the livestream has ended")
                assert encoder.wait(20) != 0, "it was told to go"
        shown = client.get_livestream_session_for_livestream_id(live.id)
        assert (shown.livestream.status, len(shown.sessions)) == ("IDLE", 1)
        (ended,) = client.get_sessions(meeting_id=meeting.id).sessions
        assert (ended.id, ended.status) == (session.id, "ENDED")
        (broadcast,) = client.get_session_livestream_sessions(session.id).data
        assert broadcast.id == shown.sessions[0].id


def _log(server: Server, livestream_id: str) -> set[tuple[str, str]]:
    """What happened to a livestream, as (kind, code)."""
    with api(server) as client:
        return {(entry.kind, entry.code) for entry in client.get_livestream_events(livestream_id).data}
