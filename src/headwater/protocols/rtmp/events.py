"""What a server session tells its caller. Media is not wrapped: it comes as the `Message` tuple it was read as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from headwater.protocols.rtmp.messages import Message


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """A publisher wants to publish; answer with `accept_publish` or `reject`. Media may follow at once.

    Attributes:
        app: The application name of connect, as sent; may hold a query or the stream key.
        stream_name: The name of publish, as sent; holds the stream key. Never log either of them.
        encoder: What the publisher calls itself (flashVer), as sent.
    """

    app: str
    stream_name: str
    encoder: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """onMetaData: what the publisher says of itself; plain values only (str, bool, float)."""

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PublishEnded:
    """The publisher said goodbye: FCUnpublish, closeStream or deleteStream (`command`)."""

    command: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A wait has run out; the connection is to be closed.

    Attributes:
        limit: The name of the limit.
        description: What was waited for, in words.
    """

    limit: str
    description: str


Event: TypeAlias = Message | PublishRequested | Metadata | PublishEnded | TimedOut
