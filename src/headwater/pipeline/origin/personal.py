"""A playlist that is the same for all viewers but for their names in its last lines.

Rendition reports name the playlists of other renditions as this viewer knows them, with its viewing session's `?s=`:
else who follows one would begin another viewing session, and who looks for the playlist that it has would not find it.
So the body is prepared once, all but its end, and its end is made for each viewer: a join, and where the body is
compressed a stored block (RFC 1951, 3.2.4) behind what is shared, and the checksum of both (RFC 1952, 2.3.1).
"""

from __future__ import annotations

import struct
import zlib

from headwater.pipeline.origin.response import Response

VIEW_LENGTH = 12
"""Of a viewing session's name; all are of one length, and so are all bodies."""

PLACE = b"@"
"""Stands for the name in the lines that are given."""

GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def is_view(key: bytes) -> bool:
    """Whether a viewing session's key is a name that was given out here, and so may stand in a playlist."""
    return len(key) == VIEW_LENGTH and not key.translate(None, b"0123456789abcdef")


class Template:
    """A playlist's prepared bytes.

    Attributes:
        whole: A response as any viewer gets it, for what is the same in all of them.
    """

    __slots__ = ("_crc", "_pieces", "_shared", "_size", "_stored", "whole")

    def __init__(
        self, headers: list[tuple[str, str]], shared: bytes, last: bytes, etag: str, *, gzip_level: int | None
    ) -> None:
        """Prepare a playlist of `shared` lines and `last` ones, in which `PLACE` stands for the name."""
        self._pieces = last.split(PLACE)
        self._size = len(shared) + len(last) + (VIEW_LENGTH - len(PLACE)) * (len(self._pieces) - 1)
        self._crc = zlib.crc32(shared)
        self._stored = b""
        self._shared = shared
        if gzip_level is not None:
            size = self._size - len(shared)
            self._stored = struct.pack("<BHH", 1, size, size ^ 0xFFFF)
            deflate = zlib.compressobj(gzip_level, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._shared = GZIP_HEADER + deflate.compress(shared) + deflate.flush(zlib.Z_SYNC_FLUSH)
        self.whole = Response(200, headers, self.body(b"0" * VIEW_LENGTH), etag=etag)

    def body(self, view: bytes) -> tuple[bytes, bytes]:
        """What all get, and what this viewer gets. Hot."""
        last = view.join(self._pieces)
        if self._stored:
            last = b"".join((self._stored, last, struct.pack("<II", zlib.crc32(last, self._crc), self._size)))
        return self._shared, last

    def of(self, view: bytes) -> Response:
        """The playlist of a viewer. Hot."""
        return Personal(self, view)


class Personal(Response):
    """A viewer's own copy: little more than its last lines."""

    __slots__ = ("_whole",)

    def __init__(self, template: Template, view: bytes) -> None:
        self._whole = whole = template.whole
        self.status = 200
        self.headers = whole.headers
        self.size = whole.size
        self.etag = whole.etag
        self.ranged = False
        self.chunks = template.body(view)

    def head(self, date: bytes) -> bytes:
        return self._whole.head(date)

    def joined(self, date: bytes) -> bytes:
        return b"".join((self._whole.head(date), *self.chunks))
