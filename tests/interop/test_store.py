"""The store against moto's S3: what counts as the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from headwater.errors import OperatorError
from headwater.pipeline.store import PART_BYTES, Store, StoreSettings, digest

BUCKET = "bucket"
KEY = "recordings/a.mp4"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str) -> Any:
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def store(endpoint: str, s3: Any) -> Store:
    return Store(StoreSettings(BUCKET, "p", endpoint, access_key_id="a", secret_access_key="b"))


@pytest.mark.parametrize("size", [0, 1, 100_000, PART_BYTES, PART_BYTES + 1])
def test_what_was_put_is_known_again_by_its_checksum(store: Store, s3: Any, tmp_path: Path, size: int) -> None:
    """In one part or several: the store's own checksum is what we have reckoned, so nothing is read back."""
    (path := tmp_path / "a").write_bytes(os.urandom(size))
    asyncio.run(store.put(KEY, path))
    found = digest(path)
    assert found.size == size
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert s3.head_object(Bucket=BUCKET, Key=f"p/{KEY}")["ETag"].strip('"') == found.etag
    assert asyncio.run(store.holds(KEY, found))


def test_a_signed_url_admits_to_one_object_for_a_while(store: Store, s3: Any, tmp_path: Path) -> None:
    """In ranges, and saved by its name."""
    (path := tmp_path / "a").write_bytes(data := os.urandom(1000))
    asyncio.run(store.put(KEY, path, file_name='Größe & "so".mp4'))
    url = asyncio.run(store.signed(KEY, "GET", 3600))
    asked = parse_qs(urlsplit(url).query)
    assert asked["X-Amz-Expires"] == ["3600"] and asked["X-Amz-SignedHeaders"] == ["host"]
    part = httpx.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    name = part.headers["content-disposition"]
    assert name == "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe%20%26%20%22so%22.mp4"
    assert httpx.head(asyncio.run(store.signed(KEY, "HEAD", 60))).headers["content-length"] == "1000"
    forever = asyncio.run(store.signed(KEY, "GET", 10**9))
    assert parse_qs(urlsplit(forever).query)["X-Amz-Expires"] == [str(7 * 86_400)]


def test_what_somebody_else_put_is_read_back(store: Store, s3: Any, tmp_path: Path) -> None:
    """The same bytes in other parts have another checksum; other bytes of the same size are found out."""
    (path := tmp_path / "a").write_bytes(data := os.urandom(6 << 20))
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=f"p/{KEY}")["UploadId"]
    of = {"Bucket": BUCKET, "Key": f"p/{KEY}", "UploadId": upload}
    pieces = [data[: 5 << 20], data[5 << 20 :]]
    tags = [s3.upload_part(**of, PartNumber=n, Body=piece)["ETag"] for n, piece in enumerate(pieces, 1)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
    found = digest(path)
    assert asyncio.run(store.holds(KEY, found))
    s3.put_object(Bucket=BUCKET, Key=f"p/{KEY}", Body=data[:-1] + bytes([data[-1] ^ 1]))
    assert not asyncio.run(store.holds(KEY, found))
    s3.delete_object(Bucket=BUCKET, Key=f"p/{KEY}")
    assert not asyncio.run(store.holds(KEY, found))


def test_ranges_are_read_in_order(store: Store, s3: Any) -> None:
    data = os.urandom(3 << 20)
    s3.put_object(Bucket=BUCKET, Key=f"p/{KEY}", Body=data)
    assert (
        store.read_extents(KEY, [(5, 10), (2_000_000, 7), (0, 3)]) == data[5:15] + data[2_000_000:2_000_007] + data[:3]
    )
    with pytest.raises(OperatorError):
        store.read_extents("recordings/none.mp4", [(0, 1)])
    with pytest.raises(OperatorError):
        store.read_whole(KEY, 1000)
