"""Conditional and range requests (RFC 9110, 13 and 14): what is left of a whole response."""

from __future__ import annotations

from headwater.pipeline.origin.request import Request
from headwater.pipeline.origin.response import Response, plain
from headwater.protocols.byte_range import read_range

NONE_MATCH_LIMIT = 4096
"""Bytes of If-None-Match that are read: more than a hundred tags of ours."""


def conditional(request: Request, response: Response) -> Response:
    """The response to a request that may carry If-None-Match or Range. Hot."""
    if response.status != 200:
        return response
    none_match = request.header(b"if-none-match")
    if none_match is not None and response.etag and matches(none_match, response.etag):
        kept = [(name, value) for name, value in response.headers if name in ("cache-control", "vary")]
        return Response(304, kept, (), etag=response.etag.decode())
    if not response.ranged:
        return response
    wanted = request.header(b"range")
    # Range is defined for GET alone (14.2).
    if wanted is None or request.method != b"GET":
        return response
    condition = request.header(b"if-range")
    if condition is not None and condition != response.etag:
        return response  # a date, or the tag of something else: the whole body is always right (13.1.5)
    return partial(wanted, response)


def matches(none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match list holds an entity tag, compared weakly (RFC 9110, 13.1.2)."""
    if none_match.strip() == b"*":
        return True
    return any(tag.strip().removeprefix(b"W/") == etag for tag in none_match[:NONE_MATCH_LIMIT].split(b","))


def partial(wanted: bytes, response: Response) -> Response:
    """One range of a body, the whole body, or 416 (RFC 9110, 14.2)."""
    size = response.size
    found = read_range(wanted, size)
    if found is None:
        return response
    if not found.satisfiable:
        return plain(416, "The range lies beyond the end.", ("content-range", f"bytes */{size}"))
    start, end = found
    kept = [(name, value) for name, value in response.headers if name in ("content-type", "cache-control")]
    kept.append(("content-range", f"bytes {start}-{end}/{size}"))
    return Response(206, kept, _cut(response.chunks, start, end + 1), etag=response.etag.decode(), ranged=True)


def _cut(chunks: tuple[bytes, ...], start: int, end: int) -> tuple[bytes, ...]:
    """Bytes `start` to `end` of joined chunks; chunks that are wholly wanted are not copied."""
    kept: list[bytes] = []
    for chunk in chunks:
        if end <= 0:
            break
        if start < len(chunk):
            kept.append(chunk[max(0, start) : end])
        start, end = start - len(chunk), end - len(chunk)
    return tuple(kept)
