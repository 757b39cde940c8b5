"""What is deleted, in which order, and what stays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headwater.control.files import Named, NoFiles
from headwater.control.retention import DAY_MS, RecordingSettings, Retention
from tests.unit.control.support import Api, now_ms
from tests.unit.control.test_recordings import begin, publish, recorded, shown


class Disk(NoFiles):
    def __init__(self) -> None:
        self.removed: list[str] = []

    async def size(self, recording: Named) -> int:
        return 100

    async def remove(self, recordings: Sequence[Named]) -> None:
        self.removed += [str(recording.path) for recording in recordings]


def retention(api: Api, disk: Disk, **settings: float) -> Retention:
    return Retention(
        api.plane._database,
        api.plane._node,
        RecordingSettings(**settings),
        lambda: disk,
        api.plane._forget,  # type: ignore[arg-type]
    )


async def three_and_one_running(api: Api) -> tuple[list[str], str]:
    ended = [await recorded(api, name) for name in ("one", "two", "three")]
    running = begin(api, await publish(api, "four"))
    assert await api.plane.settle()
    return ended, running


async def there(api: Api) -> set[str]:
    return {row["id"] for row in (await api.call("GET", "/recordings?expired=false"))["data"]}


class TestRetention:
    async def test_by_size_the_oldest_go_first(self, any_api: Api) -> None:
        ended, running = await three_and_one_running(any_api)
        before = (await any_api.call("GET", "/analytics/daywise"))["data"]["recording_stats"]
        disk = Disk()
        assert await retention(any_api, disk, keep_bytes=2 * 4321).sweep(now_ms()) == 1
        assert disk.removed == [f"recordings/{ended[0]}.mp4"]
        assert await retention(any_api, disk, keep_bytes=2 * 4321).sweep(now_ms()) == 0
        assert await retention(any_api, disk, keep_bytes=1).sweep(now_ms()) == 2
        assert await there(any_api) == {running}, "what is being recorded stays, whatever it takes"
        assert disk.removed == [f"recordings/{name}.mp4" for name in ended]
        after = (await any_api.call("GET", "/analytics/daywise"))["data"]["recording_stats"]
        assert after["recording_count"] == before["recording_count"] == 4
        assert after["recording_minutes_consumed"] >= before["recording_minutes_consumed"] >= 3 * 61.4 / 60 - 0.001
        assert (await shown(any_api, ended[0]))["recording_duration"] == 61

    async def test_by_age(self, any_api: Api) -> None:
        _, running = await three_and_one_running(any_api)
        disk = Disk()
        assert await retention(any_api, disk, keep_days=2).sweep(now_ms() + DAY_MS) == 0
        assert await retention(any_api, disk, keep_days=2).sweep(now_ms() + 3 * DAY_MS) == 3
        assert await there(any_api) == {running}

    async def test_not_what_a_clip_is_made_of(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        await any_api.call("POST", f"/recordings/{recording}/clips", json={"start": 0, "end": 1})
        disk = Disk()
        assert await retention(any_api, disk, keep_bytes=1, keep_days=1).sweep(now_ms() + 3 * DAY_MS) == 0

    async def test_not_what_a_clip_was_asked_of_a_moment_ago(self, any_api: Api) -> None:
        """It was looked for before the clip was asked for."""
        recording, other = await recorded(any_api), await recorded(any_api, "other")
        await any_api.plane.settle()
        disk = Disk()
        sweeping = retention(any_api, disk, keep_days=1)
        found = await sweeping._oldest(now_ms() + 3 * DAY_MS)
        await any_api.call("POST", f"/recordings/{recording}/clips", json={"start": 0, "end": 1})
        await sweeping._remove(found, now_ms(), "it is old")
        assert disk.removed == [f"recordings/{other}.mp4"]
        assert recording in await there(any_api)

    async def test_more_than_one_batch(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("headwater.control.retention.BATCH", 1)
        ended, _ = await three_and_one_running(api)
        disk = Disk()
        assert await retention(api, disk, keep_days=1).sweep(now_ms() + 3 * DAY_MS) == 3
        assert disk.removed == [f"recordings/{name}.mp4" for name in ended]

    async def test_off_by_default(self, api: Api) -> None:
        await three_and_one_running(api)
        disk = Disk()
        assert await retention(api, disk).sweep(now_ms() + 10_000 * DAY_MS) == 0
        assert disk.removed == []

    async def test_what_nobody_has_measured_is_measured(self, any_api: Api) -> None:
        """Recordings of earlier versions have no size in their rows."""
        broadcast = await publish(any_api)
        any_api.broadcasts.close(broadcast.livestream_id, recording="recordings/x.mp4")
        (row,) = (await any_api.call("GET", "/recordings"))["data"]
        assert row["file_size"] is None
        await retention(any_api, Disk()).measure()
        assert (await shown(any_api, row["id"]))["file_size"] == 100

    async def test_a_removal_that_a_crash_cut_short_is_finished(self, any_api: Api) -> None:
        recording = await recorded(any_api)
        await any_api.call("DELETE", f"/recordings/{recording}")
        disk = Disk()
        await retention(any_api, disk).finish_removals(now_ms() - DAY_MS)
        assert disk.removed == [f"recordings/{recording}.mp4"]
