"""The tables of what can be had: filled by each session's `LiveProgram`, looked up by each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.pipeline.origin.paths import session_name
from headwater.pipeline.origin.rendition import Rendition
from headwater.pipeline.origin.response import Response

if TYPE_CHECKING:
    from headwater.pipeline.origin.program import LiveProgram


class Programs:
    """Every live program of this process, and its names.

    Attributes:
        media: Whole responses by path: init segments and parts that are in memory. Hot.
        playlists: Live media playlists by path. Hot.
        newest: The newest session of each playback id.
        sessions: All of them, by playback id and name of the session.
        by_base: All of them, by how the paths of their media begin.
    """

    def __init__(self) -> None:
        self.media: dict[bytes, Response] = {}
        self.playlists: dict[bytes, tuple[LiveProgram, Rendition]] = {}
        self.newest: dict[str, LiveProgram] = {}
        self.sessions: dict[tuple[str, str], LiveProgram] = {}
        self.by_base: dict[bytes, LiveProgram] = {}

    def add(self, program: LiveProgram) -> None:
        """A session begins."""
        playback_id = program.info.playback_id
        self.newest[playback_id] = program
        self.sessions[playback_id, session_name(program.session_id)] = program
        self.by_base[program.base] = program

    def remove(self, program: LiveProgram) -> None:
        """It has ended, and its viewers have seen that."""
        playback_id = program.info.playback_id
        del self.sessions[playback_id, session_name(program.session_id)]
        del self.by_base[program.base]
        program.close()
        if self.newest.get(playback_id) is program:
            del self.newest[playback_id]
