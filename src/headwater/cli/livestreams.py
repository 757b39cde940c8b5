"""`headwater livestreams ...`: the API from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from headwater.client import Headwater

app = typer.Typer(
    name="livestreams",
    help="Create, list, show, disable and enable livestreams, and reset their stream keys.\n\n"
    "Whom to call: --data (the server's data folder, with its credentials.json), or the environment: "
    "HEADWATER_CREDENTIALS, or HEADWATER_BASE_URL, HEADWATER_API_TOKEN, HEADWATER_ACCOUNT_ID and HEADWATER_APP_ID.",
    no_args_is_help=True,
)

Data = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
    typer.Option("--data", metavar="DIR", help="Data folder of the server, or its credentials.json."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Identifier = Annotated[str, typer.Argument(metavar="ID", help="The livestream's id, as `list` shows it.")]


def connect(data: Path | None) -> Headwater:
    """A client of the server whose data folder is given, or that the environment names."""
    from headwater.client import Headwater
    from headwater.config.server import ServerSettings

    default = ServerSettings().data
    if data is None and (default / "credentials.json").exists():
        import os

        named = {"HEADWATER_CREDENTIALS", "HEADWATER_API_TOKEN", "HEADWATER_DATA"}
        data = default if not named & os.environ.keys() else None
    return Headwater(credentials=data)


@app.command()
def create(
    name: Annotated[
        Optional[str],  # noqa: UP045 - as above
        typer.Argument(help="A name: letters, digits, - and _."),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Create a livestream, and print where to publish and where to watch."""
    with connect(data) as headwater:
        _show(headwater.create_independent_livestream(name=name), json)


@app.command("list")
def list_(
    status: Annotated[
        Optional[str],  # noqa: UP045 - as above
        typer.Option(help="Only these: LIVE, IDLE, ERRORED or INVOKED."),
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    per_page: Annotated[int, typer.Option(min=1, max=100, help="Livestreams a page.")] = 20,
    data: Data = None,
    json: Json = False,
) -> None:
    """List the app's livestreams, the newest first. Stream keys are not shown: see `show`."""
    from headwater.cli.output import console, print_json, print_table

    with connect(data) as headwater:
        found = headwater.get_all_livestreams(status=status, page_no=page, per_page=per_page)  # type: ignore[arg-type]
    if json:
        print_json([{k: v for k, v in _plain(one).items() if k != "stream_key"} for one in found.livestreams])
        return
    rows = [
        [one.id, one.name or "", f"{one.status}{' (disabled)' if one.is_disabled else ''}", one.playback_url]
        for one in found.livestreams
    ]
    print_table(["id", "name", "status", "playback URL"], rows, empty="There are no livestreams yet.")
    paging = found.paging
    if paging.total_count > len(rows):
        console.print(f"[dim]{paging.start_offset} to {paging.end_offset} of {paging.total_count}; --page for more[/]")


@app.command()
def show(livestream_id: Identifier, data: Data = None, json: Json = False) -> None:
    """Show a livestream whole: URLs, stream key, status, and its latest session."""
    with connect(data) as headwater:
        found = headwater.get_livestream_session_for_livestream_id(livestream_id)
    facts = _plain(found.livestream)
    if found.session is not None:
        facts["session"] = _plain(found.session)
    if json:
        from headwater.cli.output import print_json

        print_json(facts)
        return
    session = facts.pop("session", None)
    if session is not None:
        facts |= {f"session {name}": value for name, value in session.items() if name != "livestream_id"}
    _facts(facts)


@app.command()
def disable(livestream_id: Identifier, data: Data = None, json: Json = False) -> None:
    """Disable a livestream: its publisher is disconnected, nobody can publish or watch."""
    with connect(data) as headwater:
        _show(headwater.disable(livestream_id), json)


@app.command()
def enable(livestream_id: Identifier, data: Data = None, json: Json = False) -> None:
    """Enable a livestream again."""
    with connect(data) as headwater:
        _show(headwater.enable(livestream_id), json)


@app.command("reset-key")
def reset_key(livestream_id: Identifier, data: Data = None, json: Json = False) -> None:
    """Give a livestream a new stream key; the old one is refused from now on."""
    with connect(data) as headwater:
        _show(headwater.reset_key(livestream_id), json)


def _plain(value: object) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _show(value: object, as_json: bool) -> None:
    from headwater.cli.output import print_json

    if as_json:
        print_json(_plain(value))
    else:
        _facts(_plain(value))


def _facts(facts: dict[str, Any]) -> None:
    from headwater.cli.output import print_facts

    print_facts({name.replace("_", " "): "-" if value in (None, "") else value for name, value in facts.items()})
