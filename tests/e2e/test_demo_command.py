"""`headwater demo`, what `make run` runs: it prints what plays and what an SDK needs, and leaves nothing behind."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from headwater.client import Headwater
from tests.e2e.support import live, until
from tests.support import require

STOPPED_WITHIN_S = 30


@contextmanager
def demo(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "headwater", "demo", "--data", str(data), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=STOPPED_WITHIN_S)


def left(data: Path) -> list[str]:
    """Command lines of processes that write the demo's log: its server and its publisher do."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "1").resolve() == data / "demo.log":
                found.append((process / "cmdline").read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue  # it has just ended, or is not ours
    return found


def test_it_prints_what_plays_and_stops_on_sigterm(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with demo(data, "--json") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert httpx.get(said["player_url"]).headers["content-type"].startswith("text/html")
        assert live(said["playback_url"])
        assert len(left(data)) == 2, "a server and a publisher"
        assert said["ingest_server"].startswith("rtmp://127.0.0.1:")
        access = {name: said[name] for name in ("base_url", "api_token", "account_id", "app_id")}
        with Headwater(**access) as headwater:
            (only,) = headwater.iterate_livestreams()
            assert (only.name, only.status, only.stream_key) == ("Demo", "LIVE", said["stream_key"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPPED_WITHIN_S) == 0
    assert left(data) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(said["player_url"])


def test_for_people_it_prints_lines_to_copy(tmp_path: Path) -> None:
    """And a second start has the same livestream and key."""
    data = tmp_path / "demo"
    keys = []
    for _ in range(2):
        with demo(data) as process:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
            process.send_signal(signal.SIGINT)
            assert process.wait(STOPPED_WITHIN_S) == 0
        values = {line[:25].strip(): line[25:].strip() for line in lines if len(line) > 26}
        assert values["Watch"].startswith("http://127.0.0.1:")
        assert values["any HLS player"] == values["Watch"] + "/manifest/video.m3u8"
        assert values["base URL"].endswith("/client/v4")
        assert values["OBS server"] + values["OBS stream key"] in values["ffmpeg"]
        assert values["API token"] and values["account"] and values["app"]
        keys.append(values["OBS stream key"])
    assert keys[0] == keys[1] and len(keys[0]) == 64
    assert left(data) == []


def test_an_encoder_takes_over_with_the_printed_line_and_the_card_comes_back(tmp_path: Path) -> None:
    """ffmpeg for 12 s, then the livestream is disabled and enabled, then it has another key: the demo lives on."""
    data = tmp_path / "demo"
    with demo(data) as process:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        values = {line[:25].strip(): line[25:].strip() for line in lines if len(line) > 26}
        program, *arguments = shlex.split(values["ffmpeg"].replace("-f flv", "-t 12 -f flv"))
        subprocess.run([require(program), "-nostdin", "-v", "error", *arguments], timeout=40, check=False)
        assert process.poll() is None, "the demo goes on"
        assert "your encoder has taken over" in process.stdout.readline()
        assert process.stdout.readline() == "the test picture is back\n"
        until(lambda: live(values["any HLS player"]), "the card plays again")
        second = run_demo_to_its_end(data)
        assert second.returncode == 1
        assert second.stderr == f"headwater: a demo already runs here: {values['Watch']}\n" and second.stdout == ""
        assert (data / "ready.json").exists() and process.poll() is None
        with Headwater(credentials=data) as headwater:
            (only,) = headwater.iterate_livestreams()
            headwater.disable(only.id)
            assert "is disabled" in process.stdout.readline()
            headwater.enable(only.id)
            assert process.stdout.readline() == "the test picture is back\n"
            until(lambda: live(values["any HLS player"]), "the card plays after the pause")
            key = headwater.reset_key(only.id).stream_key
            assert key in process.stdout.readline()
            until(lambda: live(values["any HLS player"]), "the card plays with the new key")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPPED_WITHIN_S) == 0
    assert left(data) == []


def run_demo_to_its_end(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headwater", "demo", "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=40)


def test_sigterm_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with demo(data) as process:
        until(lambda: (data / "demo.log").exists(), "its server is being started")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPPED_WITHIN_S) == 0
    assert left(data) == []
