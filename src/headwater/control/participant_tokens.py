"""Participants' tokens: a JSON Web Token (RFC 7519) that lets its holder into one meeting as one participant.

    {"orgId": app, "meetingId": ..., "participantId": ..., "presetId": ..., "serial": 1, "iat": ..., "exp": ...}

The claims have the product's names, because its clients read them. The signature is HMAC-SHA256 by a key in the
database that all servers share. What a participant may do is not in the token: the door asks the database, so a
changed preset holds from the next request on. A token is shown once, when it is made, and neither stored nor logged.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Final

import jwt
from sqlalchemy import select

from headwater.control.database import Database
from headwater.control.repository.participants import ParticipantRow
from headwater.control.tables import signing_keys
from headwater.rooms import AdmissionRefused

ALGORITHM: Final = "HS256"
KEY_NAME: Final = "participants"
KEY_SIZE: Final = 32
"""Bytes; as much as the hash has (RFC 7518, 3.2)."""

TOKEN_LENGTH_LIMIT: Final = 1024
"""Characters of a token that are looked at; ours have some 360."""

_CLAIMS: Final = ("orgId", "meetingId", "participantId", "serial", "exp")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says that we have signed, and that has not expired."""

    app_id: str
    meeting_id: str
    participant_id: str
    serial: int
    expires_ms: int


def sign(key: str, participant: ParticipantRow, now_ms: int, valid_ms: int) -> str:
    """A token for a participant, valid for `valid_ms` from `now_ms` on, rounded down to a second."""
    claims = {
        "orgId": participant.app_id,
        "meetingId": participant.meeting_id,
        "participantId": participant.id,
        "presetId": participant.preset_id,
        "serial": participant.token_serial,
        "iat": now_ms // 1000,
        "exp": (now_ms + valid_ms) // 1000,
    }
    return jwt.encode(claims, key, ALGORITHM)


def read(key: str, token: str, now_ms: int) -> Claims:
    """What a stranger's token says.

    Raises:
        AdmissionRefused: `ERR_TOKEN_INVALID` or `ERR_TOKEN_EXPIRED`.
    """
    if len(token) > TOKEN_LENGTH_LIMIT:
        raise _invalid()
    try:
        # The time is ours to look at: it is an argument.
        options: jwt.types.Options = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False}
        found = jwt.decode(token, key, [ALGORITHM], options=options)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise _invalid() from error
    # Whatever is in it, we have put there.
    claims = Claims(
        found["orgId"], found["meetingId"], found["participantId"], found["serial"], int(found["exp"]) * 1000
    )
    if claims.expires_ms <= now_ms:
        raise AdmissionRefused(401, "ERR_TOKEN_EXPIRED", "The participant token has expired; refresh it by the API")
    return claims


def _invalid() -> AdmissionRefused:
    return AdmissionRefused(401, "ERR_TOKEN_INVALID", "The participant token is not valid")


class TokenKey:
    """The key in hexadecimal, read or made at the first need."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: str | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        """The key.

        Raises:
            SQLAlchemyError, DatabaseAway: the database cannot be used.
        """
        async with self._lock:
            if self._secret is None:
                self._secret = await self._read() or await self._make()
            return self._secret

    async def _read(self) -> str | None:
        async with self._database.read() as conn:
            secret: str | None = (await conn.execute(_QUERY)).scalar_one_or_none()
        return secret

    async def _make(self) -> str:
        made = secrets.token_hex(KEY_SIZE)
        async with self._database.write() as conn:
            if not self._database.is_sqlite:  # of two servers that start on one new database, one makes the key
                await conn.exec_driver_sql("LOCK TABLE signing_keys IN EXCLUSIVE MODE")
            there: str | None = (await conn.execute(_QUERY)).scalar_one_or_none()
            if there is not None:
                return there
            now_ms = time.time_ns() // 1_000_000
            await conn.execute(signing_keys.insert().values(name=KEY_NAME, secret=made, created_ms=now_ms))
        return made


_QUERY = select(signing_keys.c.secret).where(signing_keys.c.name == KEY_NAME)
