"""`headwater livestreams`: the API's livestreams from the command line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Optional
from uuid import UUID

import typer

from headwater.cli.show import as_dict, moment, print_fields, print_json, show_one
from headwater.cli.table import table
from headwater.errors import CallerError

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Livestream, LogEntry, Session

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
Named = Annotated[
    str, typer.Argument(metavar="ID|NAME", help="The livestream's id, or its name where no other has it.")
]
Limit = Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=10_000)]


_before: dict[str, str | None] = {}
"""What stood before the command: `livestreams --credentials PATH list` is `livestreams list --credentials PATH`."""


@app.callback()
def common(credentials: Credentials = None) -> None:
    _before["credentials"] = credentials


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
    limit: Limit = 100,
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
        "created": moment(one.created_at),
        "plays at": one.playback_url,
    }


@app.command()
def show(livestream: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Show a livestream, its ingest URL and key, the page to watch it, and its latest session."""
    with _client(credentials) as headwater:
        found = headwater.get_livestream_session_for_livestream_id(_id(headwater, livestream))
    if as_json:
        print_json(as_dict(found))
        return
    show_one(found.livestream, False)
    if found.session is not None:
        fields = ("id", "started_time", "stopped_time", "ingest_seconds", "viewer_seconds", "err_message")
        print_fields({f"session {name}": getattr(found.session, name) for name in fields})


@app.command()
def sessions(livestream: Named, limit: Limit = 100, credentials: Credentials = None, as_json: Json = False) -> None:
    """List its broadcasts."""
    with _client(credentials) as headwater:
        found = list(islice(_sessions(headwater, _id(headwater, livestream)), limit))
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        print("\n".join(table([_session_row(one) for one in found], None)))
    else:
        print("no broadcast yet")


def _sessions(headwater: Headwater, livestream_id: str) -> Iterator[Session]:
    page_no = 1
    while True:
        page = headwater.get_livestream_session_for_livestream_id(livestream_id, page_no=page_no, per_page=PER_PAGE)
        yield from page.sessions
        if page.paging.end_offset >= page.paging.total_count or not page.sessions:
            return
        page_no += 1


def _session_row(one: Session) -> dict[str, str]:
    return {
        "id": one.id,
        "started": moment(one.started_time),
        "stopped": moment(one.stopped_time),
        "ingest s": f"{one.ingest_seconds:g}",
        "viewer s": f"{one.viewer_seconds:g}",
        "error": one.err_message or "",
    }


@app.command()
def events(livestream: Named, limit: Limit = 100, credentials: Credentials = None, as_json: Json = False) -> None:
    """List what happened to it: publishers that came, went and were refused, warnings, errors."""
    with _client(credentials) as headwater:
        found = list(islice(_events(headwater, _id(headwater, livestream)), limit))
    if as_json:
        print_json([as_dict(one) for one in found])
        return
    for one in found:
        code = f"{one.code}: " if one.code else ""
        print(f"{moment(one.at)}  {one.kind:<11}  {code}{one.message}")


def _events(headwater: Headwater, livestream_id: str) -> Iterator[LogEntry]:
    page_no = 1
    while True:
        page = headwater.get_livestream_events(livestream_id, page_no=page_no, per_page=PER_PAGE)
        yield from page.data
        if page.paging.end_offset >= page.paging.total_count or not page.data:
            return
        page_no += 1


@app.command()
def disable(livestream: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Refuse its publishers and viewers, at once, until it is enabled again."""
    with _client(credentials) as headwater:
        show_one(headwater.disable(_id(headwater, livestream)), as_json)


@app.command()
def enable(livestream: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Admit publishers and viewers again."""
    with _client(credentials) as headwater:
        show_one(headwater.enable(_id(headwater, livestream)), as_json)


@app.command("reset-key")
def reset_key(livestream: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Give it a new stream key; the old one is refused from now on."""
    with _client(credentials) as headwater:
        show_one(headwater.reset_key(_id(headwater, livestream)), as_json)


@app.command()
def stop(livestream: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """End its broadcast now. An encoder may come back: `disable` keeps it out."""
    with _client(credentials) as headwater:
        show_one(headwater.stop_livestream(_id(headwater, livestream)), as_json)


@app.command()
def delete(
    livestream: Named,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Delete it for good. On a terminal it asks first; what it broadcast stays in the analytics."""
    with _client(credentials) as headwater:
        found = _id(headwater, livestream)
        if not yes and sys.stdin.isatty():
            typer.confirm(f"delete the livestream {livestream} for good?", abort=True)
        show_one(headwater.delete_livestream(found), as_json)


def _id(headwater: Headwater, named: str) -> str:
    """The id of a livestream that is named by its id or by a name that only one has.

    Raises:
        CallerError: none has this name, or several have it.
    """
    try:
        return str(UUID(named))
    except ValueError:
        pass
    found = [one.id for one in headwater.iterate_livestreams() if one.name == named]
    if not found:
        raise CallerError(f"no livestream has the name or id {named!r}")
    if len(found) > 1:
        raise CallerError(f"{len(found)} livestreams have the name {named!r}; give the id: {', '.join(found[:10])}")
    return found[0]


def _client(credentials: str | None) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=credentials or _before.get("credentials"))
