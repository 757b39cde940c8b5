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
        """Whether there was room; each that enters leaves once."""
        whole = self._whole
        if self.taken >= self._limit or (whole is not None and not whole.enter()):
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        self.taken -= 1
        if self._whole is not None:
            self._whole.leave()
