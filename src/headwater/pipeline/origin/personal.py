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

TRAILER = struct.Struct("<II").pack
GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def is_view(key: bytes) -> bool:
    """Whether a viewing session's key is a name that was given out here, and so may stand in a playlist."""
    return len(key) == VIEW_LENGTH and not key.translate(None, b"0123456789abcdef")


class Template:
    """A playlist's prepared bytes.

    Attributes:
        whole: A response as any viewer gets it, for what is the same in all of them.
        size: Bytes of each body.
    """

    __slots__ = ("_begun", "_crc", "_date", "_length", "_pieces", "_shared", "_stored", "size", "whole")

    def __init__(
        self, headers: list[tuple[str, str]], shared: bytes, last: bytes, etag: str, *, gzip_level: int | None
    ) -> None:
        """Prepare a playlist of `shared` lines and `last` ones, in which `PLACE` stands for the name."""
        self._pieces = last.split(PLACE)
        self._length = len(shared) + len(last) + (VIEW_LENGTH - len(PLACE)) * (len(self._pieces) - 1)
        self._crc = zlib.crc32(shared)
        self._stored = b""
        self._shared = shared
        if gzip_level is not None:
            size = self._length - len(shared)
            self._stored = struct.pack("<BHH", 1, size, size ^ 0xFFFF)
            deflate = zlib.compressobj(gzip_level, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._shared = GZIP_HEADER + deflate.compress(shared) + deflate.flush(zlib.Z_SYNC_FLUSH) + self._stored
        self.whole = Response(200, headers, (self._shared, self.last(b"0" * VIEW_LENGTH)), etag=etag)
        self.size = self.whole.size
        self._date: bytes | None = None
        self._begun = b""

    @property
    def shared(self) -> bytes:
        """The body's beginning, which all get."""
        return self._shared

    def last(self, view: bytes) -> bytes:
        """The body's end, which is this viewer's. Hot."""
        last = view.join(self._pieces)
        return last + TRAILER(zlib.crc32(last, self._crc), self._length) if self._stored else last

    def begun(self, date: bytes) -> bytes:
        """Head and what all get of the body, kept. Hot."""
        if self._date is not date:
            self._begun = self.whole.head(date) + self._shared
            self._date = date
        return self._begun

    def of(self, view: bytes) -> Response:
        """The playlist of a viewer. Hot."""
        return Personal(self, view)


class Personal(Response):
    """A viewer's own copy: made when it is written, and little more than a name until then."""

    __slots__ = ("_template", "_view")

    status = 200
    ranged = False

    def __init__(self, template: Template, view: bytes) -> None:
        self._template = template
        self._view = view
        self.size = template.size

    @property
    def headers(self) -> list[tuple[str, str]]:  # type: ignore[override]
        return self._template.whole.headers

    @property
    def etag(self) -> bytes:  # type: ignore[override]
        return self._template.whole.etag

    @property
    def chunks(self) -> tuple[bytes, ...]:  # type: ignore[override]
        return self._template.shared, self._template.last(self._view)

    def head(self, date: bytes) -> bytes:
        return self._template.whole.head(date)

    def joined(self, date: bytes) -> bytes:
        template = self._template
        return template.begun(date) + template.last(self._view)
