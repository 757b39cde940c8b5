"""The packager: access units of one livestream session in, CMAF init segments, segments and parts out.

    push ──► (start: held back until the frame rate is known) ──► clock ──► boundary? ──► writer ──► parts

The first video track leads: segments begin at its sync samples, and at the same times in all other tracks, with the
same media sequence numbers. Without video, the first audio track leads.

Decided here:
- A source clock that jumps (by more than 3 s ahead or 0.5 s back) is taken for an encoder that began anew: the hole is
  closed, nothing is cut. Where another track is where the jump went, it was a true gap and is kept.
- After `discontinuity` all tracks begin anew at one common time, the latest end of any of them: a recording has no
  hole and the offset between audio and video stays.
- A configuration that changes takes effect at the leading track's next sync sample; all tracks begin anew there, behind
  a discontinuity.
- A track that comes after `Playable` becomes a further rendition; video that comes late takes the lead.
- A segment for which a track has no media is opened and closed without a part: a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Several
from dataclasses import replace

from headwater.errors import ProtocolError
from headwater.media import av1, vp9
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import InitSegment, Output, Playable, SegmentClosed, SegmentOpened
from headwater.media.opus import packet_samples
from headwater.media.parameter_sets import parameter_sets
from headwater.media.track import Codec, Track, VideoConfig
from headwater.pipeline.packager.clock import JUMP_MS, JUMPED, VIDEO_TIMESCALE, measured_rate
from headwater.pipeline.packager.flow import Flow
from headwater.pipeline.packager.lane import AudioLane, Cut, Lane, VideoLane
from headwater.pipeline.packager.notices import Notices
from headwater.pipeline.packager.plan import SegmentPlan
from headwater.pipeline.packager.settings import PackagerSettings
from headwater.pipeline.packager.wall_clock import WallClock
from headwater.pipeline.packager.writer import Sequence
from headwater.protocols.isobmff.movie import description_index, init_segment
from headwater.units import rescale

MAX_QUEUED_UNITS = 4096
"""Units held back at the start: 10 s of audio while the first picture is waited for, and four times that."""

MAX_TRACKS = 16
"""Tracks of a session: a few renditions and languages."""

_SLOW_PROBE_MS = 1500
"""A single picture is enough to start after this time: there are streams of one frame per second."""

_MAX_LAG_TICKS = 5 * VIDEO_TIMESCALE
"""Decode times of video may lag this far behind the true ones after a pause, before a hole is left instead."""

_MAX_APART_TICKS = 15 * VIDEO_TIMESCALE
"""Further apart, two tracks' first time stamps are of two clocks: longer than the wait for the first picture."""

_NOTHING: tuple[Output, ...] = ()


class Packager:
    """One livestream session. `now_ms` is Unix time in milliseconds; outputs are to be applied in order."""

    def __init__(self, settings: PackagerSettings, *, first_msn: int, now_ms: int) -> None:
        self._settings = settings
        self._out: list[Output] = []
        self._notices = Notices(self._out)
        self._plan = SegmentPlan(settings)
        self._wall = WallClock()
        self._sequence = Sequence()
        self._lanes: dict[int, Lane] = {}
        self._leader: Lane | None = None
        self._promoted = False
        self._msn = first_msn
        self._resuming = False
        self._cut_wanted = False
        self._history: deque[Cut] = deque(maxlen=64)
        self._queue: list[tuple[AccessUnit, int]] = []
        self._running = False
        self._playable = False
        self._playable_until_ms: int | None = None
        self._finished = False
        self._now_ms = now_ms

    # What the caller does

    def configure(self, track: Track) -> Several[Output]:
        """Announce a track, or its new configuration."""
        lane = self._lanes.get(track.id)
        if lane is None:
            if len(self._lanes) < MAX_TRACKS:
                self._lanes[track.id] = self._new_lane(track)
            else:
                self._notices.warn("TOO_MANY_TRACKS", f"more than {MAX_TRACKS} tracks; the others are dropped", 0)
        else:
            self._configure_again(lane, track)
        return self._take_out()

    def push(self, unit: AccessUnit, now_ms: int) -> Several[Output]:
        """Take one access unit of a configured track."""
        lane = self._lanes.get(unit.track_id)
        if lane is None or not unit.payload:
            return _NOTHING
        if not self._running:
            self._enqueue(lane, unit, now_ms)
        else:
            self._take(lane, unit, now_ms)
        if not self._out:
            return _NOTHING
        if not self._playable:
            self._check_playable(now_ms)
        return self._take_out()

    def patience_ms(self) -> float:
        """Media time until a part is complete or a segment is cut, in whichever track; 0 before the start.

        Media that comes in real time yields nothing before that time has passed, unless a key frame comes early.
        Counted from the latest sample of any track: the others' next ones are due so much sooner.
        """
        if not self._running:
            return 0
        latest, due = 0.0, float("inf")
        for lane in self._lanes.values():
            if lane.present:
                assert isinstance(lane, VideoLane | AudioLane)
                per_ms = lane.writer.timescale / 1000
                came = (lane.writer.end - lane.clock.frame) / per_ms
                latest = max(latest, came)
                due = min(due, came + lane.remaining / per_ms)
        return due - latest

    def flows(self) -> list[Flow]:
        """What has come of each track so far, for who samples it now and then."""
        return [self._flow(lane) for lane in self._lanes.values()]

    @property
    def jumps(self) -> int:
        """How often time stamps have jumped."""
        counts = self._notices.counts
        return counts["TIMESTAMP_JUMP"] + counts["TIMESTAMP_GAP"]

    def _flow(self, lane: Lane) -> Flow:
        per_ms = lane.writer.timescale / 1000
        samples, size = lane.writer.taken
        return Flow(
            track_id=lane.track.id,
            video=lane.is_video,
            samples=samples,
            size=size,
            end_ms=lane.writer.end / per_ms,
            gop_ms=lane.gop / per_ms if isinstance(lane, VideoLane) else 0.0,
            dropped=lane.dropped + (lane.clock.missing if isinstance(lane, VideoLane) else 0),
        )

    def discontinuity(self, now_ms: int) -> Several[Output]:
        """The publisher is gone: close what is open; what follows starts on a discontinuity."""
        self._flush(now_ms)
        self._check_playable(now_ms)
        return self._take_out()

    def tick(self, now_ms: int) -> Several[Output]:
        """Let time pass; to be called some four times a second or more often."""
        if not self._running:
            if self._queue and self._ready_to_start(now_ms):
                self._start(now_ms)
        else:
            self._close_overdue_parts(now_ms)
        self._check_playable(now_ms)
        return self._take_out()

    def finish(self, now_ms: int) -> Several[Output]:
        """The session ends. `Playable` comes now at the latest, if there is anything to play."""
        self._flush(now_ms)
        self._finished = True
        self._check_playable(now_ms)
        return self._take_out()

    def _take_out(self) -> Several[Output]:
        if not self._out:
            return _NOTHING
        out = self._out.copy()
        self._out.clear()
        return out

    # Configuration

    def _new_lane(self, track: Track) -> Lane:
        lane: Lane = (VideoLane if track.is_video else AudioLane)(track, self._sequence, self._out)
        if self._running:
            self._fix_part_target(lane)
            if isinstance(lane, AudioLane):
                self._anchor_late(lane)
        return lane

    def _configure_again(self, lane: Lane, track: Track) -> None:
        lane.present = True
        if track.is_video != lane.is_video:
            return  # a track keeps its kind; ingest gives another id
        if track.config == _without_learnt_size(lane.track, track).config:
            return
        if not self._running and self._queue:
            self._start(self._now_ms)  # what is held back has the old configuration
        lane.dirty = True
        if isinstance(lane, VideoLane):
            lane.track = track
            lane.needs_sync = True
        elif isinstance(lane, AudioLane):
            lane.use(track)
            lane.blocked = self._running and lane is not self._leader and lane.writer.segment_end >= 0
        self._cut_wanted = self._cut_wanted or self._running

    # The start: units are held back until it is known how fast the pictures come

    def _enqueue(self, lane: Lane, unit: AccessUnit, now_ms: int) -> None:
        if isinstance(lane, VideoLane) and not unit.sync and not lane.probe:
            return
        lane.probe.append(unit.dts)
        self._queue.append((unit, now_ms))
        if self._ready_to_start(now_ms):
            self._start(now_ms)

    def _ready_to_start(self, now_ms: int) -> bool:
        waited_ms = now_ms - self._queue[0][1]
        if len(self._queue) >= MAX_QUEUED_UNITS:
            return True
        videos = [lane for lane in self._lanes.values() if isinstance(lane, VideoLane) and lane.present]
        if not videos:
            return any(self._probed_ms(lane) >= self._settings.probe_ms for lane in self._lanes.values())
        lead = videos[0]
        if not lead.probe:
            return waited_ms >= self._settings.max_gop_ms
        return (
            lead.measured
            or (len(lead.probe) > 1 and self._probed_ms(lead) >= self._settings.probe_ms)
            or waited_ms >= _SLOW_PROBE_MS
        )

    def _probed_ms(self, lane: Lane) -> int:
        return abs(lane.probe[-1] - lane.probe[0]) * 1000 // lane.track.timescale if lane.probe else 0

    def _start(self, now_ms: int) -> None:
        lanes = [lane for lane in self._lanes.values() if lane.probe]
        leader = next((lane for lane in lanes if lane.is_video), lanes[0])
        for lane in lanes:
            self._measure(lane)
        queue, self._queue = self._queue, []
        first, first_ms = next((unit, at_ms) for unit, at_ms in queue if unit.track_id == leader.track.id)
        base = max((lane.to_media(lane.writer.end) for lane in self._lanes.values()), default=0)
        self._leader = leader
        self._running = True
        if self._resuming:
            self._msn += 1
        self._wall.restart()
        self._wall.observe(base, first_ms)
        cut = Cut(self._msn, base, self._resuming)
        self._history.append(cut)
        self._anchor_all(leader, first, base)
        for lane in self._lanes.values():
            lane.cuts.clear()
            if lane is not leader:
                lane.cuts.append(replace(cut, media=base - _BEFORE_ALL))
        self._resuming = self._cut_wanted = False
        for unit, at_ms in queue:
            self._take(self._lanes[unit.track_id], unit, at_ms)

    def _take(self, lane: Lane, unit: AccessUnit, now_ms: int) -> None:
        if isinstance(lane, VideoLane):
            self._take_video(lane, unit, now_ms)
        elif isinstance(lane, AudioLane):
            self._take_audio(lane, unit, now_ms)

    def _measure(self, lane: Lane) -> None:
        if isinstance(lane, VideoLane) and not lane.measured:
            assert isinstance(lane.track.config, VideoConfig)
            rate = measured_rate(lane.probe, lane.track.timescale, lane.track.config.frame_rate)
            if rate is not None:
                lane.clock.set_rate(rate)
                lane.measured = True
        lane.probe.clear()
        self._fix_part_target(lane)

    def _fix_part_target(self, lane: Lane) -> None:
        assert isinstance(lane, VideoLane | AudioLane)
        if not lane.writer.limit:
            lane.writer.set_part_target(lane.clock.frame, self._settings.part_target_ms)

    def _anchor_all(self, leader: Lane, first: AccessUnit, base: int) -> None:
        """Let the first presented sample of the leader stand at `base`, and everything else relative to it."""
        leader.delay = first.composition_offset if leader.is_video else 0
        presented = first.dts + leader.delay
        for lane in self._lanes.values():
            assert isinstance(lane, VideoLane | AudioLane)
            source = rescale(presented, leader.track.timescale, lane.track.timescale)
            ticks = lane.from_media(base)
            lane.writer.end = max(lane.writer.end, ticks)
            if isinstance(lane, VideoLane):
                lane.needs_sync = True
                lane.delay = leader.delay if lane is leader else 0
                lane.offsets.clear()
            lane.clock.anchor(source - lane.delay, ticks)

    def _anchor_late(self, lane: VideoLane | AudioLane) -> None:
        """Put a late track on the leader's time line."""
        leader = self._leader
        assert isinstance(leader, VideoLane | AudioLane)
        presented = rescale(leader.clock.source + leader.delay, leader.track.timescale, lane.track.timescale)
        base = lane.from_media(leader.to_media(leader.clock.base))
        lane.clock.anchor(presented - lane.delay, base)

    # One unit

    def _take_video(self, lane: VideoLane, unit: AccessUnit, now_ms: int) -> None:
        sync = unit.sync
        if lane.needs_sync and not self._begins(lane, unit):
            return
        clock, writer = lane.clock, lane.writer
        time = clock.time(unit.dts)
        if time < 0:
            time = self._jumped(lane, unit, now_ms)
        lane.source_time = unit.dts
        offset = lane.offsets.get(unit.composition_offset)
        if offset is None:
            offset = lane.offset(unit.composition_offset)
        frame = clock.frame
        if (
            sync or lane.cuts or writer.end + frame > writer.segment_end or time >= writer.segment_end
        ) and not self._boundary(lane, time, time + offset, sync, frame, now_ms):
            lane.needs_sync = True  # it has no segment before the leading track's next cut
            return
        writer.add(time, offset, sync, unit.payload, frame, now_ms)

    def _take_audio(self, lane: AudioLane, unit: AccessUnit, now_ms: int) -> None:
        clock, writer = lane.clock, lane.writer
        if lane.opus:
            samples = packet_samples(unit.payload)
            if samples and samples != lane.samples:
                lane.set_samples(samples)
        if writer.segment_end < 0 and not clock.started and lane is not self._leader:
            self._meet_leader(lane, unit)
        time = clock.time(unit.dts)
        if time == JUMPED:
            time = self._jumped(lane, unit, now_ms)
        lane.source_time = unit.dts
        if time < 0:
            if clock.started:
                lane.dropped += 1
                self._notices.warn("AUDIO_OVERLAP", "audio that lies before what was sent already is dropped", now_ms)
            return
        if lane.blocked:
            return
        frame = clock.frame
        if time > writer.end and (time - writer.end > frame >> 1 or writer.segment_end < 0):
            self._skip_audio(lane, time, now_ms)
        if (lane is self._leader or lane.cuts or writer.end + frame > writer.segment_end) and not self._boundary(
            lane, time, time, True, frame, now_ms
        ):
            return
        writer.add(time, 0, True, unit.payload, frame, now_ms)

    def _skip_audio(self, lane: AudioLane, time: int, now_ms: int) -> None:
        if lane.writer.segment_end >= 0:
            lane.dropped += (time - lane.writer.end) // lane.clock.frame
            gap_ms = (time - lane.writer.end) * 1000 // lane.writer.timescale
            self._notices.warn("AUDIO_GAP", f"{gap_ms} ms of audio are missing", now_ms)
        lane.writer.skip_to(time)

    def _begins(self, lane: VideoLane, unit: AccessUnit) -> bool:
        """Decoding can start here; else the unit is dropped."""
        if not unit.sync:
            if lane.clock.started and lane.clock.time(unit.dts) == JUMPED:
                lane.clock.realign(unit.dts)
            return False
        lane.needs_sync = False
        _learn_size(lane, unit.payload)
        if not lane.clock.started and lane is not self._leader:
            lane.delay = unit.composition_offset
            lane.offsets.clear()
            self._anchor_late(lane)
            self._meet_leader(lane, unit)
            time = lane.clock.where(unit.dts)
            if time < lane.writer.end:
                lane.needs_sync = True
                return False  # before the leading track's first picture
            lane.writer.end = time
            if not (self._leader and self._leader.is_video):
                self._leader = lane  # video leads from its first picture on
                self._promoted = True
        return True

    def _meet_leader(self, lane: VideoLane | AudioLane, unit: AccessUnit) -> None:
        """A track's first unit: where its clock has nothing to do with the leading track's, it begins where that is."""
        leader = self._leader
        assert leader is not None
        now = leader.to_media(leader.writer.end)
        if abs(lane.to_media(lane.clock.where(unit.dts)) - now) > _MAX_APART_TICKS:
            lane.clock.anchor(unit.dts, max(lane.writer.end, lane.from_media(now)))

    def _jumped(self, lane: VideoLane | AudioLane, unit: AccessUnit, now_ms: int) -> int:
        """The source's clock jumped: where to, and what of the others?"""
        for other in self._lanes.values():
            assert isinstance(other, VideoLane | AudioLane)
            if other is lane or not other.present or not other.clock.started:
                continue
            there = rescale(other.source_time, other.track.timescale, lane.track.timescale)
            if abs(unit.dts - there) * 1000 <= JUMP_MS * lane.track.timescale // 2:
                presented = rescale(other.clock.source + other.delay, other.track.timescale, lane.track.timescale)
                lane.clock.align(presented - lane.delay)
                self._notices.warn("TIMESTAMP_GAP", "time stamps jumped after those of the other track", now_ms)
                return lane.clock.follow(unit.dts)
        self._notices.warn("TIMESTAMP_JUMP", "time stamps jumped; the hole is closed", now_ms)
        lane.clock.realign(unit.dts)
        return lane.clock.time(unit.dts)

    # Boundaries

    def _boundary(self, lane: Lane, time: int, shown: int, sync: bool, frame: int, now_ms: int) -> bool:
        """Cut in front of this sample if it is time to; False: the sample has no segment and is dropped."""
        if lane.is_video and time - lane.writer.end > _MAX_LAG_TICKS:
            lane.writer.skip_to(time)
        if lane is self._leader:
            self._lead(lane, time, shown, sync, frame, now_ms)
            return True
        return self._follow(lane, time, shown, sync, frame, now_ms)

    def _lead(self, lane: Lane, time: int, shown: int, sync: bool, frame: int, now_ms: int) -> None:
        writer = lane.writer
        if writer.segment_end < 0:
            self._lead_in(lane, time, shown, now_ms)
            if isinstance(lane, VideoLane):
                lane.last_sync = time
            return
        gop = frame
        if isinstance(lane, VideoLane) and sync:
            gop = lane.gop = time - lane.last_sync
            lane.last_sync = time
        per_ms = writer.timescale / 1000
        elapsed_ms = (time - writer.segment_start) / per_ms
        if sync and (self._cut_wanted or self._plan.ends(elapsed_ms, gop / per_ms)):
            self._cut(lane, time, shown, gop / per_ms, now_ms)
        elif writer.is_full(time, frame):
            self._cut_without_sync(lane, time, shown, elapsed_ms, now_ms)
        elif sync and writer.independent and writer.has_samples and writer.part_elapsed + gop > writer.limit:
            writer.finish_part(time)  # GOPs shorter than parts: each part can be decoded alone

    def _lead_in(self, lane: Lane, time: int, shown: int, now_ms: int) -> None:
        """The leading track has no open segment: at the start, after a stall, or as it takes the lead."""
        if self._promoted:
            self._promoted = False
            self._announce(lane, shown, now_ms)
        else:
            self._open(lane, self._history[-1], now_ms)

    def _cut_without_sync(self, lane: Lane, time: int, shown: int, elapsed_ms: float, now_ms: int) -> None:
        if lane.is_video:
            self._notices.warn(
                "ERR_GOP_OUT_OF_RANGE",
                f"no key frame within {elapsed_ms / 1000:.1f} s; set the encoder's key frame interval to "
                f"{self._settings.segment_target_ms / 1000:g} s or less",
                now_ms,
            )
        self._cut(lane, time, shown, 0, now_ms)

    def _cut(self, lane: Lane, time: int, shown: int, gop_ms: float, now_ms: int) -> None:
        """End the leading track's segment in front of `time`, begin the next one, and tell the others."""
        lane.writer.finish_part(time)
        self._fix_plan(gop_ms)
        lane.writer.close_segment()
        if self._playable_until_ms is None:
            self._playable_until_ms = now_ms + self._settings.late_track_ms
        self._announce(lane, shown, now_ms)

    def _fix_plan(self, gop_ms: float) -> None:
        """Fix TARGETDURATION, once: also what other tracks have sent already has to fit."""
        longest_ms = max(lane.writer.segment_ms for lane in self._lanes.values()) if self._lanes else 0
        if longest_ms:
            self._plan.fix(longest_ms, gop_ms)

    def _announce(self, lane: Lane, shown: int, now_ms: int) -> None:
        self._msn += 1
        cut = Cut(self._msn, lane.to_media(shown), self._cut_wanted)
        self._cut_wanted = False
        self._history.append(cut)
        self._wall.observe(cut.media, now_ms)
        self._open(lane, cut, now_ms)
        for other in self._lanes.values():
            if other is not lane:
                self._request(other, cut, now_ms)

    def _request(self, lane: Lane, cut: Cut, now_ms: int) -> None:
        """Let a following track cut at its first sample at or after the leading track's cut."""
        writer = lane.writer
        if isinstance(lane, AudioLane) and lane.blocked:
            lane.blocked = False
            self._close_open(lane)
        lane.cuts.append(cut)
        if writer.segment_end >= 0:
            writer.limit_segment(lane.milliseconds(self._plan.longest_ms))
            if len(lane.cuts) == 1 and writer.split(lane.from_media(cut.media)):
                lane.cuts.clear()
                writer.close_segment(self._gap_duration(lane, writer.msn))
                self._open(lane, cut, now_ms)
        if len(lane.cuts) > 1:
            self._pass_over(lane, lane.cuts.popleft(), now_ms)

    def _pass_over(self, lane: Lane, cut: Cut, now_ms: int) -> None:
        """A whole segment's time went by without media of this track."""
        self._close_open(lane)
        if lane.writer.next_msn is not None:
            self._fill_gaps(lane, cut.msn + 1, now_ms)

    def _close_open(self, lane: Lane) -> None:
        lane.writer.finish_part()
        if lane.writer.segment_end >= 0:
            lane.writer.close_segment()

    def _follow(self, lane: Lane, time: int, shown: int, sync: bool, frame: int, now_ms: int) -> bool:
        """Cut a following track where the leader was cut."""
        writer = lane.writer
        cut = lane.cuts[0] if lane.cuts else None
        if cut is not None and (
            writer.segment_end < 0
            or (shown >= lane.from_media(cut.media) and (sync or self._must_cut(lane, cut, shown)))
        ):
            lane.cuts.popleft()
            writer.finish_part(time if lane.is_video else None)
            if writer.segment_end >= 0:
                writer.close_segment()
            self._open(lane, cut, now_ms)
        elif writer.segment_end >= 0 and writer.is_full(time, frame):
            self._overrun(lane, shown, now_ms)
        return writer.segment_end >= 0

    def _must_cut(self, lane: Lane, cut: Cut, shown: int) -> bool:
        """A second video track whose sync samples stand elsewhere: it may be late by a quarter of the plan."""
        late_ms = (shown - lane.from_media(cut.media)) * 1000 // lane.writer.timescale
        return late_ms * 4 > self._plan.planned_ms

    def _overrun(self, lane: Lane, shown: int, now_ms: int) -> None:
        """The leading track stands still: cut the others without it."""
        if lane.cuts:
            cut = lane.cuts.popleft()
            self._close_open(lane)
            self._open(lane, cut, now_ms)
            return
        leader = self._leader
        assert leader is not None
        self._fix_plan(0)
        self._close_open(lane)
        stalled = leader.writer.segment_end < 0
        self._close_open(leader)
        if stalled:
            self._fill_gaps(leader, self._msn + 1, now_ms)
        self._announce(lane, shown, now_ms)
        leader.cuts.clear()

    def _open(self, lane: Lane, cut: Cut, now_ms: int) -> None:
        """Begin a track's segment at a cut; the segments in between that it has nothing for are gaps."""
        writer = lane.writer
        if writer.next_msn is not None and writer.next_msn < cut.msn:
            self._fill_gaps(lane, cut.msn, now_ms)
            writer.skip_to(lane.from_media(max(0, cut.media)))
        if lane.dirty:
            self._send_init(lane)
        writer.open_segment(
            cut.msn,
            init_version=lane.version,
            discontinuity=cut.discontinuity,
            program_date_time_ms=self._date(lane, max(cut.media, lane.to_media(writer.next_start)), now_ms),
            longest=lane.milliseconds(self._plan.longest_leading_ms if lane is self._leader else self._plan.longest_ms),
        )

    def _fill_gaps(self, lane: Lane, before_msn: int, now_ms: int) -> None:
        """Open and close the segments up to `before_msn` without parts."""
        writer = lane.writer
        while writer.next_msn is not None and writer.next_msn < before_msn:
            msn = writer.next_msn
            cut = self._cut_of(msn) or self._history[-1]
            wall_ms = self._date(lane, cut.media, now_ms)
            tfdt = max(writer.end, lane.from_media(cut.media))
            self._out.append(SegmentOpened(lane.track.id, msn, max(0, lane.version), cut.discontinuity, wall_ms, tfdt))
            self._out.append(SegmentClosed(lane.track.id, msn, self._gap_duration(lane, msn)))
            writer.next_msn = msn + 1
            self._notices.warn("MEDIA_GAP", f"no media of track {lane.track.id} for a whole segment", now_ms)

    def _date(self, lane: Lane, media: int, now_ms: int) -> int:
        """The wall time of a segment's start; within a track it never goes back."""
        lane.dated_ms = min(now_ms, max(lane.dated_ms, self._wall.at(media, now_ms)))
        return lane.dated_ms

    def _cut_of(self, msn: int) -> Cut | None:
        return next((cut for cut in self._history if cut.msn == msn), None)

    def _gap_duration(self, lane: Lane, msn: int) -> int:
        """How long a segment lasts for which there is no media."""
        cut, following = self._cut_of(msn), self._cut_of(msn + 1)
        media = following.media - cut.media if cut and following else int(self._plan.planned_ms * 90)
        return min(lane.from_media(max(1, media)), lane.milliseconds(self._plan.longest_ms))

    def _send_init(self, lane: Lane) -> None:
        lane.dirty = False
        lane.version += 1
        writer = lane.writer
        writer.description_index = description_index(lane.version)
        if lane.version:
            writer.parameter_sets = _parameter_sets(lane.track)
        data = init_segment(lane.track, writer.timescale, lane.version)
        self._out.append(InitSegment(lane.track, lane.version, writer.timescale, data))

    # The end, and time

    def _flush(self, now_ms: int) -> None:
        if not self._running and self._queue:
            self._start(now_ms)
        self._fix_plan(0)
        for lane in self._lanes.values():
            self._close_open(lane)
            lane.present = False
            lane.probe.clear()
            lane.cuts.clear()
            if isinstance(lane, AudioLane):
                lane.blocked = False
        if self._running:
            self._resuming = True
            self._playable_until_ms = self._playable_until_ms or now_ms
        self._running = False

    def _close_overdue_parts(self, now_ms: int) -> None:
        """Pictures that come unevenly: a part whose time has passed is closed without waiting for the next one."""
        for lane in self._lanes.values():
            writer = lane.writer
            if isinstance(lane, VideoLane) and writer.has_samples and lane.clock.variable:
                longest_ms = (writer.limit + lane.clock.frame) * 1000 // writer.timescale
                if now_ms - writer.opened_ms > longest_ms:
                    writer.finish_part_at_bound()

    def _check_playable(self, now_ms: int) -> None:
        if self._playable or self._playable_until_ms is None:
            return
        waiting = any(lane.present and not lane.writer.closed for lane in self._lanes.values())
        if waiting and self._running and now_ms < self._playable_until_ms and not self._finished:
            return
        ready = [lane for lane in self._lanes.values() if lane.writer.closed]
        self._playable = True
        self._out.append(
            Playable(
                target_duration_s=self._plan.target_duration_s,
                part_target_ms={lane.track.id: lane.writer.limit * 1000 / lane.writer.timescale for lane in ready},
                track_ids=tuple(lane.track.id for lane in ready),
            )
        )


_BEFORE_ALL = 1 << 40


def _without_learnt_size(old: Track, new: Track) -> Track:
    """The old track, with its size forgotten where the new one does not tell it either."""
    config = new.config
    if isinstance(config, VideoConfig) and isinstance(old.config, VideoConfig) and not config.width:
        return replace(old, config=replace(old.config, width=0, height=0))
    return old


def _learn_size(lane: VideoLane, payload: bytes) -> None:
    """Read from the first key frame what VP9's, and some encoders' AV1, records do not tell."""
    config = lane.track.config
    assert isinstance(config, VideoConfig)
    if config.width:
        return
    try:
        if config.codec is Codec.VP9:
            width, height = vp9.key_frame_size(payload)
        else:
            picture = av1.sequence_header(payload)
            width, height = (picture.width, picture.height) if picture else (0, 0)
    except ProtocolError:
        return
    lane.track = replace(lane.track, config=replace(config, width=width, height=height))


def _parameter_sets(track: Track) -> bytes:
    """For the key frames of every configuration but the first: see `headwater.media.parameter_sets`."""
    try:
        return parameter_sets(track.config)
    except ProtocolError:  # only the start of the record was read when it came; a player may make more of it
        return b""
