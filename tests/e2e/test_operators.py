"""A whole server as its operator sees it: scraped while it works, asked whether it is ready, told to stop."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.support import api, card_command, create, media_playlist, played, renditions, running, until
from tests.support import Server, running_server
from tests.unit.control.postgres import running_postgres


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data", "--metrics", "127.0.0.1:0") as server:
        yield server


def operator(server: Server) -> str:
    return f"http://{server.ready['metrics']}"


def scraped(server: Server) -> dict[str, float]:
    """Sums over all labels, by name, and each sample once more for each of its labels, as `name{value}`."""
    text = httpx.get(operator(server) + "/metrics", timeout=10).raise_for_status().text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
            for value in sample.labels.values():
                found[f"{sample.name}{{{value}}}"] = sample.value
    return found


def readiness(url: str) -> tuple[int, dict[str, Any]]:
    response = httpx.get(url + "/readyz", timeout=10)
    return response.status_code, response.json()


def test_the_metrics_follow_what_happens(operated: Server) -> None:
    made = create(operated)
    before = scraped(operated)
    assert (before["headwater_livestreams_live"], before["headwater_sessions_opened_total"]) == (0, 0)
    with running(card_command(operated.rtmp + secrets.token_hex(32))) as publisher:
        publisher.communicate(timeout=20)
    with running(card_command(operated.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        with httpx.Client(timeout=20) as viewer:
            video = renditions(viewer, made.playback_url)["video"]
            playlist = media_playlist(viewer, video)
            url = httpx.URL(video).copy_merge_params({"_HLS_msn": playlist.segments[-1].msn + 2})
            waiting = threading.Thread(target=httpx.get, args=(url,), kwargs={"timeout": 20})
            waiting.start()
            until(lambda: scraped(operated)["headwater_http_requests_waiting"] == 1, "somebody waits", within_s=5)
            waiting.join()
            assert viewer.get(playlist.segments[-1].url).status_code == 200
            assert viewer.get(playlist.segments[-1].url + "x").status_code == 404
        now = scraped(operated)
        assert (now["headwater_livestreams_live"], now["headwater_publishers"]) == (1, 1)
        assert now["headwater_viewers"] >= 1
        assert now[f"headwater_livestream_publishing{{{made.id}}}"] == 1
        assert now[f"headwater_livestream_viewers{{{made.id}}}"] >= 1
        assert now["headwater_rtmp_received_bytes_total"] > 50_000
        assert now["headwater_http_sent_body_bytes_total{delivery}"] > 10_000
        assert now["headwater_recorder_cpu_seconds_total"] > 0
        publisher.send_signal(signal.SIGINT)
        publisher.wait(10)
    with api(operated) as client:
        client.disable(made.id)
    after = until(lambda: (found := scraped(operated))["headwater_sessions_open"] == 0 and found, "it is over")
    assert after["headwater_sessions_closed_total{ended}"] == 1
    assert after["headwater_publishes_refused_total{ERR_BAD_STREAM_KEY}"] == 1
    assert f"headwater_livestream_viewers{{{made.id}}}" not in after
    assert after["headwater_rtmp_received_bytes_total"] >= now["headwater_rtmp_received_bytes_total"], "it counts on"
    assert after["headwater_event_loop_lag_seconds_count"] > before["headwater_event_loop_lag_seconds_count"]


def test_nothing_of_the_operators_is_on_the_public_port_and_nothing_of_the_viewers_on_his(operated: Server) -> None:
    made = create(operated)
    assert httpx.get(operated.http + "/metrics").status_code == 404
    assert httpx.get(operated.http + "/healthz").json() == {"status": "ok"}
    assert readiness(operated.http) == (200, {"ready": True, "failing": []})
    status, content = readiness(operator(operated))
    assert status == 200 and set(content["checks"].values()) == {"ok"}
    for path in ("/", "/client/v4/accounts", httpx.URL(made.playback_url).path):
        assert httpx.get(operator(operated) + path).status_code == 404
    text = httpx.get(operator(operated) + "/metrics").text
    for secret in (made.stream_key, made.playback_url.split("/")[3], operated.credentials["api_token"]):
        assert secret not in text
    promtool = shutil.which("promtool")
    if promtool is not None:
        found = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
        assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_a_server_that_drains_says_so_until_it_ends(operated: Server) -> None:
    """A publisher that does not read its goodbye keeps the server waiting for a moment."""
    answers: list[tuple[int, dict[str, Any]]] = []
    made = create(operated)
    with running(card_command(operated.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        publisher.send_signal(signal.SIGSTOP)
        operated.process.send_signal(signal.SIGTERM)
        while operated.process.poll() is None:
            try:
                answers.append(readiness(operator(operated)))
            except httpx.TransportError:
                break
        assert operated.process.wait(10) == 0
    checks = {"started": "ok", "draining": "the server is draining: it takes nobody new"}
    assert (503, {"ready": False, "failing": ["draining"], "checks": checks}) in answers


def test_a_database_that_is_away_makes_it_not_ready_and_back_again(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        url = postgres.new_database()
        with running_server(tmp_path / "data", "--metrics", "127.0.0.1:0", "--database-url", url) as server:
            assert readiness(operator(server))[0] == 200
            postgres.stop()
            _, content = until(
                lambda: (found := readiness(operator(server)))[0] == 503 and found, "it notices", within_s=10
            )
            assert content["failing"] == ["database"] and content["checks"]["database"] != "ok"
            assert readiness(server.http)[1] == {"ready": False, "failing": ["database"]}
            assert httpx.get(server.http + "/healthz").status_code == 200
            assert scraped(server)["headwater_database_errors_total"] >= 1
            postgres.start()
            until(lambda: readiness(operator(server))[0] == 200, "it is back", within_s=10)


def test_the_address_is_in_the_ready_file_and_a_taken_one_ends_the_start(operated: Server, tmp_path: Path) -> None:
    assert json.dumps(operated.ready["metrics"])
    with (
        pytest.raises(RuntimeError, match=r"cannot listen on server\.metrics"),
        running_server(tmp_path / "other", "--metrics", operated.ready["metrics"]),
    ):
        pass


def test_systemd_hears_that_it_is_ready_lives_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with running_server(tmp_path / "data", env=environment) as server:
            assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert server.terminate() == 0
        said = b"WATCHDOG=1"
        while said == b"WATCHDOG=1":
            said = systemd.recv(100)
        assert said == b"STOPPING=1"


def test_the_manuals_examples_use_options_and_paths_that_exist(operated: Server) -> None:
    manual = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    blocks = re.findall(r"^```(?:ini|yaml)\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)
    options = set(re.findall(r"--[a-z-]+", "\n".join(blocks)))
    usage = subprocess.run(
        [sys.executable, "-m", "headwater", "serve", "--help"], capture_output=True, text=True
    ).stdout
    assert options >= {"--data", "--http", "--rtmp", "--metrics"} and all(option in usage for option in options)
    paths = set(re.findall(r"path: (/[a-z]+), port: metrics", "\n".join(blocks)))
    assert paths == {"/healthz", "/readyz"}
    assert {httpx.get(operator(operated) + path).status_code for path in paths} == {200}
