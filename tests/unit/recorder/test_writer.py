from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from headwater.pipeline.recorder import DiskWriter, SessionRecorder, WriterSettings
from headwater.pipeline.recorder import writer as writer_module
from headwater.pipeline.recorder.writer import Kind
from tests.unit.recorder.synthetic import VIDEO, Script, init


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "headwater-recorder"]


async def test_thread_starts_late_and_ends(tmp_path: Path) -> None:
    writer = DiskWriter(WriterSettings(gather_ms=0))
    assert threads() == []
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    assert threads() == ["headwater-recorder"]
    await sink.release()
    await writer.stop()
    await writer.stop()
    assert threads() == []


async def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    """In order, the head at its place, the index beside it, folders made."""
    writer = DiskWriter(WriterSettings(gather_ms=1000))
    sink = writer.open(tmp_path / "x" / "a", tmp_path / "x" / "b", 4)
    for kind, data in [(Kind.MEDIA, b"one"), (Kind.HEAD, b"old!"), (Kind.INDEX, b"i"), (Kind.MEDIA, b"two")]:
        sink.put(kind, data)
    sink.put(Kind.HEAD, b"head")
    await writer.stop()
    await sink.release()  # after the end of the thread it is a formality, not a wait for ever
    assert (tmp_path / "x" / "a").read_bytes() == b"headonetwo"
    assert (tmp_path / "x" / "b").read_bytes() == b"i"
    assert sink.written == 10
    sink.put(Kind.MEDIA, b"late")
    assert sink.failure is not None


async def test_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    writer = DiskWriter(WriterSettings(gather_ms=0))
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    pieces = [str(number).encode() for number in range(3000)]
    for piece in pieces:
        sink.put(Kind.MEDIA, piece)
    await sink.release()
    await writer.stop()
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


async def test_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes a few bytes at a time gets the rest again."""
    whole = os.pwrite
    monkeypatch.setattr(writer_module.os, "pwritev", lambda fd, buffers, offset: whole(fd, buffers[0][:1], offset))
    monkeypatch.setattr(writer_module.os, "pwrite", lambda fd, data, offset: whole(fd, data[:2], offset))
    writer = DiskWriter(WriterSettings(gather_ms=0))
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    sink.put(Kind.MEDIA, b"0123456789")
    sink.put(Kind.MEDIA, b"abc")
    await sink.release()
    await writer.stop()
    assert (tmp_path / "a").read_bytes() == b"0123456789abc"


async def test_synced_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything more to write, both files are synced when the interval is over."""
    loop, synced = asyncio.get_running_loop(), asyncio.Event()
    count: list[int] = []

    def sync(fd: int) -> None:
        count.append(fd)
        if len(count) == 2:
            loop.call_soon_threadsafe(synced.set)

    monkeypatch.setattr(writer_module, "_datasync", sync)
    writer = DiskWriter(WriterSettings(gather_ms=0, sync_interval_ms=10))
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    sink.put(Kind.MEDIA, b"media")
    await asyncio.wait_for(synced.wait(), 10)
    assert sorted(count) == sorted({sink._fd, sink._index_fd})
    await sink.release()
    await writer.stop()


async def test_failing_sync_is_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer_module, "_datasync", sync)
    failed = asyncio.Event()
    writer = DiskWriter(WriterSettings(gather_ms=0, sync_interval_ms=0))
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    sink.on_failure = lambda reason: failed.set()
    sink.put(Kind.MEDIA, b"media")
    await asyncio.wait_for(failed.wait(), 10)
    assert sink.failure == "Input/output error: a"
    assert (writer.failures, writer.alive) == (1, True)
    await sink.release()
    await writer.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_in_the_thread_does_not_hang_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(DiskWriter, "_write", broken)
    writer = DiskWriter(WriterSettings(gather_ms=0))
    assert writer.alive
    sink = writer.open(tmp_path / "a", tmp_path / "b", 0)
    await asyncio.wait_for(sink.release(), 10)
    assert not writer.alive
    await writer.stop()


async def test_discard(tmp_path: Path) -> None:
    writer, script = DiskWriter(WriterSettings(gather_ms=0)), Script()
    recorder = SessionRecorder.create(tmp_path / "s.mp4", "session", writer)
    recorder.apply([init(VIDEO), script.open(VIDEO, 0), script.part(VIDEO, 0, bytes(9), [1])])
    await recorder.discard()
    await recorder.discard()
    await writer.stop()
    assert os.listdir(tmp_path) == []
