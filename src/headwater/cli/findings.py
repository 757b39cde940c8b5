"""What `headwater doctor` says about TLS files and the database: what is wrong, and what to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509

EXPIRES_SOON_DAYS = 14
DATABASE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        status: `ok`, `warning` (works, with a limit) or `problem`.
        advice: What to do; empty where all is well.
    """

    check: str
    status: str
    detail: str
    advice: str = ""


def tls(certificate: Path, key: Path) -> Finding:
    """Whether encoders and viewers can be served with these PEM files."""
    import ssl

    try:
        leaf = _certificate(certificate)
        _fitting_key(key, leaf)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except _Unusable as error:
        return Finding("TLS", "problem", str(error), error.advice)
    except OSError as error:
        return Finding("TLS", "problem", f"{certificate}, {key}: {error}", "give PEM files that belong together")
    return _validity(certificate, leaf)


class _Unusable(Exception):
    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.advice = advice


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        advice = f"set server.{setting} to a PEM file that this user can read"
        raise _Unusable(f"{path} cannot be read: {error.strerror}", advice) from None


def _certificate(path: Path) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(_read(path, "tls_cert"))
    except ValueError:
        raise _Unusable(f"{path} holds no PEM certificate", "set server.tls_cert to the certificate's file") from None


def _fitting_key(path: Path, leaf: x509.Certificate) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        public = load_pem_private_key(_read(path, "tls_key"), None).public_key()
    except TypeError:
        raise _Unusable(f"{path} is encrypted", "store the key without a password: openssl pkey -in FILE") from None
    except ValueError:
        raise _Unusable(f"{path} holds no PEM private key", "set server.tls_key to the key's file") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        advice = (
            "server.tls_cert begins with the server's own certificate, and server.tls_key is the key it was made for"
        )
        raise _Unusable(f"the key {path} does not belong to the certificate", advice)


def _validity(path: Path, leaf: x509.Certificate) -> Finding:
    now, begins, expires = datetime.now(UTC), leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > expires:
        return Finding("TLS", "problem", f"{path} expired on {expires:%Y-%m-%d}", "renew the certificate, then restart")
    if now < begins:
        detail = f"{path} is valid from {begins:%Y-%m-%d} only"
        return Finding("TLS", "problem", detail, "is the clock right? Else wait, or have it issued again")
    detail = f"{path} is valid until {expires:%Y-%m-%d}"
    days = (expires - now).days
    if days < EXPIRES_SOON_DAYS:
        return Finding("TLS", "warning", detail, f"it expires in {days} days: renew it, then restart")
    return Finding("TLS", "ok", detail)


def database(url: str | None) -> Finding:
    """Whether the database answers; nothing is created or changed."""
    if url is None:
        return Finding("database", "ok", "SQLite in the data folder")
    if not url.startswith("postgresql"):
        return Finding("database", "ok", "SQLite")
    try:
        asyncio.run(_ask(url))
    except Exception as error:
        detail, advice = _reason(error)
        return Finding("database", "problem", detail.replace(url, "(the URL)"), advice)
    return Finding("database", "ok", "PostgreSQL answers")


async def _ask(url: str) -> None:
    connection = await _asyncpg().connect("postgresql" + url[url.index(":") :], timeout=DATABASE_TIMEOUT_S)
    try:
        await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


def _asyncpg() -> Any:
    return import_module("asyncpg")  # it has no type hints


def _reason(error: Exception) -> tuple[str, str]:
    """What went wrong, and what to do."""
    asyncpg = _asyncpg()
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):  # a wrong password is one, too
        return f"PostgreSQL refuses the login: {error}", "mend user and password in server.database_url"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"PostgreSQL answers, but {error}", "create it (createdb NAME), or mend server.database_url"
    if isinstance(error, TimeoutError):
        detail = f"PostgreSQL does not answer within {DATABASE_TIMEOUT_S:g} s"
        return detail, "is the host of server.database_url right, and does a firewall let this machine through?"
    if isinstance(error, OSError):
        advice = "start PostgreSQL, or mend host and port in server.database_url"
        return f"PostgreSQL cannot be reached: {error.strerror or error}", advice
    return f"{type(error).__name__}: {error}", "mend server.database_url"
