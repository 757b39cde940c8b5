"""What a value must be, beyond its type."""

from __future__ import annotations

from headwater.control.api.errors import ApiError

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def check_name(name: str | None) -> None:
    """A livestream's name: `^[a-zA-Z0-9-_]*$`, to its very end (`$` alone would let a line feed through)."""
    if name is not None and not _NAME_CHARACTERS.issuperset(name):
        raise ApiError(400, "name: only letters, digits, '-' and '_' are allowed")


def check_text(field: str, text: str | None) -> None:
    """Free text that is shown to people: no control characters, and nothing that UTF-8 cannot hold."""
    if text is not None and not text.isprintable():
        raise ApiError(400, f"{field}: control characters are not allowed")
