"""A control plane without a pipeline as a program: `python -m tests.e2e.webhook_broadcasts DATA URL`; URL "" is SQLite.

Broadcasts of every livestream start and end as fast as the database takes it, and webhooks are told, until it is
killed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from headwater.control import ControlPlane, ControlSettings
from headwater.control.repository.sessions import SessionRow
from headwater.control.webhooks.settings import WebhookSettings
from headwater.events import SessionClosed, SessionOpened, SessionPlayable
from tests.unit.control.support import ADDRESSES, now_ms

SETTINGS = WebhookSettings(allow_networks=("127.0.0.1",), retry_first_s=0.05, retry_max_s=0.3)


async def nothing_recorded(_session: SessionRow) -> None:
    return None


async def main(data: Path, url: str | None, keys: list[str], over: bool) -> None:
    plane = await ControlPlane.open(ControlSettings(data, database_url=url), webhooks=SETTINGS)
    await plane.recover(nothing_recorded)
    await plane.announce(ADDRESSES)
    plane.webhooks.start()
    print("ready", flush=True)
    number = 0
    while not over:
        for livestream_id in keys:
            number += 1
            session_id = f"{now_ms()}-{number}-{random.randrange(10**6)}"
            plane.listen(SessionOpened(livestream_id, session_id, now_ms(), "test", "192.0.2.1:1"))
            plane.listen(SessionPlayable(livestream_id, session_id, now_ms()))
            if random.random() < 0.3:
                await asyncio.sleep(0.002)
            error = "ERR_GOP_OUT_OF_RANGE: too long" if random.random() < 0.2 else None
            plane.listen(SessionClosed(livestream_id, session_id, now_ms(), 0.1, 0.0, error, None))
        await plane.settle()
        await asyncio.sleep(0.01)
    await asyncio.sleep(3600)  # only what is left is told


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[4:], sys.argv[3] == "over"))
