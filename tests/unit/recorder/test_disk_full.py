"""A real limit of the kernel (RLIMIT_FSIZE) stands for the full disk: a write that is cut short, then an error."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater.media.cmaf import Part
from headwater.pipeline.recorder import DiskWriter, RecordingFile, SessionRecorder, WriterSettings
from tests.unit.recorder.synthetic import VIDEO, Script, init


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes (Python ignores the signal that goes with it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_disk_full(tmp_path: Path) -> None:
    """The recording stops with a reason, once; whole parts written before stay; another recording goes on."""
    reasons: list[str] = []
    writer = DiskWriter(WriterSettings(gather_ms=0))
    script, other_script = Script(), Script()
    other = SessionRecorder.create(tmp_path / "other.mp4", "other", writer)
    other.apply([init(VIDEO), other_script.open(VIDEO, 0), other_script.part(VIDEO, 0, bytes(100), [3000])])
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer, on_failure=reasons.append)
    parts: list[Part] = []
    with largest_file(100_000):
        recorder.apply([init(VIDEO), script.open(VIDEO, 0)])
        for _ in range(10):
            parts.append(script.part(VIDEO, 0, bytes(30_000), [3000]))
            recorder.apply([parts[-1]])
        other.apply([other_script.part(VIDEO, 0, bytes(100), [3000]), other_script.close(VIDEO, 0)])
        recording = await recorder.close()
    assert reasons == [recorder.failure] == ["File too large: s.mp4"]
    assert writer.failures == 1
    late = script.part(VIDEO, 0, bytes(10), [3000])
    recorder.apply([late])
    assert late.offset is None
    assert recording is not None
    kept = RecordingFile(recording.path).read(recording.tracks[0].segments[0].extents)
    assert kept == b"".join(part.data or b"" for part in parts[:2])  # 16 KB of head, then two of 30 KB
    whole = await other.close()
    assert whole is not None
    assert RecordingFile(whole.path).read(whole.tracks[0].segments[0].extents) == other_script.segments[VIDEO, 0]
    await writer.stop()


async def test_what_the_database_needs_is_left(tmp_path: Path) -> None:
    """The database lies on the same disk: a recording that would take its room stops."""
    free = os.statvfs(tmp_path)
    reasons: list[str] = []
    writer = DiskWriter(WriterSettings(gather_ms=0, reserve_bytes=free.f_bavail * free.f_frsize * 2))
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer, on_failure=reasons.append)
    script = Script()
    recorder.apply([init(VIDEO), script.open(VIDEO, 0), script.part(VIDEO, 0, bytes(100), [3000])])
    assert await recorder.close() is None
    assert reasons == ["the disk is nearly full (reserve_bytes): s.mp4"]
    await recorder.discard()
    await writer.stop()
    assert os.listdir(tmp_path) == []
