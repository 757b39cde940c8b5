"""How media arrived in a session: samples of every second, kept for some weeks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.tables import session_health
from headwater.health import HealthSample

KEPT_MS = 30 * 86_400_000
"""How long samples are kept: 30 days, some 3 MB a day of a livestream that never ends."""

_FORGET_EVERY_MS = 3_600_000

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[HealthSample])
_c = session_health.c


async def append(conn: AsyncConnection, session_id: str, samples: Sequence[HealthSample]) -> None:
    """Add samples that follow one another; the same ones again change nothing. Once an hour the old ones go."""
    first_ms = samples[0].at_ms
    there = select(_c.first_ms).where(_c.session_id == session_id).order_by(_c.first_ms.desc()).limit(1)
    newest = (await conn.execute(there)).scalar_one_or_none()
    if newest is not None and newest >= first_ms:
        return
    values = {"session_id": session_id, "first_ms": first_ms, "samples": _encoder.encode(samples)}
    await conn.execute(session_health.insert().values(**values))
    if newest is None or newest // _FORGET_EVERY_MS != first_ms // _FORGET_EVERY_MS:
        await conn.execute(delete(session_health).where(_c.first_ms < first_ms - KEPT_MS))


async def samples_of(conn: AsyncConnection, session_id: str, from_ms: int, to_ms: int) -> list[HealthSample]:
    """The samples of a time range, in order."""
    query = select(_c.samples).where(_c.session_id == session_id, _c.first_ms < to_ms).order_by(_c.first_ms)
    newest_before = select(_c.first_ms).where(_c.session_id == session_id, _c.first_ms <= from_ms)
    begin = (await conn.execute(newest_before.order_by(_c.first_ms.desc()).limit(1))).scalar_one_or_none()
    if begin is not None:
        query = query.where(_c.first_ms >= begin)
    rows = (await conn.execute(query)).scalars().all()
    return await asyncio.to_thread(_samples, rows, from_ms, to_ms)


def _samples(rows: Sequence[bytes], from_ms: int, to_ms: int) -> list[HealthSample]:
    """Of a week, it takes a quarter of a second: in a thread."""
    return [sample for row in rows for sample in _decoder.decode(row) if from_ms <= sample.at_ms < to_ms]
