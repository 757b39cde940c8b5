"""RTMP messages: type ids, and the builders of those that both sides send (RTMP 1.0, 5.4, 6.2, 7.1.7)."""

from __future__ import annotations

from typing import TypeAlias

from headwater.errors import ProtocolError

Message: TypeAlias = tuple[int, int, int, bytes]
"""Message type id, message stream id, timestamp (ms, 32 bits), payload. A plain tuple: one is made per message."""

SET_CHUNK_SIZE = 1
ABORT = 2
ACKNOWLEDGEMENT = 3
USER_CONTROL = 4
WINDOW_ACKNOWLEDGEMENT_SIZE = 5
SET_PEER_BANDWIDTH = 6
AUDIO = 8
VIDEO = 9
DATA_AMF3 = 15
COMMAND_AMF3 = 17
DATA_AMF0 = 18
COMMAND_AMF0 = 20
AGGREGATE = 22

STREAM_BEGIN = 0
STREAM_EOF = 1
PING_REQUEST = 6
PING_RESPONSE = 7

LIMIT_DYNAMIC = 2
"""Limit type of Set Peer Bandwidth (5.4.5)."""

CONTROL_CHUNK_STREAM = 2
COMMAND_CHUNK_STREAM = 3
AUDIO_CHUNK_STREAM = 4
STATUS_CHUNK_STREAM = 5
VIDEO_CHUNK_STREAM = 6

DEFAULT_CHUNK_SIZE = 128
"""Both ways until a Set Chunk Size says otherwise (5.4.1)."""


def chunked(chunk_stream: int, type_id: int, stream_id: int, timestamp: int, payload: bytes, chunk_size: int) -> bytes:
    """One message as chunks: a type-0 header, then type-3 headers (RTMP 1.0, 5.3.1).

    Args:
        chunk_stream: 2 to 63, so that basic headers take one byte.
        timestamp: Milliseconds; its lower 32 bits are sent, as an extended timestamp where it needs more than 24.
        chunk_size: What the peer was told last.
    """
    timestamp &= 0xFFFFFFFF
    extended = b"" if timestamp < 0xFFFFFF else timestamp.to_bytes(4, "big")
    head = b"".join(
        (
            bytes((chunk_stream,)),
            b"\xff\xff\xff" if extended else timestamp.to_bytes(3, "big"),
            len(payload).to_bytes(3, "big"),
            bytes((type_id,)),
            stream_id.to_bytes(4, "little"),
            extended,
        )
    )
    if len(payload) <= chunk_size:
        return head + payload
    separator = bytes((0xC0 | chunk_stream,)) + extended
    pieces = [payload[start : start + chunk_size] for start in range(0, len(payload), chunk_size)]
    return head + separator.join(pieces)


def control(type_id: int, payload: bytes) -> bytes:
    """A protocol or user control message: chunk stream 2, message stream 0 (5.4); always one chunk."""
    return chunked(CONTROL_CHUNK_STREAM, type_id, 0, 0, payload, DEFAULT_CHUNK_SIZE)


def set_chunk_size(size: int) -> bytes:
    return control(SET_CHUNK_SIZE, size.to_bytes(4, "big"))


def acknowledgement(bytes_received: int) -> bytes:
    return control(ACKNOWLEDGEMENT, (bytes_received & 0xFFFFFFFF).to_bytes(4, "big"))


def window_acknowledgement_size(size: int) -> bytes:
    return control(WINDOW_ACKNOWLEDGEMENT_SIZE, size.to_bytes(4, "big"))


def set_peer_bandwidth(size: int, limit_type: int = LIMIT_DYNAMIC) -> bytes:
    return control(SET_PEER_BANDWIDTH, size.to_bytes(4, "big") + bytes((limit_type,)))


def user_control(event: int, value: int) -> bytes:
    return control(USER_CONTROL, event.to_bytes(2, "big") + (value & 0xFFFFFFFF).to_bytes(4, "big"))


def split_aggregate(timestamp: int, payload: bytes) -> list[Message]:
    """The audio, video and data messages inside an aggregate message (RTMP 1.0, 7.1.6).

    Args:
        timestamp: Of the aggregate; its messages' own timestamps are moved so that the first one has it.

    Raises:
        ProtocolError: a message is cut short.
    """
    messages: list[Message] = []
    position = 0
    offset: int | None = None
    while position < len(payload):
        size = int.from_bytes(payload[position + 1 : position + 4], "big")
        body = position + 11
        if body + size > len(payload):
            raise ProtocolError("aggregate message cut short")
        own = int.from_bytes(payload[position + 4 : position + 7], "big") | payload[position + 7] << 24
        if offset is None:
            offset = timestamp - own
        messages.append((payload[position], 0, (own + offset) & 0xFFFFFFFF, payload[body : body + size]))
        position = body + size + 4  # a back pointer follows each message
    return messages
