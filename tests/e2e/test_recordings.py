"""Recordings through the whole server: recorded, listed, downloaded, sought in by ffmpeg and Chromium, deleted."""

from __future__ import annotations

import io
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin

import httpx
import pytest
from PIL import Image

from headwater.client.models import Recording
from tests.browser import chromium, watched
from tests.browser import until as page_until
from tests.e2e.beep_flash import offsets_ms
from tests.e2e.support import (
    B_FRAMES,
    api,
    card_command,
    create,
    decode_complaints,
    duration_s,
    ffmpeg_command,
    packet_times,
    played,
    running,
    until,
)
from tests.support import Server, require, running_server

SECONDS = 12
GOP_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("recordings")
    with running_server(folder / "data", env={"HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0"}) as running:
        yield running


def record(server: Server, seconds: int) -> Recording:
    """A broadcast of the test card, recorded from beginning to end."""
    made = create(server)
    command = card_command(server.rtmp + made.stream_key, "--duration", str(seconds))
    with running(command) as publisher, api(server) as client:
        played(made.playback_url)
        (during,) = client.get_recordings(livestream_id=made.id).data
        assert during.status == "RECORDING" and during.download_url is None
        publisher.wait(seconds + 30)

        def ended() -> Recording | None:
            (found,) = client.get_recordings(livestream_id=made.id).data
            return found if found.status == "UPLOADED" else None

        recording: Recording = until(ended, "the recording is there")
    return recording


@pytest.fixture(scope="module")
def recording(server: Server) -> Recording:
    return record(server, SECONDS)


class TestDownload:
    def test_whole_and_in_ranges(self, server: Server, recording: Recording, tmp_path: Path) -> None:
        assert recording.download_url is not None and recording.download_url.startswith(server.http)
        with httpx.Client(timeout=20) as http:
            whole = http.get(recording.download_url)
            assert whole.status_code == 200
            assert int(whole.headers["content-length"]) == len(whole.content) == recording.file_size
            assert whole.headers["content-type"] == "video/mp4"
            assert recording.output_file_name in whole.headers["content-disposition"]
            head = http.head(recording.download_url)
            assert (head.headers["content-length"], head.content) == (whole.headers["content-length"], b"")
            size = len(whole.content)
            for wanted, start, end in (("0-0", 0, 1), ("100-199", 100, 200), ("-7", size - 7, size), ("9-", 9, size)):
                part = http.get(recording.download_url, headers={"range": f"bytes={wanted}"})
                assert (part.status_code, part.content) == (206, whole.content[start:end])
                assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
            assert http.get(recording.download_url, headers={"range": f"bytes={size}-"}).status_code == 416
            assert http.get(recording.download_url, headers={"range": "lines=1-2"}).status_code == 200
            fresh = {"if-none-match": whole.headers["etag"]}
            assert http.get(recording.download_url, headers=fresh).status_code == 304
            other = {"range": "bytes=0-0", "if-range": '"another"'}
            assert http.get(recording.download_url, headers=other).status_code == 200
        (path := tmp_path / "whole.mp4").write_bytes(whole.content)
        assert decode_complaints(path) == ""
        assert duration_s(str(path)) == pytest.approx(SECONDS, abs=0.5)
        assert recording.recording_duration == pytest.approx(SECONDS, abs=1)

    def test_a_link_of_nobody(self, server: Server, recording: Recording) -> None:
        assert recording.download_url is not None
        parts = recording.download_url.split("/")
        for place, value in ((-2, "0" * 64), (-3, str(int(parts[-3]) + 60)), (-4, "0" * 36), (-3, "x"), (-2, "%00")):
            forged = "/".join([*parts[:place], value, *parts[place + 1 :]])
            response = httpx.get(forged)
            assert response.status_code == 404
            assert "no-store" in response.headers["cache-control"]

    def test_the_command(self, server: Server, recording: Recording, tmp_path: Path) -> None:
        headwater = [sys.executable, "-m", "headwater", "recordings"]
        access = ["--credentials", str(server.data)]
        listed = subprocess.run([*headwater, "list", *access], capture_output=True, text=True, timeout=30)
        assert recording.id in listed.stdout and listed.stderr == ""
        target = tmp_path / "a.mp4"
        (tmp_path / "a.mp4.part").write_bytes(httpx.get(str(recording.download_url)).content[:1000])
        got = subprocess.run(
            [*headwater, "download", recording.id, str(target), *access], capture_output=True, text=True, timeout=60
        )
        assert (got.returncode, got.stdout.strip()) == (0, str(target))
        assert target.stat().st_size == recording.file_size
        assert decode_complaints(target) == ""


class Noting:
    """A proxy that notes where a player begins to read."""

    def __init__(self, target: str) -> None:
        noting = self
        self.starts: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wanted = {name: value for name, value in self.headers.items() if name.lower() == "range"}
                noting.starts.append(int(wanted.get("Range", "bytes=0-").partition("=")[2].partition("-")[0]))
                with httpx.stream("GET", target, headers=wanted, timeout=20) as response:
                    self.send_response(response.status_code)
                    for name in ("content-length", "content-range", "accept-ranges", "content-type"):
                        if name in response.headers:
                            self.send_header(name, response.headers[name])
                    self.send_header("connection", "close")
                    self.end_headers()
                    try:
                        for chunk in response.iter_bytes(4096):
                            self.wfile.write(chunk)
                    except OSError:
                        pass  # the player has had enough
                self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/r.mp4"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class TestSeeking:
    def test_ffmpeg_reads_little_to_get_far(self, server: Server, recording: Recording) -> None:
        """A picture two seconds before the end, over HTTP: by the index, it goes there in few steps."""
        assert recording.download_url is not None and recording.file_size is not None
        proxy = Noting(recording.download_url)
        try:
            command = [require("ffmpeg"), "-nostdin", "-v", "warning", "-ss", str(SECONDS - 2), "-i", proxy.url]
            command += ["-frames:v", "1", "-map", "0:v", "-f", "framecrc", "-"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        finally:
            proxy.stop()
        frames = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        assert (done.returncode, len(frames)) == (0, 1), done.stderr
        assert proxy.starts[0] == 0 and proxy.starts[-1] > recording.file_size / 2
        assert len(proxy.starts) <= 5, f"not fragment by fragment: {proxy.starts}"

    def test_chromium_seeks(self, server: Server, recording: Recording) -> None:
        with chromium() as browser, watched(browser, server.http + "/") as found:
            page = found.page
            page.evaluate(
                """url => { const video = document.createElement("video"); video.muted = true; video.src = url;
                document.body.append(video); window.v = video; }""",
                recording.download_url,
            )
            page_until(page, "v.readyState >= 2")
            assert page.evaluate("v.duration") == pytest.approx(SECONDS, abs=0.5)
            for target in (SECONDS - 2.0, 3.0, SECONDS / 2):
                page.evaluate("t => { v.currentTime = t; }", target)
                page_until(page, "!v.seeking && v.readyState >= 2")
                assert page.evaluate("v.currentTime") == pytest.approx(target, abs=0.05)
            page.evaluate("v.play()")
            page_until(page, f"v.currentTime > {SECONDS / 2 + 0.3}")
            assert page.evaluate("v.error") is None


class TestSprite:
    def test_pictures_and_their_index(self, server: Server, recording: Recording) -> None:
        """The pictures differ, as the card's do; Chromium reads both."""
        assert recording.sprite_url is not None
        with httpx.Client(timeout=60) as http:
            index = http.get(recording.sprite_url)
            assert (index.status_code, index.headers["content-type"]) == (200, "text/vtt; charset=utf-8")
            cues = re.findall(r"sprite\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)", index.text)
            assert SECONDS / GOP_S - 1 <= len(cues) <= SECONDS / GOP_S + 2
            picture = http.get(urljoin(recording.sprite_url, "sprite.jpg"))
        assert picture.headers["content-type"] == "image/jpeg"
        sheet = Image.open(io.BytesIO(picture.content))
        tiles = []
        for x, y, width, height in (map(int, cue) for cue in cues):
            assert x + width <= sheet.width and y + height <= sheet.height and (width, height) == (160, 90)
            tiles.append(sheet.crop((x, y, x + width, y + height)).tobytes())
        assert len(set(tiles)) == len(tiles)
        with chromium() as browser, watched(browser, server.http + "/") as found:
            count = """async url => { const video = document.createElement("video");
                const track = document.createElement("track"); track.kind = "metadata"; track.src = url;
                video.append(track); track.track.mode = "hidden"; document.body.append(video);
                return await new Promise((done, no) => { track.onload = () => done(track.track.cues.length);
                track.onerror = no; }); }"""
            assert found.page.evaluate(count, recording.sprite_url) == len(cues)


class TestClip:
    def test_by_the_command(self, server: Server, recording: Recording, tmp_path: Path) -> None:
        """Decodes without a word, is as long as was asked for and a GOP at either end more, and seeks in Chromium."""
        target = tmp_path / "clip.mp4"
        command = [sys.executable, "-m", "headwater", "recordings", "clip", recording.id, "0:03", "7.5"]
        command += ["--to", str(target), "--json", "--credentials", str(server.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        clip = json.loads(done.stdout)
        assert target.stat().st_size == clip["file_size"]
        assert decode_complaints(target) == ""
        assert 4.5 <= duration_s(str(target)) <= 4.5 + 2 * GOP_S + 0.1
        assert clip["recording_duration"] == pytest.approx(duration_s(str(target)), abs=1)
        offsets = offsets_ms(target)
        assert len(offsets) >= 3 and all(abs(offset) < 40 for offset in offsets)
        with chromium() as browser, watched(browser, server.http + "/") as found:
            page = found.page
            page.evaluate(
                """url => { const video = document.createElement("video"); video.muted = true; video.src = url;
                document.body.append(video); window.v = video; }""",
                clip["download_url"],
            )
            page_until(page, "v.readyState >= 2")
            for at in (3.0, 1.0):
                page.evaluate("t => { v.currentTime = t; }", at)
                page_until(page, "!v.seeking && v.readyState >= 2")
            page.evaluate("v.play()")
            page_until(page, "v.currentTime > 1.3")
            assert page.evaluate("v.error") is None


def test_a_clip_of_pictures_that_are_shown_in_another_order(server: Server, tmp_path: Path) -> None:
    """B-frames: all of the GOPs around what is asked for, no picture twice or missing, the sound in time."""
    made = create(server)
    with running(ffmpeg_command(server.rtmp + made.stream_key, seconds=7, encode=B_FRAMES)) as publisher:
        played(made.playback_url)
        publisher.wait(40)
    with api(server) as client:

        def found(recording_id: str = "") -> Recording | None:
            if recording_id:
                now = client.get_one_recording(recording_id)
            else:
                (now,) = client.get_recordings(livestream_id=made.id).data
            return now if now.status == "UPLOADED" else None

        source = until(found, "the recording is there")
        clip = client.create_clip(source.id, start=2.2, end=3.9)
        clip = until(lambda: found(clip.id), "the clip is there")
    path = tmp_path / "clip.mp4"
    path.write_bytes(httpx.get(str(clip.download_url)).content)
    assert decode_complaints(path) == ""
    command = [require("ffprobe"), "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,dts_time"]
    out = subprocess.run([*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, timeout=60).stdout
    rows = [line.split(",")[:2] for line in out.split()]
    shown = sorted(float(pts) for pts, _ in rows)
    assert any(pts != dts for pts, dts in rows), "there are B-frames in it"
    assert len(shown) % 30 == 0 and 60 <= len(shown) <= 120
    assert all(abs(after - before - 1 / 30) < 0.002 for before, after in itertools.pairwise(shown))
    assert 0 <= shown[0] < 0.1
    sound = [dts for dts, _ in packet_times(path, "a")]
    assert abs(sound[0] - shown[0]) < 0.05 and abs(sound[-1] - shown[-1]) < 0.08


class TestDelete:
    def test_one_that_is_being_read_is_read_to_its_end(self, server: Server) -> None:
        short = record(server, 4)
        assert short.download_url is not None and short.playback_url is not None
        assert httpx.get(short.playback_url).status_code == 200
        path = server.data / "recordings" / f"{short.session_id}.mp4"
        with api(server) as client:
            before = client.get_org_analytics()
            with httpx.stream("GET", short.download_url) as response:
                pieces = response.iter_bytes(1000)
                got = len(next(pieces))
                client.delete_recording(short.id)
                until(lambda: not path.exists(), "the file is gone")
                got += sum(map(len, pieces))
            assert got == short.file_size
            gone = client.get_one_recording(short.id)
            assert (gone.status, gone.expired, gone.download_url) == ("UPLOADED", True, None)
            assert client.get_org_analytics() == before
        assert httpx.get(short.download_url).status_code == 404
        assert httpx.get(short.playback_url).status_code == 404
        assert not Path(str(path) + ".index").exists()


def test_a_crash_in_the_middle(tmp_path: Path) -> None:
    """`kill -9`: the next start has the recording as far as it went."""
    with running_server(tmp_path / "data") as server:
        made = create(server)
        with running(card_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            time.sleep(3)
            server.kill()
    with running_server(tmp_path / "data") as server, api(server) as client:
        (found,) = client.get_recordings(livestream_id=made.id).data
        assert found.status == "UPLOADED" and found.download_url is not None
        content = httpx.get(found.download_url).content
        assert len(content) == found.file_size
    (path := tmp_path / "r.mp4").write_bytes(content)
    assert decode_complaints(path) == ""
