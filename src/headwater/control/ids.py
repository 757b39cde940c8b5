"""Identifiers and secrets: how they are made, and how they are compared.

A stream key (256 random bits) lets its holder publish; a playback id (128 bits) lets its holder watch; an API token
(256 bits) lets its holder act. Random keys of this size need no salt and no slow hash: SHA-256 is enough.

Stream keys are stored readable, because the API has to show them to their owner again (`stream_key` in every answer of
the contract). What protects them is the mode of the data folder (0700) and of the database file (0600), and that
tokens without the admin permission never see them. Tokens are shown once and stored as hashes only.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid

STREAM_KEY_LENGTH = 64
PLAYBACK_ID_LENGTH = 32
TOKEN_PREFIX = "hw_"  # lets secret scanners recognise a leaked token; not a secret itself


def new_account_id() -> str:
    return secrets.token_hex(16)


def new_uuid() -> str:
    return str(uuid.uuid4())


def new_stream_key() -> str:
    return secrets.token_hex(32)


def new_playback_id() -> str:
    return secrets.token_hex(16)


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """SHA-256 in hexadecimal: what tokens and stream keys are looked up by.

    The lookup leaks at most how much of a *hash* matches, which tells nothing of the secret.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same_secret(left: str, right: str) -> bool:
    """Compare in a time that does not depend on where they differ."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
