"""Where encoders put the stream key. Nothing here is ever logged."""

from __future__ import annotations

from urllib.parse import parse_qsl

MAX_QUERY_FIELDS = 20
"""Fields read of a query; encoders add two or three of their own."""


def find_stream_key(app: str, stream_name: str) -> str:
    """The stream key in what connect and publish said.

    In order: `key=` in the query of the stream name; `key=` in the query of the application (OBS with a URL that has
    one); the stream name; the last part of the application's path, for encoders with one field for the whole URL.

    Returns:
        The key; empty where there is none.
    """
    name, _, name_query = stream_name.partition("?")
    path, _, app_query = app.partition("?")
    for query in (name_query, app_query):
        key = _query_key(query)
        if key:
            return key
    name = name.strip("/")
    if name:
        return name.rpartition("/")[2]
    return path.strip("/").rpartition("/")[2] if "/" in path.strip("/") else ""


def _query_key(query: str) -> str:
    try:
        fields = parse_qsl(query, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return ""
    return next((value for name, value in fields if name == "key"), "")


def without_stream_key(app: str, key: str) -> str:
    """The application name as it may be shown: no query, and no path part that is the key."""
    parts = app.partition("?")[0].strip("/").split("/")
    return "/".join(part for part in parts if part != key)
