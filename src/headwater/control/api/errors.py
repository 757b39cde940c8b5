"""Refusals as the API says them: one exception, one envelope with both shapes that the SDKs look for.

{"success": false, "error": {"code": 404, "message": "..."}, "errors": [{"code": 404, "message": "..."}]}
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headwater.errors import CallerError


class Problem(msgspec.Struct):
    """`code` is the HTTP status."""

    code: int
    message: str


class ErrorEnvelope(msgspec.Struct):
    success: bool
    error: Problem
    errors: list[Problem]


class ApiError(CallerError):
    """A request that is refused.

    Attributes:
        status: HTTP status, also the envelope's code.
        message: For the caller to read.
        headers: Extra response headers.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def envelope(status: int, message: str) -> bytes:
    problem = Problem(status, message)
    return msgspec.json.encode(ErrorEnvelope(False, problem, [problem]))


def not_found(what: str) -> ApiError:
    return ApiError(404, f"{what} was not found")
