"""`headwater recordings`: the API's recordings from the command line."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from headwater.cli.livestreams import ACCESS_HELP
from headwater.cli.show import as_dict, print_fields, print_json
from headwater.cli.table import table
from headwater.errors import CallerError, OperatorError

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Recording

PER_PAGE = 100
CHUNK_BYTES = 1024 * 1024
POLL_S = 0.5

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""List, download and delete recordings through the API.

Whose? As for `headwater livestreams`: `--credentials`, or the variables HEADWATER_...""",
)

Credentials = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads annotations at run time
    typer.Option("--credentials", metavar="PATH", help=ACCESS_HELP, show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The recording's id.")]


@app.command("list")
def list_(
    livestream: Annotated[str, typer.Option(metavar="ID", help="Only those of this livestream.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=10_000)] = 100,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """List the recordings."""
    with client(credentials) as headwater:
        found = _newest(headwater, livestream or None, limit)
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(table([_row(one) for one in found], width)))
    else:
        print("no recordings yet")


def _newest(headwater: Headwater, livestream_id: str | None, limit: int) -> list[Recording]:
    found: dict[str, Recording] = {}
    page_no = 1
    while True:
        page = headwater.get_recordings(page_no=page_no, per_page=PER_PAGE, livestream_id=livestream_id)
        found |= {one.id: one for one in page.data}
        if page.paging.end_offset >= page.paging.total_count or not page.data or len(found) >= limit:
            return list(found.values())[:limit]
        page_no += 1


def _row(one: Recording) -> dict[str, str]:
    return {
        "id": one.id,
        "status": "deleted" if one.expired else one.status,
        "seconds": "" if one.recording_duration is None else str(one.recording_duration),
        "MB": "" if one.file_size is None else f"{one.file_size / 1e6:.1f}",
        "name": one.output_file_name,
        "created": one.invoked_time.strftime("%Y-%m-%d %H:%M"),
    }


@app.command()
def show(recording_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Show a recording, with a link by which it can be downloaded for some hours."""
    with client(credentials) as headwater:
        found = as_dict(headwater.get_one_recording(recording_id))
    if as_json:
        print_json(found)
    else:
        print_fields(found)


@app.command()
def download(
    recording_id: Id,
    to: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Argument(metavar="FILE", help="Where to; by default its own name, here.", show_default=False),
    ] = None,
    credentials: Credentials = None,
) -> None:
    """Download a recording; what an earlier attempt left behind is continued."""
    with client(credentials) as headwater:
        found = headwater.get_one_recording(recording_id)
    if found.download_url is None:
        raise CallerError(f"there is no file: the recording is {'deleted' if found.expired else found.status}")
    target = to or Path(found.output_file_name.replace("/", "_"))
    if target.exists():
        raise CallerError(f"{target} exists already")
    fetch(found.download_url, target)
    print(target)


def fetch(url: str, target: Path) -> None:
    """Download into a file beside, renamed when it is whole.

    Raises:
        OperatorError: the server does not give it, or gives up half way; what has come is kept for the next attempt.
    """
    import httpx

    draft = target.with_name(target.name + ".part")
    done = draft.stat().st_size if draft.exists() else 0
    try:
        with httpx.stream("GET", url, headers={"range": f"bytes={done}-"} if done else {}, timeout=30) as response:
            if response.status_code == 416:
                draft.unlink()
                raise OperatorError(f"{draft} is of something else and has been deleted; try again")
            if response.status_code not in (200, 206):
                raise OperatorError(f"the recording cannot be downloaded: HTTP {response.status_code}")
            with draft.open("ab" if response.status_code == 206 else "wb") as file:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    file.write(chunk)
    except httpx.HTTPError as error:
        raise OperatorError(f"the download broke off, try again to go on: {error}") from error
    draft.replace(target)


@app.command()
def clip(
    recording_id: Id,
    start: Annotated[str, typer.Argument(metavar="START", help="Seconds from the beginning, or H:MM:SS.")],
    end: Annotated[str, typer.Argument(metavar="END", help="The same.")],
    to: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Option("--to", metavar="FILE", help="Wait until it is made, and download it.", show_default=False),
    ] = None,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Cut a clip out of a recording: whole groups of pictures around what is asked for, nothing is encoded anew."""
    with client(credentials) as headwater:
        made = headwater.create_clip(recording_id, start=seconds(start), end=seconds(end))
        if to is not None:
            while made.status == "UPLOADING":
                time.sleep(POLL_S)
                made = headwater.get_one_recording(made.id)
            if made.download_url is None:
                raise OperatorError(f"the clip could not be made: {made.err_message}")
            fetch(made.download_url, to)
    if as_json:
        print_json(as_dict(made))
    else:
        print_fields(as_dict(made))


def seconds(text: str) -> float:
    """`90`, `1:30` or `0:01:30.5`."""
    try:
        total = 0.0
        for part in text.split(":"):
            total = total * 60 + float(part)
    except ValueError:
        total = -1.0
    if not 0 <= total < float("inf"):
        raise typer.BadParameter(f"{text!r} is no time: use seconds, or H:MM:SS")
    return total


@app.command()
def delete(recording_id: Id, credentials: Credentials = None) -> None:
    """Delete a recording's file; what it was stays in the list and in the analytics."""
    with client(credentials) as headwater:
        print(headwater.delete_recording(recording_id).message)


def client(credentials: str | None) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=credentials)
