"""Nothing that happened is lost, and the order holds, whoever is killed: the server, the receiver, both.

What happened is what the livestreams' event log says; the test reads it from the API at the end and holds what the
receiver has written down against it. Duplicates are allowed, but only of the newest event of a livestream.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from headwater.client import Headwater
from headwater.control import ControlPlane, ControlSettings
from headwater.control.database import open_database
from headwater.control.repository import event_log, livestreams, webhooks
from headwater.control.tables import webhook_deliveries
from headwater.control.webhooks import names
from tests.e2e.support import ENCODE, running, until
from tests.support import require, start_server
from tests.unit.control.postgres import running_postgres
from tests.unit.control.support import ADDRESSES, now_ms

LIVESTREAMS = 3
KILLS = 6
ROUNDS = 6

ENVIRONMENT = {
    "HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "0",
    "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "0",
    "HEADWATER_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.1",
    "HEADWATER_WEBHOOKS_RETRY_FIRST_S": "0.05",
    "HEADWATER_WEBHOOKS_RETRY_MAX_S": "0.5",
}


class Receiver:
    """The receiver's process; it comes back on the same port, with the same log."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "received"
        self.log.touch()
        self.broken = folder / "broken"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        script = Path(__file__).with_name("webhook_receiver.py")
        command = [sys.executable, str(script), str(self.port), str(self.log), str(self.broken)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # killed while it wrote: that request got no answer
                continue
            found.append({**entry, **json.loads(entry["body"])})
        return found

    def size(self) -> int:
        return self.log.stat().st_size


@contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    receiver = Receiver(folder)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.kill()


@contextmanager
def in_threads(*loops: Any) -> Iterator[None]:
    """Run loops that end when they are told to by the event that they are given."""
    over = threading.Event()
    failures: list[BaseException] = []

    def run(loop: Any) -> None:
        try:
            loop(over)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    if failures:
        raise failures[0]


def media(folder: Path) -> Path:
    """Ten seconds ready to be sent, so that publishing costs nothing."""
    path = folder / "media.flv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=15", "-f", "lavfi", "-i", "sine=r=48000"]
    encode = [*ENCODE, "-g", "15", "-b:v", "100k", "-c:a", "aac", "-b:a", "32k"]
    subprocess.run([require("ffmpeg"), "-v", "error", *source, *encode, "-t", "10", str(path)], check=True, timeout=60)
    return path


def publish_again_and_again(source: Path, url: str, chance: random.Random) -> Any:
    command = [require("ffmpeg"), "-nostdin", "-v", "quiet", "-re", "-i", str(source), "-c", "copy", "-f", "flv", url]

    def loop(over: threading.Event) -> None:
        while not over.is_set():
            encoder = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            over.wait(chance.uniform(1.0, 3.0))
            encoder.terminate() if chance.random() < 0.5 else encoder.kill()
            encoder.wait()
            over.wait(chance.uniform(0.1, 0.4))

    return loop


def come_and_go(receiver: Receiver, chance: random.Random) -> Any:
    def loop(over: threading.Event) -> None:
        while not over.wait(chance.uniform(1.0, 3.0)):
            receiver.kill()
            over.wait(chance.uniform(0.2, 1.5))
            receiver.start()

    return loop


def statuses(log: list[Any]) -> list[str]:
    """The statuses that a livestream has had, by its event log, the oldest first."""
    meaning = {"created": "INVOKED", "live": "LIVE", "closed": "IDLE", "recovered": "IDLE", "failed": "ERRORED"}
    found: list[str] = []
    for entry in sorted(log, key=lambda entry: entry.id):
        status = meaning.get(entry.kind)
        if status is not None and found[-1:] != [status]:
            found.append(status)
    return found


def told(lines: list[dict[str, Any]], livestream_id: str) -> list[dict[str, Any]]:
    """What a receiver was told of a livestream, one that came again at once left out."""
    found: list[dict[str, Any]] = []
    for line in lines:
        ours = line["event"] == "livestreaming.statusUpdate" and line["streamId"] == livestream_id
        if ours and (not found or found[-1]["uuid"] != line["uuid"]):
            found.append(line)
    return found


def verified(key: str, line: dict[str, Any], folder: Path) -> bool:
    """Whether a line's signature is right, by openssl."""
    (folder / "key.pem").write_text(key)
    (folder / "body").write_bytes(line["body"].encode())
    (folder / "signature").write_bytes(base64.b64decode(line["signature"]))
    command = [require("openssl"), "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "body"]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=20).returncode == 0


@pytest.mark.timeout(180)
def test_killed_at_random_points_nothing_is_lost_and_the_order_holds(tmp_path: Path) -> None:
    seed = int(os.environ.get("HEADWATER_TEST_SEED") or random.randrange(10**6))
    print(f"HEADWATER_TEST_SEED={seed}")
    chance = random.Random(seed)
    source = media(tmp_path)
    with receiving(tmp_path) as receiver:
        receiver.broken.touch()
        server = start_server(tmp_path / "data", env=ENVIRONMENT)
        arguments = ("--rtmp", server.ready["rtmp"], "--http", server.ready["http"])
        try:
            with Headwater(credentials=server.data) as client:
                url = f"http://127.0.0.1:{receiver.port}/hook"
                hook = client.create_webhook(
                    name="all", url=url, events=["livestreaming.statusUpdate", "recording.statusUpdate"]
                )
                made = [client.create_independent_livestream() for _ in range(LIVESTREAMS)]
            publishers = [
                publish_again_and_again(source, server.rtmp + one.stream_key, random.Random(chance.random()))
                for one in made
            ]
            with in_threads(*publishers, come_and_go(receiver, random.Random(chance.random()))):
                for number in range(KILLS):
                    time.sleep(chance.uniform(1.0, 3.0))
                    if number % 2:  # between an answer and its being written down, as near as can be had from here
                        size, deadline = receiver.size(), time.monotonic() + 3
                        while receiver.size() == size and time.monotonic() < deadline:
                            time.sleep(0.001)
                    server.kill()
                    server = start_server(tmp_path / "data", *arguments, env=ENVIRONMENT)
                time.sleep(2)
            receiver.broken.unlink()
            receiver.kill()
            receiver.start()
            with Headwater(credentials=server.data) as client:
                until(
                    lambda: all(one.status != "LIVE" for one in client.get_all_livestreams().livestreams),
                    "every session has ended",
                )
                until(lambda: not client.get_webhook_deliveries(hook.id, state="waiting").data, "nothing waits")
                recordings = client.get_recordings(per_page=1000).data
                logs = {one.id: client.get_livestream_events(one.id, per_page=1000).data for one in made}
            key = httpx.get(server.http + "/.well-known/webhooks.json").json()["data"]["publicKey"]
        finally:
            server.process.kill()
            server.process.wait()
        lines = receiver.lines()
    recovered = 0
    for one in made:
        happened, received = statuses(logs[one.id]), told(lines, one.id)
        assert [line["status"] for line in received] == happened
        uuids = [line["uuid"] for line in received]
        assert len(uuids) == len(set(uuids)), "an older event came again after a newer one"
        recovered += sum(entry.kind == "recovered" for entry in logs[one.id])
        assert len(happened) > 3, "there were broadcasts"
    last = {line["recording"]["id"]: line["recording"]["status"] for line in lines if "recording" in line}
    assert last == {one.id: one.status for one in recordings}
    assert "UPLOADED" in last.values()
    assert recovered, "sessions were open when the server was killed"
    assert verified(key, lines[-1], tmp_path)
    assert not verified(key, {**lines[-1], "body": lines[-1]["body"] + " "}, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of each kind; SQLite's is in the data folder."""
    if request.param == "sqlite":
        yield ""
        return
    with running_postgres() as server:
        yield server.new_database()


async def opened(data: Path, url: str, hook_url: str) -> list[str]:
    """Livestreams, and a webhook that is told of them; returns their ids."""
    plane = await ControlPlane.open(ControlSettings(data, database_url=url or None))
    try:
        credentials = await plane.announce(ADDRESSES)
        assert credentials is not None
        async with plane._database.write() as conn:
            of = credentials.app_id
            await webhooks.create(conn, of, name="all", url=hook_url, events=names.SENT, enabled=True, now_ms=now_ms())
            rows = [await livestreams.create(conn, of, name=None, now_ms=now_ms()) for _ in range(4)]
        return [row.id for row in rows]
    finally:
        await plane.close()


async def looked_at(data: Path, url: str, ids: list[str]) -> tuple[int, dict[str, list[str]]]:
    """How many events wait, and what has happened to each livestream, by its event log."""
    database = await open_database(url or None, data)
    try:
        async with database.read() as conn:
            query = select(func.count()).select_from(webhook_deliveries).where(webhook_deliveries.c.state == "waiting")
            waiting = int((await conn.execute(query)).scalar_one())
            logs = {one: (await event_log.list_page(conn, one, offset=0, limit=10_000))[0] for one in ids}
        return waiting, {one: statuses(log) for one, log in logs.items()}
    finally:
        await database.close()


@pytest.mark.timeout(180)
def test_killed_while_broadcasts_are_as_short_as_can_be(tmp_path: Path, database_url: str) -> None:
    """As above without media: hundreds of changes a second, so that a kill falls between any two writes."""
    data = tmp_path / "data"
    program = [sys.executable, "-m", "tests.e2e.webhook_broadcasts", str(data), database_url]
    root = Path(__file__).parents[2]

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, text=True, cwd=root)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    with receiving(tmp_path) as receiver:
        receiver.broken.touch()
        ids = asyncio.run(opened(data, database_url, f"http://127.0.0.1:{receiver.port}/hook"))
        process = None
        try:
            for _ in range(ROUNDS):
                process = start("on", *ids)
                time.sleep(random.uniform(0.05, 0.6))
                process.kill()
                process.communicate()
                if random.random() < 0.5:
                    receiver.kill()
                    receiver.start()
            receiver.broken.unlink()
            process = start("over")
            until(lambda: asyncio.run(looked_at(data, database_url, ids))[0] == 0, "nothing waits", within_s=60)
        finally:
            if process is not None:
                process.kill()
                process.communicate()
        lines = receiver.lines()
        _, happened = asyncio.run(looked_at(data, database_url, ids))
    for one in ids:
        received = told(lines, one)
        # The log keeps the newest thousand entries of a livestream; what it still has is what was told last.
        assert [line["status"] for line in received][-len(happened[one]) + 1 :] == happened[one][1:]
        uuids = [line["uuid"] for line in received]
        assert len(uuids) == len(set(uuids)), "an older event came again after a newer one"
        assert len(received) > ROUNDS, "there were broadcasts in every round"


def test_a_server_that_is_stopped_tells_the_end_before_it_goes(tmp_path: Path) -> None:
    source = media(tmp_path)
    command = [require("ffmpeg"), "-nostdin", "-v", "quiet", "-re", "-i", str(source), "-c", "copy", "-f", "flv"]
    with receiving(tmp_path) as receiver:
        server = start_server(tmp_path / "data", env=ENVIRONMENT)
        try:
            with Headwater(credentials=server.data) as client:
                client.create_webhook(
                    name="all", url=f"http://127.0.0.1:{receiver.port}/", events=["livestreaming.statusUpdate"]
                )
                made = client.create_independent_livestream()
            with running([*command, server.rtmp + made.stream_key]):
                until(lambda: [line["status"] for line in receiver.lines()] == ["INVOKED", "LIVE"], "it is told")
                assert server.terminate() == 0
        finally:
            server.process.kill()
            server.process.wait()
        assert [line["status"] for line in receiver.lines()] == ["INVOKED", "LIVE", "IDLE"]
