"""What goes on in a room, told to a page as it changes: server-sent events (HTML Living Standard, 9.2).

    event: state    the whole room, at first and after each change, at most ten times a second
    event: bye      {"reason": "KICKED"}: the stay has ended, and so does the stream
    : (a comment)   when nothing else was said for a while

State, not increments: who reads slowly is right again at the next one, and nothing is queued for anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from headwater.errors import LimitReached
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.rooms import Admission

INTERVAL_S = 0.1
"""Least time between two states: pages draw no faster, and a room of fifty would otherwise tell each cough to all."""

HEARTBEAT_S = 5.0
"""A comment after this much silence, so that proxies and pages see that we are here."""


async def told(rooms: OpenRooms, admission: Admission) -> AsyncIterator[bytes]:
    """The events for one page; its participant is inside while this runs."""
    wake = asyncio.Event()
    try:
        room = rooms.open(admission.meeting_id)
        page = room.listen(admission, wake.set)
    except LimitReached as error:
        yield message("bye", msgspec.json.encode({"reason": error.limit}))
        return
    try:
        while page.goodbye is None:
            wake.clear()
            yield message("state", room.state(page.participant))
            await asyncio.sleep(INTERVAL_S)
            while not wake.is_set():
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await wake.wait()
                except TimeoutError:
                    yield b":\n\n"
        yield message("bye", msgspec.json.encode({"reason": page.goodbye}))
    finally:
        room.forget(page)


def message(event: str, data: bytes) -> bytes:
    """One event; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data)
