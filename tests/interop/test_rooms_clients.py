"""Rooms with clients that are no browsers: aiortc, and FFmpeg's `whip` muxer as PyAV brings it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.events import ParticipantLeft
from tests.interop.aiortc_client import Client, Colour, shown
from tests.interop.rooms import MEETING, RoomServer


@pytest.fixture
def server() -> Iterator[RoomServer]:
    with RoomServer() as running:
        yield running


def publishing(server: RoomServer) -> bool:
    """Whether anybody does."""

    def look() -> bool:
        room = server.rooms.find(MEETING)
        return room is not None and any(stream.publication is not None for stream in room.streams())

    return server.ask(look)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_aiortc_publishes_and_receives(server: RoomServer, codec: str) -> None:
    anna, bert = Client(server.meeting, "anna"), Client(server.meeting, "bert")
    try:
        location = await anna.publish(Colour(200, 60, 60), codec)
        async with asyncio.timeout(5):
            while not publishing(server):
                await asyncio.sleep(0.05)
        await shown(await bert.receive("anna"), 200, 60, 60)
        other = {"VP8": "H264", "H264": "VP8"}[codec]
        with pytest.raises(AssertionError, match=codec):
            await bert.receive("anna", other)
        assert (await anna.call("DELETE", location)).status_code == 200
        left = [each.participant_id for each in server.events if isinstance(each, ParticipantLeft)]
        assert left == ["anna"]
    finally:
        await anna.close()
        await bert.close()


async def test_ffmpegs_whip_muxer_takes_part(server: RoomServer, tmp_path: Path) -> None:
    arguments = ("-m", "tests.interop.whip_muxer", f"{server.meeting}/whip", "cam", str(tmp_path))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    bert = Client(server.meeting, "bert")
    try:
        async with asyncio.timeout(10):
            while not publishing(server):
                assert process.returncode is None, "the muxer ended"
                await asyncio.sleep(0.1)
        await shown(await bert.receive("cam"), 0, 255, 1)
        assert (await Client(server.meeting, "cam").call("DELETE", "me")).status_code == 200
        left = [(each.participant_id, each.reason) for each in server.events if isinstance(each, ParticipantLeft)]
        assert left == [("cam", "LEFT")]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await bert.close()
