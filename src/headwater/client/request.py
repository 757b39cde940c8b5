"""One call of the API as a value. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct

T = TypeVar("T")


class _Data(Struct, Generic[T]):
    data: T


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call.

    Attributes:
        path: Below the base URL.
        response: Type of the whole answer, or of its `data` where `in_data`.
        idempotent: Whether sending it twice does no more than sending it once.
    """

    method: str
    path: str
    response: Any
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    in_data: bool = True

    @property
    def idempotent(self) -> bool:
        return self.method in ("GET", "DELETE")

    def content(self) -> bytes | None:
        return None if self.body is None else msgspec.json.encode(self.body)

    def result(self, content: bytes) -> T:
        """Read the answer.

        Raises:
            msgspec.MsgspecError: it is not what the API answers.
        """
        if not self.in_data:
            whole: T = msgspec.json.decode(content, type=self.response)
            return whole
        inside: T = msgspec.json.decode(content, type=_Data[self.response]).data  # type: ignore[name-defined]
        return inside


def query_values(**values: Any) -> dict[str, str]:
    """Parameters that were given, as text."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def given_values(**values: Any) -> dict[str, Any]:
    """Members of a body that were given."""
    return {name: value for name, value in values.items() if value is not UNSET}
