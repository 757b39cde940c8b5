"""The dashboard's side of the server, below `/dashboard/api`, as an ASGI application.

    POST   session      an API token ─► the cookie        {"api_token": "..."}
    GET    session      who is signed in: account, app, permission; null where nobody is
    DELETE session      sign out
    GET    events       ?app_id=  what is live, as server-sent events (`feed.py`)
    *      client/v4/*  the API, by the cookie instead of a token

The API itself, at `/client/v4`, knows no cookie, and the cookie is sent to `/dashboard` only: a page of another site
has nothing to ride on. Why: docs/decisions/0110.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypedDict

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater.control.api.application import JSON, PRIVATE, SIGNED_IN, answered
from headwater.control.api.auth import Authenticator
from headwater.control.api.errors import ApiError
from headwater.control.api.request import is_id, read_content
from headwater.control.api.schemas import Answer
from headwater.control.api.service import Service
from headwater.control.dashboard.feed import Feed
from headwater.control.dashboard.same_origin import check_same_origin, reached_by_https
from headwater.control.dashboard.sign_ins import LIFETIME_S, SignIn, SignIns
from headwater.control.database import DatabaseAway
from headwater.control.repository.tokens import TokenRow
from headwater.control.settings import ControlSettings
from headwater.control.urls import API_PATH
from headwater.errors import LimitReached

COOKIE = "headwater_dashboard"
COOKIE_PATH = "/dashboard"

Handler = Callable[[Request], Awaitable[Response]]


class Credential(msgspec.Struct):
    """What one signs in by."""

    api_token: str


class Who(msgspec.Struct):
    """Who is signed in; `app_id` None: all apps of the account."""

    account_id: str
    app_id: str | None
    name: str
    permission: str


def build_dashboard(
    service: Service, settings: ControlSettings, authenticator: Authenticator, api: ASGIApp, feed: Feed
) -> ASGIApp:
    """The application; to be mounted at `/dashboard/api`.

    Args:
        api: The API's own application.
    """
    dashboard = _Dashboard(service, settings, authenticator, feed)
    routes = [
        Route("/session", dashboard.route(dashboard.show), methods=["GET"]),
        Route("/session", dashboard.route(dashboard.sign_in), methods=["POST"]),
        Route("/session", dashboard.route(dashboard.sign_out), methods=["DELETE"]),
        Route("/events", dashboard.route(dashboard.events), methods=["GET"]),
        Mount(API_PATH, _ByCookie(dashboard, api)),
    ]
    return Starlette(routes=routes)


class _Dashboard:
    """Signing in and out, and listening."""

    def __init__(self, service: Service, settings: ControlSettings, authenticator: Authenticator, feed: Feed) -> None:
        self._service = service
        self._settings = settings
        self._authenticator = authenticator
        self._feed = feed
        self._sign_ins = SignIns()

    def route(self, handler: Handler) -> Handler:
        """A handler for the dashboard's own page only, with refusals in the API's words."""

        async def answer(request: Request) -> Response:
            self.check(request)
            return await handler(request)

        async def endpoint(request: Request) -> Response:
            return await answered(request, answer)

        return endpoint

    def check(self, request: Request) -> None:
        check_same_origin(request, self._service.urls.base())

    def known(self, request: Request) -> SignIn | None:
        return self._sign_ins.find(request.cookies.get(COOKIE), time.monotonic())

    def signed_in(self, request: Request) -> SignIn:
        """Raises ApiError 401 where nobody is."""
        found = self.known(request)
        if found is None:
            raise ApiError(401, "You are not signed in")
        return found

    async def show(self, request: Request) -> Response:
        known = self.known(request)
        if known is None:
            return _json(Answer(None))
        if not await self._authenticator.is_valid(known.token_hash):
            self._sign_ins.close(known)
            return _json(Answer(None))
        return _json(Answer(_who(await self._authenticator.token_of(known.token_hash))))

    async def sign_in(self, request: Request) -> Response:
        """Checks the token as the API does, with the same limits on who fails."""
        secret = _credential(await read_content(request, self._settings))
        address = request.client.host if request.client is not None else ""
        token = await self._authenticator.token(f"Bearer {secret}", address)
        before = self.known(request)
        if before is not None:
            self._sign_ins.close(before)
        _, sign_in_id = self._sign_ins.open(token.hash, time.monotonic())
        response = _json(Answer(_who(token)))
        response.set_cookie(COOKIE, sign_in_id, max_age=int(LIFETIME_S), **_attributes(request))
        return response

    async def sign_out(self, request: Request) -> Response:
        known = self.known(request)
        if known is not None:
            self._sign_ins.close(known)
            self._feed.end(known.key)
        response = _json(Answer(None))
        response.delete_cookie(COOKIE, **_attributes(request))
        return response

    async def events(self, request: Request) -> Response:
        """What is live in an app, for as long as the sign-in and its token hold."""
        sign_in = self.signed_in(request)
        token = await self._authenticator.token_of(sign_in.token_hash)
        app_id = request.query_params.get("app_id", "")
        if not is_id(app_id):
            raise ApiError(404, "The app was not found")
        await self._authenticator.check(token, "read", {"account_id": token.account_id, "app_id": app_id})

        async def holds() -> bool:
            now_s = time.monotonic()
            if not self._sign_ins.holds(sign_in, now_s):
                return False
            sign_in.seen_s = now_s  # who looks on is there
            try:
                return await self._authenticator.is_valid(sign_in.token_hash)
            except (SQLAlchemyError, DatabaseAway):
                return True  # nothing is known for now, and nothing is told that needs the database

        try:
            told = self._feed.stream(sign_in.key, app_id, holds)
        except LimitReached as error:
            raise ApiError(429, "Too many dashboards are open; close some", {"Retry-After": "10"}) from error
        return StreamingResponse(told, headers={**PRIVATE, "X-Accel-Buffering": "no"}, media_type="text/event-stream")


class _ByCookie:
    """The API for who is signed in."""

    def __init__(self, dashboard: _Dashboard, api: ASGIApp) -> None:
        self._dashboard = dashboard
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def refuse(request: Request) -> Response:
            self._dashboard.check(request)
            scope[SIGNED_IN] = self._dashboard.signed_in(request).token_hash
            return Response()

        refusal = await answered(Request(scope, receive), refuse)
        await (self._api if SIGNED_IN in scope else refusal)(scope, receive, send)


def _credential(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=Credential).api_token
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "The body has to be JSON with an api_token") from error


def _who(token: TokenRow) -> Who:
    return Who(token.account_id, token.app_id, token.name, token.permission)


class _Attributes(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["strict"]
    secure: bool


def _attributes(request: Request) -> _Attributes:
    return {"path": COOKIE_PATH, "httponly": True, "samesite": "strict", "secure": reached_by_https(request)}


def _json(content: Answer[Any]) -> Response:
    return Response(msgspec.json.encode(content), 200, PRIVATE, media_type=JSON)
