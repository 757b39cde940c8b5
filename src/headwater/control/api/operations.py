"""An operation of the API, and the table of all of them: routing and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from headwater.control.api.call import Call
from headwater.control.api.schemas import NoQuery

ACCOUNT = "/accounts/{account_id}/realtime/kit"
APP = ACCOUNT + "/{app_id}"

Permission = Literal["read", "admin"]
Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    Attributes:
        name: The operation as the official SDKs name it, in Python's spelling.
        path: Template below `/client/v4`.
        permission: What a token needs.
        query, body: Structs that are read; `body` None: the request's body is ignored.
        lists: Query parameters that may come several times, or once with commas.
        body_required: Whether a missing body is refused.
        response: Type of the answer.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Handler
    response: Any
    permission: Permission = "read"
    query: type[Any] = NoQuery
    body: type[Any] | None = None
    body_required: bool = False
    lists: tuple[str, ...] = ()
    status: int = 200
    tag: str = "Livestreams"
