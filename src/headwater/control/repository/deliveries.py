"""The outbox of webhooks: what waits, lane by lane, and the log of what was tried.

    add() ──► waiting ──2xx──► delivered ─┐
                 ▲ │                      ├─ requeue() ──► waiting, in a lane of its own
                 │ └──refused, too old──► failed
                 └── retry: the lane's next_ms

A lane's row is there exactly while deliveries of it wait. Who adds and who finishes lock that row first, so that
neither misses the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_uuid
from headwater.control.repository.rows import columns_of, many, one, page
from headwater.control.tables import webhook_attempts, webhook_deliveries, webhook_lanes, webhooks

State = Literal["waiting", "delivered", "failed"]

ATTEMPTS_KEPT: Final = 50
"""Attempts of one delivery in the log: a day's retries are some forty."""

AGAIN: Final = ":again"
"""Ends the name of the lane for what is delivered again by hand."""

TOO_MANY: Final = "too many events were waiting for this webhook"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """An event for one webhook; `body` is the payload as it was stored."""

    seq: int
    id: str
    webhook_id: str
    lane: str
    event: str
    body: str
    state: str
    attempts: int
    status_code: int | None
    error: str | None
    created_ms: int
    queued_ms: int
    finished_ms: int | None

    @property
    def about(self) -> str:
        """The livestream or meeting that it tells of."""
        return self.lane.removesuffix(AGAIN)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    id: int
    at_ms: int
    duration_ms: int
    status_code: int | None
    answer: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane that this server may deliver until `leased_until_ms`."""

    webhook_id: str
    lane: str
    url: str
    leased_until_ms: int


_DELIVERY = columns_of(webhook_deliveries, DeliveryRow)
_ATTEMPT = columns_of(webhook_attempts, AttemptRow)
_d = webhook_deliveries.c
_l = webhook_lanes.c
_a = webhook_attempts.c


async def add(
    conn: AsyncConnection, webhook_id: str, lane: str, *, event: str, body: str, now_ms: int, limit: int
) -> str:
    """Queue an event for a webhook, whose deletion is held off by the caller; returns the delivery's id."""
    await _open_lane(conn, webhook_id, lane, now_ms)
    full = await _waiting(conn, webhook_id, limit)
    delivery_id = new_uuid()
    await conn.execute(
        webhook_deliveries.insert().values(
            id=delivery_id,
            webhook_id=webhook_id,
            lane=lane,
            event=event,
            body=body,
            state="failed" if full else "waiting",
            attempts=0,
            error=TOO_MANY if full else None,
            created_ms=now_ms,
            queued_ms=now_ms,
            finished_ms=now_ms if full else None,
        )
    )
    return delivery_id


async def _open_lane(conn: AsyncConnection, webhook_id: str, lane: str, now_ms: int) -> None:
    """Have the lane's row, and its lock; a lane that is there keeps its times."""
    insert = sqlite_insert if conn.dialect.name == "sqlite" else postgresql_insert
    statement = insert(webhook_lanes).values(
        webhook_id=webhook_id, lane=lane, next_ms=now_ms, leased_until_ms=0, node=""
    )
    keys = [webhook_lanes.c.webhook_id, webhook_lanes.c.lane]
    await conn.execute(statement.on_conflict_do_update(index_elements=keys, set_={"next_ms": _l.next_ms}))


async def _waiting(conn: AsyncConnection, webhook_id: str, limit: int) -> bool:
    """Whether at least `limit` deliveries wait for a webhook."""
    match = (_d.webhook_id == webhook_id, _d.state == "waiting")
    beyond = select(_d.seq).where(*match).order_by(_d.lane, _d.seq).offset(limit - 1).limit(1)
    return (await conn.execute(beyond)).first() is not None


async def outstanding(conn: AsyncConnection) -> tuple[int, int | None]:
    """How many deliveries wait, for all webhooks that are enabled; and since when the oldest does, wall-clock ms."""
    waiting = select(_d.seq).join(webhooks, webhooks.c.id == _d.webhook_id)
    waiting = waiting.where(_d.state == "waiting", webhooks.c.enabled.is_(True))
    number, oldest = (await conn.execute(waiting.with_only_columns(func.count(), func.min(_d.seq)))).one()
    if oldest is None:
        return 0, None
    since_ms = (await conn.execute(select(_d.created_ms).where(_d.seq == oldest))).scalar_one_or_none()
    return int(number), since_ms


def _due(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return _l.next_ms <= now_ms, _l.leased_until_ms <= now_ms, webhooks.c.enabled.is_(True)


async def due(conn: AsyncConnection, now_ms: int, *, but: Collection[str] = ()) -> list[str]:
    """The enabled webhooks that have lanes to deliver, but for some, the one that waited longest first."""
    query = select(_l.webhook_id).join(webhooks, webhooks.c.id == _l.webhook_id).where(*_due(now_ms))
    if but:
        query = query.where(_l.webhook_id.not_in(but))
    query = query.group_by(_l.webhook_id).order_by(func.min(_l.next_ms), _l.webhook_id)
    return list((await conn.execute(query)).scalars())


async def next_due(conn: AsyncConnection, now_ms: int) -> int | None:
    """When the next lane that is not due yet becomes due, wall-clock ms; leases of others are not looked at."""
    query = select(_l.next_ms).join(webhooks, webhooks.c.id == _l.webhook_id).where(webhooks.c.enabled.is_(True))
    found: int | None = (
        await conn.execute(query.where(_l.next_ms > now_ms).order_by(_l.next_ms).limit(1))
    ).scalar_one_or_none()
    return found


async def claim(
    conn: AsyncConnection, node: str, webhook_id: str, *, now_ms: int, lease_ms: int, limit: int
) -> list[Claim]:
    """Take lanes of a webhook that are due, those that waited longest first."""
    query = select(_l.webhook_id, _l.lane, webhooks.c.url).join(webhooks, webhooks.c.id == _l.webhook_id)
    query = query.where(_l.webhook_id == webhook_id, *_due(now_ms)).order_by(_l.next_ms, _l.lane).limit(limit)
    found = (await conn.execute(query.with_for_update(of=webhook_lanes, skip_locked=True))).all()
    if not found:
        return []
    until = now_ms + lease_ms
    mine = (_l.webhook_id == webhook_id, _l.lane.in_([row.lane for row in found]))
    await conn.execute(webhook_lanes.update().where(*mine).values(leased_until_ms=until, node=node))
    return [Claim(row.webhook_id, row.lane, row.url, until) for row in found]


async def head(conn: AsyncConnection, webhook_id: str, lane: str) -> DeliveryRow | None:
    """What a lane has to deliver next."""
    query = select(*_DELIVERY).where(_d.webhook_id == webhook_id, _d.lane == lane, _d.state == "waiting")
    return one(DeliveryRow, (await conn.execute(query.order_by(_d.seq).limit(1))).one_or_none())


async def hold(conn: AsyncConnection, claimed: Claim, node: str) -> bool:
    """Lock a claimed lane; False where it is no longer ours, e.g. because its webhook was deleted."""
    query = select(_l.leased_until_ms, _l.node).where(_l.webhook_id == claimed.webhook_id, _l.lane == claimed.lane)
    row = (await conn.execute(query.with_for_update())).one_or_none()
    return row is not None and (row.leased_until_ms, row.node) == (claimed.leased_until_ms, node)


async def record_attempt(
    conn: AsyncConnection,
    delivery: DeliveryRow,
    *,
    at_ms: int,
    duration_ms: int,
    status_code: int | None,
    answer: str,
    error: str | None,
    state: State,
) -> None:
    """Write down an attempt and what the delivery is afterwards; the caller holds the lane."""
    done_ms = at_ms + duration_ms
    await conn.execute(
        webhook_attempts.insert().values(
            delivery_seq=delivery.seq,
            at_ms=at_ms,
            duration_ms=duration_ms,
            status_code=status_code,
            answer=answer,
            error=error,
        )
    )
    match = (_a.delivery_seq == delivery.seq,)
    oldest = select(_a.id).where(*match).order_by(_a.id.desc()).offset(ATTEMPTS_KEPT - 1).limit(1).scalar_subquery()
    await conn.execute(delete(webhook_attempts).where(*match, _a.id < oldest))
    values: dict[str, Any] = {"attempts": delivery.attempts + 1, "status_code": status_code, "error": error}
    values |= {"state": state, "finished_ms": None if state == "waiting" else done_ms}
    await conn.execute(webhook_deliveries.update().where(_d.seq == delivery.seq).values(**values))


async def keep_lane(conn: AsyncConnection, claimed: Claim, *, leased_until_ms: int) -> Claim:
    """Go on with a lane; the caller holds it."""
    await conn.execute(webhook_lanes.update().where(*_is(claimed)).values(leased_until_ms=leased_until_ms))
    return replace(claimed, leased_until_ms=leased_until_ms)


async def leave_lane(conn: AsyncConnection, claimed: Claim, *, next_ms: int) -> None:
    """Give a lane back until `next_ms`, or for good where nothing waits in it; the caller holds it."""
    if await head(conn, claimed.webhook_id, claimed.lane) is None:
        await conn.execute(delete(webhook_lanes).where(*_is(claimed)))
    else:
        values = {"next_ms": next_ms, "leased_until_ms": 0, "node": ""}
        await conn.execute(webhook_lanes.update().where(*_is(claimed)).values(**values))


def _is(claimed: Claim) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _l.webhook_id == claimed.webhook_id, _l.lane == claimed.lane


async def release(conn: AsyncConnection, node: str) -> None:
    """Give back all lanes that this server had, at its end and after a crash."""
    await conn.execute(webhook_lanes.update().where(_l.node == node).values(leased_until_ms=0, node=""))


async def hasten(conn: AsyncConnection, webhook_id: str, now_ms: int) -> None:
    """Let nothing of a webhook wait for its next attempt."""
    match = (_l.webhook_id == webhook_id, _l.next_ms > now_ms)
    await conn.execute(webhook_lanes.update().where(*match).values(next_ms=now_ms))


async def renew(conn: AsyncConnection, webhook_id: str, now_ms: int) -> None:
    """Let the time in which deliveries are tried begin now: the webhook was disabled, or leads elsewhere."""
    match = (_d.webhook_id == webhook_id, _d.state == "waiting")
    await conn.execute(webhook_deliveries.update().where(*match).values(queued_ms=now_ms))
    await hasten(conn, webhook_id, now_ms)


async def give_up(conn: AsyncConnection, webhook_id: str, *, queued_before_ms: int, error: str, now_ms: int) -> int:
    """Let fail what has waited too long for a webhook; lanes that are empty then go when they are next looked at.

    Returns:
        How many those are.
    """
    match = (_d.webhook_id == webhook_id, _d.state == "waiting", _d.queued_ms < queued_before_ms)
    values = {"state": "failed", "error": error, "finished_ms": now_ms}
    return (await conn.execute(webhook_deliveries.update().where(*match).values(**values))).rowcount


async def requeue(conn: AsyncConnection, delivery: DeliveryRow, now_ms: int) -> None:
    """Deliver again.

    What waits is hastened. What was delivered or given up goes into a lane of its own: its place in the order has
    passed, and newer events must not wait for it.
    """
    lane = delivery.lane
    if delivery.state != "waiting":
        lane = delivery.about + AGAIN
        await _open_lane(conn, delivery.webhook_id, lane, now_ms)
        values: dict[str, Any] = {"state": "waiting", "lane": lane, "attempts": 0, "queued_ms": now_ms}
        await conn.execute(
            webhook_deliveries.update().where(_d.seq == delivery.seq).values(**values, finished_ms=None, error=None)
        )
    match = (_l.webhook_id == delivery.webhook_id, _l.lane == lane)
    await conn.execute(webhook_lanes.update().where(*match).values(next_ms=now_ms))


async def get(
    conn: AsyncConnection, webhook_id: str, delivery_id: str, *, lock: bool = False
) -> tuple[DeliveryRow, int | None] | None:
    """A delivery, and when its lane is next tried, if it waits."""
    query = select(*_DELIVERY, _NEXT).where(_d.webhook_id == webhook_id, _d.id == delivery_id)
    row = (await conn.execute(query.with_for_update(of=webhook_deliveries) if lock else query)).one_or_none()
    return None if row is None else _with_next(*row)


_NEXT = (
    select(_l.next_ms)
    .where(_l.webhook_id == _d.webhook_id, _l.lane == _d.lane, _d.state == "waiting")
    .scalar_subquery()
    .label("next_ms")
)


def _with_next(*row: Any) -> tuple[DeliveryRow, int | None]:
    return DeliveryRow(*row[:-1]), row[-1]


async def list_page(
    conn: AsyncConnection, webhook_id: str, *, state: State | None, offset: int, limit: int
) -> tuple[list[tuple[DeliveryRow, int | None]], int]:
    """A page of a webhook's deliveries, the newest first, each with its next attempt; and how many there are."""
    query = select(*_DELIVERY, _NEXT).where(_d.webhook_id == webhook_id).order_by(_d.seq.desc())
    if state is not None:
        query = query.where(_d.state == state)
    return await page(conn, _with_next, query, offset, limit)


async def attempts(conn: AsyncConnection, delivery_seq: int) -> list[AttemptRow]:
    """The attempts of a delivery that the log has, the oldest first."""
    query = select(*_ATTEMPT).where(_a.delivery_seq == delivery_seq).order_by(_a.id)
    return many(AttemptRow, (await conn.execute(query)).all())


async def forget_finished(conn: AsyncConnection, webhook_id: str, *, keep: int, before_ms: int) -> None:
    """Let what has succeeded or failed leave the log: beyond the newest `keep` of each, or finished before a time."""
    for state in ("delivered", "failed"):
        match = (_d.webhook_id == webhook_id, _d.state == state)
        kept = select(_d.seq).where(*match).order_by(_d.seq.desc()).offset(keep - 1).limit(1).scalar_subquery()
        await conn.execute(delete(webhook_deliveries).where(*match, (_d.seq < kept) | (_d.finished_ms < before_ms)))


async def with_finished_before(conn: AsyncConnection, before_ms: int) -> list[str]:
    """Webhooks that have deliveries older than the log keeps."""
    old = exists().where(_d.webhook_id == webhooks.c.id, _d.state != "waiting", _d.finished_ms < before_ms)
    return list((await conn.execute(select(webhooks.c.id).where(old))).scalars())
