"""A track's way through the packager: its configuration, its clock, its writer, and the cuts that wait for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

from headwater.media.cmaf import Output
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.packager.clock import VIDEO_TIMESCALE, AudioClock, VideoClock
from headwater.pipeline.packager.writer import Sequence, TrackWriter
from headwater.units import rescale

_DEFAULT_RATE = Fraction(30)
_MAX_OFFSETS = 64
"""Composition offsets remembered by track: a stream has some three to ten; a stranger may send any."""

_MAX_OFFSET_TICKS = 10 * VIDEO_TIMESCALE
"""Longest way from decode to presentation that is believed: some 16 pictures of reordering are usual."""

_SNAP_TICKS = 135  # 1.5 ms of quantisation


@dataclass(frozen=True, slots=True)
class Cut:
    """Where segments begin, in all tracks.

    Attributes:
        msn: Of the segments that begin.
        media: Presentation time, 90 kHz.
        discontinuity: The segments that begin stand behind EXT-X-DISCONTINUITY.
    """

    msn: int
    media: int
    discontinuity: bool


class Lane:
    """What both kinds of track have.

    Attributes:
        track: As configured last.
        version: Of the init segment that was sent last; -1: none yet.
        dirty: `track` has not been sent as an init segment.
        present: Configured by the publisher that is there now.
        source_time: Decode time of the unit that came last, in the source's timescale.
        delay: From decode to presentation of the first sync sample, in the source's timescale.
        dated_ms: Wall time of the segment that began last.
        probe: Decode times that came before the start.
        cuts: Cuts that this track has not reached.
        dropped: Units that did not come, or came twice.
    """

    is_video = False

    def __init__(self, track: Track, timescale: int, sequence: Sequence, out: list[Output]) -> None:
        self.track = track
        self.version = -1
        self.dirty = True
        self.present = True
        self.source_time = self.delay = self.dated_ms = self.dropped = 0
        self.probe: list[int] = []
        self.cuts: deque[Cut] = deque()
        self.writer = TrackWriter(track.id, video=track.is_video, timescale=timescale, sequence=sequence, out=out)

    @property
    def remaining(self) -> int:
        """Ticks until the open part, or the next one, is complete; 0 where a cut waits for the next sample."""
        return 0 if self.cuts else self.writer.part_remaining

    def to_media(self, ticks: int) -> int:
        """A time of this track in 90 kHz."""
        return rescale(ticks, self.writer.timescale, VIDEO_TIMESCALE)

    def from_media(self, media: int) -> int:
        """A 90 kHz time in this track's ticks, rounded up."""
        return -(-media * self.writer.timescale // VIDEO_TIMESCALE)

    def milliseconds(self, milliseconds: int) -> int:
        return milliseconds * self.writer.timescale // 1000


class VideoLane(Lane):
    """A video track.

    Attributes:
        needs_sync: Units are dropped until the next sync sample.
        last_sync: Decode time of the last sync sample.
        gop: Decode time between the last two.
        offsets: Composition offsets by the source's, in ticks, against `delay`.
        measured: The frame rate is known from this publisher's or an earlier one's units.
    """

    is_video = True

    def __init__(self, track: Track, sequence: Sequence, out: list[Output]) -> None:
        super().__init__(track, VIDEO_TIMESCALE, sequence, out)
        assert isinstance(track.config, VideoConfig)
        self.clock = VideoClock(track.timescale, track.config.frame_rate or _DEFAULT_RATE)
        self.needs_sync = True
        self.last_sync = self.gop = 0
        self.offsets: dict[int, int] = {}
        self.measured = False

    @property
    def remaining(self) -> int:
        """As of any track; less where a sync sample is due sooner, since segments are cut there."""
        return min(super().remaining, max(0, self.last_sync + self.gop - self.writer.end))

    def offset(self, source_offset: int) -> int:
        """A composition offset in ticks, freed from the quantisation of the source; remembered."""
        ticks = rescale(source_offset - self.delay, self.track.timescale, VIDEO_TIMESCALE)
        ticks = max(-_MAX_OFFSET_TICKS, min(_MAX_OFFSET_TICKS, ticks))
        frame = self.clock.frame
        frames = (2 * ticks + frame) // (2 * frame)
        if abs(frames * frame - ticks) <= _SNAP_TICKS:
            ticks = frames * frame
        if len(self.offsets) >= _MAX_OFFSETS:
            self.offsets.clear()
        self.offsets[source_offset] = ticks
        return ticks


class AudioLane(Lane):
    """An audio track.

    Attributes:
        blocked: Configured anew; its units wait for the leading track's next cut.
        opus: Packets tell their duration.
        samples: Of the last packet.
    """

    def __init__(self, track: Track, sequence: Sequence, out: list[Output]) -> None:
        config = track.config
        assert isinstance(config, AudioConfig)
        super().__init__(track, config.sample_rate, sequence, out)
        self.clock = AudioClock(track.timescale, config.sample_rate, config.frame_samples, config.sample_rate)
        self.blocked = False
        self.opus = config.codec is Codec.OPUS
        self.samples = config.frame_samples

    def use(self, track: Track) -> None:
        """Go on with another configuration; the timescale stays."""
        config = track.config
        assert isinstance(config, AudioConfig)
        self.track = track
        self.opus = config.codec is Codec.OPUS
        self.set_samples(config.frame_samples)

    def set_samples(self, samples: int) -> None:
        config = self.track.config
        assert isinstance(config, AudioConfig)
        self.samples = samples
        self.clock.set_frame(samples, config.sample_rate)
