"""A small typed client of the API, sync and async.

from headwater.client import Headwater

with Headwater(credentials="data/credentials.json") as headwater:
    livestream = headwater.create_independent_livestream(name="launch")
    print(livestream.ingest_server, livestream.stream_key, livestream.playback_url)
"""

from headwater.client import models
from headwater.client.aio import AsyncHeadwater
from headwater.client.credentials import Access, find_access
from headwater.client.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    Conflict,
    NotConfigured,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerFailed,
    Unreachable,
)
from headwater.client.sync import Headwater

__all__ = [
    "Access",
    "ApiError",
    "AsyncHeadwater",
    "AuthenticationFailed",
    "BadRequest",
    "Conflict",
    "Headwater",
    "NotConfigured",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "ServerFailed",
    "Unreachable",
    "find_access",
    "models",
]
