"""When the server is ready, why it is not, and that asking costs nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import headwater.telemetry.readiness as readiness_module
from headwater.telemetry.readiness import Readiness
from headwater.telemetry.settings import TelemetrySettings
from headwater.telemetry.sources import Sources
from tests.unit.telemetry.fakes import FakePlane, sources

PLENTY = TelemetrySettings(ready_free_bytes=0)


def readiness(found: Sources, settings: TelemetrySettings = PLENTY) -> Readiness:
    made = Readiness(settings)
    made.watch(found)
    made.accepting = True
    return made


async def failing(found: Sources, settings: TelemetrySettings = PLENTY) -> dict[str, str]:
    report = await readiness(found, settings).report()
    assert report.ready == (not report.failing)
    return {name: report.checks[name] for name in report.failing}


async def test_all_is_well(tmp_path: Path) -> None:
    report = await readiness(sources(tmp_path)).report()
    assert report.ready and set(report.checks.values()) == {""}
    assert report.disk is not None and 0 < report.disk.free < report.disk.size


async def test_it_is_not_ready_before_it_accepts_and_while_it_drains(tmp_path: Path) -> None:
    made = Readiness(PLENTY)
    assert (await made.report()).failing == ["started"]
    made.watch(sources(tmp_path))
    assert (await made.report()).failing == ["started"]
    made.accepting = True
    assert (await made.report()).ready
    made.draining = True
    assert (await made.report()).failing == ["draining"]  # at once, whatever was known a moment ago


async def test_each_part_that_fails_is_named(tmp_path: Path) -> None:
    found = sources(tmp_path)
    found.ingest.serving = False
    assert await failing(found) == {"listeners": "not listening: rtmp"}
    found.http.serving = False
    assert await failing(found) == {"listeners": "not listening: http, rtmp"}
    found = sources(tmp_path)
    found.recorder.alive = False
    assert await failing(found) == {"recorder": "the thread that writes recordings has ended"}


async def test_a_full_disk_matters_to_a_server_that_writes_and_to_no_other(tmp_path: Path) -> None:
    greedy = TelemetrySettings(ready_free_bytes=1 << 62)
    assert list(await failing(sources(tmp_path), greedy)) == ["disk"]
    assert await failing(sources(tmp_path, recorder=False), greedy) == {}


async def test_a_disk_that_is_gone(tmp_path: Path) -> None:
    assert "No such file" in (await failing(sources(tmp_path / "unmounted")))["disk"]


async def test_a_database_that_fails(tmp_path: Path) -> None:
    assert await failing(sources(tmp_path, plane=FakePlane(OSError("refused")))) == {"database": "refused"}


async def test_a_database_that_hangs_is_asked_once_and_waited_for_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "FRESH_S", -1.0)  # nothing is kept
    plane = FakePlane(hangs=True)
    made = readiness(sources(tmp_path, plane=plane), TelemetrySettings(ready_database_s=0.01, ready_free_bytes=0))
    for _ in range(3):
        assert (await made.report()).checks["database"] == "no answer within 0.01 s"
    assert plane.pings == 1
    made.stop()


async def test_a_thousand_who_ask_cost_one_question(tmp_path: Path) -> None:
    plane = FakePlane()
    made = readiness(sources(tmp_path, plane=plane))
    reports = await asyncio.gather(*(made.report() for _ in range(1000)))
    assert all(report.ready for report in reports) and plane.pings == 1
    await made.report()
    assert plane.pings == 1


async def test_who_asked_and_went_does_not_take_the_answer_from_others(tmp_path: Path) -> None:
    made = readiness(sources(tmp_path))
    first, second = asyncio.ensure_future(made.report()), asyncio.ensure_future(made.report())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).ready
