"""`headwater publish` into ffmpeg as an RTMP server, decoded by ffmpeg: clocks, flash, beep, loops, codecs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from headwater.testcard import barcode
from headwater.testcard.card import Layout
from tests.support import require

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def received(out: Path, *arguments: str, wait_s: float = 40) -> str:
    """Publish into a listening ffmpeg that stores what comes; the publisher's standard error."""
    url = f"rtmp://127.0.0.1:{free_port()}/live/key"
    server = subprocess.Popen(
        [require("ffmpeg"), "-v", "error", "-y", "-listen", "1", "-i", url, "-c", "copy", "-copyts", str(out)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        # No need to wait for the listener: the publisher comes back until it is there.
        command = [sys.executable, "-m", "headwater", "publish", url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=wait_s)
        assert done.returncode == 0, done.stderr
        _, errors = server.communicate(timeout=15)
        assert out.exists(), errors
        return done.stderr
    finally:
        if server.poll() is None:
            server.kill()
            server.communicate()


def packets(path: Path, stream: str) -> list[tuple[float, bool]]:
    """Presentation time in seconds and the key flag of each packet."""
    show = ["-show_entries", "packet=pts_time,flags", "-of", "json"]
    done = subprocess.run(
        [require("ffprobe"), "-v", "error", "-select_streams", stream, *show, str(path)],
        capture_output=True,
        check=True,
    )
    return [(float(p["pts_time"]), "K" in p["flags"]) for p in json.loads(done.stdout)["packets"]]


def pictures(path: Path) -> np.ndarray:
    """The Y planes, shape (frames, height, width)."""
    command = [require("ffmpeg"), "-v", "error", "-i", str(path), "-an", "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH)


def sound(path: Path) -> np.ndarray:
    command = [require("ffmpeg"), "-v", "error", "-i", str(path), "-vn", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("card") / "card.mkv"
    received(out, "--size", f"{WIDTH}x{HEIGHT}", "--bitrate", "500k", "--duration", str(SECONDS))
    return out


def test_every_frame_arrives_with_a_sync_sample_each_second(card: Path) -> None:
    video = packets(card, "v")
    assert len(video) == FPS * SECONDS
    assert [i for i, (_, key) in enumerate(video) if key] == [0, 30, 60]
    assert all(abs(at - video[0][0] - i / FPS) <= 0.002 for i, (at, _) in enumerate(video))


def test_the_clock_reads_after_500_kbit_s_in_every_frame(card: Path) -> None:
    read = [barcode.read(luma) for luma in pictures(card)]
    assert None not in read
    first = read[0]
    assert first is not None
    # The frames stand on the grid of whole seconds, 33 1/3 ms apart; the shown time is rounded.
    assert [(ms or 0) - first for ms in read] == pytest.approx([i * 1000 / FPS for i in range(len(read))], abs=1)
    assert abs(time.time() * 1000 - first) < 120_000


def test_flash_and_beep_begin_together_within_a_frame(card: Path) -> None:
    luma = pictures(card)
    box = Layout(WIDTH, HEIGHT).flash
    lit = luma[:, box.y + 8 : box.y + box.height - 8, box.x + 8 : box.x + box.width - 8].mean(axis=(1, 2)) > 128
    # One that begins with the stream itself has no edge to find.
    flashes = [packets(card, "v")[i][0] for i in range(5, len(lit) - 2) if lit[i] and not lit[i - 1]]
    loud = np.abs(sound(card)) > 0.1
    starts = [i for i in np.flatnonzero(loud) if not loud[max(0, i - 2400) : i].any()]
    start = packets(card, "a")[0][0]
    beeps = [start + i / 48_000 for i in starts if i > 2400]
    assert len(flashes) >= 2
    assert len(beeps) >= 2
    for flash in flashes:
        assert min(abs(beep - flash) for beep in beeps) < 1 / FPS


def clip(out: Path, *codecs: str) -> Path:
    source = ["-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1:r=48000"]
    subprocess.run([require("ffmpeg"), "-v", "error", "-y", *source, *codecs, str(out)], check=True)
    return out


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_looped_file_goes_on_without_a_break(tmp_path: Path, suffix: str) -> None:
    """Remuxed as it is, with B-frames, from length prefixes and from Annex B."""
    source = clip(tmp_path / f"clip.{suffix}", "-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "aac")
    said = received(tmp_path / "out.mkv", str(source), "--loop", "--duration", "2.9")
    assert "video as it is, audio as it is" in said
    times = sorted(at for at, _ in packets(tmp_path / "out.mkv", "v"))
    steps = np.diff(times)
    assert len(times) >= 65
    assert steps.min() > 0.02
    assert steps.max() < 0.11, "a loop costs at most what sound and picture differ in length"


def test_what_flv_cannot_carry_is_transcoded(tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mkv", "-c:v", "mpeg4", "-c:a", "flac")
    said = received(tmp_path / "out.mkv", str(source))
    assert "video transcoded, audio transcoded" in said
    assert len(packets(tmp_path / "out.mkv", "v")) == 25
    assert len(packets(tmp_path / "out.mkv", "a")) >= 44


def test_a_text_file_is_no_media_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    command = [sys.executable, "-m", "headwater", "publish", "rtmp://127.0.0.1:1/live/k", str(tmp_path / "notes.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert re.search(r"notes\.txt cannot be opened as a media file", done.stderr)


def test_without_reconnect_a_missing_server_is_named(tmp_path: Path) -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/key"
    command = [sys.executable, "-m", "headwater", "publish", url, "--no-reconnect"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
