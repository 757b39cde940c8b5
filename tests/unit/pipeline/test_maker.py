"""Orders for parts of recordings: whose turn it is, what is tried again, and what may wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import LimitReached
from headwater.events import Event, RecordingFailed, RecordingReady
from headwater.pipeline import maker as module
from headwater.pipeline.maker import Maker, Order
from headwater.pipeline.recorder.cut_worker import CutOutcome

FULL = CutOutcome(error="ERR_RECORDING_FAILED: no space left", again=True)
DONE = CutOutcome(size=9, seconds=1.0, end_ms=5)


class Works:
    """A maker whose process does what the test says."""

    def __init__(self, folder: Path, *outcomes: CutOutcome) -> None:
        self.said: list[Event] = []
        self.maker = Maker(folder, self.said.append)
        self.outcomes = list(outcomes)
        self.made: list[str] = []
        self.maker._run = self.run  # type: ignore[method-assign]

    async def run(self, order: Order) -> CutOutcome:
        self.made.append(order.recording_id)
        return self.outcomes.pop(0) if self.outcomes else DONE

    async def done(self) -> list[type[Event]]:
        await asyncio.gather(*self.maker._tasks)
        return [type(event) for event in self.said]


def order(source: Path, name: str = "r", **values: Any) -> Order:
    return Order("l", "s", name, source, **values)


async def test_where_the_disk_is_full_a_sessions_part_is_tried_again_and_its_source_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    (source := tmp_path / "source.mp4").write_bytes(b"x")
    works = Works(tmp_path, FULL, FULL)
    works.maker.submit(order(source, wall_ms=((0, 1),)))
    await works.maker.dispose(source)
    while len(works.made) < 2:
        await asyncio.sleep(0)
    assert source.exists() and works.said == []
    assert await works.done() == [RecordingReady]
    assert len(works.made) == 3 and not source.exists()


async def test_it_is_given_up_some_time_and_a_clip_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    works = Works(tmp_path, *[FULL] * 100)
    works.maker.submit(order(tmp_path / "a", wall_ms=((0, 1),)))
    assert await works.done() == [RecordingFailed]
    assert len(works.made) == module.AGAIN
    works.maker.submit(order(tmp_path / "a", seconds=((0, 1),)))
    await works.done()
    assert len(works.made) == module.AGAIN + 1


async def test_clips_never_take_the_place_of_what_is_left_of_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIPS_LIMIT", 3)
    works = Works(tmp_path)
    for number in range(3):
        works.maker.submit(order(tmp_path / "a", f"clip {number}", seconds=((0, 1),)))
    with pytest.raises(LimitReached):
        works.maker.submit(order(tmp_path / "a", "clip 4", seconds=((0, 1),)))
    works.maker.submit(order(tmp_path / "a", "part", wall_ms=((0, 1),)))
    await works.done()
    works.maker.submit(order(tmp_path / "a", "clip 5", seconds=((0, 1),)))
    await works.done()
    assert works.made == ["clip 0", "clip 1", "clip 2", "part", "clip 5"]


async def test_what_is_fetched_for_clips_does_not_fill_the_disk(tmp_path: Path) -> None:
    """One after the other: each may take as much room as a recording."""
    works = Works(tmp_path)
    sources = [tmp_path / f"{number}.mp4" for number in range(6)]
    there: list[int] = []

    for source in sources:

        async def fetch(write: Callable[[bytes], int] = source.write_bytes) -> None:
            await asyncio.sleep(0)
            write(b"x")
            there.append(len(os.listdir(tmp_path)))

        works.maker.submit(order(source, source.stem, seconds=((0, 1),), fetch=fetch))
        await works.maker.dispose(source)
    await works.done()
    assert len(works.made) == len(sources) and max(there) == 1
    assert not any(source.exists() for source in sources)
