"""Conditional and range requests (RFC 9110, 13 and 14): what is left of a whole response."""

from __future__ import annotations

from headwater.pipeline.origin.request import Request
from headwater.pipeline.origin.response import Response, plain

DIGITS_LIMIT = 15


def conditional(request: Request, response: Response) -> Response:
    """The response to a request that may carry If-None-Match or Range."""
    none_match = request.header(b"if-none-match")
    if none_match is not None and response.status == 200:
        etag = response.header("etag")
        if etag is not None and matches(none_match, etag.encode()):
            kept = [(name, value) for name, value in response.headers if name in ("etag", "cache-control", "vary")]
            return Response(304, kept, ())
    wanted = request.header(b"range")
    if wanted is None or response.status != 200 or response.header("accept-ranges") is None:
        return response
    return partial(wanted, response)


def matches(none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match list holds an entity tag, compared weakly (RFC 9110, 13.1.2)."""
    if none_match.strip() == b"*":
        return True
    return any(tag.strip().removeprefix(b"W/") == etag for tag in none_match[:4096].split(b","))


def partial(wanted: bytes, response: Response) -> Response:
    """One range of a body. Several ranges are answered with the whole body, which RFC 9110 (14.2) allows: players ask
    for one, and many small ranges are an old way to make a server work."""
    unit, _, spec = wanted.partition(b"=")
    if unit.strip().lower() != b"bytes" or b"," in spec:
        return response
    first, dash, last = spec.strip().partition(b"-")
    if not dash or not _number(first) or not _number(last) or not (first or last):
        return response
    size = response.size
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return response
    else:
        start, end = max(0, size - int(last)), size - 1
    if start >= size or start > end:
        return plain(416, "The range lies beyond the end.", ("content-range", f"bytes */{size}"))
    kept = [(n, v) for n, v in response.headers if n in ("content-type", "cache-control", "date", "etag")]
    kept.append(("content-range", f"bytes {start}-{end}/{size}"))
    kept.append(("accept-ranges", "bytes"))
    return Response(206, kept, (response.body[start : end + 1],))


def _number(digits: bytes) -> bool:
    return not digits or (digits.isdigit() and len(digits) <= DIGITS_LIMIT)
