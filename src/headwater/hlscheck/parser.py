"""Playlist text to a typed playlist, and every breach of the syntax on the way (draft clauses 4.1 to 4.4).

Pure, and independent of the playlist writer of this project on purpose: a second reading of the same draft. Nothing
here raises on any input; what cannot be read is a `Problem` with its line. Tags that the draft does not define are
counted in `unknown_tags` and otherwise ignored, as clients must (6.3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headwater.hlscheck.media_reader import MediaReader
from headwater.hlscheck.multivariant_reader import MultivariantReader
from headwater.hlscheck.playlist import MediaPlaylist, MultivariantPlaylist
from headwater.hlscheck.reader import MAX_LINES

NOTHING: Mapping[str, str] = MappingProxyType({})


def is_multivariant(text: str) -> bool:
    """Whether a text is a multivariant playlist: it has one of their tags (4.1)."""
    return any(line.startswith(("#EXT-X-STREAM-INF", "#EXT-X-MEDIA:")) for line in text.splitlines()[:MAX_LINES])


def parse_media(
    text: str, *, imported: Mapping[str, str] = NOTHING, query: Mapping[str, str] = NOTHING
) -> MediaPlaylist:
    """Read a media playlist; never raises.

    Args:
        text: The playlist.
        imported: Variables of the multivariant playlist, for EXT-X-DEFINE:IMPORT.
        query: Parameters of the playlist's URL, for EXT-X-DEFINE:QUERYPARAM.
    """
    return MediaReader(text, imported, query).read()


def parse_multivariant(text: str, *, query: Mapping[str, str] = NOTHING) -> MultivariantPlaylist:
    """Read a multivariant playlist; never raises. `query` as for `parse_media`."""
    return MultivariantReader(text, NOTHING, query).read()
