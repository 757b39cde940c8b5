"""What becomes of a delivery after an attempt, and when the next one is. Pure: time and randomness are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headwater.control.repository.deliveries import State
from headwater.control.webhooks.settings import WebhookSettings

_AGAIN: Final = frozenset({408, 425, 429})
"""Client errors that are about the moment and not about the request (RFC 9110, RFC 8470, RFC 6585)."""

_AWAY: Final = frozenset({502, 503, 504})
"""What a proxy answers whose receiver is down."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt brought.

    Attributes:
        status_code: HTTP status; None: no answer.
        answer: The first bytes of the answer's body, as text.
        error: Why it did not succeed, in words; None where it did.
        retry_after_s: What the receiver asked for.
    """

    status_code: int | None
    answer: str = ""
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def delivered(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def refused(self) -> bool:
        """The receiver understood and does not want it: another attempt would bring the same."""
        code = self.status_code
        return code is not None and 400 <= code < 500 and code not in _AGAIN

    @property
    def away(self) -> bool:
        """Nobody is there: it concerns every event for this webhook, not just this one."""
        return self.status_code is None or self.status_code in _AWAY


def pause_ms(attempts: int, settings: WebhookSettings, chance: float, retry_after_s: float | None = None) -> int:
    """How long to wait after so many failed attempts (1 or more).

    Args:
        chance: Random, from 0 to 1: receivers that failed together are not all tried again together.
    """
    longest_s = settings.retry_max_s
    pause_s = min(longest_s, settings.retry_first_s * 2.0 ** min(attempts - 1, 60)) * (1 - chance / 2)
    if retry_after_s is not None:
        pause_s = max(pause_s, min(retry_after_s, longest_s))
    return round(pause_s * 1000)


def state_after(outcome: Outcome, *, age_ms: int, settings: WebhookSettings) -> State:
    """What a delivery is after an attempt.

    Args:
        age_ms: How long this server could have delivered it: since it was queued, or since the server has started.
    """
    if outcome.delivered:
        return "delivered"
    return "failed" if outcome.refused or age_ms > settings.give_up_s * 1000 else "waiting"
