"""`check` for programs, `run` for the command line."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console

from headwater.hlscheck import report as reports
from headwater.hlscheck.fetch import Fetch, HttpFetch
from headwater.hlscheck.probe import CouldNotCheck, observe
from headwater.hlscheck.report import Report
from headwater.hlscheck.rules import evaluate
from headwater.hlscheck.session import ProbeSettings

MAX_SECONDS = 24 * 3600  # more than this is monitoring, not a check


async def check(
    url: str,
    *,
    seconds: float = 30.0,
    verify: bool = True,
    settings: ProbeSettings | None = None,
    fetch: Fetch | None = None,
) -> Report:
    """Check a stream against the rules.

    Args:
        url: Of a multivariant or media playlist, http or https.
        seconds: How long a live stream is followed; VOD takes as long as its few downloads.
        verify: False accepts any TLS certificate.
        settings: Limits; its `seconds` is replaced by the argument.
        fetch: What speaks HTTP instead of httpx, for tests.

    Returns:
        The report; one with `error` set where the stream could not be checked. Never raises for what a server does.
    """
    limits = settings or ProbeSettings()
    limits = ProbeSettings(
        **{name: getattr(limits, name) for name in limits.__slots__ if name != "seconds"},
        seconds=min(max(seconds, 0.0), MAX_SECONDS),
    )
    try:
        if fetch is not None:
            observation = await observe(url, fetch, limits)
        else:
            async with HttpFetch(verify=verify) as http:
                observation = await observe(url, http, limits)
    except CouldNotCheck as error:
        return Report(url=url, error=str(error))
    return reports.build(observation, evaluate(observation))


def run(url: str, *, seconds: float = 30.0, as_json: bool = False, verify: bool = True, all_rules: bool = False) -> int:
    """Check a stream and print the report to standard output; returns the exit code (0, 1 or 3)."""
    report = asyncio.run(check(url, seconds=seconds, verify=verify))
    if as_json:
        sys.stdout.write(report.to_json().decode() + "\n")
    else:
        reports.print_report(report, Console(), all_rules=all_rules)
    return report.exit_code
