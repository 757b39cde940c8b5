"""Sessions as encoders and viewers meet them: losses, take-overs, refusals, crashes, ends, and the seconds counted."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from headwater.client.models import CreatedLivestream
from tests.e2e.support import (
    MediaPlaylist,
    api,
    card_command,
    create,
    decode_complaints,
    duration_s,
    ffmpeg_command,
    media_playlist,
    played,
    renditions,
    running,
    until,
)
from tests.support import Server, require, running_server, start_server

WINDOWS = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "5", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "1"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that do not end it."""
    with running_server(tmp_path_factory.mktemp("sessions") / "data", env=WINDOWS) as server:
        yield server


def session_of(server: Server, made: CreatedLivestream):  # type: ignore[no-untyped-def]
    """The newest session of a livestream, through the API."""
    with api(server) as client:
        return client.get_livestream_session_for_livestream_id(made.id).session


def status_of(server: Server, made: CreatedLivestream) -> str:
    with api(server) as client:
        return str(client.get_livestream_session_for_livestream_id(made.id).livestream.status)


def log_of(server: Server, made: CreatedLivestream):  # type: ignore[no-untyped-def]
    """The event log of a livestream through the API, the oldest entry first."""
    with api(server) as client:
        return client.get_livestream_events(made.id).data[::-1]


def kinds(server: Server, made: CreatedLivestream) -> list[str]:
    return [entry.kind for entry in log_of(server, made)]


def test_a_killed_publisher_comes_back_and_viewers_stay(shared: Server) -> None:
    made = create(shared)
    with httpx.Client(timeout=20) as client, running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        url = renditions(client, made.playback_url)["video"]
        before = media_playlist(client, url)
        session = session_of(shared, made)
        # A player that nobody here wrote reads on over the break.
        player = [
            require("ffmpeg"),
            "-nostdin",
            "-v",
            "error",
            "-i",
            made.playback_url,
            "-t",
            "9",
            "-f",
            "null",
            "-",
        ]
        with running(player) as watching:
            time.sleep(2)
            publisher.kill()
            publisher.wait()
            time.sleep(1.5)
            with running(ffmpeg_command(shared.rtmp + made.stream_key)):
                after = until(
                    lambda: (
                        (found := media_playlist(client, url))
                        and any(s.discontinuity for s in found.segments)
                        and found
                    ),
                    "a discontinuity",
                )
                assert watching.wait(30) == 0
                assert session_of(shared, made).id == session.id and status_of(shared, made) == "LIVE"
                opened, live, interrupted, resumed = log_of(shared, made)[1:]
    assert after.segments[-1].msn > before.segments[-1].msn
    assert [s.msn for s in after.segments] == list(range(after.segments[0].msn, after.segments[-1].msn + 1))
    assert not after.ended
    assert [entry.kind for entry in (opened, live, interrupted, resumed)] == [
        "opened",
        "live",
        "interrupted",
        "resumed",
    ]
    assert {entry.session_id for entry in (opened, live, interrupted, resumed)} == {session.id}
    assert "from 127.0.0.1:" in opened.message and "(FMLE/3.0" in opened.message
    assert "the connection was lost" in interrupted.message and "until" in interrupted.message
    assert resumed.message == "The publisher is back."


def test_no_number_goes_back_over_a_break_and_into_the_next_session(tmp_path: Path) -> None:
    """RFC 8216bis, 6.2.1 and 6.2.2, of each media playlist; MSNs not over sessions either (docs/decisions/0001)."""
    windows = {**WINDOWS, "HEADWATER_ORIGIN_MEMORY_WINDOW_S": "2", "HEADWATER_ORIGIN_DVR_WINDOW_S": "6"}
    with running_server(tmp_path / "data", env=windows) as server, httpx.Client(timeout=20) as client:
        made = create(server)
        seen: dict[str, list[tuple[int, int]]] = {"video": [], "audio": []}
        numbers: dict[int, int] = {}

        def look() -> list[MediaPlaylist]:
            playlists = [media_playlist(client, url) for url in urls.values()]
            for kind, playlist in zip(urls, playlists, strict=True):
                seen[kind].append((playlist.segments[0].msn, playlist.discontinuity_sequence))
                for msn, number in playlist.discontinuities().items():
                    assert numbers.setdefault(msn, number) == number, "a segment keeps its number, in each rendition"
            return playlists

        with running(ffmpeg_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            urls = renditions(client, made.playback_url)
            look()
        with running(ffmpeg_command(server.rtmp + made.stream_key)) as publisher:
            until(lambda: all(found.discontinuity_sequence for found in look()), "the break leaves the window")
            publisher.terminate()
            publisher.wait(10)
        until(lambda: all(found.ended for found in look()), "the session is closed", within_s=12)
        for counted in seen.values():
            assert counted == sorted(counted) and {number for _, number in counted} == {0, 1}
        assert [numbers[msn] for msn in sorted(numbers)] == sorted(numbers.values())
        with running(ffmpeg_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            after = renditions(client, made.playback_url)
            for kind, url in after.items():
                playlist = media_playlist(client, url)
                assert playlist.segments[0].msn > max(numbers)
                # The discontinuity sequence begins anew: in a playlist with a URL of its own.
                assert playlist.discontinuity_sequence == 0 and url.partition("?")[0] != urls[kind].partition("?")[0]
            before = {kind: counted[-1] for kind, counted in seen.items()}
            assert all(found.ended for found in look())
            assert {kind: counted[-1] for kind, counted in seen.items()} == before, (
                "the old playlists stay as they ended"
            )


def test_the_window_over_ends_the_session_with_its_totals(shared: Server) -> None:
    made = create(shared)
    with httpx.Client(timeout=20) as client:
        with running(ffmpeg_command(shared.rtmp + made.stream_key)):
            played(made.playback_url)
            url = renditions(client, made.playback_url)["video"]
            time.sleep(2)
        until(lambda: status_of(shared, made) == "IDLE", "the session is closed", within_s=12)
        assert media_playlist(client, url).ended
    session = session_of(shared, made)
    assert session.stopped_time is not None and session.ingest_seconds > 3
    *_, interrupted, closed, recorded = log_of(shared, made)
    assert [interrupted.kind, closed.kind, recorded.kind] == ["interrupted", "closed", "recorded"]
    assert closed.session_id == recorded.session_id == session.id
    assert f"recordings/{session.id}.mp4" in recorded.message
    assert (shared.data / "recordings" / f"{session.id}.mp4").stat().st_size > 100_000
    assert session.ingest_seconds == pytest.approx((session.stopped_time - session.started_time).total_seconds(), abs=1)


def test_a_second_publisher_takes_over_and_its_media_follows(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)) as first, httpx.Client(timeout=20) as client:
        played(made.playback_url)
        url = renditions(client, made.playback_url)["video"]
        session = session_of(shared, made)
        with running(card_command(shared.rtmp + made.stream_key)):
            _, said = first.communicate(timeout=20)
            assert "took over" in said and first.returncode != 0
            until(lambda: any(s.discontinuity for s in media_playlist(client, url).segments), "the new one's media")
            assert session_of(shared, made).id == session.id
            with api(shared) as control:
                events = control.get_livestream_events(made.id).data
            assert any(event.kind == "resumed" and "took over" in event.message for event in events)
            assert not any(event.kind == "interrupted" for event in events)


def test_a_half_open_publisher_is_noticed_within_five_seconds(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        os.kill(publisher.pid, signal.SIGSTOP)
        try:

            def interrupted() -> bool:
                with api(shared) as client:
                    return any(event.kind == "interrupted" for event in client.get_livestream_events(made.id).data)

            until(interrupted, "the loss is noticed", within_s=6)
        finally:
            os.kill(publisher.pid, signal.SIGCONT)


def test_a_wrong_key_is_refused_with_the_reason_in_both_logs_and_is_written_nowhere(shared: Server) -> None:
    """Wherever an encoder puts it, and also where it is a right one with a letter too many."""
    made = create(shared)
    wrong = secrets.token_hex(32)
    for key, url in (
        (wrong, shared.rtmp + wrong),
        (wrong, f"{shared.rtmp}{wrong}/x"),
        (wrong, f"{shared.rtmp}x?key={wrong}"),
        (made.stream_key, shared.rtmp + made.stream_key + "a"),
    ):
        before = len(shared.log.read_text())
        with running(ffmpeg_command(url)) as publisher:
            _, said = publisher.communicate(timeout=20)
        assert publisher.returncode != 0 and "no livestream with this stream key" in said
        logged = shared.log.read_text()[before:]
        assert "publish refused: remote=127.0.0.1:" in logged and "code=ERR_BAD_STREAM_KEY" in logged
        assert key not in logged
    token = secrets.token_hex(32)
    bearer = {"Authorization": f"Bearer {token}"}
    path = f"/client/v4/accounts/{shared.credentials['account_id']}/realtime/kit/apps?token={token}"
    assert httpx.get(shared.http + path, headers=bearer).status_code == 401
    assert kinds(shared, made) == ["created"]  # it names no livestream: no owner is told
    written = shared.log.read_bytes()
    for file in shared.data.rglob("headwater.db*"):
        written += file.read_bytes()
    assert made.id.encode() in written
    for secret in (wrong, token, shared.credentials["api_token"]):
        assert secret.encode() not in written
    assert made.stream_key not in shared.log.read_text()


def test_a_disabled_livestream_is_refused_and_its_publisher_disconnected(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        with httpx.Client(timeout=20) as viewer, api(shared) as client:
            url = renditions(viewer, made.playback_url)["video"]
            client.disable(made.id)
            publisher.communicate(timeout=20)
            assert publisher.returncode != 0
            assert viewer.get(made.playback_url).status_code == 404
            until(lambda: viewer.get(url).status_code == 404, "the media playlist is gone, too", within_s=5)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher:
        _, said = publisher.communicate(timeout=20)
    assert "disabled" in said
    *_, disabled, closed, recorded, rejected = log_of(shared, made)
    assert [disabled.kind, closed.kind, recorded.kind] == ["disabled", "closed", "recorded"]
    assert (rejected.kind, rejected.code, rejected.session_id) == ("rejected", "ERR_LIVESTREAM_DISABLED", None)
    assert "disabled" in rejected.message and "from 127.0.0.1:" in rejected.message


def test_an_unsupported_codec_is_said_to_the_encoder_and_in_the_session(shared: Server) -> None:
    made = create(shared)
    sorenson = ["-c:v", "flv1", "-pix_fmt", "yuv420p", "-b:v", "700k"]
    with running(ffmpeg_command(shared.rtmp + made.stream_key, encode=sorenson)) as publisher:
        _, said = publisher.communicate(timeout=20)
    assert publisher.returncode != 0 and "H.264" in said
    until(lambda: status_of(shared, made) == "ERRORED", "the livestream is ERRORED")
    session = session_of(shared, made)
    assert "ERR_UNSUPPORTED_VIDEO_CODEC" in session.err_message
    entries = {entry.kind: entry for entry in log_of(shared, made)}
    assert "opened" in entries and "live" not in entries and "recorded" not in entries
    until(lambda: httpx.get(made.playback_url, timeout=30).status_code == 404, "a frame of sound is no recording")
    rejected, failed = entries["rejected"], entries["failed"]
    assert rejected.code == failed.code == "ERR_UNSUPPORTED_VIDEO_CODEC" and failed.session_id == session.id
    assert "Sorenson" in rejected.message and "Sorenson" in failed.message


def test_the_server_killed_while_live_tells_the_truth_after_its_restart(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", env=WINDOWS)
    try:
        made = create(server)
        with running(ffmpeg_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            with httpx.Client(timeout=20) as client:
                before = media_playlist(client, renditions(client, made.playback_url)["video"])
            time.sleep(6)
            session = session_of(server, made)
            server.kill()
        server = start_server(tmp_path / "data", env=WINDOWS)
        url = f"{server.http}/" + made.playback_url.split("/", 3)[3]
        closed = session_of(server, made)
        assert closed.id == session.id and closed.stopped_time is not None
        assert status_of(server, made) == "IDLE"
        assert closed.ingest_seconds == pytest.approx(session.ingest_seconds, abs=1)
        recording = next((server.data / "recordings").glob("*.mp4"))
        assert decode_complaints(recording) == ""
        assert duration_s(str(recording)) == pytest.approx(session.ingest_seconds, abs=1.5)
        assert duration_s(url) == pytest.approx(session.ingest_seconds, abs=1.5)
        with running(ffmpeg_command(server.rtmp + made.stream_key)), httpx.Client(timeout=20) as client:
            played(url)
            after = media_playlist(client, renditions(client, url)["video"])
        assert after.segments[0].msn > before.segments[-1].msn
        assert session_of(server, made).id != session.id
    finally:
        if server.process.poll() is None:
            server.terminate()


def test_sigterm_ends_sessions_properly_within_ten_seconds_whoever_is_there(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """A publisher, viewers that wait for a segment and for a part, and idle connections of both HTTP servers."""
    cert, key = map(str, certificate)
    server = start_server(
        tmp_path / "data", "--https", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, env=WINDOWS
    )
    try:
        made = create(server)
        answers: dict[str, httpx.Response] = {}
        with (
            running(ffmpeg_command(server.rtmp + made.stream_key)),
            httpx.Client(timeout=20) as client,
            httpx.Client(http1=False, http2=True, verify=ssl.create_default_context(cafile=cert)) as client2,
        ):
            played(made.playback_url)
            began = time.monotonic()
            url = renditions(client, made.playback_url)["video"]
            playlist = media_playlist(client, url)
            https = f"https://localhost:{server.ready['https'].rpartition(':')[2]}/"
            assert client2.get(https + made.playback_url.split("/", 3)[3]).http_version == "HTTP/2"
            hint = playlist.text.partition('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="')[2].partition('"')[0]
            assert hint
            wanted = {"segment": f"{url}&_HLS_msn={playlist.segments[-1].msn + 2}", "part": urljoin(url, hint)}
            waiting = [
                threading.Thread(target=lambda n=name, u=asked: answers.update({n: httpx.get(u, timeout=20)}))
                for name, asked in wanted.items()
            ]
            time.sleep(1.5)
            for thread in waiting:
                thread.start()
            time.sleep(0.3)
            sent = time.monotonic() - began
            assert server.terminate() == 0
            for thread in waiting:
                thread.join(10)
        assert "#EXT-X-ENDLIST" in answers["segment"].text
        assert set(answers) == set(wanted)
        said = server.log.read_text()
        assert "did not" not in said and "Traceback" not in said and made.stream_key not in said
        recording = next((server.data / "recordings").glob("*.mp4"))
        assert decode_complaints(recording) == ""
        server = start_server(tmp_path / "data", env=WINDOWS)
        session = session_of(server, made)
        assert status_of(server, made) == "IDLE" and session.stopped_time is not None and session.err_message is None
        assert session.ingest_seconds == pytest.approx(duration_s(str(recording)), abs=0.5)
        assert session.ingest_seconds > sent
        # Closed by the drain, and not by what cleans up after a crash.
        assert kinds(server, made) == ["created", "opened", "live", "closed", "recorded"]
    finally:
        if server.process.poll() is None:
            server.terminate()


def watch(url: str, seconds: float, headers: dict[str, str] | None = None) -> float:
    """A low-latency player's reloads of a media playlist for that long; the time from its first request to its last
    answer, seconds."""
    query, mark = "", "&" if "?" in url else "?"
    with httpx.Client(timeout=20, headers=headers) as client:
        began = time.monotonic()
        while True:
            text = client.get(url + query).raise_for_status().text
            watched = time.monotonic() - began
            if watched >= seconds:
                return watched
            msn = int(text.split("#EXT-X-MEDIA-SEQUENCE:")[1].split("\n")[0]) + text.count("#EXTINF")
            part = text.rsplit("#EXTINF", 1)[-1].count("#EXT-X-PART:")
            query = f"{mark}_HLS_msn={msn}&_HLS_part={part}"


def test_seconds_are_those_that_were_watched_and_sent(shared: Server) -> None:
    """Six viewers, the shortest for 3 s, all behind one address: one dropped or counted twice is not within 1 s."""
    made = create(shared)
    views = made.playback_url.replace("/manifest/video.m3u8", "/views")
    with (
        httpx.Client(timeout=20) as client,
        ThreadPoolExecutor(7) as pool,
        running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher,
    ):
        played(made.playback_url)
        # A viewing session is the playback URL's own; where a player has no such URL, what CMCD says, else its address.
        first, second, third = (renditions(client, made.playback_url) for _ in range(3))
        bare = first["video"].partition("?")[0]
        watching = {
            "long": pool.submit(watch, first["video"], 9),
            "short": pool.submit(watch, second["video"], 3),
            "cmcd in a header": pool.submit(watch, bare, 4.2, {"CMCD-Session": 'cid="x",sid="two"'}),
            "cmcd in the query": pool.submit(watch, f"{bare}?CMCD=br%3D700%2Csid%3D%22one%22", 5.4),
            "only an address": pool.submit(watch, bare, 6.6),
            "two connections": pool.submit(watch, third["video"], 7.8),
            "two connections, the other": pool.submit(watch, third["audio"], 7.8),
        }
        seen = [0]
        deadline = time.monotonic() + 25
        while not (seen[-1] == 0 and all(viewer.done() for viewer in watching.values())):
            seen.append(int(client.get(views).json()["liveViewers"]))
            assert time.monotonic() < deadline, f"they did not all leave: {seen}"
            time.sleep(0.2)
        watched = {name: viewer.result() for name, viewer in watching.items()}
        total = sum(watched.values()) - min(watched[name] for name in watched if name.startswith("two connections"))
        with api(shared) as control:
            now = control.get_active_livestreams_for_livestream_id(made.id).session
        publisher.terminate()  # it says goodbye
        publisher.wait(10)
    changes = [count for count, _ in itertools.groupby(seen)]
    assert changes[changes.index(6) :] == [6, 5, 4, 3, 2, 1, 0], "each comes and goes as one viewer"
    assert float(now.viewer_seconds) == pytest.approx(total, abs=1)
    until(lambda: status_of(shared, made) == "IDLE", "the session is closed", within_s=12)
    session = session_of(shared, made)
    print(f"watched {watched}, {total:.2f} in all; counted {session.viewer_seconds:.2f}")
    assert session.viewer_seconds == pytest.approx(total, abs=1)
    assert session.ingest_seconds == pytest.approx(
        (session.stopped_time - session.started_time).total_seconds(), rel=0.02, abs=1
    )


def test_a_player_that_nobody_here_wrote_is_counted(shared: Server) -> None:
    made = create(shared)
    player = [require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-i", made.playback_url, "-f", "null", "-"]
    with running(ffmpeg_command(shared.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        began = time.monotonic()
        with running(player):
            time.sleep(7)
        watched = time.monotonic() - began
        publisher.terminate()
        publisher.wait(10)
    until(lambda: status_of(shared, made) == "IDLE", "the session is closed", within_s=12)
    # It asks when it has played a segment out, and needs a moment to start: that is not seen from outside.
    assert watched - 3 < session_of(shared, made).viewer_seconds < watched + 0.5


def test_recordings_are_plain_files(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key, seconds=4)) as publisher:
        publisher.wait(20)
    until(lambda: status_of(shared, made) == "IDLE", "the session is closed", within_s=12)
    # The encoder paced four seconds of media: that is the truth, whatever the server's own clock says.
    assert session_of(shared, made).ingest_seconds == pytest.approx(4, abs=1)
    path = max((shared.data / "recordings").glob("*.mp4"), key=lambda file: file.stat().st_mtime)
    out = subprocess.run(
        [require("ffprobe"), "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert out.stdout.split() == ["h264", "aac"] and out.stderr == ""
