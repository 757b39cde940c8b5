"""When a lone participant's picture is passed on as it is, and when it is composed after all.

    COMPOSING ── one H.264 of the right size, nothing else to show, for SETTLE_S; a key frame ──► PASSING
    PASSING ──── somebody joins, a camera goes off, no picture or no key frame for too long ────► COMPOSING

Both switches happen at a key frame: the participant's, asked for; or the encoder's, forced. What was not decoded
meanwhile is kept by its stream and decoded at once. Segments begin at key frames, so one is asked for every GOP_S.
"""

from __future__ import annotations

from headwater.meetings.compositor.coding import GOP_S, video_setup, video_tag
from headwater.meetings.compositor.intake import Meeting, VideoKey
from headwater.meetings.compositor.streams import VideoStream
from headwater.testcard.tags import Tag

SETTLE_S = 1.0
"""Two who join one after the other are not worth two switches."""

MAX_SILENCE_S = 0.7
"""Without a picture for this long, the composed one (with the last picture in it) goes on."""

MAX_KEY_INTERVAL_S = 6.0
"""A sender that does not follow requests for key frames makes segments that no player likes."""

PENALTY_S = 30.0
"""Who could not be passed on is composed for this long."""


class Passing:
    """Decides, and makes the tags of what is passed on.

    Attributes:
        active: Pictures are passed on now.
        leaving_since_s: Since when it is clear that this has to end, as soon as the composed picture is whole.
        passed: Pictures passed on so far.
    """

    def __init__(self, meeting: Meeting, width: int, height: int, *, allowed: bool) -> None:
        self.active = False
        self.leaving_since_s: float | None = None
        self.passed = 0
        self._meeting = meeting
        self._size = (width, height)
        self._allowed = allowed
        self._stream: VideoStream | None = None
        self._since_s = 0.0
        self._not_before_s = float("-inf")
        self._picture_s = self._key_s = 0.0
        self._key_wanted = False

    def want_key(self) -> None:
        """A key frame is needed now: a connection begins."""
        self._key_wanted = True

    def decide(self, now_s: float) -> None:
        """Look at the meeting: may it begin, must it end?"""
        stream = self._eligible(now_s)
        if self.active:
            assert self._stream is not None
            stalled = now_s - self._picture_s > MAX_SILENCE_S or now_s - self._key_s > MAX_KEY_INTERVAL_S
            if stalled:
                self._not_before_s = now_s + PENALTY_S
            if (stalled or stream is not self._stream) and self.leaving_since_s is None:
                self.leaving_since_s = now_s
            elif now_s - self._key_s >= GOP_S - 0.1 or self._key_wanted:
                self._stream.ask(now_s)
        elif stream is not self._stream:
            self._stream, self._since_s = stream, now_s
        elif stream is not None and now_s - self._since_s >= SETTLE_S:
            stream.ask(now_s)

    def stop(self) -> None:
        """The composed picture goes on from here."""
        self.active, self.leaving_since_s, self._stream = False, None, None

    def tags(self, due_s: float, origin_s: float, now_s: float) -> list[Tag]:
        """What is to be passed on at an instant; with a key frame it begins.

        Args:
            due_s: The instant, on the participants' time line.
            origin_s: The instant whose timestamp is 0.
            now_s: For how long things have lasted.
        """
        stream = self._stream
        if stream is None:
            return []
        settled = now_s - self._since_s >= SETTLE_S
        tags: list[Tag] = []
        while stream.units and stream.units[0].at_s <= due_s:
            unit = stream.units.popleft()
            if not self.active and (unit.record is None or not settled):
                continue
            if unit.record is not None:
                if unit.size != self._size:  # it has changed meanwhile
                    self.stop()
                    break
                self._key_s, self._key_wanted = now_s, False
                tags.append(video_setup(unit.record))
            timestamp_ms = max(0, round((unit.at_s - origin_s) * 1000))
            tags.append(video_tag(unit.payload, timestamp_ms, sync=unit.record is not None))
            self._picture_s, self.active = now_s, True
            self.passed += 1
        return tags

    def _eligible(self, now_s: float) -> VideoStream | None:
        """The stream that could be passed on."""
        snapshot = self._meeting.snapshot
        if not self._allowed or len(snapshot.participants) != 1 or now_s < self._not_before_s:
            return None
        one = snapshot.participants[0]
        key: VideoKey = (one.id, "camera")
        stream = self._meeting.videos.get(key)
        if not one.camera.video or one.screen.video or stream is None or stream.size != self._size:
            return None
        return stream
