"""`headwater hls-check`."""

from __future__ import annotations

from typing import Annotated

import typer


def hls_check(
    url: Annotated[str, typer.Argument(metavar="URL", help="A multivariant or a media playlist.")],
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to follow the stream.")] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    insecure: Annotated[bool, typer.Option(help="https: do not check the server's certificate.")] = False,
    all_rules: Annotated[bool, typer.Option("--all", help="Show the rules that hold, too.")] = False,
) -> None:
    """Check a live low-latency HLS stream, anybody's, against the rules of the standard.

    It follows every rendition as a player does and reports each rule of draft-pantos-hls-rfc8216bis and of Apple's
    authoring specification (section 14) that the stream breaks: clause, evidence, and what to do. Plain live HLS and
    recordings can be checked too; rules that do not apply are said so.

    Exit code 0: no rule that must hold is broken. 1: one is. 2: the stream could not be checked.
    """
    from headwater.hlscheck import run

    raise typer.Exit(run(url, seconds=seconds, as_json=json, verify=not insecure, all_rules=all_rules))
