"""Every operation of the API; the order is the router's: fixed words come before parameters."""

from __future__ import annotations

from typing import Final

from headwater.control.api.operations import Operation
from headwater.control.api.routes import (
    active_session,
    analytics,
    apps,
    experience,
    livestreams,
    meeting_sessions,
    meetings,
    participants,
    presets,
    recordings,
    tokens,
    webhooks,
)

OPERATIONS: Final[list[Operation]] = [
    *apps.OPERATIONS,
    *tokens.OPERATIONS,
    *experience.OPERATIONS,
    *livestreams.OPERATIONS,
    *meetings.OPERATIONS,
    *participants.OPERATIONS,
    *active_session.OPERATIONS,
    *meeting_sessions.OPERATIONS,
    *presets.OPERATIONS,
    *recordings.OPERATIONS,
    *analytics.OPERATIONS,
    *webhooks.OPERATIONS,
]
