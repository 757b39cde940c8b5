"""The task that empties the outbox: lanes that are due, some at once, each in its order.

    wake (something was stored, a lane was finished) ─► due webhooks ─► claim lanes ─► a task each:
        head of the lane ─► attempt ─► written down with what follows ─► next head ...

It asks the database when it is woken, when a pause ends, and now and then for what a server that died has left. What
is known of receivers that are away is in memory only: a start of the server tries them again at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.database import Database, DatabaseAway
from headwater.control.downloads import Links
from headwater.control.repository import deliveries
from headwater.control.repository.deliveries import Claim, DeliveryRow
from headwater.control.urls import Urls
from headwater.control.webhooks.attempt import Caller
from headwater.control.webhooks.backoff import Outcome, pause_ms, state_after
from headwater.control.webhooks.payloads import completed, with_download
from headwater.control.webhooks.settings import WebhookSettings
from headwater.control.webhooks.signing import Key
from headwater.outbound import Outbound

POLL_S: Final = 30.0
"""How often the database is asked although nothing has happened here: for the lanes of a server that died."""

LEASE_BEYOND_TIMEOUT_S: Final = 30.0
"""How long a lease outlives the longest attempt: the outcome has to be written down meanwhile."""

LANE_RUN: Final = 100
"""Deliveries of one lane in a row; then other lanes have their turn."""

TIDY_S: Final = 3600.0
"""How often what is too old leaves the log."""

WRITE_TRIES: Final = 5
RETRY_S: Final = 1.0
"""Where the database fails: an outcome that cannot be written is delivered again when its lease has ended."""

log = logging.getLogger("headwater.webhooks")


@dataclass
class _Receiver:
    """What is known of a webhook's receiver.

    Attributes:
        running: Attempts that are under way.
        failures: Pauses in a row since it was last there.
        until_ms: It is left alone until then.
    """

    running: int = 0
    failures: int = 0
    until_ms: int = 0


@dataclass
class Tally:
    """What came of deliveries since the start, on this server.

    Attributes:
        delivered, failed: Deliveries that are over.
        attempts_failed: Attempts that did not deliver.
    """

    delivered: int = 0
    failed: int = 0
    attempts_failed: int = 0

    def add(self, other: Tally) -> None:
        self.delivered += other.delivered
        self.failed += other.failed
        self.attempts_failed += other.attempts_failed


class Dispatcher:
    """Delivers what is in the outbox.

    Args:
        node: This server's name in leases.
        links, link_ms: Download links for recordings, and how long they hold.
        clock: Wall-clock milliseconds.
        chance: Random numbers from 0 to 1.
    """

    def __init__(
        self,
        database: Database,
        node: str,
        urls: Urls,
        settings: WebhookSettings,
        *,
        links: Links | None = None,
        link_ms: int = 0,
        key: Key | None = None,
        caller: Caller | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._node = node
        self._urls = urls
        self._settings = settings
        self._links = links
        self._link_ms = link_ms
        self.attempted: Callable[[str], None] = lambda webhook_id: None
        """Called with a webhook's id when an attempt has been written down."""
        self.outbound = Outbound(settings.allow_networks)
        self.key = key or Key(database)
        self._caller = caller or Caller(self.outbound, settings.timeout_s)
        self._clock = clock
        self._chance = chance
        self._started_ms = clock()
        self._receivers: dict[str, _Receiver] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._tidied_s = 0.0
        self.tally = Tally()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver; once the server's addresses are known."""
        self._started_ms = self._clock()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="webhooks")

    def wake(self) -> None:
        """Something may have been stored."""
        self._wake.set()

    async def outstanding(self) -> tuple[int, float]:
        """How many deliveries wait, on all servers of the database, and for how many seconds the oldest has."""
        async with self._database.read() as conn:
            number, since_ms = await deliveries.outstanding(conn)
        return number, 0.0 if since_ms is None else max(0.0, (self._clock() - since_ms) / 1000)

    def retry(self, webhook_id: str) -> None:
        """Do not leave this webhook alone any longer."""
        receiver = self._receivers.get(webhook_id)
        if receiver is not None:
            receiver.failures, receiver.until_ms = 0, 0
        self.wake()

    async def stop(self, timeout_s: float) -> None:
        """Deliver what is due, for at most `timeout_s`, and stop; what is left is delivered after the next start."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                self._idle.clear()
                self.wake()
                await self._idle.wait()
        except TimeoutError:
            pass
        tasks = {self._task, *self._lanes}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._task = None
        await self._caller.close()
        try:
            async with self._database.write() as conn:
                await deliveries.release(conn, self._node)
        except (SQLAlchemyError, DatabaseAway):
            pass  # the next start does it, or the leases end

    async def _run(self) -> None:
        released = False
        while True:
            self._wake.clear()
            try:
                if not released:
                    await self.key.signer()  # made at the first start, not at the first delivery
                    async with self._database.write() as conn:
                        await deliveries.release(conn, self._node)
                    released = True
                pause_s = await self._step()
            except (SQLAlchemyError, DatabaseAway) as error:
                log.error("webhooks have to wait for the database: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:
                log.exception("the delivery of webhooks failed, and goes on")
                await asyncio.sleep(RETRY_S)
                continue
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _step(self) -> float:
        """Start what is due; returns after how many seconds to look again, if nothing happens before."""
        now_ms = self._clock()
        await self._tidy(now_ms)
        away = {key for key, receiver in self._receivers.items() if receiver.until_ms > now_ms}
        async with self._database.read() as conn:
            due = await deliveries.due(conn, now_ms, but=away)
            next_ms = await deliveries.next_due(conn, now_ms)
        claims = await self._claim(due, now_ms)
        for claim in claims:
            self._receiver(claim.webhook_id).running += 1
            task = asyncio.get_running_loop().create_task(self._lane(claim), name="webhook-lane")
            self._lanes.add(task)
            task.add_done_callback(self._lanes.discard)
        if not self._lanes:
            self._idle.set()
        moments = [receiver.until_ms for key, receiver in self._receivers.items() if key in away]
        moments += [] if next_ms is None else [next_ms]
        return min([POLL_S, *((moment - now_ms) / 1000 for moment in moments)])

    async def _claim(self, due: list[str], now_ms: int) -> list[Claim]:
        """Take lanes of these webhooks, as many as there is room for."""
        free = self._settings.concurrency - len(self._lanes)
        failing = sum(r.running for r in self._receivers.values() if r.failures)
        wanted: list[tuple[str, int]] = []
        for webhook_id in due:
            receiver = self._receivers.get(webhook_id) or _Receiver()
            # One that was away is asked with one delivery, and all of those have half of the room.
            room = 1 if receiver.failures else self._settings.concurrency_per_webhook
            room = min(room - receiver.running, free)
            if receiver.failures and room > 0:
                room = room if failing < max(1, self._settings.concurrency // 2) else 0
                failing += max(room, 0)
            if room > 0:
                wanted.append((webhook_id, room))
                free -= room
        if not wanted:
            return []
        claims: list[Claim] = []
        lease_ms = self._lease_ms()
        async with self._database.write() as conn:
            for webhook_id, room in wanted:
                claims += await deliveries.claim(
                    conn, self._node, webhook_id, now_ms=now_ms, lease_ms=lease_ms, limit=room
                )
        return claims

    def _lease_ms(self) -> int:
        return round((self._settings.timeout_s + LEASE_BEYOND_TIMEOUT_S) * 1000)

    def _receiver(self, webhook_id: str) -> _Receiver:
        return self._receivers.setdefault(webhook_id, _Receiver())

    async def _lane(self, claim: Claim) -> None:
        """Deliver a lane from its head on, until something fails, nothing is left, or it is the turn of others."""
        try:
            for turn in range(LANE_RUN):
                left = await self._deliver_head(claim, last=turn == LANE_RUN - 1)
                if left is None:
                    break
                claim = left
        except (SQLAlchemyError, DatabaseAway) as error:
            log.error("an attempt cannot be written down, and is repeated: webhook=%s %s", claim.webhook_id, error)
        except Exception:
            log.exception("a webhook's delivery failed, and is repeated: webhook=%s", claim.webhook_id)
        finally:
            receiver = self._receiver(claim.webhook_id)
            receiver.running -= 1
            if not receiver.running and not receiver.failures:
                self._receivers.pop(claim.webhook_id, None)
            self._wake.set()

    async def _deliver_head(self, claim: Claim, *, last: bool) -> Claim | None:
        """Deliver what is next in a lane; returns the lane where it is to be gone on with."""
        async with self._database.read() as conn:
            delivery = await deliveries.head(conn, claim.webhook_id, claim.lane)
        if delivery is None:
            async with self._database.write() as conn:
                if await deliveries.hold(conn, claim, self._node):
                    await deliveries.leave_lane(conn, claim, next_ms=self._clock())
            return None
        at_ms, began_s = self._clock(), time.monotonic()
        outcome = await self._attempt(claim, delivery)
        duration_ms = round((time.monotonic() - began_s) * 1000)
        back = self._learn(claim.webhook_id, outcome, at_ms + duration_ms)
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                left, came = await self._write_down(claim, delivery, outcome, at_ms, duration_ms, last=last, back=back)
                self.tally.add(came)
                self.attempted(claim.webhook_id)
                return left
            except (SQLAlchemyError, DatabaseAway):
                if not tries_left:
                    raise
            await asyncio.sleep(RETRY_S)
        raise AssertionError("the last try returns or raises")

    async def _attempt(self, claim: Claim, delivery: DeliveryRow) -> Outcome:
        payload = completed(delivery.body, self._urls)
        if self._links is not None:
            payload = with_download(payload, self._urls, self._links, self._clock() + self._link_ms)
        body = msgspec.json.encode(payload)
        signature = (await self.key.signer()).sign(body)
        values = {"signature": signature, "uuid": delivery.id, "webhook-id": claim.webhook_id}
        # Receivers of the product's earlier name look for the second set.
        headers = {f"{brand}-{name}": value for brand in ("rtk", "dyte") for name, value in values.items()}
        return await self._caller.post(claim.url, body, headers)

    def _learn(self, webhook_id: str, outcome: Outcome, now_ms: int) -> bool:
        """Draw conclusions about a receiver; returns whether it is back after it was away."""
        receiver = self._receiver(webhook_id)
        if not outcome.away:
            back = receiver.failures > 0
            receiver.failures, receiver.until_ms = 0, 0
            if back:
                log.info("a webhook's receiver is back: webhook=%s", webhook_id)
            return back
        if now_ms >= receiver.until_ms:  # those that failed together count once
            receiver.failures += 1
            receiver.until_ms = now_ms + pause_ms(receiver.failures, self._settings, self._chance())
            if receiver.failures == 1:
                log.warning("a webhook's receiver is away: webhook=%s %s", webhook_id, outcome.error)
        return False

    async def _write_down(
        self,
        claim: Claim,
        delivery: DeliveryRow,
        outcome: Outcome,
        at_ms: int,
        duration_ms: int,
        *,
        last: bool,
        back: bool,
    ) -> tuple[Claim | None, Tally]:
        """Returns the lane where it is to be gone on with, and what is over."""
        now_ms = at_ms + duration_ms
        age_ms = now_ms - max(delivery.queued_ms, self._started_ms)
        state = state_after(outcome, age_ms=age_ms, settings=self._settings)
        async with self._database.write() as conn:
            if not await deliveries.hold(conn, claim, self._node):
                return None, Tally()
            came = Tally(state == "delivered", state == "failed", state != "delivered")
            await deliveries.record_attempt(
                conn,
                delivery,
                at_ms=at_ms,
                duration_ms=duration_ms,
                status_code=outcome.status_code,
                answer=outcome.answer,
                error=outcome.error,
                state=state,
            )
            if back:
                await deliveries.hasten(conn, claim.webhook_id, now_ms)
            if state == "failed":
                log.warning("an event is given up: webhook=%s id=%s %s", claim.webhook_id, delivery.id, outcome.error)
            if state == "failed" and not outcome.refused:
                before_ms = now_ms - round(self._settings.give_up_s * 1000)
                error = f"given up: {outcome.error}"
                came.failed += await deliveries.give_up(
                    conn, claim.webhook_id, queued_before_ms=before_ms, error=error, now_ms=now_ms
                )
            if state != "waiting":
                await self._forget(conn, claim.webhook_id, now_ms)
            if state != "waiting" and not last and await deliveries.head(conn, claim.webhook_id, claim.lane):
                return await deliveries.keep_lane(conn, claim, leased_until_ms=now_ms + self._lease_ms()), came
            pause = 0
            if state == "waiting":
                pause = pause_ms(delivery.attempts + 1, self._settings, self._chance(), outcome.retry_after_s)
            await deliveries.leave_lane(conn, claim, next_ms=now_ms + pause)
        return None, came

    async def _tidy(self, now_ms: int) -> None:
        """Every hour, let the log of every webhook forget what is too old."""
        now_s = time.monotonic()
        if now_s - self._tidied_s < TIDY_S and self._tidied_s:
            return
        self._tidied_s = now_s
        gone_ms = now_ms - round(self._settings.retry_max_s * 2000)
        for key in [key for key, one in self._receivers.items() if not one.running and one.until_ms < gone_ms]:
            del self._receivers[key]  # nothing has been due for it: it was deleted, or another server delivers
        async with self._database.read() as conn:
            old = await deliveries.with_finished_before(conn, self._forgotten_before(now_ms))
        for webhook_id in old:
            async with self._database.write() as conn:
                await self._forget(conn, webhook_id, now_ms)

    async def _forget(self, conn: AsyncConnection, webhook_id: str, now_ms: int) -> None:
        keep, before_ms = self._settings.keep_finished, self._forgotten_before(now_ms)
        await deliveries.forget_finished(conn, webhook_id, keep=keep, before_ms=before_ms)

    def _forgotten_before(self, now_ms: int) -> int:
        return now_ms - round(self._settings.keep_finished_s * 1000)
