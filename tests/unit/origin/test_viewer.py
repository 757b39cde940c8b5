"""Whose request it is."""

from __future__ import annotations

import pytest

from headwater.pipeline.origin.viewer import ROTATE_S, ViewerKeys
from headwater.pipeline.origin.views import KEY_LIMIT
from tests.unit.origin.feed import Ask

KEYS = ViewerKeys()


@pytest.mark.parametrize(
    "query",
    [
        "CMCD=bl%3D1000%2Csid%3D%22x-1%22%2Cmtp%3D5",
        "CMCD=bl%3d1000%2csid%3d%22x-1%22%2cmtp%3d5",
        "CMCD=sid%3d%22x-1%22",
        "CMCD=bl%3D1000%2csid%3D%22x-1%22",
        "CMCD=bl=1000,sid=%22x-1%22,mtp=5",
        "CMCD=%73id%3d%22x%2d1%22",
        "_HLS_msn=3&CMCD=sid%3d%22x-1%22&a=b",
        "s=x-1&CMCD=sid%3D%22other%22",
        "CMCD=sid%3D%22other%22&s=x-1",
    ],
)
def test_a_viewing_session_is_known_however_its_name_is_encoded(query: str) -> None:
    assert KEYS.of(Ask(f"/x?{query}")) == b"x-1"


def test_a_header_names_it_too() -> None:
    assert KEYS.of(Ask("/x", cmcd_session='cid="a",sid="x-1",v=1')) == b"x-1"


@pytest.mark.parametrize(
    "query",
    ["", "CMCD=", "CMCD=bl%3d1000", "CMCD=sid%3d", "CMCD=sid%3d%22%22", "CMCD=xsid%3d%22a%22", "XCMCD=sid%3d%22a%22"],
)
def test_without_a_name_the_address_and_the_player_tell_viewers_apart(query: str) -> None:
    first, second = (Ask(f"/x?{query}", remote=remote, user_agent="p") for remote in ("192.0.2.1", "192.0.2.2"))
    other = Ask(f"/x?{query}", user_agent="q")
    assert len({KEYS.of(first), KEYS.of(second), KEYS.of(other)}) == 3
    assert KEYS.of(first) == KEYS.of(Ask("/x", user_agent="p"))


@pytest.mark.parametrize("digits", ["%3D%22", "%3d%22"])
def test_names_are_bounded(digits: str) -> None:
    assert KEYS.of(Ask(f"/x?CMCD=sid{digits}{'a' * 9000}")) == b"a" * KEY_LIMIT


def test_what_an_address_is_known_by_changes_every_day() -> None:
    keys, ask = ViewerKeys(), Ask("/x", user_agent="player")
    keys.rotate(5.0)
    first = keys.of(ask)
    keys.rotate(5.0 + ROTATE_S - 1)
    assert keys.of(ask) == first
    keys.rotate(5.0 + ROTATE_S)
    assert keys.of(ask) != first
    assert b"192.0.2.1" not in first and b"player" not in first
