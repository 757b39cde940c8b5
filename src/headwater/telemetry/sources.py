"""The parts that metrics and readiness are read from, as far as they are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headwater.events import LiveSnapshot
from headwater.rooms import RoomView


class Livestreams(Protocol):
    """The open sessions."""

    def live_all(self) -> Sequence[LiveSnapshot]: ...


class Listening(Protocol):
    """A server."""

    @property
    def serving(self) -> bool: ...

    @property
    def connections(self) -> int: ...


class Ingest(Listening, Protocol):
    """The RTMP and RTMPS listeners."""

    @property
    def turned_away(self) -> Mapping[str, int]: ...

    @property
    def bytes_received(self) -> int: ...


class Answers(Protocol):
    """HTTP answers so far: by the first digit of the status, and the bytes of their bodies."""

    @property
    def classes(self) -> Sequence[int]: ...

    @property
    def body_bytes(self) -> int: ...


class Http(Listening, Protocol):
    """The HTTP listeners; `tally` is what the API and the pages answered."""

    @property
    def tally(self) -> Answers: ...


class Origin(Protocol):
    """The delivery; `tally` is what it answered."""

    @property
    def tally(self) -> Answers: ...

    @property
    def waiting(self) -> int: ...


class RecorderLimits(Protocol):
    """Settings of the disk writer."""

    @property
    def queue_limit_bytes(self) -> int: ...


class Recorder(Protocol):
    """The disk writer."""

    @property
    def settings(self) -> RecorderLimits: ...

    @property
    def alive(self) -> bool: ...

    @property
    def queued_bytes(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def cpu_s(self) -> float: ...


class PlaneFacts(Protocol):
    """The control plane in numbers."""

    @property
    def connections_in_use(self) -> int: ...

    @property
    def connections_limit(self) -> int: ...

    @property
    def database_errors(self) -> int: ...

    @property
    def events_waiting(self) -> int: ...

    @property
    def events_dropped(self) -> int: ...

    @property
    def webhooks_delivered(self) -> int: ...

    @property
    def webhooks_failed(self) -> int: ...

    @property
    def webhook_attempts_failed(self) -> int: ...


class Plane(Protocol):
    """The control plane."""

    async def ping(self) -> None:
        """Ask the database; raises what it raises."""

    def facts(self) -> PlaneFacts: ...

    async def webhooks_waiting(self) -> tuple[int, float]:
        """How many deliveries wait, and for how many seconds the oldest has; raises what the database raises."""


class Watched(Protocol):
    """How viewers fare, as their players report."""

    @property
    def totals(self) -> Mapping[str, int]:
        """Since the start; `analytics.experience.TOTALS`."""

    def quantiles(self, metric: str, shares: Sequence[float]) -> Sequence[float | None]:
        """Of one of `analytics.experience.METRICS`, over viewing sessions of what is live; None: nothing is known."""


class Datagrams(Protocol):
    """Of the WebRTC port, so far."""

    @property
    def received(self) -> int: ...

    @property
    def dropped_unknown(self) -> int: ...

    @property
    def dropped_stun(self) -> int: ...

    @property
    def unsent(self) -> int: ...


class WebRtc(Protocol):
    """The WebRTC port."""

    @property
    def counts(self) -> Datagrams: ...

    def peers(self) -> int:
        """Publishers and viewers, connected or about to be."""


class Rooms(Protocol):
    """The open rooms of meetings."""

    def all(self) -> Sequence[RoomView]: ...


class BroadcastTally(Protocol):
    """What compositors have done so far."""

    @property
    def failed(self) -> int: ...

    @property
    def restarts(self) -> int: ...

    @property
    def pictures(self) -> int: ...

    @property
    def skipped(self) -> int: ...

    @property
    def cpu_s(self) -> float: ...


class Broadcasts(Protocol):
    """The broadcasts of meetings."""

    @property
    def running(self) -> int: ...

    @property
    def tally(self) -> BroadcastTally: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them.

    Attributes:
        recorder: None: nothing is written to disk.
        data: The data folder, on whose disk recordings grow.
    """

    livestreams: Livestreams
    ingest: Ingest
    http: Http
    origin: Origin
    recorder: Recorder | None
    plane: Plane
    watched: Watched
    webrtc: WebRtc
    rooms: Rooms
    broadcasts: Broadcasts
    data: Path
