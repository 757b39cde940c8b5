"""`/.well-known/webhooks.json`: the public key that receivers verify webhooks with. For anybody."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.control.api.errors import envelope
from headwater.control.database import DatabaseAway
from headwater.control.webhooks.signing import Key

PATH: Final = "/.well-known/webhooks.json"

log = logging.getLogger("headwater.control")


def routes(key: Key) -> list[Route]:
    """The route, for the server's root."""

    async def public_key(_request: Request) -> Response:
        try:
            signer = await key.signer()
        except (SQLAlchemyError, DatabaseAway) as error:
            log.error("the webhooks' key cannot be read: %s", error)
            body = envelope(503, "The database is not available")
            return Response(body, 503, {"Retry-After": "1"}, media_type="application/json")
        answer = {"success": True, "data": {"publicKey": signer.public_pem}, "message": ""}
        headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")

    return [Route(PATH, public_key, methods=["GET"])]
