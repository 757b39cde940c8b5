"""Recordings in an S3-compatible store (moto's server): carried there, verified, played and downloaded from there."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from headwater.client import Headwater
from headwater.client.models import Recording
from tests.e2e.support import api, card_command, create, decode_complaints, duration_s, live, played, running, until
from tests.support import Server, running_server

BUCKET = "headwater-test"
SECRET = "store-secret-key-of-the-test"


@contextmanager
def s3(port: int = 0) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def bucket(endpoint: str) -> boto3.client:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    return client


def names(client: boto3.client) -> dict[str, int]:
    return {entry["Key"]: entry["Size"] for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def settings(endpoint: str, **more: str) -> dict[str, str]:
    return {
        "HEADWATER_STORE_BUCKET": BUCKET,
        "HEADWATER_STORE_PREFIX": "live",
        "HEADWATER_STORE_ENDPOINT": endpoint,
        "HEADWATER_STORE_ACCESS_KEY_ID": "store-key",
        "HEADWATER_STORE_SECRET_ACCESS_KEY": SECRET,
        "HEADWATER_STORE_RETRY_MAX_S": "1",
        "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0",
        "HEADWATER_ORIGIN_ENDED_S": "0",
        **more,
    }


def broadcast(server: Server, seconds: int = 6) -> str:
    """A livestream that was on the air for some seconds; returns its id."""
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key, "--duration", str(seconds), "--gop", "1")) as publisher:
        played(made.playback_url)
        publisher.wait(seconds + 30)
    until(lambda: not live(made.playback_url), "the session has ended")
    return made.id


def the_recording(client: Headwater, livestream_id: str, status: str, *, within_s: float = 20) -> Recording:
    def found() -> Recording | None:
        (one,) = client.get_recordings(livestream_id=livestream_id).data
        return one if one.status == status else None

    recording: Recording = until(found, f"the recording is {status}", within_s=within_s)
    return recording


def local(server: Server) -> list[Path]:
    return list((server.data / "recordings").glob("*.mp4"))


def test_from_the_disk_to_the_store_and_back(tmp_path: Path) -> None:
    """Played by HLS, downloaded in ranges, clipped, and deleted, with no copy on the disk."""
    with s3() as endpoint, running_server(tmp_path / "data", env=settings(endpoint)) as server, api(server) as client:
        store = bucket(endpoint)
        livestream = broadcast(server)
        recording = the_recording(client, livestream, "UPLOADED")
        until(lambda: not local(server), "the copy on the disk is gone")
        key = f"live/recordings/{recording.id}.mp4"
        assert names(store)[key] == recording.file_size
        content = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        (path := tmp_path / "r.mp4").write_bytes(content)
        assert decode_complaints(path) == ""

        assert recording.download_url is not None
        whole = httpx.get(recording.download_url)
        assert (whole.content, whole.headers["accept-ranges"]) == (content, "bytes")
        part = httpx.get(recording.download_url, headers={"range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, content[1000:2000])

        assert recording.playback_url is not None
        text = httpx.get(recording.playback_url).raise_for_status().text
        assert "dvr.m3u8" in text
        assert 5 < duration_s(recording.playback_url) < 8
        sprite = httpx.get(str(recording.sprite_url), timeout=30)
        assert sprite.status_code == 200

        clip = client.create_clip(recording.id, start=2, end=3)
        made = until(lambda: (c := client.get_one_recording(clip.id)).status == "UPLOADED" and c, "the clip is there")
        (cut := tmp_path / "clip.mp4").write_bytes(httpx.get(str(made.download_url)).content)
        assert 1 <= duration_s(str(cut)) <= 3.1
        until(lambda: not list((server.data / "spool").glob("*")), "what was fetched for it is gone")

        client.delete_recording(recording.id)
        until(lambda: [name for name in names(store) if recording.id in name] == [], "it is gone from the store")
        assert httpx.get(recording.download_url).status_code == 404
        assert SECRET not in server.log.read_text()


def test_a_store_that_is_away(tmp_path: Path) -> None:
    """Nothing is deleted while it is away; a crash and a restart later it is stored all the same."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    data = tmp_path / "data"
    with running_server(data, env=settings(endpoint)) as server, api(server) as client:
        livestream = broadcast(server, 4)
        waiting = the_recording(client, livestream, "UPLOADING")
        assert waiting.download_url is None and waiting.playback_url is not None
        assert httpx.get(waiting.playback_url).status_code == 200
        until(lambda: "is not stored yet" in server.log.read_text(), "it has been tried")
        assert len(local(server)) == 1
        server.kill()
    with s3(port):
        store = bucket(endpoint)
        signed = settings(endpoint, HEADWATER_STORE_SIGNED_DOWNLOADS="1")
        with running_server(data, env=signed) as server, api(server) as client:
            recording = the_recording(client, livestream, "UPLOADED")
            assert names(store)[f"live/recordings/{recording.id}.mp4"] == recording.file_size
            until(lambda: not local(server), "the copy on the disk is gone")
            downloads_are_sent_to_the_store(client, recording, endpoint)
            assert SECRET not in server.log.read_text()


def downloads_are_sent_to_the_store(client: Headwater, recording: Recording, endpoint: str) -> None:
    """By its own signature, for as long as the link holds: in ranges, by HEAD, and not by a link that was changed."""
    link = str(recording.download_url)
    answer = httpx.get(link)
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert answer.headers["location"].startswith(f"{endpoint}/{BUCKET}/live/recordings/{recording.id}.mp4?")
    seconds = int(httpx.URL(answer.headers["location"]).params["X-Amz-Expires"])
    assert 6 * 3600 - 60 < seconds <= 6 * 3600
    part = httpx.get(link, headers={"range": "bytes=4-7"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert recording.output_file_name in part.headers["content-disposition"]
    head = httpx.head(link, follow_redirects=True)
    assert (head.status_code, int(head.headers["content-length"])) == (200, recording.file_size)
    expires = link.split("/")[-3]
    assert httpx.get(link.replace(expires, str(int(expires) + 1))).status_code == 404
    assert httpx.get(str(recording.sprite_url), timeout=30).status_code == 200
    client.delete_recording(recording.id)
    assert httpx.get(link).status_code == 404


def test_what_differs_in_the_store_is_sent_again(tmp_path: Path) -> None:
    """Of the same size, but other bytes: the checksum tells; the local copy stays until it is right."""
    with s3() as endpoint:
        store = bucket(endpoint)
        data = tmp_path / "data"
        without = settings(endpoint, HEADWATER_STORE_BUCKET="")
        with running_server(data, env=without) as server, api(server) as client:
            recording = the_recording(client, broadcast(server, 4), "UPLOADED")
        key = f"live/recordings/{recording.id}.mp4"
        store.put_object(Bucket=BUCKET, Key=key, Body=os.urandom(recording.file_size or 0))
        right = (data / "recordings" / f"{recording.id}.mp4").read_bytes()
        with running_server(data, env=settings(endpoint)) as server:
            until(lambda: not local(server), "what was recorded before there was a store is stored too")
            assert store.get_object(Bucket=BUCKET, Key=key)["Body"].read() == right
            time.sleep(0.1)
