"""Whether a request comes from the dashboard's own page: no other site may act by the cookie, nor read by it.

The cookie is SameSite=Strict, which still lets other hosts of the same site through (`anything.example.com`). So a
request that changes something needs a header that no form can send and that nobody is allowed to send from elsewhere
(there is no CORS here), and a word of the browser on where it comes from.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from headwater.control.api.errors import ApiError

SAFE = frozenset({"GET", "HEAD"})

HEADER = "x-headwater-dashboard"
"""To be sent, with any value, with everything but GET."""

_ELSEWHERE = "This is for the dashboard's own page; programs use /client/v4 with a token"


def check_same_origin(request: Request, public_url: str) -> None:
    """Refuse what the dashboard's own page did not send.

    `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454, 7) are the browser's own, out of reach of scripts. The
    former is not sent over plain HTTP, except to localhost; the latter is not sent with GET. What is sent has to be
    right; who wants to change something has to send one of them.

    Args:
        public_url: How browsers reach a server behind a proxy that does not pass on `Host`.

    Raises:
        ApiError: 403.
    """
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        raise ApiError(403, _ELSEWHERE)
    if origin is not None and not _is_here(origin, request, public_url):
        raise ApiError(403, _ELSEWHERE)
    if request.method not in SAFE and (HEADER not in headers or (site is None and origin is None)):
        raise ApiError(403, _ELSEWHERE)


def reached_by_https(request: Request) -> bool:
    """Whether the browser speaks TLS to us or to a proxy before us: then the cookie never goes out without."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _is_here(origin: str, request: Request, public_url: str) -> bool:
    try:
        asked = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return asked != "" and asked in (request.headers.get("host", "").lower(), urlsplit(public_url).netloc.lower())
