"""Who is speaking, from the audio levels that publishers' browsers write beside their sound (RFC 6464).

A voice begins when it has been loud for `BEGIN_S`, and ends when it has not been for `END_S`: neither a cough nor a
pause between words changes the picture. Of several voices the one that is marked stays, unless another is clearly
louder for a while.
"""

from __future__ import annotations

LOUD_DB, QUIET_DB = -45.0, -52.0
"""dBov (full scale is 0). Speech at a desk is at -20 to -40, a quiet room at -60; between them nothing changes."""

BEGIN_S = 0.2
END_S = 0.9
LOUDER_DB, LOUDER_S = 6.0, 0.6
"""By how much, and for how long, another voice has to be louder to take the mark."""

SMOOTHING = 0.2
"""Weight of the newest of 50 levels a second: the mean of some 100 ms."""


class _Voice:
    __slots__ = ("heard_s", "level", "loud_s", "loud_since_s", "louder_since_s", "speaks")

    def __init__(self) -> None:
        self.level = -127.0
        self.heard_s = self.loud_s = float("-inf")
        self.loud_since_s: float | None = None
        self.louder_since_s: float | None = None
        self.speaks = False


class Speaking:
    """The voices of one room."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._marked: str | None = None

    def heard(self, participant_id: str, level_db: int, now: float) -> None:
        """Note the level of a packet, -127 to 0 dBov. Hot: 50 times a second a participant."""
        voice = self._voices.get(participant_id)
        if voice is None:
            voice = self._voices[participant_id] = _Voice()
        voice.heard_s = now
        voice.level += SMOOTHING * (level_db - voice.level)
        if voice.level >= LOUD_DB:
            voice.loud_s = now
            if voice.loud_since_s is None:
                voice.loud_since_s = now
        elif voice.level >= QUIET_DB:
            if voice.speaks:
                voice.loud_s = now
        else:
            voice.loud_since_s = None

    def gone(self, participant_id: str) -> None:
        """Forget a voice: its owner left, or is muted."""
        self._voices.pop(participant_id, None)
        if self._marked == participant_id:
            self._marked = None

    def speaker(self, now: float) -> str | None:
        """Who is speaking; to be asked some times a second."""
        for voice in self._voices.values():
            if voice.speaks:
                voice.speaks = now - voice.loud_s < END_S
            else:
                began = voice.loud_since_s
                voice.speaks = began is not None and now - began >= BEGIN_S and now - voice.heard_s < BEGIN_S
        speakers = {name: voice for name, voice in self._voices.items() if voice.speaks}
        if not speakers:
            self._marked = None
            return None
        loudest = max(speakers, key=lambda name: speakers[name].level)
        marked = speakers.get(self._marked) if self._marked is not None else None
        if marked is None:
            self._marked = loudest
        elif loudest != self._marked:
            self._challenge(loudest, speakers, marked, now)
        return self._marked

    def _challenge(self, loudest: str, speakers: dict[str, _Voice], marked: _Voice, now: float) -> None:
        for name, voice in speakers.items():
            if name != loudest or voice.level < marked.level + LOUDER_DB:
                voice.louder_since_s = None
            elif voice.louder_since_s is None:
                voice.louder_since_s = now
            elif now - voice.louder_since_s >= LOUDER_S:
                voice.louder_since_s = None
                self._marked = name
