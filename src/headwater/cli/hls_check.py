"""`headwater hls-check`."""

from __future__ import annotations

from typing import Annotated

import typer


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

    Exit codes: 0 nothing found, 3 findings, 1 could not be checked.
    """
    from headwater.hlscheck import run

    raise typer.Exit(run(url, seconds=seconds, as_json=as_json, verify=not insecure, all_rules=all_rules))
