"""How the viewers of one livestream session fare, as their players say: CMCD in requests, and reports of events.

    media request with CMCD ──► asked ─┐ read every few seconds, and when the player starved
    first playlist request ───► began ─┼─► Viewing (one a viewing session) ──► Experience (the whole, always right)
    POST .../cmcd ────────────► told ──┘

Viewing sessions are kept by a salted hash of their `sid`, in memory, for as long as they are heard of: Python's own
keyed hash (SipHash, the key is the process's) of it and the salt, which is this ledger's own and changes once a day.
Addresses are not looked at. What is stored is the whole (`checkpoints.py`).
"""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headwater.analytics.experience import Experience
from headwater.analytics.viewing import Facts, Viewing, buffer_ms
from headwater.errors import ProtocolError
from headwater.pipeline.origin.paths import BASE_LENGTH
from headwater.pipeline.origin.request import Request, query_value
from headwater.pipeline.origin.viewer import cmcd_session, header_session
from headwater.pipeline.origin.views import KEY_LIMIT
from headwater.protocols import cmcd
from headwater.protocols.cmcd import Report

SOUND = ord("a")
"""How the folders of audio tracks begin (`Rendition.name`)."""

STARVING_S = 0.4
"""Requests that are closer together than this do not say that their player starved in between: of low latency, a player
has as much in its buffer, and asks for a part every 0.3 s."""

AFTER_GAP_S = 3.0
"""What was asked for before a network broke and what after it may arrive at the same time, in any order: `bs` is looked
for this long."""

REPORTS_BURST = 20
"""Event reports that a viewing session may send at once; a body may hold many."""

REPORTS_PER_S = 1.0
"""And from then on: players report when something changes, and every 10 to 30 s."""


@dataclass(frozen=True, slots=True)
class ExperienceSettings:
    """What is kept of how viewers fare.

    Attributes:
        collect: Read what players report (CMCD). Without it nothing of viewers is kept but their number and seconds.
        max_viewings: Viewing sessions of one livestream session that are followed at once; of more, those that began
            first are followed no further, and what they had reported stays.
        idle_s: A viewing session that is not heard of for so long is over.
        read_interval_s: Of a viewing session's requests for media, one is read this often.
        rotate_s: The salt of the identifiers changes this often, and with each livestream session.
        checkpoint_interval_s: The whole is made durable this often while it changes.
        reports_per_s: Event reports of one livestream session that are taken in a second.
    """

    collect: bool = True
    max_viewings: int = 20_000
    idle_s: float = 120.0
    read_interval_s: float = 10.0
    rotate_s: float = 86_400.0
    checkpoint_interval_s: float = 5.0
    reports_per_s: int = 2000


class Followed:
    """A viewing session as it is followed: its numbers, what of them is in the whole, and its last request."""

    __slots__ = ("asked_s", "counted", "gap", "gap_ended_s", "request", "tokens", "tokens_s", "viewing")

    def __init__(self, now_s: float) -> None:
        self.viewing = Viewing(now_s)
        self.counted: Facts | None = None
        self.asked_s = now_s
        self.request: Request | None = None
        self.gap: tuple[float, Request | None] | None = None  # since when nothing was asked for, and what last
        self.gap_ended_s = now_s
        self.tokens = float(REPORTS_BURST)
        self.tokens_s = now_s


def unknown_arrival(path: bytes) -> int | None:
    """Of media that nobody knows any more."""


class ExperienceLedger:
    """All viewing sessions of one livestream session that say how they fare.

    Attributes:
        experience: What they add up to.
        changed: It has changed since somebody reset this.
        pictures: The session has a video track.
        received_ms: Wall time at which the first picture of a piece of media reached the server, by its path; None
            where that is not known.
    """

    def __init__(
        self,
        settings: ExperienceSettings,
        received_ms: Callable[[bytes], int | None],
        *,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Args:
            received_ms: See the attribute.
            wall_ms: The wall clock.
        """
        self.experience = Experience()
        self.changed = False
        self.pictures = False
        self._settings = settings
        self.received_ms = received_ms
        self._wall_ms = wall_ms
        self._followed: dict[int, Followed] = {}
        self._salt = secrets.token_bytes(16)
        self._salted_s: float | None = None
        self._tokens = float(settings.reports_per_s)
        self._tokens_s = 0.0

    def __len__(self) -> int:
        return len(self._followed)

    def _follow(self, sid: bytes, now_s: float) -> Followed:
        key = hash(self._salt + sid)
        followed = self._followed.get(key)
        if followed is None:
            if len(self._followed) >= self._settings.max_viewings:
                self._leave(next(iter(self._followed)))
            followed = self._followed[key] = Followed(now_s)
        return followed

    def _leave(self, key: int) -> None:
        followed = self._followed.pop(key)
        followed.viewing.leave()
        self._count(followed)

    def _count(self, followed: Followed) -> None:
        """Put what a viewing session says now in the place of what it said before."""
        facts = followed.viewing.facts()
        if facts != followed.counted:
            self.experience.put(followed.counted, facts)
            followed.counted = facts
            self.changed = True

    # -- requests -----------------------------------------------------------------------------------------------

    def began(self, request: Request, now_s: float) -> None:
        """A media playlist is asked for that nobody waits for: the first one, most likely."""
        if self._settings.collect and has_cmcd(request) and (sid := session_of(request)):
            self._follow(sid, now_s).viewing.heard_s = now_s

    def asked(self, request: Request, now_s: float) -> None:
        """Media is asked for with CMCD. Hot: what it says is kept unread, mostly."""
        if self.pictures and request.path[BASE_LENGTH] == SOUND:
            return  # what is said with sound is said with pictures too
        sid = session_of(request)
        if not sid or not self._settings.collect:
            return
        followed = self._follow(sid, now_s)
        viewing = followed.viewing
        gap_s, followed.asked_s = now_s - followed.asked_s, now_s
        viewing.heard_s = now_s
        if viewing.by_events:
            return
        if gap_s >= STARVING_S:
            followed.gap, followed.gap_ended_s = (now_s - gap_s, followed.request), now_s
        elif followed.gap is not None and now_s - followed.gap_ended_s >= AFTER_GAP_S:
            followed.gap = None
        if now_s >= viewing.due_s or (followed.gap is not None and is_starved(request)):
            self._read(followed, request, now_s)
        followed.request = request

    def _read(self, followed: Followed, request: Request, now_s: float) -> None:
        report = read(request)
        viewing = followed.viewing
        starting = report.get("su") is True
        viewing.due_s = now_s if starting else now_s + self._settings.read_interval_s
        starved_ms = None
        if report.get("bs") is True and followed.gap is not None:
            # The picture went on for as long as the buffer of the last request before the gap lasted.
            (began_s, last), followed.gap = followed.gap, None
            buffered_ms = buffer_ms(read(last)) if last is not None else None
            starved_ms = max(0, int((now_s - began_s) * 1000) - (buffered_ms or 0))
        latency_ms = self._latency_ms(report, request.path)
        viewing.request(report, now_s, latency_ms=latency_ms, starved_ms=starved_ms)
        self._count(followed)

    def _latency_ms(self, report: Report, path: bytes) -> int | None:
        """The picture that is shown is as far behind that which is asked for as there is buffer."""
        if isinstance(report.get("ltc"), int):
            return report["ltc"]  # type: ignore[return-value]
        buffered = buffer_ms(report)
        received = self.received_ms(path) if buffered is not None else None
        return None if received is None or buffered is None else self._wall_ms() - received + buffered

    # -- events -------------------------------------------------------------------------------------------------

    def told(self, reports: Sequence[Report], now_s: float) -> bool:
        """Take a body of event reports; False: too many come, of this viewing session or altogether."""
        if not self._settings.collect:
            return True
        limit = self._settings.reports_per_s
        self._tokens = min(limit, self._tokens + (now_s - self._tokens_s) * limit)
        self._tokens_s = now_s
        if self._tokens < len(reports):
            return False
        self._tokens -= len(reports)
        allowed: dict[str, Followed] = {}
        for report in reports:
            sid = report.get("sid")
            if not isinstance(sid, str):
                continue
            followed = allowed.get(sid)
            if followed is None:
                followed = allowed[sid] = self._follow(sid.encode()[:KEY_LIMIT], now_s)
                if not may_report(followed, now_s):
                    return False
            followed.viewing.event(report, now_s)
        for followed in allowed.values():
            self._count(followed)
        return True

    def worst(self, limit: int) -> list[Facts]:
        """The viewing sessions that are followed now, those first that stood still longest."""
        known = [followed.counted for followed in self._followed.values() if followed.counted is not None]
        return heapq.nlargest(limit, known, key=lambda facts: (facts.stalled_ms, facts.startup_ms or 0))

    # -- time ---------------------------------------------------------------------------------------------------

    def fold(self, now_s: float, *, over: bool = False) -> None:
        """Forget who is gone, or everybody; what they reported stays in the whole. Change the salt when it is time."""
        if self._salted_s is None:
            self._salted_s = now_s
        if now_s - self._salted_s >= self._settings.rotate_s:
            self._salt, self._salted_s, over = secrets.token_bytes(16), now_s, True
        limit = now_s - self._settings.idle_s
        for key in [key for key, each in self._followed.items() if over or each.viewing.heard_s < limit]:
            self._leave(key)


def may_report(followed: Followed, now_s: float) -> bool:
    """Whether a viewing session has a report left (token bucket)."""
    gained = (now_s - followed.tokens_s) * REPORTS_PER_S
    followed.tokens = min(float(REPORTS_BURST), followed.tokens + gained)
    followed.tokens_s = now_s
    if followed.tokens < 1:
        return False
    followed.tokens -= 1
    return True


def has_cmcd(request: Request) -> bool:
    """Whether a request says who it is in CMCD's words. Hot."""
    query = request.query
    return (query != b"" and b"CMCD=" in query) or request.header(b"cmcd-session") is not None


def is_starved(request: Request) -> bool:
    """Whether `bs` may be said: to be read then."""
    return b"bs" in request.query or b"bs" in (request.header(b"cmcd-status") or b"")


def session_of(request: Request) -> bytes:
    """The `sid`; empty where there is none. Hot."""
    return (cmcd_session(request.query) if request.query else b"") or header_session(request)


def read(request: Request) -> Report:
    """What a request says; nothing where that is too much."""
    try:
        if b"CMCD=" in request.query:
            return cmcd.of_query(query_value(request.query, b"CMCD") or b"")
        return cmcd.of_headers(map(request.header, cmcd.HEADERS))
    except ProtocolError:
        return {}
