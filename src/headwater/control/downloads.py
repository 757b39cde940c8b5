"""Links by which a recording can be fetched without a token, for some hours.

    /recordings/<recording id>/<expires, Unix seconds>/<signature>/<file name>

The signature is HMAC-SHA256 of the first two by a key that lies in the data folder. A link says nothing but this: the
recording of that id may be had until then. It dies early when the recording is removed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from headwater.control.database import Database
from headwater.control.ids import same_secret
from headwater.control.repository import recordings
from headwater.control.repository.recordings import RecordingRow
from headwater.errors import OperatorError

DOWNLOAD_PATH = "/recordings"
KEY_FILE_NAME = "download-key"
KEY_SIZE = 32
EXPIRES_DIGITS = 12
"""Digits of a time in a link that are read."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a link leads to.

    Attributes:
        path: Below the data folder.
        file_name: What it is to be saved as.
    """

    path: str
    file_name: str


class Links:
    """Makes links and reads them."""

    def __init__(self, key: bytes, database: Database) -> None:
        self._key = key
        self._database = database

    def path(self, row: RecordingRow, expires_ms: int) -> str:
        """The link's path on this server, valid until `expires_ms`, rounded down to a second."""
        return f"{self.folder(row, expires_ms)}/{quote(row.file_name)}"

    def folder(self, row: RecordingRow, expires_ms: int) -> str:
        """The same without the file's name: its pictures are `sprite.jpg` and `sprite.vtt` there."""
        return self._folder(row.id, expires_ms)

    def path_to(self, recording_id: str, file_name: str, expires_ms: int) -> str:
        """As `path`, of a recording by its id and what it is to be saved as."""
        return f"{self._folder(recording_id, expires_ms)}/{quote(file_name)}"

    def _folder(self, recording_id: str, expires_ms: int) -> str:
        expires = str(expires_ms // 1000)
        return f"{DOWNLOAD_PATH}/{recording_id}/{expires}/{self._signature(recording_id, expires)}"

    async def find(self, recording_id: str, expires: str, signature: str, now_ms: int) -> Download | None:
        """What a link leads to; None where it was not made here, has expired, or what it led to is gone."""
        if not same_secret(self._signature(recording_id, expires), signature):
            return None
        # Only what we have signed comes this far.
        if not expires.isdecimal() or len(expires) > EXPIRES_DIGITS or int(expires) * 1000 <= now_ms:
            return None
        async with self._database.read() as conn:
            row = await recordings.find(conn, recording_id)
        if row is None or row.path is None or not row.is_there:
            return None
        return Download(row.path, row.file_name)

    def _signature(self, recording_id: str, expires: str) -> str:
        message = f"{recording_id}/{expires}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def download_key(data_dir: Path) -> bytes:
    """The key of this server, made the first time, readable by its owner only.

    Raises:
        OperatorError: it cannot be kept, or is damaged.
    """
    path = data_dir / KEY_FILE_NAME
    try:
        if not path.exists():
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_SIZE))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        key = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot keep {path}: {error.strerror}") from error
    if len(key) != KEY_SIZE:
        raise OperatorError(f"{path} is damaged; remove it: links that were given out end, new ones are made")
    return key
