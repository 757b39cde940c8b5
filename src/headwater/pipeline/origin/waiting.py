"""Waiting for an answer in a coroutine, for the shells that have one a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from headwater.pipeline.origin.response import Answer, Pending, Response


async def waited(answer: Answer, disconnect: Callable[[], Awaitable[Any]]) -> Response | None:
    """The response to a request; None: the viewer went first.

    Args:
        disconnect: Awaits until the viewer is gone. Only what waits for media is given up then: the rest is short.
    """
    if isinstance(answer, Response):
        return answer
    if not isinstance(answer, Pending):
        return await answer
    delivered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    answer.deliver = lambda response: None if delivered.done() else delivered.set_result(response)
    gone = asyncio.ensure_future(disconnect())
    try:
        await asyncio.wait((delivered, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        answer.cancel()
    return delivered.result() if delivered.done() else None
