"""Recordings in an S3-compatible store: put, verified, read back by ranges, deleted.

<bucket>/<prefix>/recordings/<name>.mp4          as it lay on the disk, byte for byte
<bucket>/<prefix>/recordings/<name>.mp4.index    what HLS needs to find its segments in it
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headwater.errors import LimitReached, OperatorError
from headwater.pipeline.recorder import RecordingFile
from headwater.pipeline.recorder.files import MAX_READ_BYTES, index_path
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.survey import indexed

PART_BYTES = 16 << 20
"""Of a multipart upload: S3 takes 10,000 of them, so up to 160 GB; two are in memory at once."""

CONCURRENCY = 2
READ_BYTES = 1 << 20
"""Read back at once, for a download or to verify."""

CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(seconds=120)
"""Of one request: a part, or a range."""

SIGNED_LIMIT_S = 7 * 86_400
"""For which a signed URL may hold, as S3 has it (Signature Version 4, X-Amz-Expires)."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """An S3-compatible store for recordings; nothing is stored anywhere else where `bucket` is empty.

    Attributes:
        bucket: Its name; empty: recordings stay on the disk.
        prefix: What all names in it begin with.
        endpoint: URL of a store that is not AWS's, e.g. `https://minio.example.com`.
        region: As the store calls it.
        access_key_id: Empty: as AWS's own variables and files say.
        secret_access_key: Belongs to it.
        virtual_hosted: Whether the bucket is a part of the host name; else of the path, which every store takes.
        keep_local: Keep the copy on the disk when the other one has been verified.
        retry_max_s: The longest pause between two attempts to store a recording.
        signed_downloads: Send those who download to the store, by a URL that it admits until the link expires, in place
            of passing the bytes on. Viewers have to reach the store.
    """

    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    virtual_hosted: bool = False
    keep_local: bool = False
    retry_max_s: float = 600
    signed_downloads: bool = False


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file's bytes come to.

    Attributes:
        etag: As S3 forms it of parts of `PART_BYTES`; stores that encrypt by keys of their own form another.
    """

    size: int
    sha256: str
    etag: str


class Store:
    """The bucket."""

    def __init__(self, settings: StoreSettings) -> None:
        """
        Raises:
            OperatorError: `obstore` is not installed, or the settings make no sense.
        """
        if importlib.util.find_spec("obstore") is None:
            raise OperatorError("store.bucket needs the package obstore: pip install 'headwater[s3]'")
        import obstore
        from obstore.store import S3Store

        self._obstore: Any = obstore
        config: dict[str, Any] = {"region": settings.region, "virtual_hosted_style_request": settings.virtual_hosted}
        if settings.endpoint is not None:
            config["endpoint"] = settings.endpoint
        if settings.access_key_id is not None:
            config["access_key_id"] = settings.access_key_id
            config["secret_access_key"] = settings.secret_access_key or ""
        try:
            self._store: Any = S3Store(
                settings.bucket,
                prefix=settings.prefix or None,
                config=config,  # type: ignore[arg-type]
                client_options={"allow_http": True, "connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
            )
        except Exception as error:
            raise OperatorError(f"the store cannot be used: {error}") from error

    async def put(self, key: str, path: Path, *, file_name: str = "") -> None:
        """Store a file, in parts where it is large; what was there under this name is replaced when all have come.

        Args:
            file_name: What it is to be saved as by those who have it from the store itself.
        """
        attributes = _attributes(key)
        if file_name:
            attributes["Content-Disposition"] = f"attachment; filename*=utf-8''{quote(file_name, safe='')}"
        await self._obstore.put_async(
            self._store, key, path, chunk_size=PART_BYTES, max_concurrency=CONCURRENCY, attributes=attributes
        )

    async def signed(self, key: str, method: str, seconds: int) -> str:
        """A URL by which anybody may GET (or HEAD) an object for so long, 7 days at most; it need not be there."""
        period = timedelta(seconds=max(1, min(seconds, SIGNED_LIMIT_S)))
        url: str = await self._obstore.sign_async(self._store, method, key, period)
        return url

    async def holds(self, key: str, digest: Digest) -> bool:
        """Whether exactly these bytes are there: by the store's own checksum of what it has, else by reading it."""
        try:
            meta = await self._obstore.head_async(self._store, key)
        except FileNotFoundError:
            return False
        if meta["size"] != digest.size:
            return False
        if (meta["e_tag"] or "").strip('"') == digest.etag:
            return True
        sha256 = hashlib.sha256()
        async for chunk in self.read(key, 0, digest.size):
            sha256.update(chunk)
        return sha256.hexdigest() == digest.sha256

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` of an object, a piece at a time."""
        while start < end:
            stop = min(end, start + READ_BYTES)
            yield bytes(await self._obstore.get_range_async(self._store, key, start=start, end=stop))
            start = stop

    async def open(self, key: str) -> StoredFile | None:
        """An object to be read; None: it is not there."""
        try:
            meta = await self._obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None
        tag = (meta["e_tag"] or f"{meta['size']:x}").removeprefix("W/").strip('"')
        return StoredFile(self, key, meta["size"], f'"{tag}"', meta["last_modified"])

    async def fetch(self, key: str, target: Path) -> None:
        """Copy an object to a file that does not exist."""
        found = await self.open(key)
        if found is None:
            raise OperatorError(f"{key} is not in the store")
        with target.open("xb") as file:
            async for chunk in self.read(key, 0, found.size):
                file.write(chunk)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no error."""
        for key in keys:
            try:
                await self._obstore.delete_async(self._store, key)
            except FileNotFoundError:
                pass

    def read_extents(self, key: str, extents: Sequence[tuple[int, int]]) -> bytes:
        """(offset, size) ranges of an object, joined. Blocks.

        Raises:
            LimitReached: more than `MAX_READ_BYTES`.
            OperatorError: the store does not give them.
        """
        if sum(size for _, size in extents) > MAX_READ_BYTES:
            raise LimitReached("MAX_READ_BYTES", f"{key}: more than {MAX_READ_BYTES} bytes at once")
        starts, lengths = [offset for offset, _ in extents], [size for _, size in extents]
        try:
            pieces = self._obstore.get_ranges(self._store, key, starts=starts, lengths=lengths)
        except Exception as error:
            raise OperatorError(f"{key} cannot be read from the store: {type(error).__name__}") from error
        return b"".join(map(bytes, pieces))

    def read_whole(self, key: str, limit: int) -> bytes:
        """A small object. Blocks.

        Raises:
            OperatorError: the store does not give it, or it is larger than `limit`.
        """
        try:
            found = self._obstore.get(self._store, key)
            if found.meta["size"] > limit:
                raise OperatorError(f"{key} is larger than {limit} bytes")
            return bytes(found.bytes())
        except OperatorError:
            raise
        except Exception as error:
            raise OperatorError(f"{key} cannot be read from the store: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object, for a download."""

    store: Store
    key: str
    size: int
    etag: str
    changed: datetime

    @property
    def modified(self) -> str:
        """As HTTP says it."""
        return format_datetime(self.changed, usegmt=True)

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        return self.store.read(self.key, start, end)

    def close(self) -> None:
        """Nothing is held."""


class KeptRecording:
    """A recording that has ended, on the disk or in the store: a `RecordingReader`."""

    def __init__(self, path: Path, data_dir: Path, store: Store) -> None:
        self.path = path
        self._key = path.relative_to(data_dir).as_posix()
        self._store = store

    @property
    def written(self) -> int:
        """The whole file."""
        return max((sum(s.extents[-1]) for t in self.recording().tracks for s in t.segments if s.extents), default=0)

    def read(self, extents: Sequence[tuple[int, int]]) -> bytes:
        """See `RecordingReader.read`."""
        if self.path.exists():
            return RecordingFile(self.path).read(extents)
        return self._store.read_extents(self._key, extents)

    def recording(self) -> Recording:
        """See `RecordingReader.recording`. The index stays on the disk; where it is gone, it is fetched again."""
        if self.path.exists():
            return RecordingFile(self.path).recording()
        place = index_path(self.path)
        if not place.exists():
            data = self._store.read_whole(index_path(Path(self._key)).as_posix(), MAX_READ_BYTES)
            draft = place.with_name(place.name + ".new")
            try:
                draft.parent.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(data)
                draft.replace(place)
            except OSError as error:
                raise OperatorError(f"{place.name} cannot be kept: {error.strerror}") from error
        return indexed(self.path).recording()


def digest(path: Path) -> Digest:
    """Read a file once. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    size, sha256, parts = 0, hashlib.sha256(), []
    with path.open("rb") as file:
        part = hashlib.md5(usedforsecurity=False)
        while chunk := file.read(READ_BYTES):
            sha256.update(chunk)
            part.update(chunk)
            size += len(chunk)
            if size % PART_BYTES == 0:
                parts.append(part.digest())
                part = hashlib.md5(usedforsecurity=False)
        if size % PART_BYTES or not parts:
            parts.append(part.digest())
    if len(parts) == 1:
        etag = parts[0].hex()
    else:
        etag = f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
    return Digest(size, sha256.hexdigest(), etag)


def _attributes(key: str) -> dict[str, str]:
    return {"Content-Type": "video/mp4" if key.endswith(".mp4") else "application/octet-stream"}
