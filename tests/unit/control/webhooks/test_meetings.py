"""What happens in a meeting, as a receiver gets it: each once, in order, signed, also through failures."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from headwater.control import meeting_history
from headwater.control.database import Database, open_database
from headwater.control.repository import meetings
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomEvent, RoomOpened
from tests.unit.control.webhooks.support import BROKEN, OK, World, make_world

A = "https://a.example/hook"


@pytest.fixture
async def database(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    opened = await open_database(database_url, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await make_world(database)
    yield made
    await made.dispatcher.stop(0.0)


async def tell(world: World, *events: RoomEvent) -> None:
    for event in events:
        async with world.database.write() as conn:
            await meeting_history.record(conn, event, "node")
    world.dispatcher.wake()


async def test_a_meeting_is_told_once_in_order_and_signed(world: World) -> None:
    """The receiver fails at the second event, which comes again, with its id, before the third."""
    async with world.database.write() as conn:
        meeting = await meetings.create(
            conn, world.app_id, title="Weekly", status="ACTIVE", settings="{}", now_ms=world.clock()
        )
    await world.webhook(
        A, events=("meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft")
    )
    answers = [OK, BROKEN]
    world.receivers.answers[A] = lambda _: answers.pop(0) if answers else OK
    world.dispatcher.start()
    of, now = (meeting.id, "s1"), world.clock()
    all_of_it: tuple[RoomEvent, ...] = (
        RoomOpened(*of, now),
        ParticipantJoined(*of, now, "peer-1", "p1", "user-1", "Ada", None, "host"),
        ParticipantLeft(*of, now + 1000, "peer-1", "p1", "LEFT"),
        RoomClosed(*of, now + 61_000, "ALL_PARTICIPANTS_LEFT"),
    )
    await tell(world, *all_of_it, *all_of_it)
    await world.settled()
    await world.pass_time(3600)
    await world.settled()
    bodies: list[dict[str, Any]] = [msgspec.json.decode(one.body) for one in world.receivers.received]
    names = [body["event"].removeprefix("meeting.") for body in bodies]
    assert names == ["started", "participantJoined", "participantJoined", "participantLeft", "ended"]
    ids = [one.headers["rtk-uuid"] for one in world.receivers.received]
    assert ids[1] == ids[2] and len(set(ids)) == 4
    pem = (await world.dispatcher.key.signer()).public_pem.encode()
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, rsa.RSAPublicKey)
    for one in world.receivers.received:
        signature = base64.b64decode(one.headers["rtk-signature"])
        key.verify(signature, one.body, padding.PKCS1v15(), hashes.SHA256())  # raises where it is not ours
    assert {body["meeting"]["id"] for body in bodies} == {meeting.id}
    assert bodies[-1]["reason"] == "ALL_PARTICIPANTS_LEFT"
