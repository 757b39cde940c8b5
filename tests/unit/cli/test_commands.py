"""The commands as a person runs them: help, exit codes, errors in one sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import running_server


def run(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return subprocess.run(
        [sys.executable, "-m", "headwater", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**clean, "COLUMNS": "100", "HEADWATER_WEBRTC": "127.0.0.1:0", **(env or {})},
    )


COMMANDS = ("serve", "demo", "publish", "livestreams", "meetings", "recordings", "webhooks", "hls-check", "doctor")


def test_help_names_every_command() -> None:
    out = run("--help").stdout
    for command in COMMANDS:
        assert command in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0 and len(result.stdout) > 300


def test_the_version() -> None:
    assert run("--version").stdout.startswith("headwater 0.")


def test_a_bad_value_is_one_sentence_with_exit_code_2(tmp_path: Path) -> None:
    result = run("serve", "--data", str(tmp_path / "data"), "--http", "nonsense")
    assert result.returncode == 2
    assert "server.http" in result.stderr and "Traceback" not in result.stderr


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with running_server(tmp_path / "first") as server:
        result = run(
            "serve", "--data", str(tmp_path / "second"), "--http", server.ready["http"], "--rtmp", "127.0.0.1:0"
        )
        diagnosed = run("doctor", "--data", str(tmp_path / "second"), "--http", server.ready["http"])
        recognised = run("doctor", "--data", str(server.data), "--http", server.ready["http"])
    assert result.returncode == 1
    assert "server.http" in result.stderr and "in use" in result.stderr and "--http HOST:PORT" in result.stderr
    assert diagnosed.returncode == 3 and "or choose another: --http HOST:PORT" in diagnosed.stdout
    assert f"ok http {server.ready['http']}: in use, by the Headwater that runs on {server.data}" in recognised.stdout


def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with running_server(tmp_path / "data"):
        result = run("serve", "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0")
    assert result.returncode == 1 and "another headwater serve" in result.stderr


def test_doctor_speaks_json(tmp_path: Path) -> None:
    result = run("doctor", "--json", cwd=tmp_path)
    assert result.returncode in (0, 3)
    assert json.loads(result.stdout)


def test_livestreams_from_creation_to_a_new_key(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        where = {"HEADWATER_CREDENTIALS": str(server.data / "credentials.json")}
        made = json.loads(run("livestreams", "create", "launch", "--json", env=where).stdout)
        assert made["name"] == "launch" and len(made["stream_key"]) == 64
        assert made["id"] in run("livestreams", "list", "--json", env=where).stdout
        assert run("livestreams", "disable", made["id"], env=where).returncode == 0
        shown = json.loads(run("livestreams", "show", made["id"], "--json", env=where).stdout)
        assert "disabled" in json.dumps(shown)
        assert run("livestreams", "enable", made["id"], env=where).returncode == 0
        fresh = json.loads(run("livestreams", "reset-key", made["id"], "--json", env=where).stdout)
        assert fresh["stream_key"] != made["stream_key"]
        missing = run("livestreams", "show", "00000000-0000-4000-8000-000000000000", env=where)
        assert missing.returncode == 4
        assert missing.stderr == "headwater: The livestream was not found (404)\n"
        second = json.loads(run("livestreams", "create", "a" * 60, "--json", env=where).stdout)
        head, *lines = run("livestreams", "list", env={**where, "COLUMNS": "80"}).stdout.splitlines()
        assert head.split() == ["id", "status", "name", "created", "plays", "at"]
        assert [line.split()[0] for line in lines] == [second["id"], made["id"]], "the newest first, uncut in a pipe"
        newest = json.loads(run("livestreams", "list", "--limit", "1", "--json", env=where).stdout)
        assert [one["id"] for one in newest] == [second["id"]]


def test_a_livestream_by_its_name_its_sessions_events_stop_and_deletion(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:

        def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
            return run("livestreams", "--credentials", str(server.data), *arguments)

        made = dict(line.split("  ", 1) for line in ask("create", "launch").stdout.splitlines())
        fields = {name: value.strip() for name, value in made.items()}
        assert fields["disabled"] == "no"
        assert fields["page to watch"] + "/manifest/video.m3u8" == fields["playback url"]
        publish_url = fields["ingest server"] + fields["stream key"]
        sent = run("publish", publish_url, "--size", "320x180", "--duration", "3")
        assert sent.returncode == 0, sent.stderr
        shown = ask("show", "launch").stdout
        assert re.search(r"^created at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", shown, re.MULTILINE)
        assert re.search(r"^session started time +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", shown, re.MULTILINE)
        assert ask("stop", "launch").returncode == 0
        (session,) = json.loads(ask("sessions", "launch", "--json").stdout)
        head, row = ask("sessions", fields["id"]).stdout.splitlines()
        assert head.startswith("id") and row.startswith(session["id"])
        events = ask("events", "launch").stdout
        assert "The livestream can be watched." in events and " UTC  live " in events
        assert ask("create", "launch").returncode == 0
        twice = ask("show", "launch")
        assert twice.returncode == 4 and "2 livestreams have the name 'launch'" in twice.stderr
        assert fields["id"] in twice.stderr
        assert ask("delete", fields["id"]).returncode == 0
        assert ask("show", "launch").returncode == 0, "the name is unique again"
        unknown = ask("stop", "lunch")
        assert unknown.returncode == 4 and "no livestream has the name or id 'lunch'" in unknown.stderr


def test_webhooks_from_creation_to_deletion(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        where = {"HEADWATER_CREDENTIALS": str(server.data / "credentials.json")}
        refused = run("webhooks", "create", "http://127.0.0.1:9/", env=where)
        assert refused.returncode == 4 and "allow_networks" in refused.stderr
        made = json.loads(run("webhooks", "create", "http://hooks.invalid/a", "--json", env=where).stdout)
        assert (made["name"], made["events"]) == (
            "hooks.invalid",
            ["livestreaming.statusUpdate", "recording.statusUpdate"],
        )
        named = ["--name", "mine", "--event", "meeting.started", "--event", "meeting.ended"]
        shown = run("webhooks", "create", "https://hooks.invalid/b", *named, env=where).stdout
        assert "meeting.started, meeting.ended" in shown
        assert made["id"] in run("webhooks", "list", env=where).stdout
        assert len(json.loads(run("webhooks", "list", "--json", env=where).stdout)) == 2
        assert run("livestreams", "create", env=where).returncode == 0
        (told,) = json.loads(run("webhooks", "deliveries", made["id"], "--json", env=where).stdout)
        assert told["event"] == "livestreaming.statusUpdate"
        assert told["id"] in run("webhooks", "deliveries", made["id"], "--state", "waiting", env=where).stdout
        assert run("webhooks", "redeliver", made["id"], told["id"], env=where).stdout == "1 to be delivered again\n"
        assert run("webhooks", "redeliver", made["id"], "--failed", env=where).stdout == "0 to be delivered again\n"
        assert run("webhooks", "redeliver", made["id"], env=where).returncode == 2
        assert "deleted hooks.invalid" in run("webhooks", "delete", made["id"], env=where).stdout
        assert run("webhooks", "deliveries", made["id"], env=where).returncode == 4


def test_what_is_wrong_with_the_access_is_said(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        named = ["--credentials", str(server.data)]
        assert run("livestreams", "list", *named, env={"HEADWATER_API_TOKEN": "another server's"}).returncode == 0
        where = {"HEADWATER_CREDENTIALS": str(server.data)}
        refused = run("livestreams", "list", env={**where, "HEADWATER_API_TOKEN": "wrong"})
        assert refused.returncode == 4
        assert "The API token is not valid (401)" in refused.stderr and "--credentials" in refused.stderr
        no_api = run("livestreams", "list", "--json", env={**where, "HEADWATER_BASE_URL": server.http})
        assert no_api.returncode == 4
        assert "does the base URL end in /client/v4?" in no_api.stderr and no_api.stdout == ""
    down = run("livestreams", "list", *named)
    assert down.returncode == 1
    assert "Connection refused; is the server running" in down.stderr


def test_an_url_without_a_key_says_so() -> None:
    done = run("publish", "rtmp://127.0.0.1/live/")
    assert done.returncode == 2 and "No stream key was given" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1/live/key", "rtmp://127.0.0.1/live", "rtmp://[/live/key", "key"])
def test_an_url_that_is_none_is_wrong_use(url: str) -> None:
    done = run("publish", url)
    assert done.returncode == 2
    assert "URL" in done.stderr and "Traceback" not in done.stderr


def test_without_credentials_it_says_what_is_missing(tmp_path: Path) -> None:
    result = run("livestreams", "list", cwd=tmp_path)
    assert result.returncode != 0 and "HEADWATER_CREDENTIALS" in result.stderr
    assert result.stderr.startswith("headwater: whose server? --credentials PATH")


def test_a_publish_with_a_wrong_key_is_refused_with_the_reason(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        result = run("publish", f"{server.rtmp}{'0' * 64}")
    assert result.returncode == 4
    assert "no livestream with this stream key" in result.stderr


def test_a_publish_to_a_port_of_http_says_so_and_does_not_try_again(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        result = run("publish", f"rtmp://{server.ready['http']}/live/key", "--size", "320x180")
        backwards = run("hls-check", f"http://{server.ready['rtmp']}/x.m3u8")
        said = server.log.read_text()
    assert result.returncode == 1
    assert "that is HTTP: is it the port of the HTTP server?" in result.stderr
    assert backwards.returncode == 1
    assert "RTMP version 71, only 3 is spoken here (that is HTTP" in said


def test_meetings_and_links_to_join_by(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:

        def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
            return run("meetings", "--credentials", str(server.data), *arguments)

        made = json.loads(ask("create", "Weekly", "--keep-alive", "90", "--json").stdout)
        assert (made["title"], made["session_keep_alive_time_in_secs"]) == ("Weekly", 90)
        assert made["id"] in ask("list").stdout
        assert "nobody is there" in ask("show", "Weekly").stdout
        link = ask("join-link", "Weekly", "--name", "Ada", "--preset", "host").stdout.strip()
        address, _, token = link.partition("?token=")
        assert address == f"{server.http}/meet/{made['id']}"
        me = httpx.get(f"{address}/me", headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 200 and '"Ada"' in me.text
        (listed,) = json.loads(ask("participants", "Weekly", "--json").stdout)
        assert (listed["name"], listed["preset_name"]) == ("Ada", "host")
        assert ask("remove", made["id"], listed["id"]).returncode == 0
        assert httpx.get(f"{address}/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert "INACTIVE" in ask("close", "Weekly").stdout
        refused = ask("start", "Weekly", "--size", "100x100")
        assert refused.returncode == 4 and "video_config.width" in refused.stderr
        unknown = ask("join-link", "Monthly")
        assert unknown.returncode == 4 and "no meeting has the title or id 'Monthly'" in unknown.stderr
