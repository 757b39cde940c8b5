"""The first start: one account, one app, one admin token, written down for whoever installed the server."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.database import Database
from headwater.control.ids import new_account_id, new_token, new_uuid
from headwater.control.repository import accounts, tokens
from headwater.control.tables import accounts as accounts_table
from headwater.errors import OperatorError

FILE_NAME = "credentials.json"
_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}").fullmatch
_APP_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}").fullmatch
NODE_FILE_NAME = "node-id"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller needs for the API; `credentials.json` in the data folder."""

    account_id: str
    app_id: str
    api_token: str = field(repr=False)
    base_url: str


async def first_start(database: Database, data_dir: Path, base_url: str, now_ms: int) -> Credentials | None:
    """Make the first account if there is none, and bring `credentials.json` up to date.

    An existing file keeps what it holds: only its `base_url` is refreshed, and a database without any account takes
    the account, app and token of the file (the file is written before the database commits, so a crash in between is
    mended by the next start; and an operator can choose them beforehand). Where the database has accounts and the file
    is missing, it stays so: it may have been removed on purpose, and a token cannot be told from its hash.

    Returns:
        The credentials, or None where they are not known.

    Raises:
        OperatorError: the file cannot be read or written.
    """
    path = data_dir / FILE_NAME
    try:
        async with database.write() as conn:
            if not database.is_sqlite:  # of two that start on one new database, the second must find the account
                await conn.exec_driver_sql("LOCK TABLE accounts IN EXCLUSIVE MODE")
            known = _read(path)
            if known is not None and known.base_url != base_url:
                known = replace(known, base_url=base_url)
                _write(path, known)
            if (await conn.execute(select(accounts_table.c.id).limit(1))).first() is None:
                if known is None:
                    known = Credentials(new_account_id(), new_uuid(), new_token(), base_url)
                    _write(path, known)
                await _create(conn, known, now_ms)
    except OSError as error:
        raise OperatorError(f"cannot keep {path}: {error}") from error
    return known


async def _create(conn: AsyncConnection, known: Credentials, now_ms: int) -> None:
    await accounts.create_account(conn, "default", now_ms, account_id=known.account_id)
    await accounts.create_app(conn, known.account_id, "default", now_ms, app_id=known.app_id)
    await tokens.create(
        conn,
        known.account_id,
        app_id=None,
        name="first admin",
        permission="admin",
        now_ms=now_ms,
        secret=known.api_token,
    )


def _read(path: Path) -> Credentials | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        known = Credentials(*(str(content[name]) for name in ("account_id", "app_id", "api_token", "base_url")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path} is damaged; restore it, or remove it to do without") from error
    if not _ACCOUNT_ID(known.account_id) or not _APP_ID(known.app_id) or not _TOKEN(known.api_token):
        raise OperatorError(f"{path} holds ids or a token that cannot be right; restore it, or remove it")
    return known


def _write(path: Path, credentials: Credentials) -> None:
    """Replace the file at once, for its owner only, and durably."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(credentials), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def node_id(data_dir: Path) -> str:
    """The name of the server that owns this data folder, made at its first start."""
    path = data_dir / NODE_FILE_NAME
    if not path.exists():
        new = path.with_name(f"{NODE_FILE_NAME}.{os.getpid()}")
        new.write_text(secrets.token_hex(8) + "\n", "utf-8")
        try:
            os.link(new, path)  # whole, or another process's
        except FileExistsError:
            pass
        new.unlink()
    return path.read_text("utf-8").strip()
