"""What becomes of a delivery after an attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.control.webhooks.backoff import Outcome, pause_ms, state_after
from headwater.control.webhooks.settings import WebhookSettings

SETTINGS = WebhookSettings()
DAY_MS = 86_400_000


@pytest.mark.parametrize("code", [200, 201, 204, 299])
def test_success(code: int) -> None:
    assert state_after(Outcome(code), age_ms=9 * DAY_MS, settings=SETTINGS) == "delivered"


@pytest.mark.parametrize("code", [None, 301, 302, 408, 425, 429, 500, 502, 503, 504, 599])
def test_failures_are_retried_for_a_day(code: int | None) -> None:
    assert state_after(Outcome(code), age_ms=DAY_MS, settings=SETTINGS) == "waiting"
    assert state_after(Outcome(code), age_ms=DAY_MS + 1, settings=SETTINGS) == "failed"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 410, 413, 422, 451])
def test_other_client_errors_are_not_retried(code: int) -> None:
    assert state_after(Outcome(code), age_ms=0, settings=SETTINGS) == "failed"


def test_the_pause_doubles_up_to_its_limit() -> None:
    assert [pause_ms(n, SETTINGS, 0.0) for n in (1, 2, 3, 4)] == [1000, 2000, 4000, 8000]
    assert pause_ms(13, SETTINGS, 0.0) == pause_ms(10**9, SETTINGS, 0.0) == 3_600_000


@given(st.integers(1, 100), st.floats(0, 1))
def test_jitter_takes_at_most_a_half(attempts: int, chance: float) -> None:
    whole = pause_ms(attempts, SETTINGS, 0.0)
    assert whole // 2 <= pause_ms(attempts, SETTINGS, chance) <= whole


def test_the_receiver_may_ask_for_more_but_not_for_ever() -> None:
    assert pause_ms(1, SETTINGS, 0.0, retry_after_s=30) == 30_000
    assert pause_ms(5, SETTINGS, 0.0, retry_after_s=1) == 16_000
    assert pause_ms(1, SETTINGS, 0.0, retry_after_s=10**9) == 3_600_000
