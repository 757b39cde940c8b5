"""Meetings of real RTP, composed by a real compositor into a running server, and what viewers get of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from headwater.client import Headwater
from headwater.client.models import Livestream, LivestreamWithSessions
from headwater.meetings.broadcast import Broadcast
from headwater.meetings.compositor import labels, layout
from headwater.meetings.compositor.layout import Rect
from headwater.meetings.compositor.pixels import yuv
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.meetings.tap import SourceView
from tests.e2e.support import api, create, live
from tests.e2e.viewed import Viewed, view
from tests.rtp_room import RtpRoom
from tests.support import Server, running_server

pytestmark = pytest.mark.alone

WIDTH, HEIGHT = 640, 360
MAX_RESTARTS = 1
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limit = {"HEADWATER_COMPOSITOR_MAX_RESTARTS": str(MAX_RESTARTS)}
    with running_server(tmp_path_factory.mktemp("broadcast") / "data", env=limit) as running:
        yield running


@asynccontextmanager
async def broadcasting(
    server: Server, title: str, settings: CompositorSettings | None = None
) -> AsyncIterator[tuple[RtpRoom, Broadcast, str]]:
    """A room on the air, and its playback URL."""
    livestream = await asyncio.to_thread(create, server, title)
    room = RtpRoom(title)
    broadcast = Broadcast(room, server.rtmp + livestream.stream_key, WIDTH, HEIGHT, settings)
    broadcast.start()
    try:
        await until(lambda: live(livestream.playback_url), "the broadcast is live")
        yield room, broadcast, livestream.playback_url
    finally:
        await broadcast.stop()
        room.close()


@asynccontextmanager
async def pauses() -> AsyncIterator[list[float]]:
    """How long the machine let this process wait, beyond 30 ms: a control for who must be punctual beside it."""
    found: list[float] = []

    async def look() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            found.append(max(0.0, time.monotonic() - before - 0.04))

    task = asyncio.create_task(look())
    try:
        yield found
    finally:
        task.cancel()


async def until(condition: Callable[[], object], what: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        await asyncio.sleep(0.05)


def middle(tile: Rect) -> tuple[int, int]:
    return tile.x + tile.width // 2, tile.y + tile.height // 3


def is_colour(seen: object, rgb: tuple[int, int, int], tolerance: float = 12) -> bool:
    return bool(np.abs(np.asarray(seen) - np.array(yuv(rgb))).max() < tolerance)


def first_time(viewed: Viewed, point: int, rgb: tuple[int, int, int], after_s: float, *, gone: bool = False) -> float:
    """When a point first had a colour, after a time; or first had another one."""
    for at, colours in zip(viewed.times, viewed.colours, strict=True):
        if at > after_s and is_colour(colours[point], rgb) != gone:
            return float(at)
    raise AssertionError(f"point {point} never {'lost' if gone else 'became'} {rgb}")


def offsets_ms(viewed: Viewed, point: int, hertz: float, begin_s: float, end_s: float) -> list[float]:
    """Beep minus flash, milliseconds, for each flash at a point."""
    luma = viewed.colours[:, point, 0]
    flashes = [
        viewed.times[i]
        for i in range(1, len(luma))
        if luma[i - 1] < 80 and luma[i] > 150 and begin_s <= viewed.times[i] < end_s
    ]
    window = 240  # 5 ms
    inside = (viewed.sound_s >= begin_s) & (viewed.sound_s < end_s)
    sound, times = viewed.sound[inside], viewed.sound_s[inside]
    pieces = sound[: len(sound) // window * window].reshape(-1, window)
    wave = np.exp(2j * np.pi * hertz * np.arange(window) / 48_000)
    levels = np.abs(pieces @ wave) / (window / 2)
    loud = levels > levels.max() / 2
    beeps = [times[i * window] for i in range(1, len(loud)) if loud[i] and not loud[i - 1]]
    return [1000 * float(min(beeps, key=lambda beep: abs(beep - flash)) - flash) for flash in flashes]


async def test_a_meeting_as_its_viewers_see_it(server: Server) -> None:
    """Two, then four, then three participants: pictures, tones, A/V offset, joins, leaves, a mute, a killed process."""
    two, four = layout.grid(2, WIDTH, HEIGHT).tiles, layout.grid(4, WIDTH, HEIGHT).tiles
    three = layout.grid(3, WIDTH, HEIGHT).tiles
    points = [middle(tile) for tile in (*two, *four, *three)]
    async with broadcasting(server, "A-meeting") as (room, broadcast, playback_url), pauses() as paused:
        await room.join("Red", colour="0xFF0000", tone=440)
        await room.join("Blue", colour="0x0000FF", tone=1000, codec="VP8")
        await asyncio.sleep(2.5)
        third = time.time()
        await room.join("Green", colour="0x008000", tone=2500)
        flash = "color=c=black:s=320x180:r=30,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.2)'"
        beep = "aevalsrc='0.4*sin(2*PI*4000*t)*lt(mod(t,1),0.2)':s=48000"
        await room.join("Clapper", picture=flash, sound=beep)
        await asyncio.sleep(4.5)
        room.view("Blue", camera=SourceView(False, True))
        muted = time.time()
        await asyncio.sleep(1.2)
        left = time.time()
        await room.leave("Red")
        await asyncio.sleep(1.2)
        before, paused_s = broadcast.report, sum(paused)
        assert broadcast.pid is not None
        os.kill(broadcast.pid, signal.SIGKILL)
        killed = time.time()
        await until(lambda: broadcast.restarts == 1 and broadcast.report.frames > 0, "it is started again", 10)
        await asyncio.sleep(2.5)
        assert broadcast.status == "running"
        end = time.time()
        viewed = await asyncio.to_thread(view, playback_url, points)

    # Where everybody is.
    assert is_colour(viewed.colour(0, third - 1, third - 0.3), RED)
    assert is_colour(viewed.colour(1, third - 1, third - 0.3), BLUE)
    for point, colour in ((2, RED), (3, BLUE), (4, GREEN)):
        assert is_colour(viewed.colour(point, muted - 2, muted - 1), colour), point
    # Every tone is in the mix; who is muted is not, and the others are as before.
    for hertz in (440, 1000, 2500):
        assert viewed.level(hertz, muted - 2, muted - 0.5) > 0.1, hertz
    assert viewed.level(1000, muted + 0.5, muted + 1.1) < 0.01
    assert viewed.level(2500, muted + 0.5, muted + 1.1) > 0.1
    # Picture and sound of one participant.
    offsets = offsets_ms(viewed, 5, 4000, third + 2, muted - 0.3)
    assert len(offsets) >= 2
    assert max(abs(offset) for offset in offsets) < 60, offsets
    # A join and a leave show within a second: the places change (the camera's first picture is ffmpeg's own matter).
    assert first_time(viewed, 4, RED, third, gone=True) - third < 1
    assert first_time(viewed, 6, BLUE, left) - left < 1
    # The killed compositor is back in the same session.
    assert first_time(viewed, 7, GREEN, killed + 0.3) - killed < 3
    assert viewed.discontinuities == 1
    assert viewed.times[-1] > end - 2
    # 30 frames a second, fewer than 1 % left out, but for what the machine did to this process as well.
    assert before.skipped <= 0.01 * before.frames + 3 + 60 * paused_s, before


async def test_a_lone_participant_is_passed_on_and_composed_when_another_joins(server: Server) -> None:
    """The picture that is passed on is the participant's own; both switches are seamless to who watches."""
    async with broadcasting(server, "Alone") as (room, broadcast, playback_url):
        picture = f"color=c=0xFF0000:s={WIDTH}x{HEIGHT}:r=30"
        await room.join("Red", picture=picture, tone=440, size=f"{WIDTH}x{HEIGHT}")
        await until(lambda: broadcast.report.passing, "the picture is passed on")
        await asyncio.sleep(2)
        assert ("Red", "camera") in room.asked
        joined = time.time()
        await room.join("Blue", colour="0x0000FF", tone=1000)
        await until(lambda: not broadcast.report.passing, "it is composed")
        await asyncio.sleep(1)
        left = time.time()
        await room.leave("Blue")
        await until(lambda: broadcast.report.passing, "it is passed on again")
        await asyncio.sleep(1.5)
        points = [(WIDTH // 2, 8), middle(layout.grid(2, WIDTH, HEIGHT).tiles[1]), (30, HEIGHT - 20)]
        viewed = await asyncio.to_thread(view, playback_url, points)
        report = broadcast.report

    assert is_colour(viewed.colour(0, joined - 0.5, joined), RED)
    assert is_colour(viewed.colour(2, joined - 0.5, joined), RED), "no label: it is the camera's own picture"
    assert first_time(viewed, 0, labels.GROUND, joined) - joined < 1
    assert first_time(viewed, 1, RED, left) - left < 1
    assert viewed.level(440, joined - 1, joined) > 0.1
    assert report.counters["passed_on"] > 60
    assert report.counters["decode_errors"] == 0
    steps = np.diff(viewed.times[viewed.times > joined - 1])
    assert steps.max() < 0.3, "nobody waits at a switch"


async def test_a_hundred_starts_and_stops_leave_nothing_behind() -> None:
    """No process, no descriptor; however far the compositor had got."""
    room = RtpRoom()
    before = set(os.listdir("/proc/self/fd"))
    pids = []
    for number in range(100):
        broadcast = Broadcast(room, "rtmp://127.0.0.1:9/live/key", WIDTH, HEIGHT)
        broadcast.start()
        await asyncio.sleep(0.8 if number % 50 == 49 else 0.005 * (number % 4))
        if broadcast.pid is not None:
            pids.append(broadcast.pid)
        await broadcast.stop()
    await asyncio.sleep(0)
    assert len(pids) > 10
    assert not [pid for pid in pids if runs(pid)]
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 2, "the event loop's own"


async def test_a_refused_broadcast_ends_with_the_reason(server: Server) -> None:
    reasons: list[str] = []
    broadcast = Broadcast(RtpRoom(), server.rtmp + "no-such-key", WIDTH, HEIGHT, ended=reasons.append)
    broadcast.start()
    await until(lambda: reasons, "it gives up", 10)
    assert "refuses" in reasons[0]
    assert "no-such-key" not in reasons[0]
    assert broadcast.status == "ended"
    await broadcast.stop()


async def test_a_compositor_that_keeps_dying_ends_the_broadcast() -> None:
    reasons: list[str] = []
    settings = CompositorSettings(max_restarts=2)
    broadcast = Broadcast(RtpRoom(), "rtmp://127.0.0.1:9/live/key", WIDTH, HEIGHT, settings, ended=reasons.append)
    broadcast.start()
    killed: set[int] = set()
    deadline = time.monotonic() + 15
    while not reasons and time.monotonic() < deadline:
        pid = broadcast.pid
        if pid is not None and pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
    assert len(killed) == 3
    assert reasons == [broadcast.reason]
    assert "died 3 times" in reasons[0]
    assert "SIGKILL" in reasons[0]
    await broadcast.stop()


async def test_the_key_is_on_no_command_line() -> None:
    """What `ps` shows is for everybody on the machine."""
    broadcast = Broadcast(RtpRoom(), "rtmp://127.0.0.1:9/live/secret-key", WIDTH, HEIGHT)
    broadcast.start()
    await until(lambda: broadcast.pid is not None, "it runs")
    found = proc(broadcast.pid, "cmdline") + proc(broadcast.pid, "environ")
    await broadcast.stop()
    assert b"compositor" in found
    assert b"secret-key" not in found


def proc(pid: int | None, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@contextmanager
def meeting_on_air(server: Server) -> Iterator[tuple[Headwater, str, Livestream]]:
    """A meeting's livestream started by the API, nobody there; its client, meeting id, and what the start answered."""
    with api(server) as client:
        meeting = client.create_meeting(title="Ünïcode title")
        started = client.start_livestreaming_a_meeting(meeting.id, width=WIDTH, height=HEIGHT)
        yield client, meeting.id, started


def compositors(server: Server) -> list[int]:
    """The compositors that a server has started."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"headwater.meetings.compositor" in proc(int(pid), "cmdline")]


def soon(condition: Callable[[], object], what: str, within_s: float = 20) -> None:
    asyncio.run(until(condition, what, within_s))


def test_the_api_starts_and_stops_what_a_compositor_makes(server: Server) -> None:
    """INVOKED, LIVE with the title while nobody is there, through a killed compositor, IDLE after the stop."""
    with meeting_on_air(server) as (client, meeting_id, started):
        assert started.status == "INVOKED"
        soon(lambda: client.get_meeting_active_livestreams(meeting_id).status == "LIVE", "it is live")
        (first,) = compositors(server)
        os.kill(first, signal.SIGKILL)
        soon(lambda: [pid for pid in compositors(server) if pid != first], "it is started again", 5)
        assert client.get_meeting_active_livestreams(meeting_id).status == "LIVE"
        client.stop_livestreaming_a_meeting(meeting_id)
        soon(lambda: not compositors(server), "its process is gone", 5)
        assert state(client, started).livestream.status == "IDLE"


def test_a_compositor_that_cannot_go_on_makes_the_livestream_errored(server: Server) -> None:
    with meeting_on_air(server) as (client, _, started):
        for _ in range(MAX_RESTARTS + 1):
            soon(lambda: compositors(server), "one runs")
            (pid,) = compositors(server)
            os.kill(pid, signal.SIGKILL)
            soon(lambda: not runs(pid), "it is dead")  # noqa: B023 - called at once
        soon(lambda: state(client, started).livestream.status == "ERRORED", "the livestream failed")
        session = state(client, started).session
        assert session is not None
        assert "SIGKILL" in str(session.err_message)
        assert not compositors(server)


def state(client: Headwater, livestream: Livestream) -> LivestreamWithSessions:
    return client.get_livestream_session_for_livestream_id(livestream.id)


def test_a_compositor_goes_with_its_parent() -> None:
    """However hard that ends."""
    program = """
import asyncio
from headwater.meetings.broadcast import Broadcast
from tests.rtp_room import RtpRoom
async def main():
    broadcast = Broadcast(RtpRoom(), "rtmp://127.0.0.1:9/live/key", 640, 360)
    broadcast.start()
    while not broadcast.report.cpu_s:
        await asyncio.sleep(0.05)
    print(broadcast.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    soon(lambda: not runs(pid), "it has gone, too", 5)
