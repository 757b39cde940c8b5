"""Room for requests that wait: so much for each livestream, within so much for the whole server. Pure."""

from __future__ import annotations


class Room:
    """Counts who waits.

    Attributes:
        taken: How many wait now.
    """

    __slots__ = ("_limit", "_whole", "taken")

    def __init__(self, limit: int, whole: Room | None = None) -> None:
        """Room for `limit` requests, each of which also takes room in `whole`."""
        self.taken = 0
        self._limit = limit
        self._whole = whole

    def enter(self) -> bool:
        """Whether there was room; each that enters leaves once. Hot."""
        if self.taken >= self._limit:
            return False
        whole = self._whole
        if whole is not None:
            if whole.taken >= whole._limit:
                return False
            whole.taken += 1
        self.taken += 1
        return True

    def leave(self) -> None:
        """Hot."""
        self.taken -= 1
        if self._whole is not None:
            self._whole.taken -= 1
