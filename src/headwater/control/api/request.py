"""Reading a request: path parameters, query, body; each with its limits. What is wrong is an ApiError."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from headwater.control.api.errors import ApiError
from headwater.control.api.operations import Operation
from headwater.control.settings import ControlSettings

QUERY_LIMIT_BYTES = 4096
"""Longer query strings are refused with 414; all parameters of the API together have some 300 characters."""

ID_LIMIT = 64
"""Characters of an id in a path; ours have 32 and 36."""

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def read_path(request: Request) -> dict[str, str]:
    """The path's parameters; what cannot be an id is not found, before any database sees it."""
    path: dict[str, str] = request.path_params
    if not all(map(is_id, path.values())):
        raise ApiError(404, "There is no such resource")
    return path


def is_id(text: str) -> bool:
    """Whether a stranger's text can be an id."""
    return len(text) <= ID_LIMIT and _ID_CHARACTERS.issuperset(text)


def read_query(request: Request, operation: Operation) -> Any:
    """The operation's query struct; unknown and empty parameters are ignored, one that comes twice is refused."""
    query: bytes = request.scope["query_string"]
    if len(query) > QUERY_LIMIT_BYTES:
        raise ApiError(414, "The query string is too long")
    try:
        pairs = parse_qsl(query.decode(), errors="strict")
    except UnicodeDecodeError as error:
        raise ApiError(400, "The query string is not UTF-8") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given and name in operation.lists:
            value = f"{given[name]},{value}"
        elif name in given and name in operation.query.__struct_fields__:
            raise ApiError(400, f"{name}: it is given more than once")
        given[name] = value
    try:
        return msgspec.convert(given, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(400, _explain(error)) from error


async def read_body(request: Request, operation: Operation, settings: ControlSettings) -> Any:
    """The operation's body struct, or None where it takes no body."""
    content = await read_content(request, settings)
    if operation.body is None:
        return None
    if not content.strip():
        if operation.body_required:
            raise ApiError(400, "A JSON body is required")
        return operation.body()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, "The body has to be application/json")
    try:
        content.decode()  # fields that are skipped are not looked into
        return msgspec.json.decode(content, type=operation.body)
    except msgspec.ValidationError as error:
        raise ApiError(400, _explain(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "The body is not valid JSON") from error
    except RecursionError as error:
        raise ApiError(400, "The body is nested too deeply") from error


async def read_content(request: Request, settings: ControlSettings) -> bytes:
    """The body's bytes, within `body_limit_bytes` and `body_timeout_s`."""
    limit = settings.body_limit_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise ApiError(413, f"The body is larger than {limit} bytes", {"Connection": "close"})
    content = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for piece in request.stream():
                content += piece
                if len(content) > limit:
                    raise ApiError(413, f"The body is larger than {limit} bytes", {"Connection": "close"})
    except TimeoutError as error:
        raise ApiError(408, "The body did not arrive in time", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise ApiError(400, "The body was cut off") from error
    return bytes(content)


def _explain(error: msgspec.ValidationError) -> str:
    """`Expected `int`, got `str` - at `$.page_no`` as `page_no: expected `int`, got `str``."""
    text, _, path = str(error).partition(" - at `")
    where = path.rstrip("`").removeprefix("$").lstrip(".")
    text = text[:1].lower() + text[1:]
    return f"{where}: {text}" if where else text
