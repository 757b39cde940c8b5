"""`headwater hls-check`."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import typer

from headwater.cli.show import WATCHED

PLAYBACK_ID_DIGITS = 32
HEX = frozenset("0123456789abcdef")
UUID_LENGTH, UUID_DASHES = 36, 4


def hls_check(
    url: Annotated[str, typer.Argument(metavar="URL", help="A multivariant or media playlist.")],
    seconds: Annotated[float, typer.Option(help="How long a live stream is followed.", min=1, max=3600)] = 30,
    all_rules: Annotated[bool, typer.Option("--all", help="Show the rules that passed, too.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a low-latency HLS stream, anybody's, against the rules of the draft (rfc8216bis).

    It follows the stream as a player does (blocking reloads, delta updates, preload hints), downloads parts and
    segments, and names each rule that is broken with its clause, the evidence, and what to do.

    Of a page of ours, `http://HOST/<playback id>`, its playlist is checked.

    Exit codes: 0 no MUST is broken (a SHOULD may be), 3 a MUST is broken, 1 could not be checked.
    """
    from headwater.hlscheck import run

    playlist = playlist_of(url)
    if playlist != url:
        print(f"that is a page; its playlist is checked: {playlist}", file=sys.stderr)
    raise typer.Exit(run(playlist, seconds=seconds, as_json=as_json, verify=not insecure, all_rules=all_rules))


def playlist_of(url: str) -> str:
    """The playlist of a player page, known by its path: a playback id, perhaps with a session. Else the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    playback_id, *session = parts.path.strip("/").split("/")
    if len(playback_id) != PLAYBACK_ID_DIGITS or not HEX.issuperset(playback_id) or not _are_ids(session):
        return url
    # What the page was asked for (`autoplay`, `controls`) means nothing to a playlist.
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + WATCHED, "", ""))


def _are_ids(names: list[str]) -> bool:
    return len(names) <= 1 and all(len(name) == UUID_LENGTH and name.count("-") == UUID_DASHES for name in names)
