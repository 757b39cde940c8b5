"""Parts of a recording as ffprobe, ffmpeg and our own reader see them: lengths, times, sound with its picture."""

from __future__ import annotations

import itertools
import random
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from headwater.errors import LimitReached
from headwater.media.cmaf import Output
from headwater.pipeline.recorder import load
from headwater.pipeline.recorder.cut import NothingThere, Span, cut, seconds_at
from headwater.pipeline.recorder.recording import Recording
from tests.e2e.support import packet_times
from tests.interop.test_recording_playback import decode, frames, probe, record
from tests.support import require
from tests.unit.recorder.real_media import AUDIO, VIDEO, Encoded, Player, encode

SECONDS = 6
LIMIT = 1 << 30


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Six seconds, a sync sample and a segment each second."""
    folder = tmp_path_factory.mktemp("cut")
    encoded: dict[int, Encoded] = encode(folder, seconds=SECONDS)
    player = Player()
    outputs: list[Output] = [player.configure(encoded[VIDEO]), player.configure(encoded[AUDIO])]
    for second in range(SECONDS):
        outputs += player.second(second, *encoded.values(), at=second)
    return record(folder / "s.mp4", outputs)


def spans(*times: tuple[float, float]) -> list[Span]:
    return [(Fraction(start), Fraction(end)) for start, end in times]


def same_pictures(made: Path, source: Path, expected: list[int]) -> None:
    """The cut's pictures are these of the source's, byte for byte."""
    pictures = hashes(source)
    assert hashes(made) == [pictures[number] for number in expected]


def hashes(path: Path) -> list[str]:
    command = [require("ffmpeg"), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(",")[-1].strip() for line in out.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        ([(1.0, 3.0)], range(1, 3)),
        ([(1.4, 2.2)], range(1, 3)),
        ([(0.0, 6.0)], range(6)),
        ([(4.5, 99.0)], range(4, 6)),
        ([(0.0, 1.0), (3.0, 4.5)], [0, 3, 4]),
        ([(0.2, 0.3), (0.4, 0.5), (5.0, 5.1)], [0, 0, 5]),
    ],
)
def test_spans(source: Recording, tmp_path: Path, wanted: list[tuple[float, float]], seconds: list[int]) -> None:
    """Whole GOPs around what is wanted; times from zero, without gaps; what the cut says of itself is so."""
    made = cut(source, spans(*wanted), tmp_path / "cut.mp4", max_bytes=LIMIT)
    assert decode(made.path) == ""
    same_pictures(made.path, source.path, [30 * second + k for second in seconds for k in range(30)])
    length = len(seconds)
    assert float(probe(made.path, "format")["duration"]) == pytest.approx(length, abs=0.05)
    video, audio = packet_times(made.path, "v"), packet_times(made.path, "a")
    assert [round(dts * 30) for dts, _ in video] == list(range(30 * length))
    assert 0 <= audio[0][0] < 0.022
    steps = [after - before for (before, _), (after, _) in itertools.pairwise(audio)]
    assert all(0.015 < step < 0.045 for step in steps)
    assert audio[-1][0] == pytest.approx(length, abs=0.03)
    assert made.complete and made.seconds == pytest.approx(length, abs=0.05)
    assert not (tmp_path / "cut.mp4.new").exists()
    again = load(made.path)
    assert [track.segments for track in again.tracks] == [track.segments for track in made.tracks]


def test_sound_stays_with_its_picture(source: Recording, tmp_path: Path) -> None:
    """Each frame of sound is as far from the cut's first picture as it was in the source."""
    made = cut(source, spans((2.5, 4.0)), tmp_path / "cut.mp4", max_bytes=LIMIT)
    before = {round(dts * 48000) for dts, _ in packet_times(source.path, "a")}
    moved = [round((dts + 2) * 48000) for dts, _ in packet_times(made.path, "a")]  # it begins with the third second
    assert moved and all({at - 1, at, at + 1} & before for at in moved)


def test_it_seeks(source: Recording, tmp_path: Path) -> None:
    made = cut(source, spans((1, 5)), tmp_path / "cut.mp4", max_bytes=LIMIT)
    assert b"sidx" in made.path.read_bytes()[:16384]
    assert len(frames(made.path)) == 120


def test_a_cut_can_be_cut(source: Recording, tmp_path: Path) -> None:
    once = cut(source, spans((1, 5)), tmp_path / "once.mp4", max_bytes=LIMIT)
    twice = cut(once, spans((1, 2)), tmp_path / "twice.mp4", max_bytes=LIMIT)
    same_pictures(twice.path, source.path, list(range(60, 90)))


def test_what_cannot_be(source: Recording, tmp_path: Path) -> None:
    """Nothing is left behind."""
    with pytest.raises(NothingThere):
        cut(source, spans((7, 9)), tmp_path / "cut.mp4", max_bytes=LIMIT)
    with pytest.raises(LimitReached):
        cut(source, spans((0, 6)), tmp_path / "cut.mp4", max_bytes=50_000)
    assert list(tmp_path.iterdir()) == []


def test_wall_time(source: Recording) -> None:
    first = source.tracks[0].segments[0].program_date_time_ms
    assert seconds_at(source, first - 5) == 0
    for ms in random.Random(1).sample(range(6000), 20):
        assert float(seconds_at(source, first + ms)) == pytest.approx(ms / 1000, abs=0.002)
    assert seconds_at(source, first + 99_000) == 6
