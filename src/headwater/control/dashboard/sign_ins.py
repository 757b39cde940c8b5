"""Who is signed in to the dashboard: in memory, by the hash of an opaque random id. Pure: time is an argument.

A sign-in holds the hash of the API token that it was made by, never the token; whether that token is still valid is
asked anew at every request. A restart of the server ends all of them.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from headwater.control.ids import secret_hash

IDLE_S = 24 * 3600.0
"""A sign-in that is not used ends: a day, so that who works every day stays signed in."""

LIFETIME_S = 7 * 24 * 3600.0
"""A sign-in ends however much it is used: a cookie that was stolen is good for a week at most."""

LIMIT = 1000
"""Sign-ins at once, some 300 bytes each; beyond it the one that was not used for longest ends."""

PER_TOKEN = 20
"""Of one token: its holder's browsers. It keeps one token from ending everybody else's."""

ID_LENGTH_LIMIT = 64
"""Characters of an id that are looked at; ours have 43."""


@dataclass(slots=True)
class SignIn:
    """One browser; times in seconds of a monotonic clock."""

    key: str
    token_hash: str
    since_s: float
    seen_s: float

    def over(self, now_s: float) -> bool:
        return now_s - self.seen_s >= IDLE_S or now_s - self.since_s >= LIFETIME_S


class SignIns:
    """All sign-ins, the one that was seen longest ago first."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, SignIn] = OrderedDict()

    def open(self, token_hash: str, now_s: float) -> tuple[SignIn, str]:
        """Sign in by a token that has been checked; returns the id for the cookie, which is kept nowhere."""
        same = [key for key, known in self._by_key.items() if known.token_hash == token_hash]
        if len(same) >= PER_TOKEN:
            del self._by_key[same[0]]
        elif len(self._by_key) >= LIMIT:
            self._by_key.popitem(last=False)
        sign_in_id = secrets.token_urlsafe(32)
        sign_in = SignIn(secret_hash(sign_in_id), token_hash, now_s, now_s)
        self._by_key[sign_in.key] = sign_in
        return sign_in, sign_in_id

    def find(self, sign_in_id: str | None, now_s: float) -> SignIn | None:
        """The sign-in of a cookie, now seen; None where there is none or it is over."""
        if not sign_in_id or len(sign_in_id) > ID_LENGTH_LIMIT:
            return None
        sign_in = self._by_key.get(secret_hash(sign_in_id))
        if sign_in is None or not self.holds(sign_in, now_s):
            return None
        sign_in.seen_s = now_s
        self._by_key.move_to_end(sign_in.key)
        return sign_in

    def holds(self, sign_in: SignIn, now_s: float) -> bool:
        """Whether it is still signed in; what is over is forgotten here."""
        if self._by_key.get(sign_in.key) is not sign_in:
            return False
        if sign_in.over(now_s):
            self.close(sign_in)
            return False
        return True

    def close(self, sign_in: SignIn) -> None:
        """Sign out."""
        self._by_key.pop(sign_in.key, None)

    def __len__(self) -> int:
        return len(self._by_key)
