"""The routes of the pages."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route


def routes(directory: object) -> list[BaseRoute]:
    """The pages, for the composition root to mount beside the API."""

    async def start(request: Request) -> PlainTextResponse:
        return PlainTextResponse("Headwater. The API is at /client/v4.\n")

    return [Route("/", start)]
