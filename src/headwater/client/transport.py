"""How a call is sent: the parts that the sync and the async client share, and when a call is sent again."""

from __future__ import annotations

import random
import re
from typing import Any, TypeVar

import httpx
import msgspec

from headwater.client.credentials import Access
from headwater.client.errors import ApiError, Unreachable, error_of
from headwater.client.request import Request

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""Seconds. Stopping a broadcast waits for its session to close, which takes the longest."""

RETRIES = 2
RETRY_FIRST_S = 0.2
RETRY_AFTER_MAX_S = 10.0
"""A server that wants to be left alone for longer is not waited for: the caller decides."""

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_AGAIN = frozenset({429, 502, 503, 504})


def headers(access: Access) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.api_token}", "User-Agent": "headwater-client"}


def arguments(access: Access, request: Request[Any]) -> dict[str, Any]:
    """Keyword arguments for httpx."""
    content = request.content()
    return {
        "method": request.method,
        "url": access.base_url.rstrip("/") + request.path,
        "params": request.query or None,
        "content": content,
        "headers": {"Content-Type": "application/json"} if content is not None else {},
    }


def outcome(request: Request[T], response: httpx.Response) -> T:
    """The call's result.

    Raises:
        ApiError: the server refused.
        Unreachable: what answered is not the API.
    """
    if not response.is_success:
        raise error_of(response.status_code, response.content, response.headers.get("retry-after"))
    try:
        return request.result(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(f"{response.request.url.host} does not answer as Headwater's API does: {error}") from error


def unreachable(access: Access, error: httpx.HTTPError | httpx.InvalidURL) -> Unreachable:
    words = _ERRNO.sub("", str(error)) or type(error).__name__
    return Unreachable(f"no answer from {access.base_url}: {words}")


def pause_before_retry(request: Request[Any], attempt: int, error: ApiError | Unreachable) -> float | None:
    """Seconds until a failed call is sent again; None: it is not.

    Only calls that do no more when they arrive twice are repeated, and only where that may help.
    """
    if attempt >= RETRIES or not request.idempotent:
        return None
    if isinstance(error, ApiError):
        if error.status not in _AGAIN:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= RETRY_AFTER_MAX_S else None
    return RETRY_FIRST_S * 2.0**attempt * (1 + random.random())
