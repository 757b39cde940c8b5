"""The HTTP of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an endpoint takes offers, a resource is a peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from headwater.errors import HeadwaterError
from headwater.webrtc.peer import Peer


@dataclass(eq=False)
class Refused(HeadwaterError):
    """An offer that the owner of an endpoint does not take.

    Attributes:
        status: Of the response: 401, 403, 404, 409 ...
        code: Short machine-readable reason, e.g. `ERR_MEETING_INACTIVE`.
        message: One sentence for a person.
        headers: Further ones, e.g. Retry-After.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Endpoint(Protocol):
    """The owner of a WHIP or WHEP endpoint."""

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        """Admit who calls and answer the offer (`Acceptor.accept`).

        Args:
            request: For path parameters, query and the caller's address; its body has been read.
            offer: The body, decoded.
            bearer: The token of the Authorization header, or None.

        Raises:
            Refused: with the response's status.
            SdpError: becomes 400.
            NotServed: becomes 406.
            LimitReached: becomes 503 with Retry-After.
        """
