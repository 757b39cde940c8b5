"""The commands of docs/encoders.md, run as they are written: each one plays."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.cli.demo import ENCODE, LAVFI
from tests.e2e.support import create, played, running
from tests.support import Server, require, running_server

MANUAL = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text()
COMMANDS = [text.replace("\\\n", " ") for text in re.findall(r"```sh\n(.*?)```", MANUAL, re.DOTALL)]


def named(command: str) -> str:
    words = command.split()
    return f"{words[0]}-{words[-1].partition(':')[0]}-{'copy' if 'copy' in words else 'encode'}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Server]:
    cert, key = map(str, certificate)
    data = tmp_path_factory.mktemp("encoders") / "data"
    with running_server(data, "--rtmps", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key) as running_one:
        yield running_one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As most files are: one key frame at its begin, and sound of another rate."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=15", "-f", "lavfi", "-i", "sine=d=15:r=44100"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "600", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([require("ffmpeg"), "-v", "error", *source, *encode, str(path)], check=True)
    return path


def test_it_has_commands_of_both() -> None:
    assert [named(command) for command in COMMANDS] == [
        "ffmpeg-rtmp-encode",
        "ffmpeg-rtmp-encode",
        "ffmpeg-rtmps-encode",
        "gst-launch-1.0-location=rtmp-encode",
    ]


def test_the_same_line_stands_everywhere() -> None:
    """In the README, and in what `make run` prints (which tests/e2e/test_demo_command.py runs)."""
    for text in (MANUAL, (Path(__file__).parents[2] / "README.md").read_text()):
        lines = " ".join(text.replace("\\\n", " ").split())
        assert lines.count("libx264 -preset") == lines.count(ENCODE.removeprefix("-c:v ")) > 0
        assert LAVFI in lines and "-g 60" not in lines


@pytest.mark.parametrize("command", COMMANDS, ids=named)
def test_a_command_plays(server: Server, film: Path, command: str) -> None:
    made = create(server)
    for old, new in {
        "HOST:1935": server.ready["rtmp"],
        "HOST:1936": server.ready["rtmps"],
        "KEY": made.stream_key,
        "film.mp4": str(film),
        "ffmpeg -re": "ffmpeg -nostdin -v error -re",
        "gst-launch-1.0 ": "gst-launch-1.0 -q ",
    }.items():
        command = command.replace(old, new)
    program, *arguments = shlex.split(command)
    before = server.log.read_text()
    with running([require(program), *arguments]):
        played(made.playback_url)
    said = server.log.read_text().removeprefix(before)
    assert "publish started" in said
    assert "warning" not in said, "with these settings the server has nothing to complain of"
