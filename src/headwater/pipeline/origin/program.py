"""A session as viewers see it: its renditions, what of them is in memory, and who watches."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from functools import partial

from headwater.media.cmaf import InitSegment, Output, Part, Playable, SegmentClosed, SegmentOpened
from headwater.media.track import Track
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.experience import ExperienceLedger, ExperienceSettings, unknown_arrival
from headwater.pipeline.origin.multivariant import multivariant_of
from headwater.pipeline.origin.paths import number_of, part_name, session_name
from headwater.pipeline.origin.programs import Programs
from headwater.pipeline.origin.recorded import RecordedProgram
from headwater.pipeline.origin.rendition import Rendition, no_reports
from headwater.pipeline.origin.response import Response, media_response, plain
from headwater.pipeline.origin.room import Room
from headwater.pipeline.origin.segment import Segment
from headwater.pipeline.origin.settings import OriginSettings
from headwater.pipeline.origin.views import ViewLedger
from headwater.pipeline.recorder.recording import Recording, RecordingReader

MEMORY_ONLY_TARGETS = 3
"""Target durations that are listed where nothing is on disk: the least that RFC 8216bis (6.2.2) allows."""

GONE = plain(404, "This part will not come: the livestream has ended.")


class LiveProgram:
    """One session's live playlists and media.

    Attributes:
        ready: Set once the first playlists can be shown.
        ended: The session is over; the playlists say ENDLIST.
        views: Who watches it.
        experience: How they fare, as their players say.
        base: How the paths of its media begin.
        room: For those who wait for what comes next.
        so_far: When the index of its recording was last read (monotonic seconds), and the index.
    """

    def __init__(
        self,
        programs: Programs,
        settings: OriginSettings,
        room: Room,
        info: PlaybackInfo,
        session_id: str,
        recorder: RecordingReader | None,
        experience: ExperienceSettings | None = None,
    ) -> None:
        self.info = info
        self.session_id = session_id
        self.recorder = recorder
        self.renditions: dict[int, Rendition] = {}
        self.ready = asyncio.Event()
        self.ended = False
        self.ended_at = 0.0
        self.views = ViewLedger(6.0, settings.max_views)
        self.experience = ExperienceLedger(experience or ExperienceSettings(), self.received_ms)
        self.so_far: tuple[float, RecordedProgram] | None = None
        self.room = room
        self._programs = programs
        self._settings = settings
        self.base = f"/{info.playback_id}/{session_name(session_id)}/".encode()
        self._target_duration_s = 0
        self._part_target_s = 0.0
        self._discontinuity = 0
        self._discontinuity_msn = 0
        self._multivariant: dict[tuple[str, bool], str] = {}

    # -- media comes in -----------------------------------------------------------------------------------------

    def apply(self, outputs: Sequence[Output]) -> None:
        """Take what the packager made, and answer who waited for it."""
        woken: dict[int, Rendition] = {}
        for output in outputs:
            if isinstance(output, Part):
                rendition = self.renditions[output.track_id]
                self._add_part(rendition, output)
                woken[output.track_id] = rendition
            elif isinstance(output, SegmentOpened):
                self._open_segment(self.renditions[output.track_id], output)
            elif isinstance(output, SegmentClosed):
                rendition = self.renditions[output.track_id]
                rendition.close_segment(output)
                self._slide(rendition)
                self._came_late(rendition)
                self._multivariant = {}
                woken[output.track_id] = rendition
            elif isinstance(output, InitSegment):
                self._init(output)
            elif isinstance(output, Playable):
                self._playable(output)
        if self.ready.is_set():
            for rendition in woken.values():
                rendition.wake()

    def _init(self, init: InitSegment) -> None:
        rendition = self.renditions.get(init.track.id)
        if rendition is None:
            kind = "v" if init.track.is_video else "a"
            self.experience.pictures |= init.track.is_video
            number = sum(other.name[0] == kind for other in self.renditions.values())
            rendition = Rendition(f"{kind}{number}", init)
            rendition.reports = partial(self._reports, rendition)
            self.renditions[init.track.id] = rendition
            self._programs.playlists[self._url(rendition, "live.m3u8")] = (self, rendition)
        else:
            rendition.init(init)
        self._multivariant = {}
        name = f"init{init.version}.mp4"
        self._programs.media[self._url(rendition, name)] = media_response((init.data,), self._etag(rendition, name))

    def _open_segment(self, rendition: Rendition, opened: SegmentOpened) -> None:
        """Discontinuities are counted once for all tracks: their sequence numbers must agree (RFC 8216bis, 4.4.3.3).

        They begin at zero with each session, whose playlists have URLs of their own: hls.js loops up to them.
        """
        if opened.discontinuity and opened.msn > self._discontinuity_msn:
            self._discontinuity += 1
            self._discontinuity_msn = opened.msn
        rendition.open_segment(opened, self._discontinuity)

    def _playable(self, playable: Playable) -> None:
        self._target_duration_s = playable.target_duration_s
        self.views.set_gap(3.0 * playable.target_duration_s)
        self._part_target_s = longest = max(playable.part_target_ms.values(), default=1000.0) / 1000
        for track_id, rendition in self.renditions.items():
            own = playable.part_target_ms.get(track_id)
            if own:
                rendition.ready(playable.target_duration_s, own / 1000, longest)
        self._multivariant = {}
        self.ready.set()

    def _came_late(self, rendition: Rendition) -> None:
        """A track that `Playable` did not name is shown from its first whole segment on, whose longest part, if any is
        longer than those of the others, is its PART-TARGET."""
        if self._target_duration_s and not rendition.part_target_s:
            longest = max(self._part_target_s, rendition.longest_part_s)
            rendition.ready(self._target_duration_s, longest, longest)

    def _add_part(self, rendition: Rendition, part: Part) -> None:
        assert part.data is not None, "a part leaves the packager with its bytes"
        name = rendition.add_part(part)
        response = media_response((part.data,), self._etag(rendition, name))
        self._programs.media[self._url(rendition, name)] = response
        if rendition.hinted:
            rendition.serve_hinted(response)

    # -- the window ---------------------------------------------------------------------------------------------

    def _slide(self, rendition: Rendition) -> None:
        """Take old segments off the playlist, old bytes out of memory, old names out of the tables."""
        now = time.monotonic()
        target = self._target_duration_s or 2
        # A recorder that has stopped (the disk is full) gives no offsets: then what is in memory is all there is.
        on_disk = self.recorder is not None and rendition.segments[-1].recorded
        listed = max(self._settings.dvr_window_s if on_disk else 0, MEMORY_ONLY_TARGETS * target)
        total = rendition.listed_s
        while len(rendition.segments) > 1:
            oldest = rendition.segments[0].duration / rendition.timescale
            if total - oldest < listed:
                break
            total -= oldest
            rendition.drop_oldest(now)
        # What left the playlist can be had for as long as a playlist is (RFC 8216bis, 6.2.2).
        while rendition.retired and now - rendition.retired[0][0] > listed + target:
            self._forget(rendition, rendition.retired.popleft()[1])
        if self.recorder is not None:
            self._to_disk(rendition, self.recorder.written)

    def _to_disk(self, rendition: Rendition, written: int) -> None:
        """Let go of the bytes of segments that are older than the memory window and safely written."""
        kept = 0.0
        for segment in reversed([*(s for _, s in rendition.retired), *rendition.segments]):
            kept += segment.duration / rendition.timescale
            if kept <= self._settings.memory_window_s or not segment.closed:
                continue
            if segment.on_disk:
                break  # and all before it
            # All of its parts or none: a segment that is half in memory could be had from neither place.
            if any(part.offset is None or part.offset + part.size > written for _, part in segment.parts):
                continue
            for number, part in segment.parts:
                part.data = None
                self._programs.media.pop(self._url(rendition, part_name(number)), None)
            segment.on_disk = True

    def _forget(self, rendition: Rendition, segment: Segment) -> None:
        for number, _ in segment.parts:
            self._programs.media.pop(self._url(rendition, part_name(number)), None)
        left = rendition.retired[0][1] if rendition.retired else rendition.segments[0] if rendition.segments else None
        oldest = segment.opened.init_version
        if left is not None and left.opened.init_version > oldest:  # no segment needs that init segment any more
            for version in [version for version in rendition.inits if version <= oldest]:
                del rendition.inits[version]
                self._programs.media.pop(self._url(rendition, f"init{version}.mp4"), None)

    def close(self) -> None:
        """Take every name of this session out of the tables."""
        for rendition in self.renditions.values():
            for segment in [*(s for _, s in rendition.retired), *rendition.segments]:
                self._forget(rendition, segment)
            for version in rendition.inits:
                self._programs.media.pop(self._url(rendition, f"init{version}.mp4"), None)
            self._programs.playlists.pop(self._url(rendition, "live.m3u8"), None)
            rendition.reports = no_reports
        self.renditions = {}
        # What points back keeps all of the session's media until the next pass of the garbage collector.
        self.experience.received_ms = unknown_arrival

    def end(self, recording: Recording | None) -> None:
        """The session is over: ENDLIST for those who watch; they are let go after a while."""
        if self.ended:
            return
        self.ended = True
        self.ended_at = time.monotonic()
        self.ready.set()
        self._multivariant = {}
        for rendition in self.renditions.values():
            rendition.end()
        for rendition in self.renditions.values():
            rendition.wake()
            rendition.serve_hinted(GONE)
        if recording is None:
            # The file is deleted: what was only there cannot be had any more.
            self.recorder = None
            for rendition in self.renditions.values():
                while rendition.segments and not rendition.segments[0].in_memory:
                    rendition.drop_oldest(self.ended_at)

    def withdraw(self) -> None:
        """Nobody may watch any more: let go of what has ended at the next sweep, not after its while."""
        self.ended_at = -math.inf

    # -- what viewers get ---------------------------------------------------------------------------------------

    def _etag(self, rendition: Rendition, name: object) -> str:
        return f"{self.base.decode()}{rendition.name}/{name}"

    def _url(self, rendition: Rendition, name: str) -> bytes:
        return self.base + f"{rendition.name}/{name}".encode()

    def _reports(self, me: Rendition, query: str) -> Iterator[str]:
        return (other.report(query) for other in self.renditions.values() if other is not me and other.playable)

    def multivariant(self, view: str, base: str, *, dvr: bool) -> str:
        """The multivariant playlist for a viewing session.

        Args:
            base: From its URL to that of the playback id.
            dvr: Of the whole session so far.
        """
        text = self._multivariant.get((base, dvr))
        if text is None:
            name = session_name(self.session_id)
            kind = "dvr" if dvr else "live"
            text = self._multivariant[base, dvr] = multivariant_of(
                [(r.name, r.track, r.peak_bps, r.average_bps) for r in self._listed()],
                f"{base}{name}/",
                f"{kind}.m3u8?s=@",
            )
        return text.replace("?s=@", f"?s={view}")

    def _listed(self) -> list[Rendition]:
        return [rendition for rendition in self.renditions.values() if rendition.playable]

    def newest_sync(self) -> tuple[bytes, bytes] | None:
        """Init segment and a fragment that starts with a sync sample, of the first video track; None without one."""
        for rendition in self.renditions.values():
            if rendition.track.is_video:
                for segment in reversed(rendition.segments):
                    if segment.parts and segment.independent and segment.parts[0][1].data is not None:
                        return rendition.inits[segment.opened.init_version].data, segment.parts[0][1].data
        return None

    def sound_since(self, last: Part | None, most: int) -> tuple[Track, list[Part]] | None:
        """The first audio track, and its parts behind one, the newest `most` of them that are in memory, in order."""
        for rendition in self.renditions.values():
            if not rendition.track.is_video:
                parts: list[Part] = []
                for segment in reversed(rendition.segments):
                    for _, part in reversed(segment.parts):
                        if part is last or part.data is None or len(parts) == most:
                            return rendition.track, parts[::-1]
                        parts.append(part)
                return rendition.track, parts[::-1]
        return None

    def received_ms(self, path: bytes) -> int | None:
        """Wall time at which the first picture of a listed or hinted piece of media reached the server, by its path."""
        track, _, name = path[len(self.base) :].decode("ascii", "replace").partition("/")
        for rendition in self.renditions.values():
            if rendition.name == track:
                stem = name.removesuffix(".m4s")
                if stem[:1] == "p":
                    return rendition.received_ms(part=number_of(stem[1:]))
                return rendition.received_ms(msn=number_of(stem))
        return None

    @property
    def viewers(self) -> int:
        """Viewing sessions present now."""
        return self.views.viewers(time.monotonic())

    @property
    def viewer_seconds(self) -> float:
        """Seconds watched so far by all viewing sessions."""
        return self.views.seconds(time.monotonic())

    def segment_response(self, rendition: Rendition, segment: Segment) -> Response | None:
        """A whole segment from memory, uncopied; None where it is on disk."""
        chunks = segment.chunks
        if len(chunks) != len(segment.parts):
            return None
        return media_response(chunks, self._etag(rendition, f"{segment.msn}.m4s"))
