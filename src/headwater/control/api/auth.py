"""Who calls: the bearer token, its account, its app, its permission. Nothing else of a request tells.

The dashboard's page calls by a cookie instead, on paths of its own (`control/dashboard`); it stands for a token too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from headwater.control.api.errors import ApiError
from headwater.control.api.rate_limit import RateLimit
from headwater.control.cache import TtlCache
from headwater.control.database import Database
from headwater.control.ids import same_secret, secret_hash
from headwater.control.lookup import Lookup
from headwater.control.repository import accounts, tokens
from headwater.control.repository.tokens import TokenRow
from headwater.control.settings import ControlSettings

TOKEN_LENGTH_LIMIT = 256
"""Characters of a token that are looked at; ours have 46."""

APPS_TTL_S = 3600.0
"""How long it is remembered that an account has an app: that stays true, as apps are never deleted."""

APPS_LIMIT = 10_000

UNAUTHENTICATED = {"WWW-Authenticate": 'Bearer realm="headwater"'}


class Authenticator:
    """Finds tokens, and counts who fails to bring one."""

    def __init__(
        self, database: Database, settings: ControlSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens: Lookup[TokenRow] = Lookup(self._load, clock=clock)
        self._apps: TtlCache[tuple[str, str], None] = TtlCache(APPS_TTL_S, APPS_LIMIT)
        self._requests = RateLimit(settings.requests_per_s, settings.requests_burst)
        self._failures = RateLimit(settings.failed_auth_per_s, settings.failed_auth_burst)

    def forget(self) -> None:
        """A token has been revoked: look again."""
        self._tokens.forget()

    async def token(self, authorization: str | None, address: str) -> TokenRow:
        """The valid token of an `Authorization` header.

        Args:
            address: Of the peer, as the socket has it (never from a header): failures are counted by it.

        Raises:
            ApiError: 401, or 429 after too many of them or too many requests of one token.
        """
        secret = _bearer(authorization)
        row = None if secret is None else await self._find(secret)
        if row is None:
            wait_s = self._failures.take(address, self._clock())
            if wait_s:
                raise ApiError(429, "Too many failed authentications", {"Retry-After": str(wait_s)})
            what = "Authentication is required" if secret is None else "The API token is not valid"
            raise ApiError(401, what, UNAUTHENTICATED)
        return self._within_rate(row)

    async def token_of(self, token_hash: str) -> TokenRow:
        """The token that a dashboard was signed in by.

        Raises:
            ApiError: 401 once it has been revoked, or 429 after too many requests.
        """
        row = await self._tokens.get(token_hash)
        if row is None:
            raise ApiError(401, "The API token is not valid any more")
        return self._within_rate(row)

    async def is_valid(self, token_hash: str) -> bool:
        """Whether a token has not been revoked; no request of its holder."""
        return await self._tokens.get(token_hash) is not None

    def _within_rate(self, row: TokenRow) -> TokenRow:
        wait_s = self._requests.take(row.id, self._clock())
        if wait_s:
            raise ApiError(429, "Too many requests", {"Retry-After": str(wait_s)})
        return row

    async def _find(self, secret: str) -> TokenRow | None:
        token_hash = secret_hash(secret)
        row = await self._tokens.get(token_hash)
        return row if row is not None and same_secret(row.hash, token_hash) else None

    async def _load(self, token_hashes: Sequence[str]) -> Mapping[str, TokenRow]:
        async with self._database.read() as conn:
            return await tokens.find(conn, token_hashes)

    async def check(self, token: TokenRow, permission: str, path: dict[str, str]) -> None:
        """Whether a token may do this here.

        An account that is not the token's own answers 403 whether or not it exists; so does an app that the token is
        not bound to. An app of nobody, or of somebody else, answers 404 alike.

        Raises:
            ApiError: 403 or 404.
        """
        if path["account_id"] != token.account_id:
            raise ApiError(403, "The API token is not valid for this account")
        app_id = path.get("app_id")
        if app_id is not None and token.app_id is not None and app_id != token.app_id:
            raise ApiError(403, "The API token is not valid for this app")
        if permission == "admin" and token.permission != "admin":
            raise ApiError(403, "The API token does not have the admin permission")
        if app_id is not None and not await self._has_app(token.account_id, app_id):
            raise ApiError(404, "The app was not found")

    async def _has_app(self, account_id: str, app_id: str) -> bool:
        """Whether the account has the app."""
        if self._apps.get((account_id, app_id), self._clock()) is not None:
            return True
        async with self._database.read() as conn:
            app = await accounts.get_app(conn, account_id, app_id)
        if app is not None:
            self._apps.put((account_id, app_id), None, self._clock())
        return app is not None


def _bearer(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= TOKEN_LENGTH_LIMIT:
        return None
    return secret
