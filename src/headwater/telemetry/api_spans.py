"""A span for each request of the API, as a child of the caller's, by traceparent (https://www.w3.org/TR/trace-context/).

Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/ . Neither the query nor any header
is among them: people put tokens there.
"""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headwater.control.api.application import OPERATION
from headwater.control.api.operations import Operation
from headwater.control.urls import API_PATH
from headwater.logs import masked

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
OTHER_METHOD = "_OTHER"
MAX_PATH = 256
"""Characters kept of a path; the API's are shorter."""

_CARRIED = (b"traceparent", b"tracestate")


class TracedApi:
    """An ASGI application whose requests are spans."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span = self._begin(scope)

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                span.set_attribute("http.response.status_code", status)
                if status >= 500:  # of a server, 4xx are no errors
                    span.set_status(Status(StatusCode.ERROR))
                    span.set_attribute("error.type", str(status))
            await send(message)

        try:
            await self._app(scope, receive, seen)
        except Exception as error:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            _name(span, scope)
            span.end()

    def _begin(self, scope: Scope) -> Span:
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED}
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        return self._tracer.start_span(
            "HTTP" if method == OTHER_METHOD else method,
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": masked(scope["path"][:MAX_PATH]),
                "url.scheme": scope["scheme"],
                "network.protocol.version": scope["http_version"],
            },
        )


def _name(span: Span, scope: Scope) -> None:
    """By the operation, which is known once the request was routed."""
    operation = scope.get(OPERATION)
    if isinstance(operation, Operation):
        route = API_PATH + operation.path
        span.update_name(f"{operation.method} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("headwater.operation", operation.name)
        livestream_id = scope.get("path_params", {}).get("livestream_id")
        if livestream_id is not None:
            span.set_attribute("headwater.livestream_id", livestream_id)
