"""`headwater doctor`: is this machine fit for the settings, and what to do where it is not."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from headwater.cli.findings import Finding, database, tls
from headwater.cli.folder import held
from headwater.config.address import advice_when_taken

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from headwater.config import Address, Settings

MIN_FREE_BYTES = 5 * 10**9
"""Some three hours of one 3 Mbit/s recording."""

MIN_DESCRIPTORS = 8192
"""A viewer is one or two of them."""

SANE_YEAR = 2025
LIBRARIES = ("av", "granian", "sqlalchemy", "starlette", "uvloop", "cryptography", "numpy", "pillow", "msgspec")


def doctor(
    config: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Option(metavar="FILE", help="The TOML file that the server would use.", show_default=False),
    ] = None,
    data: Annotated[Optional[str], typer.Option(metavar="DIR", help="Data folder.", show_default=False)] = None,  # noqa: UP045
    http: Annotated[Optional[str], typer.Option(metavar="HOST:PORT", show_default=False)] = None,  # noqa: UP045
    rtmp: Annotated[Optional[str], typer.Option(metavar="HOST:PORT", show_default=False)] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine against the settings that `headwater serve` would use, and say what to do.

    Looks at Python and the libraries, the ports, the data folder and its disk, the clock, the limit of open files,
    TLS files and their expiry, the database, and programs. Exit code 3 where there is a problem; warnings do not count.
    """
    from headwater.config import load

    options = {"server.data": data, "server.http": http, "server.rtmp": rtmp}
    settings = load(options, environ=os.environ, file=config)
    findings = list(examine(settings))
    if as_json:
        import json

        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(3)


def examine(settings: Settings) -> Iterator[Finding]:
    """Run every check."""
    server = settings.server
    yield _python()
    yield from _libraries()
    for name in ("http", "https", "rtmp", "rtmps", "webrtc"):
        address = getattr(server, name)
        if address is not None:
            yield _port(name, address, server.data)
    yield _folder(server.data)
    yield _disk(server.data)
    yield _clock()
    yield _descriptors()
    if server.tls_cert is not None and server.tls_key is not None:
        yield tls(server.tls_cert, server.tls_key)
    yield database(server.database_url)
    yield _ffmpeg()
    yield _pages()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", "ok", version)


def _libraries() -> Iterator[Finding]:
    missing = []
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            "libraries", "problem", f"missing: {', '.join(missing)}", "install again: make setup, or pip install"
        )
    else:
        yield Finding("libraries", "ok", ", ".join(versions))


def _port(name: str, address: Address, data: Path) -> Finding:
    label = f"{name} {address}"
    try:
        wanted = socket.SOCK_DGRAM if name == "webrtc" else socket.SOCK_STREAM
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=wanted)[0]
    except OSError as error:
        advice = f"set server.{name} to an address of this machine"
        return Finding(label, "problem", f"the host cannot be resolved: {error.strerror}", advice)
    with socket.socket(family, kind, protocol) as probe:
        if kind == socket.SOCK_STREAM:  # with UDP it would let two servers share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except PermissionError:
            return Finding(label, "problem", "not permitted", "ports below 1024 need root or CAP_NET_BIND_SERVICE")
        except OSError as error:
            if error.errno == errno.EADDRINUSE and held(data):
                return Finding(label, "ok", f"in use, by the Headwater that runs on {data}, as it seems")
            return Finding(label, "problem", str(error.strerror), advice_when_taken(name, address.port))
    return Finding(label, "ok", "can be listened on")


def _folder(data: Path) -> Finding:
    existing = _existing(data)
    if existing.exists() and not existing.is_dir():
        return Finding("data folder", "problem", f"{existing} is a file", "set server.data to a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "data folder", "problem", f"{existing} cannot be written", f"chown it to this user ({os.getuid()})"
        )
    credentials = data / "credentials.json"
    if credentials.exists() and credentials.stat().st_mode & 0o077:
        return Finding("data folder", "problem", f"{credentials} can be read by others", f"chmod 600 {credentials}")
    return Finding("data folder", "ok", str(data) if data.exists() else f"{data} will be made")


def _disk(data: Path) -> Finding:
    free = shutil.disk_usage(_existing(data)).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < MIN_FREE_BYTES:
        advice = "one recording at 3 Mbit/s takes 1.4 GB an hour: free space, or set livestream.record = false"
        return Finding("disk", "warning", detail, advice)
    return Finding("disk", "ok", detail)


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _clock() -> Finding:
    now = time.gmtime()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", now)
    if now.tm_year < SANE_YEAR:
        return Finding(
            "clock", "problem", shown, "set the clock (timedatectl set-ntp true): sequence numbers come from it"
        )
    return Finding("clock", "ok", shown)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft} open files (hard limit {hard})"
    if soft < MIN_DESCRIPTORS:
        advice = f"each viewer is one or two: ulimit -n {MIN_DESCRIPTORS * 8}, or LimitNOFILE= in the systemd unit"
        return Finding("open files", "warning", detail, advice)
    return Finding("open files", "ok", detail)


def _ffmpeg() -> Finding:
    found = shutil.which("ffmpeg")
    detail = found or "not installed; the server does not need it, some tests do"
    return Finding("ffmpeg", "ok", detail)


def _pages() -> Finding:
    vendor = Path(__file__).parent.parent / "web" / "vendor"
    if any(vendor.glob("*")):
        return Finding("player page", "ok", "its libraries are there")
    return Finding("player page", "warning", "its libraries were not fetched", "run: make web")


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    marks: dict[str, tuple[str, str]] = {
        "ok": ("ok", "green"),
        "warning": ("!", "yellow"),
        "problem": ("x", "bold red"),
    }
    for finding in findings:
        mark, style = marks[finding.status]
        line = Text.assemble((f"{mark:>3} ", style), (f"{finding.check}: ", "bold"), finding.detail)
        for text in (line, Text(f"    {finding.advice}", style="italic") if finding.advice else None):
            if text is not None:
                _print_hanging(console, text)


def _print_hanging(console: Console, text: Text) -> None:
    """On a terminal wrapped with an indent; elsewhere one line, as programs like it."""
    if not console.is_terminal:
        console.print(text, soft_wrap=True)
        return
    first, *rest = text.wrap(console, max(20, console.width - 4))
    console.print(first)
    for line in rest:
        line.pad_left(4)
        console.print(line)
