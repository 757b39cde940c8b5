"""The output clock: it pulls. Every 1/fps second a picture, every 1024 samples a frame of sound, whatever comes in.

A source for the RTMP publisher: `tags` runs in a thread of its own. When the machine is too slow, instants are left
out and counted; nothing is put off for later. Sound is never left out but after a standstill.

    media time 0 = origin; at media time t shows and sounds what happened at origin + t - playout delay
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import av.error

from headwater import __version__
from headwater.errors import OperatorError
from headwater.meetings.compositor.coding import AUDIO_FRAME, PictureEncoder, SoundEncoder
from headwater.meetings.compositor.intake import Meeting, VideoKey
from headwater.meetings.compositor.painter import Painter
from headwater.meetings.compositor.passing import Passing
from headwater.meetings.compositor.settings import Job
from headwater.meetings.compositor.sound import SAMPLE_RATE, Samples
from headwater.meetings.compositor.streams import Mode
from headwater.testcard.clock import Clock
from headwater.testcard.tags import Tag

MAX_LATE_S = 0.1
"""Up to here a picture is made up for; beyond, it is left out."""

STANDSTILL_S = 1.0
"""After which sound is left out too: nobody was there to mix it."""

HANDOVER_S = 0.3
"""How long a picture is still passed on while it is being decoded, before it is composed without it."""


class Output:
    """A source: the meeting's picture and sound.

    Attributes:
        skipped: Instants for which no picture was made.
        frames: Pictures sent.
    """

    def __init__(self, meeting: Meeting, job: Job) -> None:
        """
        Raises:
            OperatorError: the encoders refuse the job.
        """
        self.skipped = self.frames = 0
        self.painter = Painter(meeting, job.width, job.height)
        self.passing = Passing(meeting, job.width, job.height, allowed=job.pass_through)
        self._meeting = meeting
        self._job = job
        self._sync_wanted = threading.Event()
        self._setup_wanted = True
        self._picture_is_stale = False
        self._last_ms = -1
        try:
            self._picture = PictureEncoder(job)
            self._sound = SoundEncoder(job)
        except (av.error.FFmpegError, ValueError) as error:
            raise OperatorError(f"the encoder refuses {self.describe()}: {error}") from error

    @property
    def has_video(self) -> bool:
        return True

    def describe(self) -> str:
        """One line for people."""
        return f"{self._job.width}x{self._job.height} at {self._job.fps} fps, {self._job.video_kbps} kbit/s"

    def metadata(self) -> dict[str, object]:
        """Values for onMetaData."""
        return {
            "encoder": f"Headwater/{__version__}",
            "width": self._job.width,
            "height": self._job.height,
            "framerate": float(self._job.fps),
            "videodatarate": self._job.video_kbps,
            "audiosamplerate": SAMPLE_RATE,
            "audiodatarate": self._job.audio_kbps,
            "stereo": True,
        }

    def request_sync(self) -> None:
        """Make the next picture one at which decoding can start. From any thread."""
        self._sync_wanted.set()

    def tags(self, clock: Clock) -> Iterator[Tag]:
        """The tags, each when its time has come."""
        fps, delay_s = self._job.fps, self._job.playout_delay_ms / 1000
        self.painter.paint(time.monotonic() - delay_s)  # fonts are read, while no picture is due yet
        start_s = time.monotonic()
        to_wall_ms = clock.now_ms() - start_s * 1000
        origin_s = start_s - delay_s
        self._meeting.mixer.start(round(origin_s * SAMPLE_RATE))
        yield self._sound.setup
        index = sounded = 0
        while True:
            due_s = start_s + index / fps
            if not clock.wait_until(due_s * 1000 + to_wall_ms):
                return
            late_s = time.monotonic() - due_s
            if late_s > MAX_LATE_S:
                left_out = int(late_s * fps)
                self.skipped += left_out
                index += left_out
                if late_s > STANDSTILL_S:
                    behind = int(late_s * SAMPLE_RATE) // AUDIO_FRAME
                    sounded += behind
                    self._meeting.mixer.skip(behind * AUDIO_FRAME)
            while (sounded + 1) * AUDIO_FRAME * fps <= (index + 1) * SAMPLE_RATE:
                yield from self._sound.encode(self._mix(), sounded * AUDIO_FRAME)
                sounded += 1
            yield from self._pictures(index, origin_s)
            index += 1

    def _mix(self) -> Samples:
        snapshot = self._meeting.snapshot
        silent: set[object] = {(one.id, "camera") for one in snapshot.participants if not one.camera.audio}
        silent |= {(one.id, "screen") for one in snapshot.participants if not one.screen.audio}
        return self._meeting.mixer.take(AUDIO_FRAME, silent)

    def _pictures(self, index: int, origin_s: float) -> Iterator[Tag]:
        """The tags of one instant: passed on, or composed."""
        instant_s = origin_s + index / self._job.fps
        now_s = time.monotonic()
        sync = self._sync_wanted.is_set()
        self._sync_wanted.clear()
        passing = self.passing
        if sync:
            passing.want_key()
        passing.decide(now_s)
        if passing.leaving_since_s is not None and self._composed_is_whole(instant_s, passing.leaving_since_s, now_s):
            passing.stop()
        tags = passing.tags(instant_s, origin_s, now_s)
        if passing.active:
            if passing.leaving_since_s is None:
                self._set_modes("pass", set())
                self._picture_is_stale = True
            yield from self._in_order(tags)
        else:
            yield from self._composed(index, instant_s, sync)

    def _composed_is_whole(self, instant_s: float, leaving_since_s: float, now_s: float) -> bool:
        """Paint while the picture is still passed on, until nothing is missing or it takes too long."""
        self._refresh()
        self.painter.paint(instant_s)
        self._set_modes("hide", self.painter.shown())
        return self.painter.complete() or now_s - leaving_since_s > HANDOVER_S

    def _composed(self, index: int, instant_s: float, sync: bool) -> Iterator[Tag]:
        self._refresh()
        self.painter.paint(instant_s)
        self._set_modes("hide", self.painter.shown())
        if self._setup_wanted:
            yield self._picture.setup
        sync, self._setup_wanted = sync or self._setup_wanted, False
        timestamp_ms = index * 1000 // self._job.fps
        yield from self._in_order(self._picture.encode(self.painter.canvas.frame, index, timestamp_ms, sync=sync))

    def _refresh(self) -> None:
        """The canvas was not painted while pictures were passed on, and players know another configuration."""
        if self._picture_is_stale:
            self._picture_is_stale, self._setup_wanted = False, True
            self.painter.forget()

    def _in_order(self, tags: list[Tag]) -> Iterator[Tag]:
        """Timestamps grow, also where what was composed and what is passed on meet."""
        for tag in tags:
            if tag.setup is None:
                self.frames += 1
                self._last_ms = max(self._last_ms + 1, tag.timestamp_ms)
                if tag.timestamp_ms != self._last_ms:
                    tag = Tag(tag.type_id, self._last_ms, tag.body)
            yield tag

    def _set_modes(self, others: Mode, shown: set[VideoKey]) -> None:
        """Tell each stream whether it is looked at."""
        for key, stream in self._meeting.videos.items():
            stream.mode = "show" if key in shown else others
