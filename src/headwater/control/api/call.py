"""One request, checked and typed, as the routes see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headwater.control.api.schemas import Paging
from headwater.control.api.service import Service
from headwater.control.repository.tokens import TokenRow

Q = TypeVar("Q")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """A request that may be answered.

    Attributes:
        token: Valid, of the path's account, and with the operation's permission.
        account_id: From the path.
        path: The path's other parameters; `app_id`, where there is one, exists and is open to the token.
        query: The operation's query struct.
        body: The operation's body struct; its defaults where the request has none and need not have one.
        scheme, host: How the caller reached us, for the URLs in the answer.
        now_ms: When the request arrived.
    """

    service: Service
    token: TokenRow
    account_id: str
    path: dict[str, str]
    query: Q
    body: B
    scheme: str
    host: str | None
    now_ms: int

    @property
    def app_id(self) -> str:
        return self.path["app_id"]

    @property
    def is_admin(self) -> bool:
        return self.token.permission == "admin"


AnyCall = Call[Any, Any]


def window(page_no: int, per_page: int) -> tuple[int, int]:
    """(offset, limit) of a page; page 0 is the first, as some clients count."""
    return (max(page_no, 1) - 1) * per_page, per_page


def paging(total: int, offset: int, shown: int) -> Paging:
    """What the page shows: offsets from 1, inclusive."""
    return Paging(total, offset + 1 if shown else 0, offset + shown if shown else 0)
