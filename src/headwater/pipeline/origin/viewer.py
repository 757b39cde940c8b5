"""Whose request it is: the key of its viewing session."""

from __future__ import annotations

import hashlib
import secrets
from urllib.parse import unquote_to_bytes

from headwater.pipeline.origin.personal import VIEW_LENGTH
from headwater.pipeline.origin.request import Request, query_value
from headwater.pipeline.origin.views import KEY_LIMIT

CMCD_LIMIT = 2048
"""Bytes of a CMCD parameter that are read; all of its keys together are below 1 KB."""


ROTATE_S = 86_400.0
"""A salt is used for a day: what was known by it then cannot be told from anybody else."""


class ViewerKeys:
    """Keys of viewing sessions; addresses are only ever kept salted and hashed."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._salted_s: float | None = None

    def rotate(self, now_s: float) -> None:
        """Change the salt when it is time. Who is known by its address is counted twice for a moment then."""
        if self._salted_s is None:
            self._salted_s = now_s
        if now_s - self._salted_s >= ROTATE_S:
            self._salt, self._salted_s = secrets.token_bytes(16), now_s

    def new(self) -> str:
        """A name for a viewing session that begins, for its playlist URLs (`?s=`)."""
        return secrets.token_hex(VIEW_LENGTH // 2)

    def of(self, request: Request) -> bytes:
        """The viewing session of a request: the playlist URL's own, else CMCD's, else a salted hash. Hot."""
        query = request.query
        own = query_value(query, b"s")
        if own:
            return own[:KEY_LIMIT]
        if b"CMCD=" in query and (sid := cmcd_session(query)):
            return sid
        if sid := header_session(request):
            return sid
        agent = request.header(b"user-agent") or b""
        return hashlib.blake2b(request.remote.encode() + b"\0" + agent, key=self._salt, digest_size=12).digest()


def header_session(request: Request) -> bytes:
    """The `sid` of a CMCD-Session header (CTA-5004, 2.1); empty where there is none."""
    header = request.header(b"cmcd-session")
    if header is None or (at := header.find(b'sid="')) < 0:
        return b""
    return header[at + 5 : at + 5 + KEY_LIMIT].partition(b'"')[0]


def cmcd_session(query: bytes) -> bytes:
    """The `sid` of a CMCD query parameter (CTA-5004, 2.1 and 3.2); empty where there is none."""
    at = query.find(b"sid%3D%22")  # as `encodeURIComponent` writes it, and so every player in a browser
    if at >= 0:
        return query[at + 9 : at + 9 + KEY_LIMIT].partition(b"%22")[0]
    # Hexadecimal digits may be lower case, and what needs no encoding may stand as it is (RFC 3986, 2.1 and 3.4).
    decoded = b"," + unquote_to_bytes((query_value(query, b"CMCD") or b"")[:CMCD_LIMIT])
    at = decoded.find(b',sid="')
    return decoded[at + 6 : at + 6 + KEY_LIMIT].partition(b'"')[0] if at >= 0 else b""
