"""Everything that operators look at, as one object for the composition root.

telemetry = Telemetry(settings)
telemetry.start()                     in the running loop
... events go to telemetry.listen, the API through telemetry.traced;
    probes() are routes of the public port, operator_app() is served beside it ...
telemetry.watch(sources)              the parts are there
telemetry.accepting()                 and every listener is up
telemetry.draining()                  the server stops
telemetry.stop()
"""

from __future__ import annotations

import os

from prometheus_client import Metric
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from headwater.events import Event
from headwater.telemetry.counts import Counts
from headwater.telemetry.lag import LoopLag
from headwater.telemetry.metrics import families
from headwater.telemetry.probe import Probe
from headwater.telemetry.readiness import Readiness
from headwater.telemetry.routes import operator_app, probes
from headwater.telemetry.settings import TelemetrySettings
from headwater.telemetry.sources import Sources
from headwater.telemetry.systemd import Supervisor
from headwater.telemetry.tracing import open_tracing


class Telemetry:
    """Metrics, health, readiness, traces; says to systemd what it wants to hear.

    Attributes:
        readiness: Whether the server takes publishers and viewers.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self.readiness = Readiness(settings)
        self._settings = settings
        self._counts = Counts()
        self._lag = LoopLag()
        self._supervisor = Supervisor()
        self._tracing = open_tracing(os.environ)
        self._sources: Sources | None = None
        self._webhooks: Probe[tuple[int, float]] | None = None

    def start(self) -> None:
        self._lag.start()

    def listen(self, event: Event) -> None:
        """Take an event of the pipeline."""
        self._counts.listen(event)
        if self._tracing is not None:
            self._tracing.listen(event)

    def traced(self, api: ASGIApp) -> ASGIApp:
        """The API, traced where that is configured, else as it is."""
        return api if self._tracing is None else self._tracing.api(api)

    def watch(self, sources: Sources) -> None:
        self._sources = sources
        self._webhooks = Probe(sources.plane.webhooks_waiting, self._settings.ready_database_s)
        self.readiness.watch(sources)

    def accepting(self) -> None:
        self.readiness.accepting = True
        self._supervisor.ready()

    async def draining(self) -> None:
        self.readiness.draining = True
        self._supervisor.stopping()

    async def stop(self) -> None:
        self._lag.stop()
        self._supervisor.close()
        self.readiness.stop()
        if self._webhooks is not None:
            self._webhooks.cancel()
        if self._tracing is not None:
            await self._tracing.close()

    def probes(self) -> list[Route]:
        """Routes of the public port."""
        return probes(self.readiness, detailed=False)

    def operator_app(self) -> Starlette:
        """What the operator's own listener serves."""
        return operator_app(self)

    async def collect(self) -> list[Metric] | None:
        """Every metric, as it is now; None: the parts are not there yet."""
        if self._sources is None:
            return None
        report = await self.readiness.report()
        limit = self._settings.max_livestreams
        waiting = await self._webhooks_waiting()
        return list(families(self._sources, self._counts, self._lag, report, waiting, max_livestreams=limit))

    async def _webhooks_waiting(self) -> tuple[int, float] | None:
        """None: the database does not say."""
        assert self._webhooks is not None, "there are sources"
        try:
            return await self._webhooks.answer()
        except Exception:
            return None
