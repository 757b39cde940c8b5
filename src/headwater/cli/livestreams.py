"""`headwater livestreams`: the API's livestreams from the command line."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from headwater.cli.table import table

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Livestream

PER_PAGE = 100

ACCESS_HELP = "credentials.json of the server, or its data folder"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Create and manage livestreams through the API.

Whose? `--credentials` names the server's credentials.json or its data folder; without it HEADWATER_BASE_URL,
HEADWATER_API_TOKEN, HEADWATER_ACCOUNT_ID and HEADWATER_APP_ID say it, or HEADWATER_CREDENTIALS names the file.""",
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
    if status and status.upper() not in ("LIVE", "IDLE", "ERRORED", "INVOKED"):
        raise typer.BadParameter(f"--status {status!r} must be LIVE, IDLE, ERRORED or INVOKED")
    with _client(credentials) as headwater:
        found = _newest(headwater, status.upper(), limit)
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        # A program or a pager reads whole lines; a person has the width of the terminal.
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(table([_row(one) for one in found], width)))
    else:
        print("no such livestream" if status else "no livestreams yet: headwater livestreams create NAME")


def _newest(headwater: Headwater, status: Any, limit: int) -> list[Livestream]:
    """The newest first; one that is created between two pages makes no other appear twice."""
    found: dict[str, Livestream] = {}
    page_no = 1
    while True:
        page = headwater.get_all_livestreams(
            page_no=page_no, per_page=PER_PAGE, sort_order="DSC", status=status or None
        )
        found |= {one.id: one for one in page.livestreams}
        ended = page.paging.end_offset >= page.paging.total_count or not page.livestreams
        if ended or len(found) >= limit:
            return list(found.values())[:limit]
        page_no += 1


def _row(one: Livestream) -> dict[str, str]:
    return {
        "id": one.id,
        "status": "disabled" if one.is_disabled else one.status,
        "name": one.name or "",
        "created": one.created_at.strftime("%Y-%m-%d %H:%M"),
        "plays at": one.playback_url,
    }


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
