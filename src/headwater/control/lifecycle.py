"""The life of a livestream: which status follows which, as a table. Pure.

    created ─► INVOKED ──playable──► LIVE ──ended──► IDLE ──playable──► LIVE ...
                  │                   │                │
                  └──────failed───────┴────failed──────┴──► ERRORED ──playable──► LIVE ...

INVOKED: asked for, no media yet. LIVE: media flows and is playable. IDLE: the last session has ended. ERRORED: the last
broadcast failed; its session's `err_message` says why. Media that has arrived and is not playable yet changes nothing:
viewers could not watch. Nor does a lost publisher within its reconnect window: viewers stay.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    INVOKED = "INVOKED"
    LIVE = "LIVE"
    IDLE = "IDLE"
    ERRORED = "ERRORED"


class Happening(StrEnum):
    """What can happen to a livestream."""

    OPENED = "opened"
    PLAYABLE = "playable"
    INTERRUPTED = "interrupted"
    RESUMED = "resumed"
    ENDED = "ended"
    FAILED = "failed"
    INVOKED = "invoked"
    STOPPED = "stopped"


_SAME: Final = {status: status for status in Status}
_ALL_TO: Final = {target: dict.fromkeys(Status, target) for target in Status}

TRANSITIONS: Final[dict[Happening, dict[Status, Status]]] = {
    Happening.OPENED: _SAME,
    Happening.PLAYABLE: _ALL_TO[Status.LIVE],
    # Still LIVE for its viewers; before it was playable, still what it was.
    Happening.INTERRUPTED: _SAME,
    Happening.RESUMED: _SAME,
    Happening.ENDED: _ALL_TO[Status.IDLE],
    Happening.FAILED: _ALL_TO[Status.ERRORED],
    # Asked for again; a running broadcast is not taken back.
    Happening.INVOKED: {**_ALL_TO[Status.INVOKED], Status.LIVE: Status.LIVE},
    # An explicit stop also ends what was only asked for; a failure stays visible.
    Happening.STOPPED: {**_ALL_TO[Status.IDLE], Status.ERRORED: Status.ERRORED},
}

ACTIVE: Final = frozenset({Status.INVOKED, Status.LIVE})
"""What counts as a meeting's active livestream: asked for, or running."""


def follow(status: Status, happening: Happening) -> Status:
    """The status after something has happened."""
    return TRANSITIONS[happening][status]
