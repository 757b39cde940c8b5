"""The key is found wherever an encoder puts it."""

from __future__ import annotations

import pytest

from headwater.pipeline.ingest.stream_key import find_stream_key, without_stream_key


@pytest.mark.parametrize(
    ("app", "stream_name"),
    [
        ("live", "KEY"),
        ("live/", "/KEY"),
        ("live", "KEY?bandwidth=1"),
        ("live", "stream?key=KEY"),
        ("live", "?key=KEY"),
        ("live?key=KEY", ""),
        ("live?key=KEY", "stream"),
        ("live/KEY", ""),
        ("live/KEY/", ""),
        ("live", "a/KEY"),
        ("", "KEY"),
    ],
)
def test_found(app: str, stream_name: str) -> None:
    assert find_stream_key(app, stream_name) == "KEY"
    assert "KEY" not in without_stream_key(app, "KEY")


@pytest.mark.parametrize(
    ("app", "stream_name"), [("live", ""), ("", ""), ("live", "?key="), ("live", "?" + "&a=1" * 50)]
)
def test_not_found(app: str, stream_name: str) -> None:
    assert find_stream_key(app, stream_name) == ""


def test_the_application_is_kept_for_people() -> None:
    assert without_stream_key("live/eu/KEY?x=1", "KEY") == "live/eu"
