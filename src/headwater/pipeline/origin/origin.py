"""The origin: a request in, a response out, now or later. The shells (`http1.py`, `rsgi.py`) carry both.

request ─► in memory? ──► media (a whole response), LivePlaylists (now, or held)
              │no
              ▼
/<playback id>/manifest/video.m3u8          Entry: the multivariant playlist (`?dvrEnabled=true`: the whole session)
/<playback id>/<session>/manifest/video.m3u8   Entry: that of one session, for as long as its recording exists
/<playback id>/<session>/<v0|a0>/
                   live.m3u8                LivePlaylists: the low-latency media playlist
                   p<n>.m4s, <msn>.m4s      LiveMedia: a part that is hinted or on disk, a segment
                   dvr.m3u8, init<n>.mp4,   RecordedMedia: a session from its beginning (EVENT), or all of it (VOD)
                   <msn>.m4s
/<playback id>/lifecycle, /views, /thumbnail.jpg     About
/<playback id>/cmcd                                  none of these: `reports.py`
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from headwater.pipeline.origin.about import About, Thumbnail
from headwater.pipeline.origin.directory import Directory, PlaybackInfo
from headwater.pipeline.origin.entry import Entry
from headwater.pipeline.origin.experience import ExperienceSettings, has_cmcd
from headwater.pipeline.origin.holds import Holds
from headwater.pipeline.origin.library import Library
from headwater.pipeline.origin.live_media import LiveMedia
from headwater.pipeline.origin.live_playlist import LivePlaylists
from headwater.pipeline.origin.paths import BASE_LENGTH, is_behind, is_ours
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.programs import Programs
from headwater.pipeline.origin.ranges import conditional
from headwater.pipeline.origin.recorded_media import RecordedMedia
from headwater.pipeline.origin.request import Request
from headwater.pipeline.origin.response import NOT_ALLOWED, NOT_FOUND, PREFLIGHT, Answer
from headwater.pipeline.origin.settings import OriginSettings
from headwater.pipeline.origin.tally import Tally
from headwater.pipeline.origin.viewer import ViewerKeys
from headwater.pipeline.recorder import RecordingFile
from headwater.pipeline.recorder.recording import RecordingReader

log = logging.getLogger("headwater.origin")

SWEEP_S = 0.5
VIEWS_SWEEP_S = 2.0


class Origin:
    """Every program of this process, by playback id.

    Attributes:
        media: Whole responses by path: init segments and parts that are in memory. Hot.
        playlists: Live media playlists by path. Hot.
        programs: The newest session of each playback id.
        date: The Date of responses, some half a second old at most; a shell that writes it calls `refresh_date`.
        tally: What the shells have answered in its name.
    """

    def __init__(
        self,
        directory: Directory,
        settings: OriginSettings,
        *,
        data_dir: Path,
        thumbnail: Thumbnail | None = None,
        experience: ExperienceSettings | None = None,
        reader: Callable[[Path], RecordingReader] = RecordingFile,
    ) -> None:
        self.settings = settings
        self.experience = experience or ExperienceSettings()
        self._programs = programs = Programs()
        self.media = programs.media
        self.playlists = programs.playlists
        self.programs = programs.newest
        self.date = b""
        self.tally = Tally()
        self.refresh_date()
        self._holds = holds = Holds(settings)
        self._library = library = Library(data_dir, settings.read_threads, reader)
        self._keys = keys = ViewerKeys()
        self._playlist = LivePlaylists(holds, keys).answer
        self._live = LiveMedia(holds, library)
        self._recorded = RecordedMedia(directory, library, keys)
        self._entry = Entry(programs, directory, library, holds, keys)
        self._about = About(programs, directory, thumbnail)
        self._sweeper: asyncio.Task[None] | None = None
        self._views_swept_at = 0.0

    # -- the pipeline's side ------------------------------------------------------------------------------------

    def open(self, info: PlaybackInfo, session_id: str, *, recorder: RecordingReader | None) -> LiveProgram:
        """A session begins: from now on its playlists are waited for."""
        room = self._holds.livestream_room()
        program = LiveProgram(self._programs, self.settings, room, info, session_id, recorder, self.experience)
        self._programs.add(program)
        self._holds.opened(info.playback_id)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever(), name="origin-sweeper")
        return program

    def forget(self, recording: str, session_id: str) -> None:
        """A recording is gone: nothing of it is to be had from memory either.

        Args:
            recording: Its path below the data folder.
        """
        for program in list(self._programs.sessions.values()):
            if program.session_id == session_id and program.ended:
                self._programs.remove(program)
        self._library.forget(recording)

    def live_programs(self) -> list[LiveProgram]:
        """Sessions that are live, or ended so recently that they are still watched."""
        return list(self._programs.sessions.values())

    def drain(self) -> None:
        """Answer everybody who waits, and let nobody wait any more: the server stops."""
        self._holds.drain()
        for program in self._programs.sessions.values():
            program.ready.set()
            for rendition in program.renditions.values():
                rendition.dismiss()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._library.stop()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self.sweep(time.monotonic())
            except Exception:
                log.exception("sweeping failed")

    def sweep(self, now: float) -> None:
        """Answer who waited too long, forget who is gone and what has ended."""
        fold = now - self._views_swept_at >= VIEWS_SWEEP_S
        if fold:
            self._views_swept_at = now
            self._keys.rotate(now)
        for program in list(self._programs.sessions.values()):
            for rendition in program.renditions.values():
                if rendition.waiting or rendition.hinted:
                    rendition.expire(now)
            if fold:
                program.views.fold(now)
            if program.ended and now - program.ended_at > self.settings.ended_s:
                self._programs.remove(program)

    def refresh_date(self) -> bytes:
        """Date (RFC 9110, 6.6.1): one bytes object a second, by whose identity prepared heads know it again."""
        date = formatdate(usegmt=True).encode()
        if date != self.date:
            self.date = date
        return self.date

    @property
    def waiting(self) -> int:
        """Requests that wait: for a part, a reload, a first playlist."""
        return self._holds.room.taken

    # -- requests -----------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer | None:
        """Answer a request; None: not ours (the pages, the API). Hot: what is asked for most comes first."""
        path, method = request.path, request.method
        if method == b"GET":
            response = self.media.get(path)
            if response is not None:
                if has_cmcd(request):
                    self._notice(request)
                return conditional(request, response)
            found = self.playlists.get(path)
            if found is not None:
                return self._playlist(request, *found)
        if not is_ours(path) or is_behind(path):
            return None
        if method == b"OPTIONS":
            return PREFLIGHT
        if method not in (b"GET", b"HEAD"):
            return NOT_ALLOWED
        response = self.media.get(path)
        if response is not None:
            return conditional(request, response)
        found = self.playlists.get(path)
        return self._playlist(request, *found) if found is not None else self._cold(request)

    def _notice(self, request: Request) -> None:
        """A request for media says how its viewer fares. Hot."""
        program = self._programs.by_base.get(request.path[:BASE_LENGTH])
        if program is not None:
            program.experience.asked(request, time.monotonic())

    def _cold(self, request: Request) -> Answer:
        """What is not asked for often."""
        segments = request.path.decode("ascii", "replace").split("/")[1:]
        playback_id, names = segments[0], segments[1:]
        if names == ["manifest", "video.m3u8"]:
            return self._entry.answer(request, playback_id)
        if len(names) == 1:
            return self._about.answer(playback_id, names[0])
        if len(names) == 3 and names[1:] == ["manifest", "video.m3u8"]:
            return self._entry.session(request, playback_id, names[0])
        if len(names) == 3:
            return self._session_file(request, playback_id, names[0], names[1], names[2])
        return NOT_FOUND

    def _session_file(self, request: Request, playback_id: str, session: str, track: str, name: str) -> Answer:
        program = self._programs.sessions.get((playback_id, session))
        if program is not None and name.endswith(".m4s") and has_cmcd(request):
            self._notice(request)
        if program is not None and name != "dvr.m3u8":
            for rendition in program.renditions.values():
                if rendition.name == track:
                    answer = self._live.answer(request, program, rendition, name)
                    if answer is not None:
                        return answer
        return self._recorded.answer(request, playback_id, session, track, name, program)
