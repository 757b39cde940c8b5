"""A dispatcher over a real database, whose receivers are functions and whose clock the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from headwater.control import ControlSettings
from headwater.control.database import Database
from headwater.control.downloads import Links
from headwater.control.repository import accounts, livestreams, webhooks
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.webhooks import WebhookRow
from headwater.control.urls import Urls
from headwater.control.webhooks import names, outbox
from headwater.control.webhooks.attempt import Caller
from headwater.control.webhooks.backoff import Outcome
from headwater.control.webhooks.dispatcher import Dispatcher
from headwater.control.webhooks.settings import WebhookSettings
from headwater.outbound import Outbound
from tests.unit.control.support import now_ms

OK = Outcome(200)
DOWN = Outcome(None, error="no connection: refused")
BROKEN = Outcome(500, error="the receiver answered 500")
GONE = Outcome(410, error="the receiver answered 410")


@dataclass
class Received:
    url: str
    status: str
    about: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receivers(Caller):
    """What is behind URLs: each answers as the test says; unknown ones answer 200.

    Attributes:
        hold: URLs whose answer waits until the test lets go.
    """

    answers: dict[str, Callable[[Received], Outcome]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(Outbound(), 1.0)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        payload = msgspec.json.decode(body)
        received = Received(url, payload.get("status", ""), payload.get("streamId", ""), headers, body)
        self.running[url] = self.running.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self.running[url])
        self.changed.set()
        try:
            if url in self.hold:
                await self.hold[url].wait()
            self.received.append(received)
            return self.answers.get(url, lambda _: OK)(received)
        finally:
            self.running[url] -= 1
            self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def at(self, url: str, about: str | None = None) -> list[str]:
        """Statuses that a URL was told, in order."""
        return [one.status for one in self.received if one.url == url and about in (None, one.about)]


class Clock:
    def __init__(self) -> None:
        self.now_ms = now_ms()

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class World:
    """An app with livestreams and webhooks."""

    database: Database
    app_id: str
    receivers: Receivers
    clock: Clock
    dispatcher: Dispatcher
    urls: Urls

    async def webhook(self, url: str, *, events: tuple[str, ...] = names.SENT, enabled: bool = True) -> WebhookRow:
        async with self.database.write() as conn:
            return await webhooks.create(
                conn, self.app_id, name=url, url=url, events=events, enabled=enabled, now_ms=self.clock()
            )

    async def livestream(self) -> LivestreamRow:
        async with self.database.write() as conn:
            return await livestreams.create(conn, self.app_id, name="x", now_ms=self.clock())

    async def tell(self, livestream: LivestreamRow, *statuses: str) -> None:
        for status in statuses:
            async with self.database.write() as conn:
                row = await livestreams.find_any(conn, livestream.id)
                assert row is not None
                await outbox.livestream_status(conn, row, status, self.clock())
        self.dispatcher.wake()

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock; attempts themselves take a few milliseconds too, which are never in the way."""
        self.clock.now_ms += round(seconds * 1000)
        self.dispatcher.wake()

    async def settled(self) -> None:
        """Until nothing is due and nothing runs."""
        for _ in range(2):  # the first may be the end of a look at the database that began before
            self.dispatcher._idle.clear()
            self.dispatcher.wake()
            async with asyncio.timeout(20):
                await self.dispatcher._idle.wait()


async def make_world(database: Database, node: str = "node", **settings: Any) -> World:
    clock = Clock()
    async with database.write() as conn:
        account = await accounts.create_account(conn, "a", clock())
        app = await accounts.create_app(conn, account, "a", clock())
    return new_node(database, app.id, node, clock, **settings)


def new_node(
    database: Database,
    app_id: str,
    node: str,
    clock: Clock,
    *,
    links: Links | None = None,
    link_ms: int = 0,
    **settings: Any,
) -> World:
    """Another server on the same database."""
    receivers = Receivers()
    urls = Urls(ControlSettings(Path(), public_url="https://live.example"))
    dispatcher = Dispatcher(
        database,
        node,
        urls,
        WebhookSettings(**settings),
        links=links,
        link_ms=link_ms,
        caller=receivers,
        clock=clock,
        chance=lambda: 0.0,
    )
    return World(database, app_id, receivers, clock, dispatcher, urls)
