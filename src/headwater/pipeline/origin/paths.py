"""What the paths and names of the origin's URLs look like. Pure."""

from __future__ import annotations

PLAYBACK_ID_LENGTH = 32
HEX = frozenset(b"0123456789abcdef")

NAME_LIMIT = 15
"""Digits of a number in a name."""

SESSION_NAME_LENGTH = 12
"""Hex digits of the session's id in its URLs: enough that two sessions of one livestream never share one."""


BASE_LENGTH = 1 + PLAYBACK_ID_LENGTH + 1 + SESSION_NAME_LENGTH + 1
"""Of `/<playback id>/<session>/`."""

REPORTS = b"/cmcd"
"""Where players report what happens (CTA-5004-B, event mode), below the playback id."""


WEBRTC = b"/webRTC/"
"""What begins like this below the playback id is played by WHEP."""


def is_behind(path: bytes) -> bool:
    """Whether a path below a playback id is served by the app behind: it has a body."""
    return path.endswith(REPORTS) or path.startswith(WEBRTC, PLAYBACK_ID_LENGTH + 1)


def is_ours(path: bytes) -> bool:
    """Whether a path lies below a playback id."""
    return (
        len(path) > PLAYBACK_ID_LENGTH + 2
        and path[PLAYBACK_ID_LENGTH + 1] == 0x2F
        and path[0] == 0x2F
        and HEX.issuperset(path[1 : PLAYBACK_ID_LENGTH + 1])
    )


def session_name(session_id: str) -> str:
    """A session in its URLs."""
    return session_id.replace("-", "")[:SESSION_NAME_LENGTH]


def part_name(number: int) -> str:
    return f"p{number}.m4s"


def number_of(digits: str) -> int:
    """A number in a name as we write it, without leading zeros; -1: it is none."""
    if not digits.isascii() or not digits.isdigit() or len(digits) > NAME_LIMIT or (digits[0] == "0" and digits != "0"):
        return -1
    return int(digits)
