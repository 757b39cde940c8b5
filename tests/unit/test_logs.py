"""How lines look, what they are about, and what is masked in them."""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from headwater.control.ids import new_stream_key, new_token
from headwater.logs import configure_logging, masked

CODE = """
import logging, sys
from headwater.logs import configure_logging
configure_logging(sys.argv[1], "debug")
about = {"session_id": "the-session", "livestream_id": "the-livestream", "other": "left out"}
logging.LoggerAdapter(logging.getLogger("headwater.test"), about).warning("größer: %d", 7)
try:
    raise OSError(sys.argv[2])
except OSError:
    logging.getLogger("headwater.test").exception("it failed")
"""


def logged(log_format: str, secret: str = "nothing") -> list[str]:
    run = subprocess.run([sys.executable, "-c", CODE, log_format, secret], capture_output=True, text=True, check=True)
    return run.stderr.splitlines()


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_machines_get_an_object_a_line_and_so_does_whatever_is_no_terminal(log_format: str) -> None:
    first, second = map(json.loads, logged(log_format))
    assert (first["event"], first["level"], first["logger"]) == ("größer: 7", "warning", "headwater.test")
    assert (first["session_id"], first["livestream_id"]) == ("the-session", "the-livestream")
    assert "other" not in first and first["timestamp"].endswith("Z")
    assert "Traceback" in second["exception"] and "session_id" not in second


def test_people_get_text() -> None:
    first, *rest = logged("text")
    assert "größer: 7" in first and "session_id=the-session" in first and "livestream_id=the-livestream" in first
    assert any("OSError: nothing" in line for line in rest)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_secret_in_an_error_of_a_library_is_masked(log_format: str) -> None:
    key, token = new_stream_key(), new_token()
    said = "\n".join(logged(log_format, f"cannot reach postgresql://hw:pass-word@host/db with {token} for /live/{key}"))
    assert "postgresql://hw:(password)@host/db with (token) for /live/(stream key)" in said
    assert not any(secret in said for secret in (key, token, "pass-word"))


def test_what_is_masked_and_what_is_not() -> None:
    assert masked("Authorization: Bearer abc.def-ghi") == "Authorization: Bearer (token)"
    assert masked('{"a": "bearer abc"}') == '{"a": "bearer (token)"}'
    assert masked("postgresql://hw:pa/ss:w?rd@host/db") == "postgresql://hw:(password)@host/db"
    for text in (
        f"livestream {secrets.token_hex(16)} session 3f2c1c9e-8a57-4f0e-a8f7-0a3c2b9f1d11",
        "http://127.0.0.1:8080/x rtmp://[::1]:1935/live",
        "remote=127.0.0.1:4000 encoder=hw_encoder",
    ):
        assert masked(text) == text


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("restored")
def test_libraries_do_not_tell_their_debug_lines() -> None:
    configure_logging("json", "debug")
    for name in ("httpx", "sqlalchemy.engine", "urllib3.connectionpool", "aiosqlite", "asyncio"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO), name
    assert logging.getLogger("headwater.anything").isEnabledFor(logging.DEBUG)
