"""What ingest needs from the rest: who may publish, and where the media goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from headwater.errors import UnsupportedCodec
from headwater.media.access_unit import AccessUnit
from headwater.media.track import Track

GOING_AWAY = "NetConnection.Connect.Closed"
"""The code with which a publisher is closed because the server stops: it is not refused, and should come back."""


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A publish as it came in.

    Attributes:
        stream_key: The secret; never logged.
        protocol: `rtmp` or `rtmps`.
        app: RTMP application name as sent.
        encoder: What the publisher calls itself (flashVer, or the metadata's encoder), cut to 128 characters.
        remote: `ADDRESS:PORT` of the publisher.
    """

    stream_key: str
    protocol: str
    app: str
    encoder: str
    remote: str


class Publisher(Protocol):
    """The publisher's side of an admitted publish, for the pipeline to end it."""

    def close(self, code: str, description: str) -> None:
        """Tell the publisher why, in its protocol's words, and close; no `Publication.end` follows. Idempotent."""

    def round_trip_ms(self) -> float | None:
        """How long a packet takes to the publisher and back; None where that is not known."""

    def request_keyframe(self) -> None:
        """Ask for a picture that needs no other, where the protocol has a way to; RTMP has none."""


class Publication(Protocol):
    """Where one publisher's media goes. Called in the event loop; never blocks.

    Attributes:
        about: What log lines about it carry: `session_id`, `livestream_id`.
    """

    @property
    def about(self) -> Mapping[str, str]: ...

    def configure(self, track: Track) -> None:
        """Announce a track, or its new configuration. Comes before the track's first access unit.

        Raises:
            UnsupportedCodec: it cannot be packaged; the publisher is to be refused with the reason.
        """

    def refused(self, error: UnsupportedCodec) -> None:
        """Media came that ingest cannot describe to `configure`: the publisher is being refused with this reason.

        `end` follows. Not called for what `configure` itself has raised.
        """

    def push(self, unit: AccessUnit) -> None:
        """Take one access unit of a configured track."""

    def patience_ms(self) -> float:
        """For how long nobody can be waiting for the media that comes next; 0: it is wanted at once."""

    def metadata(self, values: Mapping[str, object]) -> None:
        """Take what the publisher says of itself (onMetaData)."""

    def end(self, reason: str, *, regular: bool) -> None:
        """The publisher is gone: `regular` if it said goodbye, else the connection was lost. Idempotent."""


class Gate(Protocol):
    """Admits publishers."""

    async def admit(self, request: PublishRequest, publisher: Publisher) -> Publication:
        """Decide on a publish.

        Raises:
            PublishRefused: with the reason for the publisher; it has been put in the event log already.
        """

    async def reject(self, request: PublishRequest, code: str, description: str) -> None:
        """Put a publish that ingest refuses by itself in the event log; who publishes already is not touched.

        Raises:
            PublishRefused: the key opens nothing, and the publisher is to be told that instead.
        """
