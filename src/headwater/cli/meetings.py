"""`headwater meetings`: meetings, who may come in, and links to join by, from the command line."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any, Optional
from uuid import UUID

import typer

from headwater.cli.livestreams import ACCESS_HELP
from headwater.cli.show import as_dict, moment, print_fields, print_json, show_one
from headwater.cli.table import table
from headwater.errors import CallerError

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Meeting, Participant

PER_PAGE = 100
API_PATH = "/client/v4"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Create meetings, let people in, see who meets.

Whose? `--credentials` names the server's credentials.json or its data folder; without it HEADWATER_BASE_URL,
HEADWATER_API_TOKEN, HEADWATER_ACCOUNT_ID and HEADWATER_APP_ID say it, or HEADWATER_CREDENTIALS names the file.""",
)

Credentials = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads annotations at run time
    typer.Option("--credentials", metavar="PATH", help=ACCESS_HELP, show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Named = Annotated[str, typer.Argument(metavar="ID|TITLE", help="The meeting's id, or its title where no other has it.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)]

_before: dict[str, str | None] = {}
"""What stood before the command, as with `headwater livestreams`."""


@app.callback()
def common(credentials: Credentials = None) -> None:
    _before["credentials"] = credentials


@app.command()
def create(
    title: Annotated[Optional[str], typer.Argument(help="What it is about.", show_default=False)] = None,  # noqa: UP045
    live: Annotated[bool, typer.Option("--live", help="Livestream it as soon as somebody is there.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Record its livestream.")] = False,
    keep_alive: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long an empty room waits for somebody.", min=60, max=600)
    ] = 60,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Create a meeting."""
    settings: dict[str, Any] = {"live_stream_on_start": live, "record_on_start": record}
    with _client(credentials) as headwater:
        made = headwater.create_meeting(title=title, session_keep_alive_time_in_secs=keep_alive, **settings)
    show_one(made, as_json)


@app.command("list")
def list_(
    search: Annotated[str, typer.Option(help="Only those whose title has this.")] = "",
    limit: Limit = PER_PAGE,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """List the meetings, the newest first."""
    with _client(credentials) as headwater:
        found = headwater.list_meetings(per_page=limit, search=search or None).data
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        _print_table([_row(one) for one in found])
    else:
        print("no such meeting" if search else "no meetings yet: headwater meetings create TITLE")


@app.command()
def show(meeting: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Show a meeting, and who is in it now."""
    from headwater.client import NotFound

    with _client(credentials) as headwater:
        found = headwater.get_meeting(_id(headwater, meeting))
        try:
            session = headwater.get_active_session(found.id)
        except NotFound:
            session = None
    if as_json:
        print_json({**as_dict(found), "active_session": as_dict(session)})
        return
    show_one(found, False)
    if session is None:
        print("nobody is there")
    else:
        fields = ("id", "started_at", "live_participants", "minutes_consumed")
        print_fields({f"session {name}": getattr(session, name) for name in fields})


@app.command("join-link")
def join_link(
    meeting: Named,
    name: Annotated[str, typer.Option(help="Shown to the others.")] = "",
    preset: Annotated[str, typer.Option(help="host, participant, viewer, or one of your own.")] = "participant",
    custom_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="Your own id of the person; the same is the same person.")
    ] = "",
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Let somebody in: prints the link to join by. Whoever has it comes in, until it expires or is taken back."""
    import secrets

    with _client(credentials) as headwater:
        of = _id(headwater, meeting)
        added = headwater.add_participant(
            of,
            custom_participant_id=custom_id or f"link-{secrets.token_hex(8)}",
            preset_name=preset,
            name=name or None,
        )
        root = headwater.access.base_url.rstrip("/").removesuffix(API_PATH)
    link = f"{root}/meet/{of}?token={added.token}"
    if as_json:
        print_json({**as_dict(added), "join_link": link})
    else:
        print(link)


@app.command()
def participants(
    meeting: Named, limit: Limit = PER_PAGE, credentials: Credentials = None, as_json: Json = False
) -> None:
    """List who may come in, the oldest first."""
    with _client(credentials) as headwater:
        found = headwater.list_participants(_id(headwater, meeting), per_page=limit).data
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        _print_table([_participant_row(one) for one in found])
    else:
        print("nobody yet: headwater meetings join-link MEETING")


@app.command()
def remove(
    meeting: Named,
    participant_id: Annotated[str, typer.Argument(metavar="PARTICIPANT", help="The participant's id.")],
    credentials: Credentials = None,
) -> None:
    """Take a participant's links back; who is inside is sent away."""
    with _client(credentials) as headwater:
        gone = headwater.delete_participant(_id(headwater, meeting), participant_id)
    print(f"removed {gone.custom_participant_id}")


@app.command()
def close(meeting: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Let nobody in any more; who is inside stays."""
    with _client(credentials) as headwater:
        show_one(headwater.update_meeting(_id(headwater, meeting), status="INACTIVE"), as_json)


@app.command("open")
def open_(meeting: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Undo `close`."""
    with _client(credentials) as headwater:
        show_one(headwater.update_meeting(_id(headwater, meeting), status="ACTIVE"), as_json)


@app.command()
def start(
    meeting: Named,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Of its picture: 320x180 to 1920x1080.")] = "",
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Start its livestream."""
    width, height = _size(size) if size else (None, None)
    with _client(credentials) as headwater:
        show_one(headwater.start_livestreaming_a_meeting(_id(headwater, meeting), width=width, height=height), as_json)


@app.command()
def stop(meeting: Named, credentials: Credentials = None, as_json: Json = False) -> None:
    """Stop its livestream."""
    with _client(credentials) as headwater:
        show_one(headwater.stop_livestreaming_a_meeting(_id(headwater, meeting)), as_json)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"--size {text!r} must be like 1280x720")
    return int(width), int(height)


def _row(one: Meeting) -> dict[str, str]:
    return {
        "id": one.id,
        "status": "open" if one.status == "ACTIVE" else "closed",
        "name": one.title or "",
        "created": moment(one.created_at),
    }


def _participant_row(one: Participant) -> dict[str, str]:
    return {
        "id": one.id,
        "preset": one.preset_name,
        "name": one.name or "",
        "custom id": one.custom_participant_id,
        "created": moment(one.created_at),
    }


def _print_table(rows: list[dict[str, str]]) -> None:
    # A program or a pager reads whole lines; a person has the width of the terminal.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(table(rows, width)))


def _id(headwater: Headwater, named: str) -> str:
    """The id of a meeting that is named by its id or by a title that only one has.

    Raises:
        CallerError: none has this title, or several have it.
    """
    try:
        return str(UUID(named))
    except ValueError:
        pass
    found = [one.id for one in _titled(headwater, named) if one.title == named]
    if not found:
        raise CallerError(f"no meeting has the title or id {named!r}")
    if len(found) > 1:
        raise CallerError(f"{len(found)} meetings have the title {named!r}; give the id: {', '.join(found[:10])}")
    return found[0]


def _titled(headwater: Headwater, title: str) -> list[Meeting]:
    """All meetings that have this in their title."""
    found: dict[str, Meeting] = {}
    page_no = 1
    while True:
        page = headwater.list_meetings(page_no=page_no, per_page=PER_PAGE, search=title)
        found |= {one.id: one for one in page.data}
        if page.paging.end_offset >= page.paging.total_count or not page.data:
            return list(found.values())
        page_no += 1


def _client(credentials: str | None) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=credentials or _before.get("credentials"))
