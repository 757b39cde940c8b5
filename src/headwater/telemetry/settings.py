"""What operators decide of what they are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Limits of metrics and readiness. Traces are configured by OpenTelemetry's own variables.

    Attributes:
        max_livestreams: Livestreams that have metrics of their own (`headwater_livestream_...`), those that went live
            first: each is some series in Prometheus, kept there for weeks. 0: none. The sums count all of them.
        ready_database_s: A database that does not answer within this time makes the server not ready.
        ready_free_bytes: Less free space than this in the data folder makes it not ready: 100 streams of 3 Mbit/s
            write as much in a quarter of a minute, and at `recorder.reserve_bytes` recordings stop. 0: never for that.
    """

    max_livestreams: int = 200
    ready_database_s: float = 2.0
    ready_free_bytes: int = 512 * 1024 * 1024
