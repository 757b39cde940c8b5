"""Our packager judged by the check: parts, durations, dates, decode times, in simulated time.

The playlists are written here, not by the server's own writer; what is judged is what the packager gives out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from headwater.hlscheck import Report, check
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import InitSegment, Output, Part, Playable, SegmentClosed, SegmentOpened
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.packager.packager import Packager
from headwater.pipeline.packager.settings import PackagerSettings
from tests.unit.hlscheck.origin import EPOCH, LEAD, MULTIVARIANT, URL, Asked, Origin
from tests.unit.hlscheck.simulated_time import run

AVCC = bytes.fromhex("0164001effe100196764001eacd940a02ff9610000030001000003003c8f162d9601000668ebe3cb22c0fdf8f800")
NAMES = {"v0": 1, "a0": 2}
WINDOW = 8
FIRST_MSN = 500
VIDEO = Track(1, VideoConfig(Codec.H264, AVCC, 640, 360, "avc1.64001e"))
AUDIO = Track(2, AudioConfig(Codec.AAC, b"\x11\x90", 48_000, 2, 1024, "mp4a.40.2"))


def now_ms() -> int:
    return int((EPOCH + LEAD + asyncio.get_running_loop().time()) * 1000)


@dataclass
class Listed:
    """A segment as the packager announced it."""

    opened: SegmentOpened
    parts: list[Part] = field(default_factory=list)
    duration: int | None = None


@dataclass
class Packaged(Origin):
    """An origin that serves what a packager makes of a live publisher."""

    inits: dict[tuple[int, int], InitSegment] = field(default_factory=dict)
    segments: dict[int, list[Listed]] = field(default_factory=dict)
    playable: Playable | None = None

    def apply(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, InitSegment):
                self.inits[output.track.id, output.version] = output
            elif isinstance(output, SegmentOpened):
                self.segments.setdefault(output.track_id, []).append(Listed(output))
            elif isinstance(output, Part):
                self.segments[output.track_id][-1].parts.append(output)
            elif isinstance(output, SegmentClosed):
                self.segments[output.track_id][-1].duration = output.duration
            elif isinstance(output, Playable):
                self.playable = output

    def position(self, track_id: int) -> tuple[int, int]:
        """(MSN, part index) after the newest part; a segment that is closed counts as the next one's beginning."""
        last = self.segments[track_id][-1]
        if last.duration is not None:
            return last.opened.msn + 1, 0
        return last.opened.msn, len(last.parts)

    def written(self, asked: Asked) -> str:
        assert self.playable is not None
        track_id = NAMES[asked.track.name]
        target, part_target = self.playable.target_duration_s, self.playable.part_target_ms[track_id] / 1000
        listed = [s for s in self.segments[track_id] if s.duration is not None][-WINDOW:]
        opened = [s for s in self.segments[track_id] if s.duration is None and s.parts]
        earlier = [s for s in self.segments[track_id] if s.opened.msn < listed[0].opened.msn]
        passed = sum(s.opened.discontinuity for s in earlier)
        hold = 3 * max(self.playable.part_target_ms.values()) / 1000
        lines = [
            *("#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{target}"),
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold + 0.001:.3f}",
            f"#EXT-X-PART-INF:PART-TARGET={part_target:.5f}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].opened.msn}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{passed}",
        ]
        version = -1
        for segment in listed + opened:
            if segment.opened.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            if segment.opened.init_version != version:
                version = segment.opened.init_version
                lines.append(f'#EXT-X-MAP:URI="i{version}.mp4"')
            date = datetime.fromtimestamp(segment.opened.program_date_time_ms / 1000, UTC)
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat(timespec='milliseconds')}")
            lines += self._body(segment, track_id, with_parts=segment in listed[-3:] + opened)
        msn, part = self.position(track_id)
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p{msn}.{part}.m4s"')
        for name, other in NAMES.items():
            if other != track_id:
                at = [(s.opened.msn, len(s.parts) - 1) for s in self.segments[other] if s.parts][-1]
                uri = f"../{name}/list.m3u8"
                lines.append(f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={at[0]},LAST-PART={at[1]}')
        return "\n".join(lines) + "\n"

    def _body(self, segment: Listed, track_id: int, *, with_parts: bool) -> list[str]:
        scale = self.inits[track_id, segment.opened.init_version].timescale
        lines = []
        for part in segment.parts if with_parts else ():
            uri = f"p{part.msn}.{part.index}.m4s"
            mark = ",INDEPENDENT=YES" if part.independent else ""
            lines.append(f'#EXT-X-PART:DURATION={part.duration / scale:.5f},URI="{uri}"{mark}')
        if segment.duration is not None:
            lines += [f"#EXTINF:{segment.duration / scale:.5f},", f"s{segment.opened.msn}.m4s"]
        return lines

    async def _media_playlist(self, asked: Asked) -> tuple[int, str, str]:
        track_id = NAMES[asked.track.name]
        if asked.part is not None and asked.msn is None:
            return 400, "", ""
        if asked.msn is not None:
            if asked.msn > self.position(track_id)[0] + 1 or (asked.part or 0) > 1000:
                return 400, "", ""
            wanted = (asked.msn + 1, 0) if asked.part is None else (asked.msn, asked.part + 1)
            await self._reached(track_id, wanted)
        return 200, self.written(asked), "max-age=1" if asked.msn is None else "max-age=12"

    async def _reached(self, track_id: int, position: tuple[int, int]) -> None:
        while self.position(track_id) < position:
            await self.sleep()

    async def sleep(self) -> None:
        """Simulated time is cheap: looking every 5 ms is as good as being told."""
        await asyncio.sleep(0.005)

    async def _resource(self, path: str) -> tuple[int, bytes]:
        name, _, file = path.partition("/")
        track_id, kind, number = NAMES.get(name, 0), file[:1], file[1:].rpartition(".")[0]
        if kind == "i":
            return 200, self.inits[track_id, int(number)].data
        found = {s.opened.msn: s for s in self.segments[track_id]}
        if kind == "s" and number.isdigit() and int(number) in found:
            return 200, b"".join(p.data or b"" for p in found[int(number)].parts)
        msn, _, index = number.partition(".")
        if kind != "p" or not msn.isdigit() or not index.isdigit():
            return 404, b""
        position = int(msn), int(index)
        await self._reached(track_id, (position[0], position[1] + 1))
        parts = {(p.msn, p.index): p for s in self.segments[track_id] for p in s.parts}
        part = parts.get(position)
        return (200, part.data or b"") if part is not None else (404, b"")


async def publish(
    packager: Packager, origin: Packaged, seconds: float, fps: float, lag_ms: int, first_ms: int = 0, offset_ms: int = 0
) -> None:
    """A publisher in real time: times in whole milliseconds, as RTMP has them; audio a bit behind."""
    clock, began = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
    frames = [(n * 1000 / fps, 1, n) for n in range(int(seconds * fps))]
    sounds = [(n * 1024 / 48, 2, n) for n in range(int(seconds * 48_000 / 1024))]
    gop = round(2 * fps)
    for at, track, n in sorted(frames + sounds, key=lambda f: f[0] + lag_ms * (f[1] - 1)):
        due = began + (at + lag_ms * (track - 1)) / 1000
        await asyncio.sleep(max(0.0, due - clock()))
        sync = track == 2 or n % gop == 0
        size = 60 if track == 2 else 2_000 if sync else 300
        payload = (size - 4).to_bytes(4, "big") + bytes([0x65 if sync else 0x41]) + bytes(size - 5)
        origin.apply(
            packager.push(
                AccessUnit(track, first_ms + int(at), offset_ms if track == 1 else 0, sync, payload), now_ms()
            )
        )


async def checked(
    settings: PackagerSettings, fps: float, *, seconds: float = 12, lag_ms: int = 15, offset_ms: int = 0
) -> Report:
    origin = Packaged(multivariant=lambda text: edited(fps))
    packager = Packager(settings, first_msn=FIRST_MSN, now_ms=now_ms())
    for track in (VIDEO, AUDIO):
        origin.apply(packager.configure(track))
    publisher = asyncio.create_task(publish(packager, origin, seconds + 30, fps, lag_ms, 0, offset_ms))
    await asyncio.sleep(12)
    assert origin.playable is not None
    report = await check(URL, seconds=seconds, fetch=origin)
    publisher.cancel()
    await asyncio.gather(publisher, return_exceptions=True)
    return report


def edited(fps: float) -> str:
    """The simulated multivariant playlist with its first variant only."""
    text = MULTIVARIANT.replace("FRAME-RATE=24.000", f"FRAME-RATE={fps:.3f}").replace("=90000", "=900000")
    return text[: text.rindex("#EXT-X-STREAM-INF")].replace("=85000", "=850000")


@pytest.mark.parametrize("fps", [30, 25, 30000 / 1001, 60, 15])
@pytest.mark.parametrize("part_target_ms", [333, 200, 1000])
def test_the_packager_keeps_the_rules(fps: float, part_target_ms: int) -> None:
    report = run(checked(PackagerSettings(part_target_ms=part_target_ms), fps))
    assert report.error is None
    found: list[Any] = [(f.rule, f.count, [e.text for e in f.evidence]) for f in report.findings]
    assert found == []
    assert {r.status for r in report.rules if r.rule == "segment-is-parts"} == {"passed"}


@pytest.mark.parametrize(("lag_ms", "offset_ms"), [(0, 0), (250, 0), (-200, 0), (15, 67), (15, 150)])
def test_late_sound_and_b_frames_keep_the_rules(lag_ms: int, offset_ms: int) -> None:
    """Sound that arrives before or after its pictures, and pictures that are shown later than they are decoded."""
    report = run(checked(PackagerSettings(), 30, lag_ms=lag_ms, offset_ms=offset_ms))
    assert report.error is None
    assert [(f.rule, f.count, [e.text for e in f.evidence]) for f in report.findings] == []


async def reconnected() -> Report:
    """The publisher is gone for 3 s in the middle of the check, and comes back with another clock."""
    origin = Packaged(multivariant=lambda text: edited(30))
    packager = Packager(PackagerSettings(), first_msn=FIRST_MSN, now_ms=now_ms())

    async def publisher() -> None:
        for track in (VIDEO, AUDIO):
            origin.apply(packager.configure(track))
        await publish(packager, origin, 17.5, 30, 15)
        origin.apply(packager.discontinuity(now_ms()))
        await asyncio.sleep(3)
        for track in (VIDEO, AUDIO):
            origin.apply(packager.configure(track))
        await publish(packager, origin, 60, 30, 15, first_ms=777_000)

    task = asyncio.create_task(publisher())
    await asyncio.sleep(12)
    report = await check(URL, seconds=20, fetch=origin)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return report


def test_a_reconnect_breaks_nothing_but_the_cadence() -> None:
    """Nothing comes for 3 s, and that is found; numbers, dates, decode times and reports go on as they must."""
    report = run(reconnected())
    assert report.error is None
    found = {f.rule: [e.text for e in f.evidence] for f in report.findings}
    assert found.keys() <= {"part-cadence", "segment-cadence"}, found
    assert {r.status for r in report.rules if r.rule == "discontinuities-same"} == {"passed"}
