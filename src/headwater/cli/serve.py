"""`headwater serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from headwater.config.server import ServerSettings

LOOPBACK = ("127.0.0.1", "::1", "localhost")

Text = Optional[str]  # noqa: UP045 - Typer reads annotations at run time


def serve(
    data: Annotated[Text, typer.Option(metavar="DIR", help="Data folder: database, credentials, recordings.")] = None,
    http: Annotated[Text, typer.Option(metavar="HOST:PORT", help="API, playlists, media and pages.")] = None,
    rtmp: Annotated[Text, typer.Option(metavar="HOST:PORT", help="Encoders, over RTMP.")] = None,
    https: Annotated[Text, typer.Option(metavar="HOST:PORT", help="The HTTP server over TLS, with HTTP/2.")] = None,
    rtmps: Annotated[Text, typer.Option(metavar="HOST:PORT", help="Encoders, over RTMPS.")] = None,
    webrtc: Annotated[
        Text, typer.Option(metavar="HOST:PORT", help="Media of meetings, WHIP and WHEP, over UDP.")
    ] = None,
    metrics: Annotated[Text, typer.Option(metavar="HOST:PORT", help="Prometheus metrics, for the operator.")] = None,
    tls_cert: Annotated[Text, typer.Option(metavar="FILE", help="PEM: the certificate and its chain.")] = None,
    tls_key: Annotated[Text, typer.Option(metavar="FILE", help="PEM: the certificate's private key.")] = None,
    public_url: Annotated[Text, typer.Option(metavar="URL", help="How viewers reach --http through a proxy.")] = None,
    public_rtmp_url: Annotated[
        Text, typer.Option(metavar="URL", help="How encoders reach --rtmp from outside.")
    ] = None,
    database_url: Annotated[Text, typer.Option(metavar="URL", help="PostgreSQL instead of SQLite.")] = None,
    ready_file: Annotated[Text, typer.Option(metavar="FILE", help="Write the addresses as JSON once ready.")] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - as above
        typer.Option(metavar="FILE", help="TOML file; headwater.example.toml explains every key."),
    ] = None,
) -> None:
    """Run the server: encoders publish to --rtmp, viewers and callers of the API come to --http.

    On its first start it creates an account, an app and an admin token, and writes them to DIR/credentials.json.
    Once it accepts it prints one line, "ready", with its addresses. Port 0 picks a free port. SIGTERM drains: open
    sessions are closed properly, within 10 seconds.

    Every option is also a key of the TOML file's [server] section and an environment variable, HEADWATER_HTTP for
    --http. The command line wins over the environment, the environment over the file.
    """
    from headwater.cli.run import run_server
    from headwater.config.load import load, unknown_variables

    given = {
        "data": data, "http": http, "rtmp": rtmp, "https": https, "rtmps": rtmps, "webrtc": webrtc,
        "metrics": metrics,
        "tls_cert": tls_cert, "tls_key": tls_key, "public_url": public_url, "public_rtmp_url": public_rtmp_url,
        "database_url": database_url, "ready_file": ready_file,
    }  # fmt: skip
    settings = load({f"server.{name}": value for name, value in given.items()}, environ=os.environ, file=config)
    for sentence in unknown_variables(os.environ):
        print(f"warning: {sentence}", file=sys.stderr)
    for sentence in notes(settings.server):
        print(f"note: {sentence}", file=sys.stderr, flush=True)
    run_server(settings)


def notes(server: ServerSettings) -> Iterator[str]:
    """What a person should know who starts the server with these settings, in sentences."""
    credentials = server.data / "credentials.json"
    if not credentials.exists():
        yield (
            f"first start: account, app and admin token are written to {credentials}; once it is ready: "
            f"headwater livestreams create --credentials {server.data} NAME"
        )
    open_to_all = [
        option
        for option, address, public in (
            ("--public-url http://HOST:PORT", server.http, server.public_url),
            ("--public-rtmp-url rtmp://HOST:PORT/live/", server.rtmp, server.public_rtmp_url),
        )
        if address.is_any and public is None
    ]
    if open_to_all:
        yield (
            "it listens on every address and does not know its own name: whoever asks under 127.0.0.1, as the command "
            f"line does, is given 127.0.0.1; {' and '.join(open_to_all)} say how others reach it"
        )
    others = server.http.is_any or (server.https is not None and server.https.is_any) or server.public_url is not None
    if others and server.webrtc is not None and server.webrtc.host in LOOPBACK:
        yield (
            "the media of meetings, WHIP and WHEP is for this machine alone, though its pages are for others: "
            f"--webrtc 0.0.0.0:{server.webrtc.port} opens its UDP port (docs/meetings.md)"
        )
