"""Playlists of what lies on disk: a whole ended session (VOD), or a running one from its beginning (EVENT)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from headwater.media.cmaf import InitSegment
from headwater.pipeline.origin.multivariant import multivariant_of
from headwater.pipeline.origin.response import PLAYLIST, Response
from headwater.pipeline.recorder.recording import RecordedSegment, RecordedTrack, Recording
from headwater.protocols.m3u8 import lines

GZIP_LEVEL = 5


class RecordedProgram:
    """A recording's tracks by their URL names, with everything that playlists say of them.

    Attributes:
        size: Segments of all tracks.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.tracks: dict[str, RecordedTrack] = {}
        for track in recording.tracks:
            kind = "v" if _newest(track).track.is_video else "a"
            number = sum(name[0] == kind for name in self.tracks)
            self.tracks[f"{kind}{number}"] = track
        self.size = sum(len(track.segments) for track in recording.tracks)
        self._by_msn: dict[str, dict[int, RecordedSegment]] = {}
        self._playlists: dict[tuple[str, bool], Response] = {}
        self._discontinuities = {s.msn for t in recording.tracks for s in t.segments if s.discontinuity}

    def segment(self, name: str, msn: int) -> RecordedSegment | None:
        track = self.tracks.get(name)
        if track is None:
            return None
        if name not in self._by_msn:
            self._by_msn[name] = {segment.msn: segment for segment in track.segments}
        return self._by_msn[name].get(msn)

    def init(self, name: str, version: int) -> bytes | None:
        track = self.tracks.get(name)
        init = track.inits.get(version) if track is not None else None
        return init.data if init is not None else None

    def multivariant(self, base: str, playlist: str) -> str:
        return multivariant_of(
            [(name, _newest(track).track, *bit_rates(track)) for name, track in self.tracks.items() if track.segments],
            base,
            playlist,
        )

    def prepared(self, name: str, *, compressed: bool) -> Response | None:
        """The media playlist of a track, if it has been made already."""
        return self._playlists.get((name, compressed))

    def playlist(self, name: str, *, compressed: bool) -> Response | None:
        """The media playlist of a track. Of a whole day it has megabytes: make it in a thread."""
        response = self._playlists.get((name, compressed))
        track = self.tracks.get(name)
        if response is not None or track is None or not track.segments:
            return response
        age = 60 if self.recording.complete else 1
        headers = [
            ("content-type", PLAYLIST),
            ("cache-control", f"public, max-age={age}"),
            ("vary", "accept-encoding"),
        ]
        if compressed:
            plain = self.playlist(name, compressed=False)
            assert plain is not None
            body = gzip.compress(plain.body, GZIP_LEVEL, mtime=0)
            headers.append(("content-encoding", "gzip"))
        else:
            body = "".join(self._lines(track)).encode()
        kind = f"{'c' if self.recording.complete else 'o'}{'z' if compressed else 'p'}"
        etag = f'"{track.segments[-1].msn}.{len(track.segments)}{kind}"'
        response = self._playlists[name, compressed] = Response(200, headers, (body,), etag=etag)
        return response

    def _lines(self, track: RecordedTrack) -> Iterator[str]:
        timescale = _newest(track).timescale
        longest = max(round(segment.duration / timescale) for segment in track.segments)
        target = max(self.recording.target_duration_s, longest, 1)
        yield lines.plain_header(target, "VOD" if self.recording.complete else "EVENT")
        yield lines.sequence(track.segments[0].msn, self._discontinuity_sequence(track))
        version = None
        for segment in track.segments:
            if segment.discontinuity:
                yield "#EXT-X-DISCONTINUITY\n"
            if segment.init_version != version:
                version = segment.init_version
                yield lines.init_section(f"init{version}.mp4")
            yield lines.program_date_time(segment.program_date_time_ms)
            gap = not segment.extents  # it was made and never reached the disk
            yield lines.segment(segment.duration / timescale, f"{segment.msn}.m4s", gap=gap)
        if self.recording.complete:
            yield "#EXT-X-ENDLIST\n"

    def _discontinuity_sequence(self, track: RecordedTrack) -> int:
        """Counted as the live playlists do: from zero, for all tracks at once, so that a track that came late agrees
        with the others (RFC 8216bis, 6.2.1)."""
        first = track.segments[0].msn
        return sum(msn < first for msn in self._discontinuities)


def bit_rates(track: RecordedTrack) -> tuple[int, int]:
    """Peak segment bit rate and average bit rate of a track."""
    timescale = _newest(track).timescale
    ticks = sum(segment.duration for segment in track.segments)
    bits = 8 * sum(segment.size for segment in track.segments)
    average = bits * timescale // ticks if ticks else 0
    longest = max((segment.duration for segment in track.segments), default=0)
    peaks = [8 * s.size * timescale // s.duration for s in track.segments if s.duration * 2 >= longest and s.duration]
    return max(peaks, default=average), average


def _newest(track: RecordedTrack) -> InitSegment:
    return track.inits[max(track.inits)]
