"""Who may come into a meeting: the control plane's answer to the rooms.

Rooms ask at every request, so answers are looked up in batches and remembered for a moment (`lookup.py`), and forgotten
when the API changes something in this process. They can be `lookup.TTL_S` old where another process changed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from headwater.control import participant_tokens
from headwater.control.database import Database
from headwater.control.lookup import Lookup
from headwater.control.participant_tokens import Claims, TokenKey
from headwater.control.presets import permissions_of
from headwater.control.repository import participants
from headwater.control.repository.participants import Visitor
from headwater.rooms import Admission, AdmissionRefused

KEEP_ALIVE_DEFAULT_S = 60.0
"""The product's `session_keep_alive_time_in_secs` where a meeting says nothing."""


class Doorkeeper:
    """Reads participants' tokens; a `headwater.rooms.Doorkeeper`."""

    def __init__(
        self,
        database: Database,
        key: TokenKey,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._database = database
        self._key = key
        self._wall_ms = wall_ms
        self._visitors: Lookup[Visitor] = Lookup(self._load, clock=clock)

    def forget(self) -> None:
        """Something has changed: look again."""
        self._visitors.forget()

    async def admit(self, token: str, meeting_id: str) -> Admission:
        """Decide whether the holder of a participant token may come into a meeting now.

        Raises:
            AdmissionRefused: with the reason; it tells nothing of meetings that the token is not for.
            SQLAlchemyError, DatabaseAway: the database cannot be used.
        """
        claims = participant_tokens.read(await self._key.get(), token, self._wall_ms())
        if claims.meeting_id != meeting_id:
            raise AdmissionRefused(403, "ERR_OTHER_MEETING", "The participant token is for another meeting")
        visitor = await self._visitors.get(claims.participant_id)
        if visitor is None or visitor.meeting_id != meeting_id or visitor.app_id != claims.app_id:
            raise AdmissionRefused(
                401, "ERR_PARTICIPANT_REMOVED", "The participant was removed from the meeting; add it again by the API"
            )
        if visitor.token_serial != claims.serial:
            raise AdmissionRefused(401, "ERR_TOKEN_INVALID", "The participant token was replaced by a newer one")
        if visitor.status != "ACTIVE":
            raise AdmissionRefused(
                403, "ERR_MEETING_INACTIVE", "The meeting is inactive; set its status to ACTIVE by the API"
            )
        return _admission(visitor, claims)

    async def _load(self, participant_ids: Sequence[str]) -> Mapping[str, Visitor]:
        async with self._database.read() as conn:
            return await participants.visitors(conn, participant_ids)


def _admission(visitor: Visitor, claims: Claims) -> Admission:
    keep_alive_s = msgspec.json.decode(visitor.meeting_settings).get("session_keep_alive_time_in_secs")
    return Admission(
        app_id=visitor.app_id,
        meeting_id=visitor.meeting_id,
        title=visitor.title or "",
        participant_id=visitor.id,
        custom_participant_id=visitor.custom_participant_id,
        name=visitor.name or "",
        picture=visitor.picture,
        preset=visitor.preset_name,
        permissions=permissions_of(visitor.definition),
        keep_alive_s=float(keep_alive_s or KEEP_ALIVE_DEFAULT_S),
        expires_ms=claims.expires_ms,
    )
