"""The events that a webhook can ask for."""

from __future__ import annotations

from typing import Final

LIVESTREAM_STATUS: Final = "livestreaming.statusUpdate"
RECORDING_STATUS: Final = "recording.statusUpdate"
MEETING_STARTED: Final = "meeting.started"
MEETING_ENDED: Final = "meeting.ended"
PARTICIPANT_JOINED: Final = "meeting.participantJoined"
PARTICIPANT_LEFT: Final = "meeting.participantLeft"

SENT: Final = (
    MEETING_STARTED,
    MEETING_ENDED,
    PARTICIPANT_JOINED,
    PARTICIPANT_LEFT,
    RECORDING_STATUS,
    LIVESTREAM_STATUS,
)
"""What is sent."""
