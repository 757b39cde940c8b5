"""Livestream sessions: the way of the data, wired. Read this first.

    ingest ──admit──► Livestreams ──► LivestreamSession ─┬─► Packager ─► outputs ─┬─► SessionRecorder (disk)
      (Gate)           (who, where)     (one broadcast)  │                        └─► LiveProgram (origin)
                                                         └─► events (control, analytics)

A session is one broadcast of a livestream. It opens with the first access unit, survives lost publishers for the
reconnect window, and closes once: at the end of the window, at a stop, or at an error.

              configure, push              publisher gone            window over, stop, error
    (admitted) ──────────────► PUBLISHING ────────────────► WAITING ──────────────────────────► CLOSED
                                   ▲   │ take-over              │
                                   └───┴────── push ────────────┘

Absent on purpose: codecs and containers (packager), sockets (ingest, origin), the database (events carry everything).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Protocol

from headwater.analytics.viewing import Facts
from headwater.errors import LimitReached, OperatorError, PublishRefused, UnsupportedCodec
from headwater.events import (
    Listener,
    LiveSnapshot,
    PublishRejected,
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionHealth,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
    SessionResumed,
    SessionWarning,
)
from headwater.health import ADVICE_SAMPLES, TIMESTAMPS_JUMP, HealthSample, advise
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import Output, PackagerWarning, Part, Playable, SegmentOpened
from headwater.media.track import AudioConfig, Track
from headwater.pipeline.health_meter import SAMPLE_MS, HealthMeter
from headwater.pipeline.ingest.gate import GOING_AWAY, Publication, Publisher, PublishRequest
from headwater.pipeline.levels import PARTS, QUIET_DB, window_of
from headwater.pipeline.maker import Maker, Order
from headwater.pipeline.marks import Mark, Marks
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.views import ViewLedger
from headwater.pipeline.packager import Packager, PackagerSettings
from headwater.pipeline.recorder import DiskWriter, SessionRecorder
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.sound import Level, Window
from headwater.pipeline.tap import Tap

log = logging.getLogger("headwater.livestream")

MSN_EPOCH_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z. A session's first MSN is the seconds since then: it grows faster than segments are made, so it
never goes back across sessions, restarts and crashes, with nothing stored."""


SAVED_SAMPLES = 10
"""Samples of a session's health that are handed on at once; what a crash may lose."""

LEVEL_AGE_MS = 2500
"""How old a measured loudness may be: it is measured once a second, and not in step with the samples."""

SAME_OFFSET_MS = 2
"""Composition offsets that differ by no more are the same, rounded."""

ADVISE_AGAIN_MS = 600_000
"""How soon the event log says the same of a session again."""


@dataclass(frozen=True, slots=True)
class LivestreamSettings:
    """How sessions live and end.

    Attributes:
        reconnect_window_s: A lost publisher may come back into the same session for this long; 0 to 1800.
        goodbye_window_s: The same for a publisher that said goodbye, never more than the reconnect window: long
            enough for an encoder that restarts, short enough that viewers see the end.
        progress_interval_s: Totals are made durable this often.
        tick_interval_s: Time passes for packagers at this rate when no media comes.
        ingest_gap_ms: Silence longer than this is not ingest time.
        max_sessions: Sessions open at once (the limit of one process).
        record: Keep the recording of every session.
        disk: Write sessions to disk while they run. Without it nothing is recorded, and viewers cannot go back further
            than the live edge in memory.
        audio_level: Measure how loud the sound is, once a second, for a session's health: some 0.01 % of a core each.
    """

    reconnect_window_s: float = 30
    goodbye_window_s: float = 10
    progress_interval_s: float = 4
    tick_interval_s: float = 0.25
    ingest_gap_ms: int = 2000
    max_sessions: int = 1000
    record: bool = True
    disk: bool = True
    audio_level: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """What a stream key opens.

    Attributes:
        reconnect_window_s: None: as the settings say.
        record: None: as the settings say.
    """

    livestream_id: str
    playback_id: str
    name: str
    reconnect_window_s: float | None = None
    record: bool | None = None


class Authority(Protocol):
    """Who owns which stream key; the control plane implements it."""

    async def authorize(self, stream_key: str) -> Grant:
        """The livestream of a key.

        Raises:
            PublishRefused: unknown key, disabled livestream.
        """


@dataclass(frozen=True, slots=True)
class Storage:
    """Where sessions are written.

    Attributes:
        data_dir: The data folder; `recordings/` and `spool/` lie in it.
        writer: The disk thread, or None: nothing is written and only the live edge can be watched.
    """

    data_dir: Path
    writer: DiskWriter | None

    def path(self, session_id: str, *, keep: bool) -> Path:
        """The session's MP4; what is not kept is the DVR window's spool."""
        return self.data_dir / ("recordings" if keep else "spool") / f"{session_id}.mp4"


WRITTEN_POLL_S = 1.0
"""How often the file is looked at for what is to be cut out of it while it grows."""

WITHDRAWN = frozenset({"ERR_LIVESTREAM_DISABLED", "ERR_LIVESTREAM_DELETED"})
"""Reasons to stop after which nobody may watch what was broadcast either."""


def wall_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time_ns() // 1_000_000


class LivestreamSession:
    """One broadcast of one livestream: publishers come and go, the packager's outputs go to recorder and origin.

    Attributes:
        tracks: As configured by the publisher that is there, or was last, by id.
        reorders: Its pictures do not come in the order in which they are shown (B-frames).
    """

    def __init__(self, hub: Livestreams, grant: Grant, request: PublishRequest, first_msn: int, now_ms: int) -> None:
        self.id = str(uuid.uuid4())
        self.grant = grant
        self.playable = False
        self.opened = False
        self.closed = False
        self.last_msn = first_msn
        self.publication: SessionPublication | None = None
        self.about = {"session_id": self.id, "livestream_id": grant.livestream_id}
        self.log = logging.LoggerAdapter(log, self.about)
        self._hub = hub
        self._request = request
        self._admitted_ms = now_ms
        self._opened_ms = now_ms
        self._marks = Marks()
        self._complete = asyncio.Event()
        self._ingest_ms = 0
        self._last_media_ms = now_ms
        self._wait_until_ms: int | None = None
        self._resume: SessionResumed | None = None
        self._progress_at_ms = now_ms
        self._meter = HealthMeter()
        self._samples: deque[HealthSample] = deque(maxlen=ADVICE_SAMPLES)
        self._unsaved = 0
        self._sampled_ms = now_ms
        self._sound: Part | None = None
        self._level: tuple[int, Level] | None = None
        self._advise_again_ms: dict[str, int] = {}
        self._warnings: tuple[str, ...] = ()
        self._keep = hub.settings.record if grant.record is None else grant.record
        self._packager = Packager(hub.packager_settings, first_msn=first_msn, now_ms=now_ms)
        self.tracks: dict[int, Track] = {}
        self.reorders = False
        self._tap: Tap | None = None
        self._offset_ticks = 0
        writer = hub.storage.writer
        self._recorder = (
            SessionRecorder.create(
                hub.storage.path(self.id, keep=self._keep), self.id, writer, on_failure=self._recording_stopped
            )
            if writer
            else None
        )
        info = PlaybackInfo(grant.livestream_id, grant.playback_id, grant.name, False, None)
        self._program = hub.origin.open(info, self.id, recorder=self._recorder)

    # -- publishers ---------------------------------------------------------------------------------------------

    def attach(self, publisher: Publisher, request: PublishRequest, now_ms: int) -> SessionPublication:
        """Let a publisher in; one that is there already gives way to it."""
        previous, self._request = self.publication, request
        if previous is not None:
            self.publication = None
            previous.evict("NetStream.Publish.BadName", "Another publisher with the same stream key took over.")
        if self.opened:
            self._deliver(self._packager.discontinuity(now_ms))
            self._forget_publisher()
            self._resume = SessionResumed(self.grant.livestream_id, self.id, 0, takeover=previous is not None)
        # A publisher that is admitted and never sends would hold the window open for ever: the window goes on until
        # its first access unit.
        if self._wait_until_ms is None:
            self._wait_until_ms = now_ms + self._window_ms(regular=False)
        self._meter.publisher_changed()
        self.publication = SessionPublication(self, publisher)
        return self.publication

    def detach(self, publication: SessionPublication, reason: str, *, regular: bool) -> None:
        """The publisher is gone; wait for it to come back, if it had brought anything."""
        if self.publication is not publication or self.closed:
            return
        self.publication = None
        now_ms = wall_ms()
        if not self.opened:
            self.close(now_ms)
            return
        self._deliver(self._packager.discontinuity(now_ms))
        if self._tap is not None:
            self._tap.discontinuity()
        self._wait_until_ms = now_ms + self._window_ms(regular=regular)
        self.log.info("session waits for its publisher: window_s=%.1f", (self._wait_until_ms - now_ms) / 1000)
        self._emit(
            SessionInterrupted(self.grant.livestream_id, self.id, now_ms, until_ms=self._wait_until_ms, reason=reason)
        )

    def _forget_publisher(self) -> None:
        """Another publisher follows: its tracks and times have nothing to do with those before."""
        self.tracks = {}
        self.reorders, self._offset_ticks = False, 0
        if self._tap is not None:
            self._tap.discontinuity()

    def _window_ms(self, *, regular: bool) -> int:
        settings, own = self._hub.settings, self.grant.reconnect_window_s
        window_s = settings.reconnect_window_s if own is None else own
        return int(1000 * (min(window_s, settings.goodbye_window_s) if regular else window_s))

    # -- media --------------------------------------------------------------------------------------------------

    def configure(self, track: Track) -> None:
        """A track, or its new configuration.

        Raises:
            UnsupportedCodec: the session, if it is new, closes with the reason as its error.
        """
        try:
            self._deliver(self._packager.configure(track))
        except UnsupportedCodec as error:
            self.refuse(error)
            raise
        self.tracks[track.id] = track
        if self._tap is not None:
            self._tap.configure(track)

    def refuse(self, error: UnsupportedCodec) -> None:
        """Media that cannot be packaged: a session that never played fails with it, another goes on waiting."""
        now_ms = wall_ms()
        self._emit(
            PublishRejected(
                self.grant.livestream_id,
                now_ms,
                error.code,
                error.description,
                self._request.remote,
                self._request.encoder,
            )
        )
        if not self.playable:
            if not self.opened:
                self._open(now_ms)
            reason = (error.code, error.description)
            self.close(now_ms, error=f"{error.code}: {error.description}", reason=reason)

    def push(self, unit: AccessUnit) -> None:
        """One access unit of the current publisher. Hot: everything rare stands behind one test each."""
        now_ms = time_ns() // 1_000_000
        elapsed_ms = now_ms - self._last_media_ms
        self._last_media_ms = now_ms
        if self._wait_until_ms is not None:
            self._media_arrives(now_ms)
        elif 0 < elapsed_ms <= self._hub.settings.ingest_gap_ms:
            self._ingest_ms += elapsed_ms
        if (unit.composition_offset or self._offset_ticks) and not self.reorders:
            self._look_at_order(unit)
        outputs = self._packager.push(unit, now_ms)
        if outputs:
            self._deliver(outputs)
        if self._tap is not None:
            self._tap.push(unit)

    def _look_at_order(self, unit: AccessUnit) -> None:
        """Pictures are reordered where their composition offsets differ: one that stays is an encoder's habit."""
        track = self.tracks.get(unit.track_id)
        if track is None or not track.is_video:
            return
        offset = unit.composition_offset
        if not self._offset_ticks:
            self._offset_ticks = offset
        elif abs(offset - self._offset_ticks) * 1000 > SAME_OFFSET_MS * track.timescale:
            self.reorders = True

    def patience_ms(self) -> float:
        """For how long nobody can be waiting for the media that comes next: see `Publication`."""
        return self._packager.patience_ms() if self._tap is None else 0.0

    def attach_tap(self, tap: Tap | None) -> None:
        """Give access units to this one, too, from now on; None: to nobody any more."""
        self._tap = tap
        if tap is not None:
            for track in self.tracks.values():
                tap.configure(track)

    def request_keyframe(self) -> None:
        """Ask the publisher for one, where its protocol can."""
        if self.publication is not None:
            self.publication.request_keyframe()

    @property
    def views(self) -> ViewLedger:
        """Who watches."""
        return self._program.views

    def _media_arrives(self, now_ms: int) -> None:
        """The first access unit of a publisher."""
        self._wait_until_ms = None
        if not self.opened:
            self._open(now_ms)
        elif self._resume is not None:
            self._emit(SessionResumed(self.grant.livestream_id, self.id, now_ms, takeover=self._resume.takeover))
            self._resume = None

    def _open(self, now_ms: int) -> None:
        self.opened = True
        self._opened_ms = now_ms
        request = self._request
        self.log.info("session opened: remote=%s encoder=%s", request.remote, request.encoder)
        self._emit(
            SessionOpened(self.grant.livestream_id, self.id, now_ms, request.encoder, request.remote, self._admitted_ms)
        )

    def _deliver(self, outputs: Sequence[Output]) -> None:
        """Outputs to disk and to the origin; what is said about them comes after they are there."""
        if not outputs:
            return
        if self._recorder is not None:
            self._recorder.apply(outputs)
        self._program.apply(outputs)
        for output in outputs:
            if isinstance(output, SegmentOpened):
                self.last_msn = max(self.last_msn, output.msn)
            elif isinstance(output, Playable) and not self.closed:  # what is closed was not LIVE before its end
                self.playable = True
                self.log.info("session playable")
                self._emit(SessionPlayable(self.grant.livestream_id, self.id, wall_ms()))
                self._say_recorded()
            elif isinstance(output, PackagerWarning):
                self.warn(output.code, output.message)

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Let time pass: packager, reconnect window, progress."""
        if self._wait_until_ms is not None:
            if now_ms >= self._wait_until_ms:
                self.close(now_ms)
                return
        else:
            self._deliver(self._packager.tick(now_ms))
            if now_ms - self._sampled_ms >= SAMPLE_MS:
                self._sample(now_ms)
        for mark in self._marks.full(now_ms):
            self.steer_recording(mark.id, "stop")
        if self.opened and now_ms - self._progress_at_ms >= self._hub.settings.progress_interval_s * 1000:
            self._progress_at_ms = now_ms
            self._emit(
                SessionProgress(self.grant.livestream_id, self.id, now_ms, self.ingest_seconds, self.viewer_seconds)
            )

    def _sample(self, now_ms: int) -> None:
        """Once a second: how the media arrives."""
        # From when it was due, so that ticks which come late do not make it fewer than one a second.
        self._sampled_ms = max(self._sampled_ms + SAMPLE_MS, now_ms - SAMPLE_MS)
        sample = self._meter.sample(
            self._packager.flows(),
            jumps=self._packager.jumps,
            at_ms=now_ms,
            arrived_ms=self._last_media_ms,
            rtt_ms=self.publication.round_trip_ms() if self.publication is not None else None,
            viewers=self._program.viewers,
            level=self._level[1] if self._level is not None and now_ms - self._level[0] < LEVEL_AGE_MS else None,
        )
        if sample is not None:
            self._samples.append(sample)
            self._unsaved += 1
            if self._unsaved >= SAVED_SAMPLES:
                self._save_samples()

    def window(self) -> Window | None:
        """See `levels.Sounding`."""
        found = self._program.sound_since(self._sound, PARTS)
        if found is None or not found[1]:
            return None
        track, parts = found
        self._sound = parts[-1]
        assert isinstance(track.config, AudioConfig), "sound"
        quiet = self._level is not None and self._level[1].peak_db < QUIET_DB
        return window_of(track.config, parts, whole=quiet)

    def heard(self, level: Level) -> None:
        """See `levels.Sounding`."""
        self._level = wall_ms(), level

    def _save_samples(self) -> None:
        if not self._unsaved:
            return
        samples = tuple(self._samples)
        self._emit(SessionHealth(self.grant.livestream_id, self.id, samples[-self._unsaved :]))
        self._unsaved = 0
        advice = advise(samples)
        self._warnings = tuple(entry.code for entry in advice)
        for entry in advice:
            # Jumps have been told by the packager; what comes and goes is told now and then.
            if entry.code != TIMESTAMPS_JUMP and samples[-1].at_ms >= self._advise_again_ms.get(entry.code, 0):
                self._advise_again_ms[entry.code] = samples[-1].at_ms + ADVISE_AGAIN_MS
                self.warn(entry.code, entry.message)

    # -- recording ----------------------------------------------------------------------------------------------

    def _say_recorded(self) -> None:
        """Not before there is something to play: an encoder that fails every few seconds leaves no recordings."""
        if self._recorder is not None and self._keep:
            mark = Mark(self.id, self._opened_ms, "RECORD_ON_START")
            self._marks.add(mark)
            self._tell(mark, self._opened_ms, mark.reason)

    def start_recording(self, recording_id: str, max_seconds: int | None) -> bool:
        """Record from now on; False where nothing is written.

        Raises:
            LimitReached: the session has too many recordings.
        """
        if self._recorder is None or self._recorder.failure is not None or not self.opened or self.closed:
            return False
        now_ms = wall_ms()
        limit_ms = None if max_seconds is None else max_seconds * 1000
        mark = Mark(recording_id, now_ms, "API_CALL", limit_ms, [(now_ms, None)])
        self._marks.add(mark)
        self._tell(mark, now_ms, mark.reason)
        return True

    def steer_recording(self, recording_id: str, action: str) -> bool:
        """Pause, resume or stop a recording; False where it does not run.

        Raises:
            LimitReached: it has paused too often.
        """
        mark = self._marks.running(recording_id)
        if mark is None or self.closed:
            return False
        now_ms = wall_ms()
        if action == "pause":
            mark.pause(now_ms)
        elif action == "resume":
            mark.resume(now_ms)
        else:
            mark.stop(now_ms)
        self._tell(mark, now_ms, "API_CALL")
        if not mark.is_running:
            self._order(mark, "API_CALL", self._written_until)
        return True

    def _tell(self, mark: Mark, at_ms: int, reason: str) -> None:
        spans = None if mark.spans is None else tuple(mark.spans)
        self._emit(RecordingChanged(self.grant.livestream_id, self.id, at_ms, mark.id, mark.status, spans, reason))

    def _order(self, mark: Mark, reason: str, written: Callable[[int], Awaitable[None]] | None = None) -> None:
        """Have a recording made that is a part of the session."""
        assert self._recorder is not None and mark.spans is not None, "it has been stopped"
        spans = tuple(mark.spans)
        end_ms = max(end for _, end in spans if end is not None)
        order = Order(
            self.grant.livestream_id,
            self.id,
            mark.id,
            self._recorder.path,
            wall_ms=spans,
            reason=reason,
            written=None if written is None else partial(written, end_ms),
        )
        try:
            self._hub.maker.submit(order)
        except LimitReached as error:
            self._emit(RecordingFailed(self.grant.livestream_id, self.id, wall_ms(), mark.id, f"ERR_TOO_MANY: {error}"))

    async def _written_until(self, end_ms: int) -> None:
        """Wait until the file's index holds the session up to a time."""
        assert self._recorder is not None
        while not self._complete.is_set():
            recorded = await asyncio.to_thread(self._recorder.recording)
            if recorded.end_ms >= end_ms:
                return
            try:
                async with asyncio.timeout(WRITTEN_POLL_S):
                    await self._complete.wait()
            except TimeoutError:
                pass

    def _recording_stopped(self, reason: str) -> None:
        self.warn("ERR_RECORDING_STOPPED", f"The recording stopped, the livestream goes on: {reason}")

    # -- the end ------------------------------------------------------------------------------------------------

    def close(self, now_ms: int, *, error: str | None = None, reason: tuple[str, str] | None = None) -> None:
        """End the session, once. Totals are final when this returns; the recording's index is written behind it.

        Args:
            error: `CODE: sentence` where the broadcast failed.
            reason: Code and sentence for a publisher that is still there.
        """
        if self.closed:
            return
        self.closed = True
        if self.publication is not None:
            publication, self.publication = self.publication, None
            publication.evict(*(reason or ("NetStream.Unpublish.Success", "The livestream was stopped.")))
        self._deliver(self._packager.finish(now_ms))
        if self._tap is not None:
            tap, self._tap = self._tap, None
            tap.end("the livestream has ended")
        self._save_samples()
        self._hub.finish(self, self._finish(now_ms, error))

    async def _finish(self, now_ms: int, error: str | None) -> None:
        viewer_seconds = self.viewer_seconds
        main = self._marks.by_id.get(self.id)
        whole = self._keep and (main is None or main.spans is None)
        parts = self._stop_marks(min(now_ms, self._last_media_ms))
        failed = error is not None and not self.playable  # some frames of what could not be packaged: nothing to play
        recording = await self._close_file(keep=not failed and (whole or bool(parts)))
        self._complete.set()
        self._program.end(recording if whole else None)
        if failed:
            self.withdraw()
        if self.opened:
            self.log.info(
                "session closed: ingest_s=%.1f viewer_s=%.1f recorded=%s error=%s",
                self.ingest_seconds,
                viewer_seconds,
                recording is not None,
                error,
            )
            # The broadcast stopped when its media stopped, not when we had waited long enough.
            self._emit(
                SessionClosed(
                    self.grant.livestream_id,
                    self.id,
                    min(now_ms, self._last_media_ms) if error is None else now_ms,
                    self.ingest_seconds,
                    viewer_seconds,
                    error,
                    self._kept_path(recording, parts, whole=whole),
                )
            )
            await self._make(recording, parts, whole=whole)

    def _stop_marks(self, at_ms: int) -> list[Mark]:
        """The session ends: so do its recordings. Those that are a part of it are still to be made."""
        running = [mark for mark in self._marks.by_id.values() if mark.is_running and mark.spans is not None]
        for mark in running:
            mark.stop(max(at_ms, mark.began_ms))
        return running

    async def _close_file(self, *, keep: bool) -> Recording | None:
        """The session's file, complete, where something is to become of it."""
        if self._recorder is None:
            return None
        recording = None
        if self.opened and (keep or self._hub.maker.uses(self._recorder.path)):
            recording = await self._recorder.close()
        if recording is None:
            try:
                await self._recorder.discard()
            except OperatorError as error:
                self.log.error("a file that is not to be kept could not be deleted: %s", error)
        return recording

    def _kept_path(self, recording: Recording | None, parts: Sequence[Mark], *, whole: bool) -> str | None:
        """Where the session's recording is, or will be: below the data folder."""
        if recording is None:
            return None
        path = recording.path if whole else None
        if path is None and self._marks.by_id:
            path = self._hub.maker.target(next(iter(self._marks.by_id)))
        return None if path is None else str(path.relative_to(self._hub.storage.data_dir))

    async def _make(self, recording: Recording | None, parts: Sequence[Mark], *, whole: bool) -> None:
        """What is to become of the session's file."""
        if recording is None:
            lost = [mark for mark in self._marks.by_id.values() if mark in parts or (whole and mark.spans is None)]
            for mark in lost:
                error = "ERR_NOTHING_RECORDED: nothing of the session could be recorded"
                self._emit(RecordingFailed(self.grant.livestream_id, self.id, wall_ms(), mark.id, error))
            return
        if whole:
            await self._say_ready(recording)
        for mark in parts:
            self._tell(mark, max(end for _, end in mark.spans or () if end is not None), "ALL_PEERS_LEFT")
            self._order(mark, "ALL_PEERS_LEFT")
        if not whole:
            await self._hub.maker.dispose(recording.path)

    async def _say_ready(self, recording: Recording) -> None:
        size = (await asyncio.to_thread(recording.path.stat)).st_size
        self._emit(
            RecordingReady(
                self.grant.livestream_id,
                self.id,
                wall_ms(),
                self.id,
                str(recording.path.relative_to(self._hub.storage.data_dir)),
                size,
                recording.seconds,
                recording.end_ms,
                "ALL_PEERS_LEFT",
            )
        )

    def withdraw(self) -> None:
        """Nobody may watch what there was."""
        self._program.withdraw()

    # -- what is known about it ---------------------------------------------------------------------------------

    @property
    def ingest_seconds(self) -> float:
        return self._ingest_ms / 1000

    @property
    def viewer_seconds(self) -> float:
        return self._program.viewer_seconds

    def viewings(self, limit: int) -> list[Facts]:
        """How those fare who watch now and report, those first that stood still longest."""
        return self._program.experience.worst(limit)

    def snapshot(self) -> LiveSnapshot:
        return LiveSnapshot(
            self.grant.livestream_id,
            self.id,
            playable=self.playable,
            publishing=self._wait_until_ms is None,
            ingest_seconds=self.ingest_seconds,
            viewer_seconds=self.viewer_seconds,
            viewers=self._program.viewers,
            health=tuple(self._samples),
            warnings=self._warnings if self._wait_until_ms is None else (),
        )

    def warn(self, code: str, message: str) -> None:
        self.log.warning("%s: %s", code, message)
        self._emit(SessionWarning(self.grant.livestream_id, self.id, wall_ms(), code, message))

    def _emit(self, event: object) -> None:
        self._hub.emit(event)  # type: ignore[arg-type]


class SessionPublication:
    """One publisher's stay in a session (`Publication`)."""

    __slots__ = ("_publisher", "_session", "about", "patience_ms", "push")

    def __init__(self, session: LivestreamSession, publisher: Publisher) -> None:
        self._session = session
        self._publisher = publisher
        self.about = session.about
        # The hot calls go straight to where they are answered; `evict` and `end` replace the first.
        self.push = session.push
        self.patience_ms = session.patience_ms

    def configure(self, track: Track) -> None:
        if self._session.publication is self:
            self._session.configure(track)

    def refused(self, error: UnsupportedCodec) -> None:
        if self._session.publication is self:
            self._session.refuse(error)

    def metadata(self, values: Mapping[str, object]) -> None:
        """Nothing to do yet: frame rate and size come from the bitstream."""

    def end(self, reason: str, *, regular: bool) -> None:
        self.push = _ignore
        self._session.detach(self, reason, regular=regular)

    def round_trip_ms(self) -> float | None:
        return self._publisher.round_trip_ms()

    def request_keyframe(self) -> None:
        self._publisher.request_keyframe()

    def evict(self, code: str, description: str) -> None:
        self.push = _ignore
        self._publisher.close(code, description)


def _ignore(unit: AccessUnit) -> None:
    """Media of a publisher that has been told to go."""


class Livestreams:
    """Every open session of this process. It is the ingest's `Gate` and the control plane's view of what is live."""

    def __init__(
        self,
        authority: Authority,
        origin: Origin,
        storage: Storage,
        emit: Listener,
        *,
        settings: LivestreamSettings,
        packager_settings: PackagerSettings,
        maker: Maker | None = None,
    ) -> None:
        self.settings = settings
        self.packager_settings = packager_settings
        self.origin = origin
        self.storage = storage
        self.emit = emit
        self.maker = maker or Maker(storage.data_dir, emit)
        self._authority = authority
        self._sessions: dict[str, LivestreamSession] = {}
        self._next_msn: dict[str, int] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Let time pass. Call in the running loop."""
        self._ticker = asyncio.create_task(self._tick_for_ever(), name="livestream-ticker")

    async def close(self) -> None:
        """End every session properly; returns when recordings and totals are written out."""
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        now_ms = wall_ms()
        for session in list(self._sessions.values()):
            session.close(now_ms, reason=(GOING_AWAY, "The server is shutting down."))
        while self._finishing:
            await asyncio.wait(self._finishing)

    # -- Gate ---------------------------------------------------------------------------------------------------

    async def admit(self, request: PublishRequest, publisher: Publisher) -> Publication:
        try:
            if self._closing:
                raise PublishRefused("ERR_SHUTTING_DOWN", "The server is shutting down; try again in a moment.")
            grant = await self._authority.authorize(request.stream_key)
            return self._session_for(grant, request).attach(publisher, request, wall_ms())
        except PublishRefused as refusal:
            livestream_id = getattr(refusal, "livestream_id", None)
            self.emit(
                PublishRejected(
                    livestream_id, wall_ms(), refusal.code, refusal.description, request.remote, request.encoder
                )
            )
            raise

    async def reject(self, request: PublishRequest, code: str, description: str) -> None:
        grant = await self._authority.authorize(request.stream_key)
        self.emit(PublishRejected(grant.livestream_id, wall_ms(), code, description, request.remote, request.encoder))

    def _session_for(self, grant: Grant, request: PublishRequest) -> LivestreamSession:
        session = self._sessions.get(grant.livestream_id)
        if session is not None:
            return session
        if len(self._sessions) >= self.settings.max_sessions:
            raise PublishRefused(
                "ERR_TOO_MANY_SESSIONS", f"This server takes {self.settings.max_sessions} livestreams at once."
            )
        now_ms = wall_ms()
        first_msn = max((now_ms - MSN_EPOCH_MS) // 1000, self._next_msn.pop(grant.livestream_id, 0))
        session = self._sessions[grant.livestream_id] = LivestreamSession(self, grant, request, first_msn, now_ms)
        return session

    def session_of(self, playback_id: str) -> LivestreamSession | None:
        """The open session that is watched by this id."""
        return next((session for session in self.open_sessions() if session.grant.playback_id == playback_id), None)

    def open_sessions(self) -> list[LivestreamSession]:
        """Those that media has come of."""
        return [session for session in self._sessions.values() if session.opened]

    # -- Broadcasts (what the control plane asks) ------------------------------------------------------------------

    def live(self, livestream_id: str) -> LiveSnapshot | None:
        """The open session of a livestream; None before its first media and after its end."""
        session = self._sessions.get(livestream_id)
        return session.snapshot() if session is not None and session.opened else None

    def live_all(self) -> list[LiveSnapshot]:
        return [session.snapshot() for session in self.open_sessions()]

    def viewings(self, livestream_id: str, limit: int) -> list[Facts]:
        session = self._sessions.get(livestream_id)
        return session.viewings(limit) if session is not None else []

    async def stop(self, livestream_id: str, code: str, description: str, *, error: str | None = None) -> None:
        """End a livestream's open session, if there is one, and tell its publisher why; returns when it has ended.

        Args:
            error: `CODE: sentence` where the broadcast has failed.
        """
        session = self._sessions.get(livestream_id)
        if session is not None:
            session.close(wall_ms(), error=error, reason=(code, description))
            await self._finished(session.id)
            if code in WITHDRAWN:
                session.withdraw()

    def start_recording(self, livestream_id: str, recording_id: str, max_seconds: int | None) -> bool:
        """Record a livestream's open session from now on; see `LivestreamSession.start_recording`."""
        session = self._sessions.get(livestream_id)
        return session is not None and session.start_recording(recording_id, max_seconds)

    def steer_recording(self, livestream_id: str, recording_id: str, action: str) -> bool:
        """Pause, resume or stop a recording of a livestream's open session."""
        session = self._sessions.get(livestream_id)
        return session is not None and session.steer_recording(recording_id, action)

    # -- ends ---------------------------------------------------------------------------------------------------

    def finish(self, session: LivestreamSession, ending: Coroutine[None, None, None]) -> None:
        """Take a closed session off the list; its ending (files, totals, event) runs as a task that is waited for."""
        if self._sessions.get(session.grant.livestream_id) is session:
            del self._sessions[session.grant.livestream_id]
        if session.last_msn >= (wall_ms() - MSN_EPOCH_MS) // 1000:
            self._next_msn[session.grant.livestream_id] = session.last_msn + 1
        task = asyncio.create_task(ending, name=session.id)
        self._finishing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            about = {"session_id": task.get_name()}
            log.error("a session did not end properly", exc_info=task.exception(), extra=about)

    async def _finished(self, session_id: str) -> None:
        tasks = [task for task in self._finishing if task.get_name() == session_id]
        if tasks:
            await asyncio.wait(tasks)

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.tick_interval_s)
            now_ms = wall_ms()
            for session in list(self._sessions.values()):
                try:
                    session.tick(now_ms)
                except Exception:
                    session.log.exception("the session failed")
                    session.close(now_ms, error="ERR_INTERNAL: the livestream failed; see the server's log.")
