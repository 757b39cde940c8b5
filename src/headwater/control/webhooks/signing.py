"""The key that webhooks are signed with: RSA, 2048 bits, made once, in the database that all servers share.

A receiver fetches the public key from `/.well-known/webhooks.json` and verifies RSASSA-PKCS1-v1_5 with SHA-256
(RFC 8017, 8.2) over the raw body. The private key lies where stream keys lie, behind the same file mode.
"""

from __future__ import annotations

import asyncio
import base64
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sqlalchemy import select

from headwater.control.database import Database
from headwater.control.tables import webhook_key

KEY_BITS = 2048
"""What every library verifies; it signs in a millisecond."""


class Signer:
    """Signs bodies.

    Attributes:
        public_pem: SubjectPublicKeyInfo in PEM, as receivers want it.
    """

    def __init__(self, private_pem: str) -> None:
        key = serialization.load_pem_private_key(private_pem.encode(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public_pem = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def sign(self, body: bytes) -> str:
        """The signature of a body in base64."""
        return base64.b64encode(self._key.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()


class Key:
    """The database's signing key, read or made at the first need."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._signer: Signer | None = None
        self._lock = asyncio.Lock()

    async def signer(self) -> Signer:
        """The signer.

        Raises:
            SQLAlchemyError, DatabaseAway: the database cannot be used.
        """
        async with self._lock:
            if self._signer is None:
                self._signer = Signer(await self._read() or await self._make())
            return self._signer

    async def _read(self) -> str | None:
        async with self._database.read() as conn:
            pem: str | None = (await conn.execute(select(webhook_key.c.private_pem))).scalar_one_or_none()
        return pem

    async def _make(self) -> str:
        pem = await asyncio.to_thread(_new_pem)
        async with self._database.write() as conn:
            if not self._database.is_sqlite:  # of two servers that start on one new database, one makes the key
                await conn.exec_driver_sql("LOCK TABLE webhook_key IN EXCLUSIVE MODE")
            there: str | None = (await conn.execute(select(webhook_key.c.private_pem))).scalar_one_or_none()
            if there is not None:
                return there
            now_ms = time.time_ns() // 1_000_000
            await conn.execute(webhook_key.insert().values(id=1, private_pem=pem, created_ms=now_ms))
        return pem


def _new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
