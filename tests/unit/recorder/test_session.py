from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.errors import LimitReached, OperatorError
from headwater.media.cmaf import Output, Part, Playable
from headwater.pipeline.recorder import files
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.recovery import RecordingFile, load, recover
from headwater.pipeline.recorder.session import SessionRecorder
from headwater.pipeline.recorder.writer import DiskWriter, WriterSettings
from tests.unit.recorder.synthetic import AUDIO, VIDEO, Script, init

QUICK = WriterSettings(gather_ms=0)


async def record(path: Path, outputs: list[Output]) -> Recording | None:
    """Record outputs one by one and close."""
    writer = DiskWriter(QUICK)
    recorder = SessionRecorder.create(path, "session", writer)
    for output in outputs:
        recorder.apply([output])
    recording = await recorder.close()
    await writer.stop()
    return recording


def two_tracks(script: Script, *, segments: int = 3, parts: int = 3) -> list[Output]:
    """Video and audio side by side, their parts taking turns."""
    outputs: list[Output] = [init(VIDEO), init(AUDIO), Playable(2, {VIDEO: 333.0, AUDIO: 333.0}, (VIDEO, AUDIO))]
    for msn in range(100, 100 + segments):
        outputs += [script.open(VIDEO, msn), script.open(AUDIO, msn)]
        for number in range(parts):
            outputs.append(script.part(VIDEO, msn, bytes([number]) * 300, [3000, 3000]))
            outputs.append(script.part(AUDIO, msn, bytes([number]) * 40, [1024] * 4))
        outputs += [script.close(VIDEO, msn), script.close(AUDIO, msn)]
    return outputs


def segment_bytes(recording: Recording) -> dict[tuple[int, int], bytes]:
    reader = RecordingFile(recording.path)
    return {(t.id, s.msn): reader.read(s.extents) for t in recording.tracks for s in t.segments}


async def test_every_segment_reads_back(tmp_path: Path) -> None:
    """What was applied is in the file, and the recording says where."""
    script = Script()
    recording = await record(tmp_path / "s.mp4", two_tracks(script))
    assert recording is not None
    assert recording.complete
    assert (recording.session_id, recording.target_duration_s) == ("session", 2)
    assert segment_bytes(recording) == script.segments
    assert load(tmp_path / "s.mp4") == recording


async def test_part_offsets(tmp_path: Path) -> None:
    """A part's offset is where its bytes stand."""
    outputs = two_tracks(Script())
    await record(tmp_path / "s.mp4", outputs)
    data = (tmp_path / "s.mp4").read_bytes()
    for part in (output for output in outputs if isinstance(output, Part)):
        assert part.offset is not None
        assert data[part.offset : part.offset + part.size] == part.data


async def test_recording_so_far(tmp_path: Path) -> None:
    """While it grows, the recording has the closed segments, and is not complete."""
    script, writer = Script(), DiskWriter(QUICK)
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer)
    outputs = two_tracks(script)
    recorder.apply(outputs[:-1])  # the last audio segment is open still
    await asyncio.to_thread(wait_until_written, writer)
    recording = recorder.recording()
    assert not recording.complete
    assert [len(track.segments) for track in recording.tracks] == [3, 2]
    assert recorder.read(recording.tracks[0].segments[1].extents) == script.segments[VIDEO, 101]
    await recorder.close()
    await writer.stop()


def wait_until_written(writer: DiskWriter) -> None:
    import time

    while writer.queued_bytes:
        time.sleep(0.001)


async def test_nothing_recorded(tmp_path: Path) -> None:
    """A session without media leaves no file."""
    assert await record(tmp_path / "s.mp4", [init(VIDEO)]) is None
    assert os.listdir(tmp_path) == []


async def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "s.mp4").write_bytes(b"precious")
    reasons: list[str] = []
    writer = DiskWriter(QUICK)
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer, on_failure=reasons.append)
    recorder.apply(two_tracks(Script()))
    assert await recorder.close() is None
    await recorder.discard()
    await writer.stop()
    assert reasons == [recorder.failure] == ["File exists: s.mp4"]
    assert (tmp_path / "s.mp4").read_bytes() == b"precious"


async def test_queue_limit(tmp_path: Path) -> None:
    """A disk that falls behind stops the recording with a reason; what was written stays."""
    reasons: list[str] = []
    writer = DiskWriter(WriterSettings(queue_limit_bytes=40_000, gather_ms=0))
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer, on_failure=reasons.append)
    script = Script()
    recorder.apply([init(VIDEO), script.open(VIDEO, 1)])
    fits = script.part(VIDEO, 1, bytes(300), [3000])
    recorder.apply([fits])
    too_much = script.part(VIDEO, 1, bytes(50_000), [3000])
    recorder.apply([too_much])
    assert len(reasons) == 1
    assert "queue_limit_bytes" in reasons[0]
    assert fits.offset is not None
    assert too_much.offset is None
    recording = await recorder.close()
    await writer.stop()
    assert recording is not None
    assert segment_bytes(recording) == {(VIDEO, 1): fits.data}


async def test_configuration_limit(tmp_path: Path) -> None:
    """A publisher that goes on changing its configuration ends the recording, which keeps what came before."""
    reasons: list[str] = []
    writer, script = DiskWriter(QUICK), Script()
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer, on_failure=reasons.append)
    for version in range(100):
        recorder.apply([init(VIDEO, version), script.open(VIDEO, version, version=version)])
        recorder.apply([script.part(VIDEO, version, b"abcd", [3000]), script.close(VIDEO, version)])
    recording = await recorder.close()
    await writer.stop()
    assert len(reasons) == 1
    assert "configuration too often" in reasons[0]
    assert recording is not None
    assert len(recording.tracks[0].segments) >= 60


def test_read_limit(tmp_path: Path) -> None:
    path = tmp_path / "s.mp4"
    path.write_bytes(b"0123456789")
    assert files.read_extents(path, [(1, 2), (5, 3)]) == b"12567"
    with pytest.raises(OperatorError):
        files.read_extents(path, [(5, 6)])
    with pytest.raises(OperatorError):
        files.read_extents(tmp_path / "gone.mp4", [(5, 6)])
    with pytest.raises(LimitReached):
        files.read_extents(path, [(0, files.MAX_READ_BYTES), (0, 1)])


async def test_gap(tmp_path: Path) -> None:
    """A segment for which the track has nothing is kept, with its duration; the file alone tells too."""
    path, script = tmp_path / "s.mp4", Script()
    outputs: list[Output] = [script.open(AUDIO, 0), script.close(AUDIO, 0)]  # before its configuration: no use
    outputs += [init(VIDEO), script.open(VIDEO, 0), script.part(VIDEO, 0, b"abcd", [3000]), script.close(VIDEO, 0)]
    outputs.append(script.open(VIDEO, 1))
    script.pause(VIDEO, 5000)
    outputs += [script.close(VIDEO, 1), script.open(VIDEO, 2), script.part(VIDEO, 2, b"efgh", [3000])]
    outputs.append(script.close(VIDEO, 2))
    recording = await record(path, outputs)
    assert recording is not None
    assert [(s.msn, s.tfdt, s.duration, len(s.extents)) for s in recording.tracks[0].segments] == [
        (0, 0, 3000, 1),
        (1, 3000, 5000, 0),
        (2, 8000, 3000, 1),
    ]
    assert load(path) == recording
    files.index_path(path).unlink()
    assert recover(path) == recording


durations = st.lists(st.integers(1, 100_000), min_size=1, max_size=4)
parts = st.lists(st.tuples(st.binary(min_size=4, max_size=40), durations), min_size=1, max_size=4)


@given(st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO]), parts), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_outputs(tmp_path: Path, segments: list[tuple[int, list[tuple[bytes, list[int]]]]]) -> None:
    """Whatever comes, file and index give every segment's bytes and times back; so does the file alone."""
    path = tmp_path / "s.mp4"
    script = Script()
    outputs: list[Output] = [init(VIDEO), init(AUDIO)]
    for msn, (track_id, contents) in enumerate(segments):
        outputs.append(script.open(track_id, msn, discontinuity=msn % 3 == 0))
        outputs += [script.part(track_id, msn, payload, lengths) for payload, lengths in contents]
        outputs.append(script.close(track_id, msn))
    recording = asyncio.run(record(path, outputs))
    assert recording is not None
    assert segment_bytes(recording) == script.segments
    assert load(path) == recording
    files.index_path(path).unlink()
    assert recover(path) == recording
    assert load(path) == recording
    files.delete(path)
    assert os.listdir(tmp_path) == []
