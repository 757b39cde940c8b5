"""The commands, and what they have in common: exit codes and errors in one sentence.

0    done
1    failed; the reason is on standard error
2    wrong use: an unknown option, a bad value, a configuration that cannot be used
3    checked, and something was found (`doctor`, `hls-check`)
4    the server understood and refused (the API, or a publish)
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from headwater import __version__
from headwater.cli import livestreams, meetings, recordings, webhooks
from headwater.cli.demo import demo
from headwater.cli.doctor import doctor
from headwater.cli.hls_check import hls_check
from headwater.cli.publish import publish
from headwater.cli.serve import serve
from headwater.errors import CallerError, HeadwaterError, PublishRefused

FAILED, WRONG_USE, FOUND, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130

app = typer.Typer(
    name="headwater",
    help="A self-hosted livestream service: RTMP(S) in, low-latency HLS out, behind the RealtimeKit Livestreams API.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"headwater {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks instead of one sentence.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if debug:
        os.environ["HEADWATER_DEBUG"] = "1"


app.command("serve")(serve)
app.command("demo")(demo)
app.command("publish")(publish)
app.add_typer(livestreams.app, name="livestreams")
app.add_typer(meetings.app, name="meetings")
app.add_typer(recordings.app, name="recordings")
app.add_typer(webhooks.app, name="webhooks")
app.command("hls-check")(hls_check)
app.command("doctor")(doctor)


def run() -> NoReturn:
    """Run the command line; exits with one of the codes above."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get("HEADWATER_DEBUG"):
            raise
        print(f"headwater: {explain(error)}", file=sys.stderr)
        sys.exit(exit_code(error))
    sys.exit(0)


def explain(error: BaseException) -> str:
    """An error in one sentence; what is none of ours is a bug and says so."""
    from headwater.client.errors import ApiError, AuthenticationFailed, Unreachable

    if isinstance(error, AuthenticationFailed):
        origin = "--credentials, HEADWATER_API_TOKEN or HEADWATER_CREDENTIALS"
        return f"{error.message} ({error.status}); it comes from {origin}"
    if isinstance(error, ApiError):
        hint = "" if error.envelope is not None else ", not from Headwater's API: does the base URL end in /client/v4?"
        return f"{error.message}{hint}" if hint else f"{error.message} ({error.status})"
    if isinstance(error, Unreachable):
        return f"{error}; is the server running, and is that its address?"
    if isinstance(error, HeadwaterError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return f"internal error: {type(error).__name__}: {error} (run with --debug for the traceback)"


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    from headwater.config.load import SettingError

    if isinstance(error, SettingError):
        return WRONG_USE
    if isinstance(error, (CallerError, PublishRefused)):
        return REFUSED
    return FAILED
