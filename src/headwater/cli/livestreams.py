"""`headwater livestreams`: the API's livestreams from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from headwater.client import Headwater

ACCESS_HELP = "credentials.json of the server, or its data folder"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Create and manage livestreams through the API.

Whose? `--credentials` names the server's credentials.json or its data folder; else HEADWATER_CREDENTIALS does, or
HEADWATER_BASE_URL, HEADWATER_API_TOKEN, HEADWATER_ACCOUNT_ID and HEADWATER_APP_ID.""",
)

Credentials = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads annotations at run time
    typer.Option("--credentials", metavar="PATH", help=ACCESS_HELP, show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The livestream's id.")]


@app.command()
def create(
    name: Annotated[Optional[str], typer.Argument(help="Letters, digits, - and _.", show_default=False)] = None,  # noqa: UP045
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Create a livestream; prints where to publish, with which key, and where it plays."""
    with _client(credentials) as headwater:
        show_one(headwater.create_independent_livestream(name=name), as_json)


@app.command("list")
def list_(
    status: Annotated[str, typer.Option(help="Only LIVE, IDLE, ERRORED or INVOKED ones.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=10_000)] = 100,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """List the livestreams."""
    from itertools import islice

    if status and status.upper() not in ("LIVE", "IDLE", "ERRORED", "INVOKED"):
        raise typer.BadParameter(f"--status {status!r} must be LIVE, IDLE, ERRORED or INVOKED")
    with _client(credentials) as headwater:
        wanted: Any = status.upper() or None
        found = list(islice(headwater.iterate_livestreams(status=wanted), limit))
    if as_json:
        print_json([as_dict(one) for one in found])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "status", "created", "plays at", box=None)
    for one in found:
        created = one.created_at.strftime("%Y-%m-%d %H:%M")
        state = "disabled" if one.is_disabled else one.status
        table.add_row(one.id, one.name or "", state, created, one.playback_url)
    console = Console()
    console.print(table if found else "no livestreams yet: headwater livestreams create NAME")


@app.command()
def show(livestream_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Show a livestream, its ingest URL and key, and its latest session."""
    with _client(credentials) as headwater:
        found = headwater.get_livestream_session_for_livestream_id(livestream_id)
    if as_json:
        print_json(as_dict(found))
        return
    show_one(found.livestream, False)
    if found.session is not None:
        fields = ("started_time", "stopped_time", "ingest_seconds", "viewer_seconds", "err_message")
        print_fields({f"session {name}": getattr(found.session, name) for name in fields})


@app.command()
def disable(livestream_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Refuse its publishers and viewers, at once, until it is enabled again."""
    with _client(credentials) as headwater:
        show_one(headwater.disable(livestream_id), as_json)


@app.command()
def enable(livestream_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Admit publishers and viewers again."""
    with _client(credentials) as headwater:
        show_one(headwater.enable(livestream_id), as_json)


@app.command("reset-key")
def reset_key(livestream_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Give it a new stream key; the old one is refused from now on."""
    with _client(credentials) as headwater:
        show_one(headwater.reset_key(livestream_id), as_json)


def _client(credentials: str | None) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=credentials)


def as_dict(value: Any) -> Any:
    """A struct of the client as JSON values."""
    import msgspec

    return msgspec.to_builtins(value)


def print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def show_one(value: Any, as_json: bool) -> None:
    """A livestream, for a program or for people."""
    if as_json:
        print_json(as_dict(value))
    else:
        print_fields(as_dict(value))


def print_fields(values: dict[str, Any]) -> None:
    """Names and values, one a line; never wrapped, so that URLs and keys can be copied."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if value not in (None, ""):
            print(f"{name.replace('_', ' '):<{width}}  {value}")
