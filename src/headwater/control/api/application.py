"""The API as an ASGI application: one way for every operation through routing, authentication, reading and answering.

path known? ─► method known? ─► token valid? ─► within its rate? ─► account, app, permission ─► query, body ─► route
    404            405            401, 429           429                 403, 404                400, 413, 415
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater import __version__
from headwater.control.api import catalogue, openapi, openapi_page
from headwater.control.api.auth import Authenticator
from headwater.control.api.call import Call
from headwater.control.api.errors import ApiError, envelope
from headwater.control.api.operations import Operation
from headwater.control.api.request import read_body, read_path, read_query
from headwater.control.api.service import Service
from headwater.control.database import DatabaseAway
from headwater.control.settings import ControlSettings
from headwater.control.urls import API_PATH

JSON = "application/json"

OPERATION = "headwater.operation"
"""Key of the ASGI scope with the `Operation` of a request, once it was routed: for whoever stands around the API."""

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Answers hold keys, and are out of date in a second."""

_PUBLIC = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}

log = logging.getLogger("headwater.control")


SIGNED_IN = "headwater.signed_in"
"""Key of an ASGI scope: the hash of the token that the dashboard's caller is signed in by. Only code sets it."""


def build_api(service: Service, settings: ControlSettings, authenticator: Authenticator) -> ASGIApp:
    """The API below `/client/v4`; to be mounted there, or given requests with their whole path."""
    by_path: dict[str, list[Operation]] = {}
    for operation in catalogue.OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    routes: list[BaseRoute] = [
        Route(path, _Resource(operations, service, settings, authenticator)) for path, operations in by_path.items()
    ]
    routes += _description_routes(service)
    middleware = []
    if settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type"],
                max_age=600,
            )
        )
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _http_exception})
    app.router.redirect_slashes = False
    return _Prefixed(app)


def _description_routes(service: Service) -> list[BaseRoute]:
    """What describes the API, for anybody: it holds nothing of any account."""

    def described(request: Request) -> dict[str, Any]:
        base = service.urls.base(request.url.scheme, request.headers.get("host"))
        return openapi.document(catalogue.OPERATIONS, base + API_PATH, __version__)

    async def as_json(request: Request) -> Response:
        return Response(msgspec.json.encode(described(request)), media_type=JSON, headers=_PUBLIC)

    async def as_page(request: Request) -> Response:
        return Response(openapi_page.page(described(request)), media_type="text/html", headers=_PUBLIC)

    return [Route("/openapi.json", as_json, methods=["GET"]), Route("/docs", as_page, methods=["GET"])]


class _Prefixed:
    """Takes requests as a mount hands them over, and whole ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        if scope["type"] == "http" and not root.endswith(API_PATH) and scope["path"].startswith(root + API_PATH):
            scope = {**scope, "root_path": root + API_PATH}
        await self._app(scope, receive, send)


async def _http_exception(_request: Request, error: Exception) -> Response:
    """What the router itself refuses: unknown paths."""
    assert isinstance(error, HTTPException)
    message = "There is no such resource" if error.status_code == 404 else error.detail
    return _refusal(ApiError(error.status_code, message, error.headers))


def _refusal(error: ApiError) -> Response:
    body = envelope(error.status, error.message)
    return Response(body, error.status, {**PRIVATE, **error.headers}, media_type=JSON)


async def answered(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """An answer, or why there is none, in the API's words."""
    try:
        return await answer(request)
    except ApiError as error:
        return _refusal(error)
    except (SQLAlchemyError, DatabaseAway) as error:
        log.error("the database failed: path=%s %s", request.url.path, error, extra=_about(request))
        return _refusal(ApiError(503, "The database is not available", {"Retry-After": "1"}))
    except Exception:
        log.exception("a request failed: path=%s", request.url.path, extra=_about(request))
        return _refusal(ApiError(500, "Something went wrong in the server; its log says what"))


def _about(request: Request) -> dict[str, str]:
    """What the log line of a request carries."""
    livestream_id = request.path_params.get("livestream_id")
    return {"livestream_id": livestream_id} if livestream_id else {}


class _Resource:
    """All operations of one path."""

    def __init__(
        self,
        operations: Iterable[Operation],
        service: Service,
        settings: ControlSettings,
        authenticator: Authenticator,
    ) -> None:
        self._operations = {operation.method: operation for operation in operations}
        self._service = service
        self._settings = settings
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await answered(Request(scope, receive), self._answer)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        operation = self._operation(request.method)
        request.scope[OPERATION] = operation
        path = read_path(request)
        address = request.client.host if request.client is not None else ""
        signed_in: str | None = request.scope.get(SIGNED_IN)
        if signed_in is not None:
            token = await self._authenticator.token_of(signed_in)
        else:
            token = await self._authenticator.token(request.headers.get("authorization"), address)
        await self._authenticator.check(token, operation.permission, path)
        query = read_query(request, operation)
        body = await read_body(request, operation, self._settings)
        call: Call[Any, Any] = Call(
            service=self._service,
            token=token,
            account_id=path["account_id"],
            path=path,
            query=query,
            body=body,
            scheme=request.url.scheme,
            host=request.headers.get("host"),
            now_ms=time.time_ns() // 1_000_000,
        )
        content = msgspec.json.encode(await operation.handler(call))
        response = Response(content, operation.status, PRIVATE, media_type=JSON)
        if request.method == "HEAD":
            response.body = b""
        return response

    def _operation(self, method: str) -> Operation:
        operation = self._operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = sorted(self._operations) + (["HEAD"] if "GET" in self._operations else [])
            raise ApiError(405, f"{method[:16]} is not possible here", {"Allow": ", ".join(allowed)})
        return operation
