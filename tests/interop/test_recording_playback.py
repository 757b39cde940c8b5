"""Recordings open in a plain player: ffmpeg decodes them whole, ffprobe finds every packet."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import Output, Part
from headwater.pipeline.packager import Packager, PackagerSettings
from headwater.pipeline.recorder import DiskWriter, RecordingFile, SessionRecorder, WriterSettings, load, recover
from headwater.pipeline.recorder.recording import Recording
from tests.support import require
from tests.unit.recorder.real_media import AUDIO, FRAME_RATE, VIDEO, Encoded, Player, encode


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Encoded]:
    return encode(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Encoded]:
    return encode(tmp_path_factory.mktemp("large"), size="640x360", profile="high")


def decode(path: Path) -> str:
    """What ffmpeg complains of when it decodes everything."""
    command = [require("ffmpeg"), "-v", "warning", "-i", str(path), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr


def probe(path: Path, what: str) -> Any:
    """ffprobe's answer to -show_format, -show_streams or -show_packets."""
    command = [require("ffprobe"), "-v", "error", "-of", "json", f"-show_{what}", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[what]


def frames(path: Path) -> list[tuple[float, int, int]]:
    """(time, width, height) of every picture that ffmpeg decodes."""
    entries = "frame=best_effort_timestamp_time,width,height"
    command = [require("ffprobe"), "-v", "error", "-of", "csv=p=0", "-select_streams", "v", "-show_entries", entries]
    out = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True).stdout
    rows = [line.strip(",").split(",") for line in out.split()]
    return [(float(when), int(width), int(height)) for when, width, height, *_ in rows]


def record(path: Path, outputs: list[Output]) -> Recording:
    async def run() -> Recording:
        writer = DiskWriter(WriterSettings(gather_ms=0))
        recorder = SessionRecorder.create(path, "session", writer)
        for output in outputs:
            recorder.apply([output])
        recording = await recorder.close()
        await writer.stop()
        assert recording is not None
        return recording

    return asyncio.run(run())


def packets(path: Path) -> dict[int, int]:
    """How many packets each stream has."""
    counts = {0: 0, 1: 0}
    for packet in probe(path, "packets"):
        counts[packet["stream_index"]] += 1
    return counts


def test_whole_recording(tmp_path: Path, small: dict[int, Encoded]) -> None:
    """Sound and picture, of the right length, without a word from the decoder; seekable."""
    player = Player()
    outputs: list[Output] = [player.configure(small[VIDEO]), player.configure(small[AUDIO])]
    for second in range(3):
        outputs += player.second(second, *small.values(), at=second)
    recording = record(tmp_path / "s.mp4", outputs)
    assert decode(recording.path) == ""
    assert packets(recording.path) == {0: 3 * FRAME_RATE, 1: -(-3 * 48000 // 1024)}
    assert float(probe(recording.path, "format")["duration"]) == pytest.approx(3, abs=0.03)
    reader = RecordingFile(recording.path)
    stored = {(t.id, s.msn): reader.read(s.extents) for t in recording.tracks for s in t.segments}
    assert stored == player.segments


def test_seeking(tmp_path: Path, small: dict[int, Encoded]) -> None:
    """ffmpeg starts in the middle by the index in the head: the first picture is the key frame there."""
    player = Player()
    outputs: list[Output] = [player.configure(small[VIDEO]), player.configure(small[AUDIO])]
    for second in range(3):
        outputs += player.second(second, *small.values(), at=second)
    recording = record(tmp_path / "s.mp4", outputs)
    command = [require("ffmpeg"), "-v", "verbose", "-ss", "2", "-i", str(recording.path), "-map", "0:v"]
    done = subprocess.run([*command, "-f", "framecrc", "-"], capture_output=True, text=True, check=True)
    assert sum(1 for line in done.stdout.splitlines() if not line.startswith("#")) == FRAME_RATE


def test_segments_play_alone(tmp_path: Path, small: dict[int, Encoded], large: dict[int, Encoded]) -> None:
    """The bytes that the recording gives back decode with their init segment, after a change of configuration too."""
    recording = record(tmp_path / "s.mp4", changed(Player(), small, large))
    reader = RecordingFile(recording.path)
    for track in recording.tracks:
        for segment in track.segments:
            path = tmp_path / f"{track.id}-{segment.msn}.mp4"
            path.write_bytes(track.inits[segment.init_version].data + reader.read(segment.extents))
            assert decode(path) == ""
    widths = {frames(tmp_path / f"{VIDEO}-{msn}.mp4")[0][1] for msn in (0, 2)}
    assert widths == {320, 640}


def changed(player: Player, before: dict[int, Encoded], after: dict[int, Encoded]) -> list[Output]:
    """Two seconds, then two with another picture size."""
    outputs: list[Output] = [player.configure(before[VIDEO]), player.configure(before[AUDIO])]
    for second in range(2):
        outputs += player.second(second, *before.values(), at=second)
    outputs.append(player.configure(after[VIDEO]))
    for second in (2, 3):
        outputs += player.second(second, *after.values(), at=second - 2, discontinuity=second == 2)
    return outputs


def test_configuration_change(tmp_path: Path, small: dict[int, Encoded], large: dict[int, Encoded]) -> None:
    """The whole file holds both configurations and plays through the change.

    FFmpeg reads the second sample entry and goes on with the first; what helps is the parameter sets in the stream.
    """
    recording = record(tmp_path / "s.mp4", changed(Player(), small, large))
    assert decode(recording.path) == ""
    assert [(width, height) for _, width, height in frames(recording.path)] == [(320, 240)] * 60 + [(640, 360)] * 60


def test_publisher_back_with_another_picture(
    tmp_path: Path, small: dict[int, Encoded], large: dict[int, Encoded]
) -> None:
    """Through the packager: the publisher is lost and comes back with another picture size; the recording plays on."""
    packager = Packager(PackagerSettings(), first_msn=7, now_ms=0)
    outputs: list[Output] = []
    for start_ms, encoded in ((0, small), (5000, large)):
        for track in encoded.values():
            outputs += packager.configure(track.track)
        for unit in units(encoded):
            outputs += packager.push(unit, start_ms + unit.dts)
        outputs += packager.discontinuity(start_ms + 3000)
    outputs += packager.finish(9000)
    recording = record(tmp_path / "s.mp4", outputs)
    assert decode(recording.path) == ""
    sizes = [(width, height) for _, width, height in frames(recording.path)]
    assert sizes == [(320, 240)] * 90 + [(640, 360)] * 90
    reader = RecordingFile(recording.path)
    for track in recording.tracks:
        for segment in track.segments:
            path = tmp_path / f"{track.id}-{segment.msn}.mp4"
            path.write_bytes(track.inits[segment.init_version].data + reader.read(segment.extents))
            assert decode(path) == ""


def units(encoded: dict[int, Encoded]) -> list[AccessUnit]:
    """Both tracks' access units in the milliseconds of RTMP, in order of time."""
    made = [
        AccessUnit(track_id, number * track.duration * 1000 // track.timescale, 0, sync, payload)
        for track_id, track in encoded.items()
        for number, (sync, payload) in enumerate(track.samples)
    ]
    return sorted(made, key=lambda unit: unit.dts)


def test_late_audio(tmp_path: Path, small: dict[int, Encoded]) -> None:
    """A track that appears later is in the head, and stands at its place in time."""
    player = Player()
    outputs: list[Output] = [player.configure(small[VIDEO]), *player.second(0, small[VIDEO], at=0)]
    outputs.append(player.configure(small[AUDIO]))
    player.skip(small[AUDIO], 1)
    for second in (1, 2):
        outputs += player.second(second, *small.values(), at=second)
    recording = record(tmp_path / "s.mp4", outputs)
    assert decode(recording.path) == ""
    streams = {stream["codec_type"]: stream for stream in probe(recording.path, "streams")}
    assert set(streams) == {"video", "audio"}
    first = {packet["stream_index"]: float(packet["pts_time"]) for packet in reversed(probe(recording.path, "packets"))}
    assert first[streams["video"]["index"]] == 0
    assert first[streams["audio"]["index"]] == pytest.approx(1, abs=0.03)


CHILD = """
import asyncio, pickle, sys
from pathlib import Path
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import Part
from headwater.pipeline.recorder import DiskWriter, SessionRecorder

async def main():
    writer = DiskWriter()
    recorder = SessionRecorder.create(Path(sys.argv[1]), "session", writer)
    for output in pickle.loads(Path(sys.argv[2]).read_bytes()):
        recorder.apply([output])
        if isinstance(output, Part):
            while recorder.written < output.offset + output.size:
                await asyncio.sleep(0.001)
            print(output.track_id, output.msn, output.index, output.offset + output.size, flush=True)
    print("end", flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


@pytest.mark.parametrize("lost", ["nothing", "part of the last fragment", "the index", "the head"])
def test_kill_9(tmp_path: Path, small: dict[int, Encoded], lost: str) -> None:
    """After kill -9 in the middle of a segment the file plays as it is; recovered, up to its last whole part."""
    player = Player()
    outputs: list[Output] = [player.configure(small[VIDEO]), player.configure(small[AUDIO])]
    for second in range(3):
        outputs += player.second(second, *small.values(), at=second)
    outputs = outputs[:-5]  # the last segments are open, the last part of each is missing
    (tmp_path / "outputs").write_bytes(pickle.dumps(outputs))
    path = tmp_path / "recordings" / "s.mp4"
    command = [sys.executable, "-c", CHILD, str(path), str(tmp_path / "outputs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            if line.startswith("end"):
                break
            lines.append([int(word) for word in line.split()])
        child.kill()
    written = max(line[3] for line in lines)
    assert path.stat().st_size >= written
    assert decode(path) == ""
    damage(path, lost)
    recording = recover(path)
    assert recording is not None
    assert recording.complete
    assert decode(path) == ""
    parts = len(lines) - (lost == "part of the last fragment")
    in_order = sorted(extent for track in recording.tracks for s in track.segments for extent in s.extents)
    assert sum(size for _, size in in_order) == sum(part_sizes(outputs)[:parts])
    assert recording.session_id == "session"
    assert [[s.msn for s in track.segments] for track in recording.tracks] == [[0, 1, 2], [0, 1, 2]]
    before = path.read_bytes(), path.with_name("s.mp4.index").read_bytes()
    assert recover(path) == load(path) == recording
    assert (path.read_bytes(), path.with_name("s.mp4.index").read_bytes()) == before


def part_sizes(outputs: list[Output]) -> list[int]:
    return [output.size for output in outputs if isinstance(output, Part)]


def damage(path: Path, lost: str) -> None:
    """What a loss of power may add to a crash."""
    if lost == "part of the last fragment":
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 10)
    elif lost == "the index":
        index = path.with_name("s.mp4.index")
        index.write_bytes(index.read_bytes()[:40] + b"\0" * 100)
    elif lost == "the head":
        with path.open("r+b") as file:
            file.write(bytes(4096))


def test_a_hundred_sessions(tmp_path: Path, small: dict[int, Encoded]) -> None:
    """All at once through one writer: every one is whole."""

    async def run() -> list[Recording | None]:
        writer = DiskWriter()
        recorders = [SessionRecorder.create(tmp_path / f"{n}.mp4", str(n), writer) for n in range(100)]
        player = Player()
        script: list[Output] = [player.configure(small[VIDEO]), player.configure(small[AUDIO])]
        script += player.second(0, *small.values(), at=0)
        expected.update(player.segments)
        for output in script:
            for recorder in recorders:
                recorder.apply([output])
            await asyncio.sleep(0)
        done = await asyncio.gather(*(recorder.close() for recorder in recorders))
        await writer.stop()
        assert writer.queued_bytes == 0
        return done

    expected: dict[tuple[int, int], bytes] = {}
    for number, recording in enumerate(asyncio.run(run())):
        assert recording is not None
        assert recording.session_id == str(number)
        reader = RecordingFile(recording.path)
        stored = {(t.id, s.msn): reader.read(s.extents) for t in recording.tracks for s in t.segments}
        assert stored == expected
    assert decode(tmp_path / "57.mp4") == ""
