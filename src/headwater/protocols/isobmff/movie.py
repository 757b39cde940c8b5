"""Init segments: ftyp and moov without samples, of one track for HLS, of several for a recording.

    ftyp
    moov
    ├── mvhd
    ├── trak                      one per track
    │   ├── tkhd
    │   └── mdia
    │       ├── mdhd, elng?       timescale; language where it is no three-letter code
    │       ├── hdlr
    │       └── minf
    │           ├── vmhd | smhd
    │           ├── dinf ─ dref ─ url
    │           └── stbl ─ stsd (sample entries), stts, stsc, stsz, stco (empty)
    └── mvex
        ├── mehd?                 duration, where the recording is complete
        └── trex                  one per track

No edit lists: a video track's decode times are shifted so that its first presented sample stands at its decode time,
and samples that are shown earlier than decoded have negative composition offsets (trun version 1). That is CMAF's
`cmf2` brand; players agree on it, while edit lists of fragmented files are read in as many ways as there are players.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from headwater.media.cmaf import InitSegment
from headwater.media.track import AudioConfig, Track
from headwater.protocols.isobmff.boxes import UNITY_MATRIX, box, full_box
from headwater.protocols.isobmff.sample_entry import sample_entry, video_format

MAX_SAMPLE_ENTRIES = 64
"""Most sample entries of a track: how often its configuration may change before the last entry stands for all."""

_MOVIE_TIMESCALE = 1000
_TRACK_ENABLED_IN_MOVIE = 3
_EMPTY_TABLE = bytes(4)


def description_index(version: int) -> int:
    """The sample description index (from 1) that fragments of an InitSegment version carry."""
    return min(version + 1, MAX_SAMPLE_ENTRIES)


def init_segment(track: Track, timescale: int, version: int = 0) -> bytes:
    """The init segment of one track for HLS.

    Fragments name their sample entry by its place in a recording of the whole session (`movie`), where every version
    has its own. So that they decode here too, the one entry stands in every place up to theirs.
    """
    index = description_index(version)
    entries = [sample_entry(track.config)] * index
    return _ftyp(b"cmfc", b"cmf2") + box(
        b"moov", _mvhd(track.id), _trak(track, timescale, entries), box(b"mvex", _trex(track.id, index))
    )


def movie(inits: Sequence[InitSegment], duration_ms: int | None = None) -> bytes:
    """ftyp + moov that decodes the fragments of all these init segments in one file.

    Args:
        inits: The init segments of every track, all versions, in any order of tracks; at least one.
        duration_ms: Of the whole, where it is known.
    """
    versions: dict[int, list[InitSegment]] = {}
    for init in sorted(inits, key=lambda init: init.version):
        versions.setdefault(init.track.id, []).append(init)
    traks = [
        _trak(several[-1].track, several[0].timescale, _entries_by_index(several)) for several in versions.values()
    ]
    mehd = [] if duration_ms is None else [full_box(b"mehd", 1, 0, struct.pack(">Q", duration_ms))]
    mvex = box(b"mvex", *mehd, *(_trex(track_id, 1) for track_id in versions))
    return _ftyp(b"iso6", b"mp41") + box(b"moov", _mvhd(max(versions)), *traks, mvex)


def _entries_by_index(versions: Sequence[InitSegment]) -> list[bytes]:
    """Sample entries by description index; a version that is not there is held by the next that is."""
    entries: list[bytes] = []
    for init in versions:
        entry = sample_entry(init.track.config)
        index = description_index(init.version)
        entries += [entry] * (index - len(entries))
        entries[index - 1] = entry
    return entries


def _ftyp(*compatible: bytes) -> bytes:
    return box(b"ftyp", b"iso6", bytes(4), b"iso6", *(brand for brand in compatible if brand != b"iso6"))


def _mvhd(last_track_id: int) -> bytes:
    times_and_rate = struct.pack(">IIIIIH10x", 0, 0, _MOVIE_TIMESCALE, 0, 0x10000, 0x100)
    return full_box(b"mvhd", 0, 0, times_and_rate, UNITY_MATRIX, bytes(24), struct.pack(">I", last_track_id + 1))


def _trak(track: Track, timescale: int, entries: Sequence[bytes]) -> bytes:
    return box(b"trak", _tkhd(track), box(b"mdia", _mdhd(track, timescale), _hdlr(track), _minf(track, entries)))


def _tkhd(track: Track) -> bytes:
    width = height = 0
    if not isinstance(track.config, AudioConfig):
        picture = video_format(track.config)
        width, height = picture.display_width, picture.height
    return full_box(
        b"tkhd",
        0,
        _TRACK_ENABLED_IN_MOVIE,
        struct.pack(">IIIII8xHHHH", 0, 0, track.id, 0, 0, 0, 0 if width else 1, 0 if width else 0x100, 0),
        UNITY_MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )


def _mdhd(track: Track, timescale: int) -> bytes:
    """With the language in three letters of five bits (ISO 639-2), and elng beside it where that cannot hold it."""
    tag = track.language.lower()
    fits = len(tag) == 3 and tag.isascii() and tag.isalpha()
    letters = tag if fits else "und"
    packed = sum((ord(letter) - 0x60) << shift for letter, shift in zip(letters, (10, 5, 0), strict=True))
    mdhd = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, packed, 0))
    return mdhd if fits else mdhd + full_box(b"elng", 0, 0, track.language.encode() + b"\0")


def _hdlr(track: Track) -> bytes:
    kind = b"vide" if track.is_video else b"soun"
    return full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, kind), track.name.encode() + b"\0")


def _minf(track: Track, entries: Sequence[bytes]) -> bytes:
    header = full_box(b"vmhd", 0, 1, bytes(8)) if track.is_video else full_box(b"smhd", 0, 0, bytes(4))
    dinf = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    stbl = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries),
        full_box(b"stts", 0, 0, _EMPTY_TABLE),
        full_box(b"stsc", 0, 0, _EMPTY_TABLE),
        full_box(b"stsz", 0, 0, bytes(4), _EMPTY_TABLE),
        full_box(b"stco", 0, 0, _EMPTY_TABLE),
    )
    return box(b"minf", header, dinf, stbl)


def _trex(track_id: int, index: int) -> bytes:
    """Without defaults: `cmf2` wants fragments to stand on their own."""
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", track_id, index, 0, 0, 0))
