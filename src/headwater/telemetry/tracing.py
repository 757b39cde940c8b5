"""Traces, where OpenTelemetry's own variables ask for them; else none of its packages is imported.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ : an endpoint in
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT turns them on, OTEL_SDK_DISABLED=true and an
OTEL_TRACES_EXPORTER without `otlp` turn them off. Everything else (headers, timeouts, samplers, resources) is read by
the SDK itself. The protocol is OTLP over HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.telemetry.otel import Tracing

log = logging.getLogger("headwater")


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    if "otlp" not in (exporter.strip().lower() for exporter in exporters):
        return False
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name, "").strip() for name in names)


def open_tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Traces as the environment asks for; None: it does not, or they cannot be had, which is said in the log.

    Clusters set these variables for every process: a server without the packages starts all the same.
    """
    if not wanted(environ):
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        log.warning("no traces: OTEL_EXPORTER_OTLP_PROTOCOL is %s, only http/protobuf is possible", protocol)
        return None
    try:
        from headwater.telemetry.otel import Tracing
    except ImportError as error:
        log.warning("no traces: %s; pip install 'headwater[otel]' has what they need", error)
        return None
    try:
        return Tracing.open()
    except Exception as error:  # whatever the SDK makes of variables that it cannot use
        log.warning("no traces: OpenTelemetry cannot be configured: %s", error)
        return None
