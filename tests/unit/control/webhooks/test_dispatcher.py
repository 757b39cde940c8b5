"""Delivery: at least once, in order, through failures of receivers, of the database, and of the server itself."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from headwater.control import recording_history
from headwater.control.database import Database, open_database
from headwater.control.downloads import Links
from headwater.control.repository import deliveries, meetings, recordings, webhooks
from headwater.control.repository.accounts import AppRow
from headwater.control.repository.recordings import RecordingStatus
from headwater.control.tables import webhook_attempts, webhook_deliveries, webhook_lanes
from headwater.control.webhooks import outbox, payloads
from headwater.control.webhooks.backoff import Outcome
from headwater.control.webhooks.outbox import OutboxEvent
from tests.unit.control.webhooks.support import BROKEN, DOWN, GONE, OK, Received, World, make_world, new_node

A, B = "https://a.example/hook", "https://b.example/hook"


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


async def states(world: World) -> Counter[str]:
    async with world.database.read() as conn:
        return Counter((await conn.execute(select(webhook_deliveries.c.state))).scalars())


async def lanes(world: World) -> int:
    async with world.database.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(webhook_lanes))).scalar_one())


class TestDelivery:
    async def test_every_attempt_is_told_once_it_is_written_down(self, world: World) -> None:
        hook, answers = await world.webhook(A), [BROKEN, OK]
        world.receivers.answers[A] = lambda _: answers.pop(0)
        told: list[str] = []
        world.dispatcher.attempted = told.append
        world.dispatcher.start()
        await world.tell(await world.livestream(), "LIVE")
        await world.settled()
        assert told == [hook.id]
        await world.pass_time(10)
        await world.settled()
        assert told == [hook.id] * 2

    async def test_an_event_is_delivered_at_once_and_the_lane_goes(self, world: World) -> None:
        await world.webhook(A)
        livestream = await world.livestream()
        world.dispatcher.start()
        await world.settled()
        await world.tell(livestream, "LIVE")
        await world.receivers.until(lambda: world.receivers.at(A) == ["LIVE"])
        await world.settled()
        assert await states(world) == {"delivered": 1}
        assert await lanes(world) == 0

    async def test_nothing_is_stored_where_nobody_listens(self, world: World) -> None:
        await world.webhook(A, events=("meeting.started",))
        await world.webhook(B, enabled=False)
        await world.tell(await world.livestream(), "LIVE")
        assert await states(world) == {}

    async def test_what_the_last_run_left_is_delivered_after_the_start(self, world: World) -> None:
        await world.webhook(A)
        livestream = await world.livestream()
        await world.tell(livestream, "INVOKED", "LIVE", "IDLE")
        world.dispatcher.start()
        await world.settled()
        assert world.receivers.at(A) == ["INVOKED", "LIVE", "IDLE"]

    async def test_headers_name_the_delivery_in_both_spellings(self, world: World) -> None:
        hook = await world.webhook(A)
        await world.tell(await world.livestream(), "LIVE")
        world.dispatcher.start()
        await world.settled()
        (received,) = world.receivers.received
        async with world.database.read() as conn:
            ((row, _),), _ = await deliveries.list_page(conn, hook.id, state=None, offset=0, limit=9)
        signature = (await world.dispatcher.key.signer()).sign(received.body)
        for brand in ("rtk", "dyte"):
            assert received.headers[f"{brand}-uuid"] == row.id
            assert received.headers[f"{brand}-webhook-id"] == hook.id
            assert received.headers[f"{brand}-signature"] == signature

    async def test_urls_are_those_of_the_moment_of_sending(self, world: World) -> None:
        await world.webhook(A)
        livestream = await world.livestream()
        await world.tell(livestream, "LIVE")
        world.dispatcher.start()
        await world.settled()
        playback = f"https://live.example/{livestream.playback_id}/manifest/video.m3u8"
        assert playback.encode() in world.receivers.received[0].body

    async def test_a_recording_that_is_there_comes_with_a_link(self, database: Database) -> None:
        made = await make_world(database)
        links = Links(b"k" * 32, database)
        world = new_node(database, made.app_id, "node", made.clock, links=links, link_ms=60_000)
        await world.webhook(A, events=("recording.statusUpdate",))
        livestream = await world.livestream()
        row = recording_history.new_row(livestream, "r1", "s1", "node", "RECORD_ON_START", world.clock())
        async with database.write() as conn:
            await recordings.insert(conn, row)
            row = await recordings.change(conn, row, RecordingStatus.RECORDING, world.clock())
            row = await recordings.change(conn, row, RecordingStatus.RECORDING, world.clock())
            await recordings.change(conn, row, RecordingStatus.UPLOADED, world.clock(), path="recordings/r1.mp4")
        world.dispatcher.start()
        await world.settled()
        await world.dispatcher.stop(0.0)
        told = [json.loads(one.body)["recording"] for one in world.receivers.received]
        assert [(one["recordingId"], one["status"]) for one in told] == [("r1", "RECORDING"), ("r1", "UPLOADED")]
        assert told[0]["downloadUrl"] is None
        _, _, _, _, of, expires, signature, _ = told[1]["downloadUrl"].split("/")
        found = await links.find(of, expires, signature, world.clock())
        assert found is not None and found.path == "recordings/r1.mp4"
        assert told[1]["downloadUrl"].startswith("https://live.example/recordings/r1/")

    async def test_meetings_are_told_of_through_the_same_door(self, world: World) -> None:
        """What rooms will call: an event about a meeting, in the transaction of its change."""
        await world.webhook(A)
        async with world.database.write() as conn:
            meeting = await meetings.create(
                conn, world.app_id, title="Weekly", status="ACTIVE", settings="{}", now_ms=world.clock()
            )
            app = AppRow(world.app_id, "account", "app", None, world.clock())
            times: dict[str, Any] = {"session_id": "s1", "started_ms": world.clock()}
            begun = payloads.meeting_started(meeting, app, **times)
            over = payloads.meeting_ended(meeting, app, **times, ended_ms=world.clock(), reason="ALL_PARTICIPANTS_LEFT")
            for payload in (begun, over):
                event = OutboxEvent(world.app_id, payload["event"], meeting.id, payload, world.clock())
                assert await outbox.add(conn, event) == 1
        world.dispatcher.start()
        await world.settled()
        started, ended = [json.loads(one.body) for one in world.receivers.received]
        assert (started["event"], started["meeting"]["status"]) == ("meeting.started", "LIVE")
        assert set(started["meeting"]) == {
            "id",
            "sessionId",
            "title",
            "status",
            "createdAt",
            "startedAt",
            "organizedBy",
        }
        assert (ended["event"], ended["reason"]) == ("meeting.ended", "ALL_PARTICIPANTS_LEFT")
        assert set(ended["meeting"]) == set(started["meeting"]) | {"endedAt"}


class TestOrder:
    async def test_a_failed_event_holds_back_the_later_ones_of_its_livestream_only(self, world: World) -> None:
        await world.webhook(A)
        one, two = await world.livestream(), await world.livestream()
        world.receivers.answers[A] = lambda it: BROKEN if it.about == one.id else OK
        await world.tell(one, "LIVE", "IDLE")
        await world.tell(two, "LIVE", "IDLE")
        world.dispatcher.start()
        await world.settled()
        assert world.receivers.at(A, one.id) == ["LIVE"]
        assert world.receivers.at(A, two.id) == ["LIVE", "IDLE"]
        world.receivers.answers.clear()
        await world.pass_time(1.5)
        await world.settled()
        assert world.receivers.at(A, one.id) == ["LIVE", "LIVE", "IDLE"]

    async def test_one_livestream_is_never_told_two_things_at_once(self, world: World) -> None:
        await world.webhook(A)
        livestream = await world.livestream()
        world.receivers.hold[A] = asyncio.Event()
        world.dispatcher.start()
        await world.tell(livestream, "INVOKED", "LIVE")
        await world.receivers.until(lambda: world.receivers.running.get(A) == 1)
        await world.tell(livestream, "IDLE")
        world.receivers.hold[A].set()
        await world.receivers.until(lambda: len(world.receivers.received) == 3)
        assert world.receivers.at(A) == ["INVOKED", "LIVE", "IDLE"]
        assert world.receivers.most[A] == 1

    async def test_two_servers_share_the_work_and_the_order_holds(self, database: Database) -> None:
        world = await make_world(database)
        other = new_node(database, world.app_id, "other", world.clock)
        await world.webhook(A)
        streams = [await world.livestream() for _ in range(4)]
        told: list[Received] = []
        world.receivers.received = other.receivers.received = told
        for node in (world, other):
            node.dispatcher.start()
        for status in ("INVOKED", "LIVE", "IDLE", "LIVE", "IDLE"):
            for livestream in streams:
                await world.tell(livestream, status)
                other.dispatcher.wake()
        await world.receivers.until(lambda: True)
        async with asyncio.timeout(20):
            while (await states(world))["waiting"]:
                await world.settled()
                await other.settled()
        for node in (world, other):
            await node.dispatcher.stop(0.0)
        for livestream in streams:
            statuses = [one.status for one in told if one.about == livestream.id]
            assert statuses == ["INVOKED", "LIVE", "IDLE", "LIVE", "IDLE"]


class TestFailures:
    async def test_pauses_grow_and_everything_comes_once_the_receiver_is_back(self, world: World) -> None:
        await world.webhook(A)
        one, two = await world.livestream(), await world.livestream()
        world.receivers.answers[A] = lambda _: DOWN
        await world.tell(one, "LIVE")
        world.dispatcher.start()
        await world.settled()
        for pause_s, attempts in ((0.9, 1), (0.6, 2), (1.5, 2), (1, 3), (3.5, 3), (1, 4)):
            await world.pass_time(pause_s)
            await world.settled()
            assert len(world.receivers.received) == attempts
        await world.tell(two, "LIVE")
        await world.tell(one, "IDLE")
        await world.settled()
        assert len(world.receivers.received) == 4, "a new event does not make it try a receiver that is away"
        world.receivers.answers.clear()
        await world.pass_time(9)
        await world.receivers.until(lambda: len(world.receivers.received) == 7)
        await world.settled()
        assert world.receivers.at(A, one.id)[-2:] == ["LIVE", "IDLE"]
        assert world.receivers.at(A, two.id) == ["LIVE"]
        assert await states(world) == {"delivered": 3}

    async def test_a_dead_receiver_is_asked_with_one_delivery_at_a_time(self, world: World) -> None:
        await world.webhook(A)
        world.receivers.answers[A] = lambda _: DOWN
        for _ in range(10):
            await world.tell(await world.livestream(), "LIVE")
        world.dispatcher.start()
        await world.settled()
        first = len(world.receivers.received)
        assert first == 4, "as many as a webhook may have at once; then it was known"
        await world.pass_time(1.5)
        await world.settled()
        assert len(world.receivers.received) == first + 1

    async def test_receivers_that_hang_do_not_hold_up_others(self, database: Database) -> None:
        """More of them than may be asked at once, each with more livestreams than may be told at once."""
        world = await make_world(database, concurrency=8)
        streams = [await world.livestream() for _ in range(6)]
        dead = [f"https://dead{n}.example/" for n in range(10)]
        for url in dead:
            await world.webhook(url)
            world.receivers.answers[url] = lambda _: DOWN
        for livestream in streams:
            await world.tell(livestream, "LIVE")
        world.dispatcher.start()
        await world.settled()
        for url in dead:  # known to be away; from here on they hang
            world.receivers.hold[url] = asyncio.Event()
        await world.pass_time(3700)
        await world.receivers.until(lambda: sum(world.receivers.running.values()) == 4)
        await world.webhook(A)
        for livestream in streams:
            await world.tell(livestream, "IDLE")
        await world.receivers.until(lambda: len(world.receivers.at(A)) == len(streams))
        assert sum(world.receivers.running[url] for url in dead) <= 4
        await world.dispatcher.stop(0.0)

    async def test_a_refusal_is_final_and_the_lane_goes_on(self, world: World) -> None:
        await world.webhook(A)
        world.receivers.answers[A] = lambda it: GONE if it.status == "LIVE" else OK
        await world.tell(await world.livestream(), "LIVE", "IDLE")
        world.dispatcher.start()
        await world.settled()
        assert world.receivers.at(A) == ["LIVE", "IDLE"]
        assert await states(world) == {"failed": 1, "delivered": 1}

    async def test_after_a_day_of_trying_an_event_is_given_up(self, world: World) -> None:
        hook = await world.webhook(A)
        one, two = await world.livestream(), await world.livestream()
        world.receivers.answers[A] = lambda _: DOWN
        await world.tell(one, "LIVE", "IDLE")
        await world.tell(two, "LIVE")
        world.dispatcher.start()
        for _ in range(25):
            await world.settled()
            await world.pass_time(3700)
        await world.settled()
        assert await states(world) == {"failed": 3}
        async with world.database.read() as conn:
            rows, _ = await deliveries.list_page(conn, hook.id, state="failed", offset=0, limit=9)
        assert {row.error for row, _ in rows} <= {"no connection: refused", "given up: no connection: refused"}
        await world.tell(one, "LIVE")
        world.receivers.answers.clear()
        await world.pass_time(3700)
        await world.settled()
        assert await states(world) == {"failed": 3, "delivered": 1}
        tally = world.dispatcher.tally
        assert (tally.delivered, tally.failed) == (1, 3), "those that were given up together too"

    async def test_what_waits_is_told_with_its_age(self, world: World) -> None:
        """For the operator; what waits for a webhook that is disabled is left out."""
        assert await world.dispatcher.outstanding() == (0, 0.0)
        hook = await world.webhook(A)
        livestream = await world.livestream()
        world.receivers.answers[A] = lambda _: DOWN
        world.dispatcher.start()
        await world.tell(livestream, "LIVE")
        await world.settled()
        await world.pass_time(100)
        await world.tell(livestream, "IDLE")
        await world.settled()
        assert await world.dispatcher.outstanding() == (2, 100.0)
        assert world.dispatcher.tally.attempts_failed == 2
        async with world.database.write() as conn:
            await webhooks.update(conn, hook.id, world.clock(), enabled=False)
        assert await world.dispatcher.outstanding() == (0, 0.0)

    async def test_a_day_in_which_the_server_was_off_does_not_count(self, world: World) -> None:
        await world.webhook(A)
        await world.tell(await world.livestream(), "LIVE")
        await world.pass_time(3 * 86_400)
        world.receivers.answers[A] = lambda _: DOWN
        world.dispatcher.start()
        await world.settled()
        assert await states(world) == {"waiting": 1}

    async def test_its_own_errors_are_survived(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        await world.webhook(A)
        livestream = await world.livestream()
        real, broken = deliveries.due, [1]

        async def due(*arguments: object, **named: object) -> list[str]:
            if broken:
                broken.pop()
                raise RuntimeError("a bug")
            return await real(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(deliveries, "due", due)
        monkeypatch.setattr("headwater.control.webhooks.dispatcher.RETRY_S", 0.01)
        world.dispatcher.start()
        await world.tell(livestream, "LIVE")
        await world.receivers.until(lambda: world.receivers.at(A) == ["LIVE"])

    async def test_an_outcome_that_cannot_be_written_is_delivered_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world.webhook(A)
        real, broken = deliveries.record_attempt, [1]

        async def record_attempt(*arguments: object, **named: object) -> None:
            if broken:
                broken.pop()
                raise RuntimeError("a bug")
            await real(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(deliveries, "record_attempt", record_attempt)
        world.dispatcher.start()
        await world.tell(await world.livestream(), "LIVE", "IDLE")
        await world.receivers.until(lambda: world.receivers.at(A) == ["LIVE"])
        await world.settled()
        await world.pass_time(60)  # the lease has ended
        await world.settled()
        assert world.receivers.at(A) == ["LIVE", "LIVE", "IDLE"]


class TestChanges:
    async def test_what_waits_for_a_disabled_webhook_waits_on(self, world: World) -> None:
        hook = await world.webhook(A)
        await world.tell(await world.livestream(), "LIVE")
        async with world.database.write() as conn:
            await webhooks.update(conn, hook.id, 1, enabled=False)
        world.dispatcher.start()
        await world.settled()
        assert world.receivers.received == []
        async with world.database.write() as conn:
            await webhooks.update(conn, hook.id, 1, enabled=True)
        await world.settled()
        assert world.receivers.at(A) == ["LIVE"]

    async def test_a_webhook_deleted_while_it_is_called(self, world: World) -> None:
        hook = await world.webhook(A)
        await world.webhook(B)
        world.receivers.hold[A] = asyncio.Event()
        world.dispatcher.start()
        livestream = await world.livestream()
        await world.tell(livestream, "LIVE")
        await world.receivers.until(lambda: world.receivers.running.get(A) == 1)
        async with world.database.write() as conn:
            await webhooks.delete(conn, hook.id)
        world.receivers.hold[A].set()
        await world.settled()
        await world.tell(livestream, "IDLE")
        await world.settled()
        assert world.receivers.at(B) == ["LIVE", "IDLE"]
        assert await states(world) == {"delivered": 2}

    async def test_redelivery_of_what_was_delivered_waits_for_nobody(self, world: World) -> None:
        hook = await world.webhook(A)
        livestream = await world.livestream()
        world.dispatcher.start()
        await world.tell(livestream, "LIVE")
        await world.settled()
        world.receivers.answers[A] = lambda it: BROKEN if it.status == "IDLE" else OK
        await world.tell(livestream, "IDLE")
        await world.settled()
        async with world.database.write() as conn:
            ((row, _),), _ = await deliveries.list_page(conn, hook.id, state="delivered", offset=0, limit=9)
            await deliveries.requeue(conn, row, world.clock())
        await world.settled()
        assert world.receivers.at(A) == ["LIVE", "IDLE", "LIVE"]
        assert {one.headers["rtk-uuid"] for one in world.receivers.received if one.status == "LIVE"} == {row.id}
        assert await states(world) == {"delivered": 1, "waiting": 1}

    async def test_stop_delivers_what_is_due_and_leaves_the_rest(self, world: World) -> None:
        await world.webhook(A)
        await world.webhook(B)
        world.receivers.hold[B] = asyncio.Event()
        world.dispatcher.start()
        await world.tell(await world.livestream(), "LIVE")
        await world.dispatcher.stop(1.0)
        assert world.receivers.at(A) == ["LIVE"]
        again = new_node(world.database, world.app_id, "other", world.clock)
        again.dispatcher.start()
        await again.settled()
        assert again.receivers.at(B) == ["LIVE"], "its lease was given back"
        await again.dispatcher.stop(0.0)


class TestLog:
    async def test_the_log_is_bounded(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deliveries, "ATTEMPTS_KEPT", 3)
        world = await make_world(database, keep_finished=5)
        await world.webhook(A)
        livestream = await world.livestream()
        world.receivers.answers[A] = lambda _: BROKEN
        world.dispatcher.start()
        await world.tell(livestream, *["LIVE"] * 12)
        for _ in range(5):
            await world.settled()
            await world.pass_time(3700)
        async with database.read() as conn:
            assert (await conn.execute(select(func.count()).select_from(webhook_attempts))).scalar_one() == 3
        world.receivers.answers.clear()
        await world.pass_time(3700)
        await world.settled()
        assert await states(world) == {"delivered": 5}
        async with database.read() as conn:
            assert (await conn.execute(select(func.count()).select_from(webhook_attempts))).scalar_one() == 5
        await world.pass_time(8 * 86_400)
        world.dispatcher._tidied_s = 0.0
        await world.settled()
        assert await states(world) == {}
        await world.dispatcher.stop(0.0)

    async def test_an_attempt_is_written_down(self, world: World) -> None:
        hook = await world.webhook(A)
        world.receivers.answers[A] = lambda _: Outcome(503, "busy", "the receiver answered 503", retry_after_s=30.0)
        await world.tell(await world.livestream(), "LIVE")
        world.dispatcher.start()
        await world.settled()
        async with world.database.read() as conn:
            ((row, next_ms),), total = await deliveries.list_page(conn, hook.id, state=None, offset=0, limit=9)
            (attempt,) = await deliveries.attempts(conn, row.seq)
        assert (total, row.state, row.attempts, row.status_code) == (1, "waiting", 1, 503)
        assert (attempt.status_code, attempt.answer, attempt.error) == (503, "busy", "the receiver answered 503")
        assert next_ms == attempt.at_ms + attempt.duration_ms + 30_000

    async def test_too_many_waiting_are_in_the_log_as_failed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("headwater.control.webhooks.outbox.WAITING_LIMIT", 3)
        await world.webhook(A)
        await world.tell(await world.livestream(), *["LIVE"] * 5)
        assert await states(world) == {"waiting": 3, "failed": 2}
