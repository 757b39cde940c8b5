"""The commands as a person runs them: help, exit codes, errors in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
        env={**clean, "COLUMNS": "100", **(env or {})},
    )


def test_help_names_every_command() -> None:
    out = run("--help").stdout
    for command in ("serve", "demo", "publish", "livestreams", "hls-check", "doctor"):
        assert command in out


@pytest.mark.parametrize("command", ["serve", "demo", "publish", "livestreams", "hls-check", "doctor"])
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
    assert result.returncode == 1
    assert "server.http" in result.stderr and "in use" in result.stderr


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
        assert missing.returncode == 4 and "Traceback" not in missing.stderr


def test_without_credentials_it_says_what_is_missing(tmp_path: Path) -> None:
    result = run("livestreams", "list", cwd=tmp_path)
    assert result.returncode != 0 and "HEADWATER_CREDENTIALS" in result.stderr


def test_a_publish_with_a_wrong_key_is_refused_with_the_reason(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        result = run("publish", f"{server.rtmp}{'0' * 64}")
    assert result.returncode == 4
    assert "no livestream with this stream key" in result.stderr
