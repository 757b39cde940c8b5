"""`headwater doctor`: what would keep the server from working here, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from headwater.config.settings import Settings

OK, NOTE, PROBLEM = "ok", "note", "problem"
FOUND = 3
LIBRARIES = ("av", "granian", "uvicorn", "uvloop", "starlette", "sqlalchemy", "cryptography")
FREE_SPACE_GB = 5
DESCRIPTORS = 8192
EXPIRY_DAYS = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its verdict (ok, note, problem), what was seen, and what to do."""

    check: str
    verdict: str
    seen: str
    advice: str = ""


def doctor(
    config: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Option(metavar="FILE", help="The configuration that serve would use."),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045 - as above
        typer.Option(metavar="DIR", help="The data folder that serve would use."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine and the configuration, and say what to do about each problem.

    Exit code 0: nothing stands in the way. 3: a problem was found.
    """
    from headwater.cli.output import console, print_json
    from headwater.config.load import load

    settings = load({"server.data": data}, environ=os.environ, file=config)
    found = [finding for check in CHECKS for finding in check(settings)]
    if json:
        print_json([asdict(finding) for finding in found])
    else:
        marks = {OK: "[green]ok[/]     ", NOTE: "[yellow]note[/]   ", PROBLEM: "[red]problem[/]"}
        for finding in found:
            console.print(f"{marks[finding.verdict]}  {finding.check:<18} {finding.seen}", soft_wrap=True)
            if finding.advice:
                console.print(f"{'':28} [dim]{finding.advice}[/]", soft_wrap=True)
    if any(finding.verdict == PROBLEM for finding in found):
        raise typer.Exit(FOUND)


def python(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    right = sys.version_info >= (3, 11)
    yield Finding("Python", OK if right else PROBLEM, version, "" if right else "Install Python 3.11 or newer.")


def libraries(settings: Settings) -> Iterator[Finding]:
    missing, versions = [], []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("libraries", PROBLEM, f"missing: {', '.join(missing)}", "Run `make setup`, or pip install again.")
    else:
        yield Finding("libraries", OK, ", ".join(versions))


def ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    for name in ("http", "https", "rtmp", "rtmps"):
        address = getattr(server, name)
        if address is None or address.port == 0:
            continue
        try:
            with socket.create_server((address.host, address.port)):
                yield Finding(f"port of {name}", OK, f"{address} is free")
        except OSError as error:
            advice = f"Stop what listens there (ss -ltnp), or set --{name} to another address."
            yield Finding(f"port of {name}", PROBLEM, f"{address}: {error.strerror}", advice)


def data_folder(settings: Settings) -> Iterator[Finding]:
    path = settings.server.data.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("data folder", PROBLEM, f"{path} cannot be written", "Give it to the user that runs serve.")
        return
    free_gb = shutil.disk_usage(existing).free / 1e9
    little = free_gb < FREE_SPACE_GB
    advice = "One hour at 3 Mbit/s takes 1.4 GB when it is recorded." if little else ""
    yield Finding("data folder", NOTE if little else OK, f"{path}, {free_gb:.0f} GB free", advice)


def descriptors(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft < DESCRIPTORS
    advice = "Each viewer holds one or two: raise it with `ulimit -n`, or LimitNOFILE in systemd." if few else ""
    yield Finding("file descriptors", NOTE if few else OK, f"{soft} (at most {hard})", advice)


def clock(settings: Settings) -> Iterator[Finding]:
    year = datetime.now(UTC).year
    right = 2026 <= year < 2100
    advice = "" if right else "Set the clock (timedatectl): sequence numbers and certificates depend on it."
    yield Finding("clock", OK if right else PROBLEM, datetime.now(UTC).isoformat(timespec="seconds"), advice)


def tls(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if server.tls_cert is None or server.tls_key is None:
        advice = "Browsers and encoders reach it unencrypted, and Apple's players do low latency over HTTPS only."
        yield Finding("TLS", NOTE, "no certificate is configured", advice)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        yield Finding("TLS", PROBLEM, f"{server.tls_cert}: {error}", "Give a PEM chain and its unencrypted key.")
        return
    from cryptography import x509

    until = x509.load_pem_x509_certificate(server.tls_cert.read_bytes()).not_valid_after_utc
    days = (until - datetime.now(UTC)).days
    verdict = PROBLEM if days < 0 else NOTE if days < EXPIRY_DAYS else OK
    advice = "Renew it and restart." if verdict != OK else ""
    yield Finding("TLS", verdict, f"{server.tls_cert} is valid until {until:%Y-%m-%d}", advice)


def database(settings: Settings) -> Iterator[Finding]:
    url = settings.server.database_url
    if url is None or not url.startswith("postgresql"):
        yield Finding("database", OK, "SQLite in the data folder")
        return
    try:
        asyncio.run(_ask(url))
    except Exception as error:
        advice = "Check address, user, password and pg_hba.conf; the database must exist."
        yield Finding("database", PROBLEM, f"PostgreSQL does not answer: {type(error).__name__}", advice)
    else:
        yield Finding("database", OK, "PostgreSQL answers")


async def _ask(url: str) -> None:
    import asyncpg  # type: ignore[import-untyped]

    connection = await asyncpg.connect("postgresql://" + url.partition("://")[2], timeout=5)
    try:
        await connection.execute("SELECT 1")
    finally:
        await connection.close()


def ffmpeg(settings: Settings) -> Iterator[Finding]:
    found = shutil.which("ffmpeg")
    seen = found or "not installed"
    yield Finding("ffmpeg", OK if found else NOTE, seen, "" if found else "Not needed; only tests and examples use it.")


Check = Callable[["Settings"], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (python, libraries, ports, data_folder, descriptors, clock, tls, database, ffmpeg)
