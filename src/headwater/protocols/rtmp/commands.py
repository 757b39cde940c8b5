"""NetConnection and NetStream commands: their two encodings, read and written (RTMP 1.0, 7.1.1, 7.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.errors import ProtocolError
from headwater.protocols import amf0
from headwater.protocols.rtmp.messages import COMMAND_AMF0, COMMAND_CHUNK_STREAM, STATUS_CHUNK_STREAM, chunked

MAX_NAME = 1024
"""Longest application or stream name taken, in characters; keys of services have 20 to 200."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it came.

    Attributes:
        transaction: Number that its answer repeats; 0 for: no answer wanted.
        arguments: The command object first (often None), then the rest.
    """

    name: str
    transaction: float
    arguments: list[object] = field(default_factory=list)

    def text(self, index: int) -> str:
        """A string argument; empty where it is absent, cut where it is of another type."""
        value = self.arguments[index] if index < len(self.arguments) else None
        if not isinstance(value, str):
            return ""
        if len(value) > MAX_NAME:
            raise ProtocolError(f"{self.name}: a name of {len(value)} characters, {MAX_NAME} are allowed")
        return value

    def properties(self) -> dict[str, object]:
        """The command object; empty where it is none."""
        value = self.arguments[0] if self.arguments else None
        return value if isinstance(value, dict) else {}


def decode(payload: bytes) -> Command:
    """Read a command message of type 20, or of type 17, whose AMF0 stands behind a zero byte (7.1.1).

    Raises:
        ProtocolError: malformed AMF, or no command.
    """
    values = decode_values(payload)
    if not values or not isinstance(values[0], str):
        raise ProtocolError("command message without a name")
    transaction = values[1] if len(values) > 1 else 0.0
    return Command(values[0], transaction if isinstance(transaction, float) else 0.0, values[2:])


def decode_values(payload: bytes) -> list[object]:
    """AMF0 values, with or without the zero byte of the AMF3 message types; avmplus markers inside switch to AMF3."""
    # A leading zero can be no number (marker 0): commands and data messages begin with a name.
    return amf0.decode_all(payload[1:] if payload[:1] == b"\0" else payload)


def result(transaction: float, *values: object, chunk_size: int) -> bytes:
    payload = amf0.encode_all("_result", transaction, *values)
    return chunked(COMMAND_CHUNK_STREAM, COMMAND_AMF0, 0, 0, payload, chunk_size)


def error(transaction: float, code: str, description: str, *, chunk_size: int) -> bytes:
    payload = amf0.encode_all("_error", transaction, None, status_object("error", code, description))
    return chunked(COMMAND_CHUNK_STREAM, COMMAND_AMF0, 0, 0, payload, chunk_size)


def status(
    stream_id: int, level: str, code: str, description: str, *, name: str = "onStatus", chunk_size: int
) -> bytes:
    """onStatus, or another command of its form, on a message stream (7.2.2)."""
    payload = amf0.encode_all(name, 0, None, status_object(level, code, description))
    return chunked(STATUS_CHUNK_STREAM, COMMAND_AMF0, stream_id, 0, payload, chunk_size)


def status_object(level: str, code: str, description: str) -> dict[str, object]:
    return {"level": level, "code": code, "description": description}
