"""Invariant: whatever a crash leaves of the two files, recovery gives every whole part back or says that it cannot."""

from __future__ import annotations

import asyncio
import os
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.errors import OperatorError
from headwater.media.cmaf import Output, Part, Playable
from headwater.pipeline.recorder import DiskWriter, RecordingFile, SessionRecorder, WriterSettings, load, recover
from headwater.pipeline.recorder import recovery as recovery_module
from headwater.pipeline.recorder.files import index_path
from headwater.pipeline.recorder.head import HEAD_SIZE
from headwater.pipeline.recorder.recording import Recording
from tests.unit.recorder.synthetic import AUDIO, VIDEO, Script, init

LIGHT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def session() -> list[Output]:
    """Audio comes late and changes its configuration, segments end at different places, the last ones are open."""
    script = Script()
    outputs: list[Output] = [init(VIDEO), script.open(VIDEO, 0), script.part(VIDEO, 0, bytes(90), [3000] * 3)]
    outputs += [init(AUDIO), script.open(AUDIO, 0), script.part(AUDIO, 0, bytes(20), [1024] * 2)]
    outputs += [Playable(1, {VIDEO: 100.0, AUDIO: 43.0}, (VIDEO, AUDIO))]
    outputs += [script.part(VIDEO, 0, bytes(60), [3000] * 2), script.close(VIDEO, 0), script.open(VIDEO, 1)]
    outputs += [script.part(VIDEO, 1, bytes(30), [3000]), script.part(AUDIO, 0, bytes(22), [1024, 1024])]
    outputs += [script.close(AUDIO, 0), init(AUDIO, 1), script.open(AUDIO, 1, version=1, discontinuity=True)]
    outputs += [script.part(AUDIO, 1, bytes(24), [1024] * 3), script.part(VIDEO, 1, bytes(40), [3000] * 2)]
    outputs += [script.close(VIDEO, 1), script.open(VIDEO, 2), script.part(VIDEO, 2, bytes(50), [3000])]
    return [*outputs, script.part(AUDIO, 1, bytes(26), [1024])]


async def crash(path: Path) -> list[Part]:
    """Record and end without closing, as a killed process does; the parts, with their offsets."""
    writer = DiskWriter(WriterSettings(gather_ms=0))
    recorder = SessionRecorder.create(path, "session", writer)
    outputs = session()
    recorder.apply(outputs)
    await writer.stop()
    return [output for output in outputs if isinstance(output, Part)]


class Crashed(NamedTuple):
    """What a crash left."""

    media: bytes
    index: bytes
    parts: list[Part]

    def __repr__(self) -> str:
        return "a crash"


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    path = tmp_path_factory.mktemp("crashed") / "s.mp4"
    parts = asyncio.run(crash(path))
    return Crashed(path.read_bytes(), index_path(path).read_bytes(), parts)


def lay_out(folder: Path, media: bytes, index: bytes | None) -> Path:
    path = folder / "s.mp4"
    path.write_bytes(media)
    index_path(path).unlink(missing_ok=True)
    if index is not None:
        index_path(path).write_bytes(index)
    return path


def stored(recording: Recording) -> dict[int, bytes]:
    reader = RecordingFile(recording.path)
    return {t.id: b"".join(reader.read(s.extents) for s in t.segments) for t in recording.tracks if t.segments}


def expected(parts: list[Part], size: int) -> dict[int, bytes]:
    """The bytes of the parts that end within `size`, by track."""
    whole = [p for p in parts if p.offset is not None and p.offset + p.size <= size]
    by_track = groupby(sorted(whole, key=lambda p: p.track_id), key=lambda p: p.track_id)
    return {track_id: b"".join(p.data or b"" for p in group) for track_id, group in by_track}


@given(st.data())
@LIGHT
def test_any_cut(tmp_path: Path, crashed: Crashed, data: st.DataObject) -> None:
    """However short either file is: the whole parts are there, their segments as they were, and again the same."""
    media, index, parts = crashed
    cut = data.draw(st.integers(HEAD_SIZE, len(media)), "size of the MP4")
    index_cut = data.draw(st.one_of(st.none(), st.just(len(index)), st.integers(0, len(index))), "size of the index")
    path = lay_out(tmp_path, media[:cut], None if index_cut is None else index[:index_cut])
    wanted = expected(parts, cut)
    if not wanted:
        try:
            assert recover(path) is None
        except OperatorError:  # not even the session's name is left
            assert cut < parts[0].offset
        return
    recording = recover(path)
    assert recording is not None
    assert recording.complete
    assert stored(recording) == wanted
    assert load(path) == recording
    before = path.read_bytes(), index_path(path).read_bytes()
    assert recover(path) == recording
    assert (path.read_bytes(), index_path(path).read_bytes()) == before


def test_segments_as_they_were(tmp_path: Path, crashed: Crashed) -> None:
    """With and without the index, the open segments' times, versions and discontinuities come back too."""
    media, index, _ = crashed
    with_index = recover(lay_out(tmp_path, media, index))
    without = recover(lay_out(tmp_path, media, None))
    assert with_index == without
    assert with_index is not None
    assert with_index.target_duration_s == 1
    rows = [
        (t.id, s.msn, s.tfdt, s.duration, s.init_version, s.discontinuity)
        for t in with_index.tracks
        for s in t.segments
    ]
    assert rows == [
        (VIDEO, 0, 0, 15000, 0, False),
        (VIDEO, 1, 15000, 9000, 0, False),
        (VIDEO, 2, 24000, 3000, 0, False),
        (AUDIO, 0, 0, 4096, 0, False),
        (AUDIO, 1, 4096, 4096, 1, True),
    ]
    assert with_index.tracks[1].inits == {0: init(AUDIO), 1: init(AUDIO, 1)}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4), st.booleans())
@LIGHT
def test_any_damage(tmp_path: Path, crashed: Crashed, flips: list[tuple[int, int]], in_index: bool) -> None:
    """Flipped bytes anywhere: a recording or an OperatorError, nothing else, and always the same."""
    media, index = bytearray(crashed[0]), bytearray(crashed[1])
    target = index if in_index else media
    start = 0 if in_index else HEAD_SIZE
    for where, flip in flips:
        target[start + where % (len(target) - start)] ^= flip
    path = lay_out(tmp_path, bytes(media), bytes(index))
    try:
        recording = recover(path)
    except OperatorError:
        return
    if recording is not None:
        assert recover(path) == recording
        assert not in_index or stored(recording) == expected(crashed[2], len(media))


def test_lost_head_is_written_anew(tmp_path: Path, crashed: Crashed) -> None:
    media, index, _ = crashed
    path = lay_out(tmp_path, media, index)
    recover(path)
    whole = path.read_bytes()
    assert recover(lay_out(tmp_path, bytes(HEAD_SIZE) + media[HEAD_SIZE:], index)) is not None
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"no recording", os.urandom(20_000), bytes(40_000)])
def test_no_recording(tmp_path: Path, content: bytes) -> None:
    """Something else in its place is an error that names the file, and is left alone."""
    path = lay_out(tmp_path, content, None)
    with pytest.raises(OperatorError, match=r"s\.mp4"):
        recover(path)
    assert path.read_bytes() == content


def test_missing(tmp_path: Path) -> None:
    assert recover(tmp_path / "s.mp4") is None
    with pytest.raises(OperatorError):
        load(tmp_path / "s.mp4")


def test_disk_full_while_recovering(tmp_path: Path, crashed: Crashed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It plays all the same, and the next start completes it."""
    media, index, parts = crashed
    path = lay_out(tmp_path, media, index)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recovery_module, "_write", full)
        recording = recover(path)
    assert recording is not None
    assert stored(recording) == expected(parts, len(media))
    assert not load(path).complete
    assert recover(path) == recording
    assert load(path).complete
