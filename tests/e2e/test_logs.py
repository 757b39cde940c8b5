"""Everything that a whole server writes at level debug, while all goes well and while all goes wrong: each line a JSON
object, each line about a session with its ids, and no secret in any of them."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from headwater.client import Headwater
from tests.e2e.support import card_command, played, running, until
from tests.support import Server, running_server
from tests.unit.control.postgres import running_postgres
from tests.unit.ingest.test_connection import Publisher

DEBUG = {"HEADWATER_LOG_LEVEL": "debug", "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}


def lines(server: Server) -> list[dict[str, Any]]:
    """The log; `ready`, a warning of Python itself in its development mode, are no lines of it."""
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def refused(server: Server, key: str) -> None:
    """A publisher that is sent away."""

    async def publish() -> None:
        await (await Publisher.open(int(server.ready["rtmp"].rsplit(":", 1)[1]), key)).refusal()

    asyncio.run(publish())


def garbage(server: Server) -> None:
    """Bytes that are no RTMP, and none that are no HTTP."""
    for name, data in (("rtmp", b"\x03" + secrets.token_bytes(4000)), ("http", b"\x16\x03\x01\x00\r\n\r\n")):
        host, port = server.ready[name].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            try:
                connection.recv(100)
            except OSError:
                pass


def ask(server: Server, token: str, **extra: Any) -> int:
    path = f"/client/v4/accounts/{server.credentials['account_id']}/realtime/kit/{server.credentials['app_id']}"
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.request(
        extra.pop("method", "GET"), f"{server.http}{path}/livestreams", headers=headers, timeout=20, **extra
    ).status_code


def test_no_secret_in_any_line_and_ids_in_those_about_a_session(tmp_path: Path) -> None:
    password, wrong, forged = secrets.token_urlsafe(16), secrets.token_hex(32), "hw_" + secrets.token_urlsafe(32)
    with running_postgres() as postgres:
        url = postgres.new_database().replace("://hw@", f"://hw:{password}@")
        with running_server(tmp_path / "data", "--database-url", url, env=DEBUG) as server:
            with Headwater(credentials=server.data / "credentials.json") as client:
                made = client.create_independent_livestream(name="test")
                disabled = client.create_independent_livestream(name="disabled")
                client.disable(disabled.id)
                token = client.create_token("reader").api_token
            for key in (wrong, f"{wrong}/x", f"x?key={wrong}", f"{made.stream_key}a", disabled.stream_key):
                refused(server, key)
            garbage(server)
            assert ask(server, token) == 200
            assert ask(server, forged) == 401
            assert ask(server, token, params={"token": forged, "per_page": "x"}) in (200, 400)
            assert ask(server, token, method="POST", json={}) == 403
            assert ask(server, server.credentials["api_token"], method="POST", content=b'{"name": ') == 415
            with running(card_command(server.rtmp + made.stream_key)):
                played(made.playback_url)
                httpx.get(made.playback_url.replace("/manifest/video.m3u8", "/thumbnail.jpg"), timeout=20)
                postgres.stop()
                until(lambda: ask(server, server.credentials["api_token"]) == 503, "the database is away", within_s=20)
                refused(server, secrets.token_hex(32))  # one that is in no cache
                until(lambda: "events cannot be written" in server.log.read_text(), "it is said", within_s=20)
            assert server.terminate() in (0, 1)
            written = server.log.read_text()
            read = lines(server)

    secret = (password, wrong, forged, token, made.stream_key, disabled.stream_key, server.credentials["api_token"])
    assert [each for each in secret if each in written] == []
    masks = ("(stream key)", "(token)", "(password)")
    assert [mask for mask in masks if mask in written] == [], "nobody logs what would have to be masked"
    about = [line for line in read if "session_id" in line]
    assert {line["livestream_id"] for line in about} == {made.id} and len({line["session_id"] for line in about}) == 1
    said = [line["event"].split(":")[0] for line in about]
    assert {"publish started", "session opened", "session playable", "session closed"} <= set(said)
    assert not [line for line in read if made.id in line["event"] or about[0]["session_id"] in line["event"]]
    refusals = [line for line in read if line["event"].startswith("publish refused")]
    assert len(refusals) == 6 and "no connection to the database" in refusals[-1]["event"]
    assert {line.get("livestream_id") for line in refusals} == {None, disabled.id}
    assert any(line["event"].startswith("the database failed") for line in read), "what went wrong is in there"


def test_a_start_that_fails_keeps_the_password_to_itself(tmp_path: Path) -> None:
    password = secrets.token_urlsafe(16)
    for url in (f"postgresql://hw:{password}@127.0.0.1:1/x", f"postgresql://hw:{password}@127.0.0.1:x/x"):
        command = [sys.executable, "-m", "headwater", "serve", "--data", str(tmp_path / "data"), "--database-url", url]
        run = subprocess.run([*command, "--http", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
        assert run.returncode != 0 and run.stderr
        assert password not in run.stdout + run.stderr
