"""What can go wrong with a call, as exceptions that carry the server's envelope.

HeadwaterError
├── CallerError
│   └── ApiError            the server refused; status, message and envelope are attributes
│       ├── BadRequest          400, 413, 414, 415
│       ├── AuthenticationFailed 401
│       ├── PermissionDenied    403
│       ├── NotFound            404
│       ├── Conflict            409
│       ├── RateLimited         429, with `retry_after_s`
│       └── ServerFailed        5xx
└── OperatorError
    ├── NotConfigured       no token, or no address, to call with
    └── Unreachable         no answer, or none that the API gives
"""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.errors import CallerError, OperatorError


class ApiError(CallerError):
    """The server refused a call.

    Attributes:
        status: HTTP status.
        message: The server's reason.
        envelope: The answer's JSON as it came, or None where it was none.
        retry_after_s: Seconds after which it may be tried again, where the server said so.
    """

    def __init__(self, status: int, message: str, envelope: Any = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.envelope = envelope
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> int:
        """The envelope's code: the HTTP status."""
        return self.status


class BadRequest(ApiError):
    """The call itself is wrong."""


class AuthenticationFailed(ApiError):
    """No token, or one that is not valid."""


class PermissionDenied(ApiError):
    """The token does not allow this."""


class NotFound(ApiError):
    """There is no such thing, or it is not there now."""


class Conflict(ApiError):
    """It cannot be done in the present state."""


class RateLimited(ApiError):
    """Too many calls."""


class ServerFailed(ApiError):
    """The server failed."""


class NotConfigured(OperatorError):
    """The client does not know where to call, or as whom."""


class Unreachable(OperatorError):
    """The server did not answer, or something else answered in its place."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: BadRequest,
    414: BadRequest,
    415: BadRequest,
    429: RateLimited,
}


class _Problem(msgspec.Struct):
    message: str = ""


class _Envelope(msgspec.Struct):
    error: _Problem | None = None


def error_of(status: int, content: bytes, retry_after: str | None) -> ApiError:
    """The exception for an answer that is not a success."""
    envelope, message = None, f"HTTP status {status}"
    try:
        envelope = msgspec.json.decode(content)
        problem = msgspec.convert(envelope, _Envelope).error
        message = problem.message if problem is not None else message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # a proxy's page: the status has to do
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else ApiError)
    seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return kind(status, message, envelope, seconds)
