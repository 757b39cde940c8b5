"""The origin's settings and limits, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """How long things are kept and waited for, and how much of them.

    Attributes:
        memory_window_s: Media that stays in memory where a recorder can give the rest back.
        dvr_window_s: How far back a live playlist reaches where a recorder writes.
        hold_s: How long a request waits for the first playlist before it is answered 404 with Retry-After.
        ended_s: How long an ended session's live playlists stay, so that its viewers see ENDLIST.
        max_waiting: Requests that may wait at once on the whole server, for a part, a reload or a first playlist; more
            are answered 503. A viewer of low latency has two to four.
        max_waiting_livestream: The same of one livestream, so that one does not take the room of all others.
        max_views: Viewing sessions counted one by one; the oldest are folded into the total beyond it.
        max_head_bytes: Largest request head; browsers send 1 to 2 KB, CMCD adds less than 1 KB.
        keep_alive_s: An idle connection is closed after this long: longer than any player's reload interval.
        head_timeout_s: A request head must arrive within this time.
        body_timeout_s: A request with a body must arrive within this time; the API takes a few KB.
        stalled_s: What was asked for must be read within this time, all but the last 64 KB.
        max_connections: Connections at once.
        read_threads: Threads that read from disk; each holds one segment at a time.
    """

    memory_window_s: float = 8.0
    dvr_window_s: float = 120.0
    hold_s: float = 6.0
    ended_s: float = 60.0
    max_waiting: int = 40_000
    max_waiting_livestream: int = 20_000
    max_views: int = 50_000
    max_head_bytes: int = 16_384
    keep_alive_s: float = 75.0
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    stalled_s: float = 60.0
    max_connections: int = 20_000
    read_threads: int = 4
