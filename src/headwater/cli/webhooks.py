"""`headwater webhooks`: who is told what happens, from the command line."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from headwater.cli.livestreams import ACCESS_HELP
from headwater.cli.show import as_dict, moment, print_fields, print_json
from headwater.cli.table import table

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Delivery, Webhook

PER_PAGE = 100

DEFAULT_EVENTS = ("livestreaming.statusUpdate", "recording.statusUpdate")
STATES = ("waiting", "delivered", "failed")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Have events sent to a URL, and see what became of them.

Whose? `--credentials` names the server's credentials.json or its data folder; without it HEADWATER_BASE_URL,
HEADWATER_API_TOKEN, HEADWATER_ACCOUNT_ID and HEADWATER_APP_ID say it, or HEADWATER_CREDENTIALS names the file.""",
)

Credentials = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads annotations at run time
    typer.Option("--credentials", metavar="PATH", help=ACCESS_HELP, show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.")]


_before: dict[str, str | None] = {}
"""What stood before the command, as with `headwater livestreams`."""


@app.callback()
def common(credentials: Credentials = None) -> None:
    _before["credentials"] = credentials


def _client(credentials: str | None) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=credentials or _before.get("credentials"))


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="http:// or https://, without credentials.")],
    name: Annotated[str, typer.Option(help="A name for people; without it, the URL's host.")] = "",
    event: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="An event to tell; once for each. Without it: livestreams' and recordings' status."),
    ] = None,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """Have events sent to a URL from now on."""
    from urllib.parse import urlsplit

    with _client(credentials) as headwater:
        made = headwater.create_webhook(
            name=name or urlsplit(url).hostname or url, url=url, events=event or DEFAULT_EVENTS
        )
    if as_json:
        print_json(as_dict(made))
    else:
        print_fields({**as_dict(made), "events": ", ".join(made.events)})


@app.command("list")
def list_(credentials: Credentials = None, as_json: Json = False) -> None:
    """List the webhooks."""
    with _client(credentials) as headwater:
        found = headwater.get_webhooks()
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        _print_table([_webhook_row(one) for one in found])
    else:
        print("no webhooks yet: headwater webhooks create URL")


@app.command()
def delete(webhook_id: Id, credentials: Credentials = None, as_json: Json = False) -> None:
    """Delete a webhook, what waits for it, and its log."""
    with _client(credentials) as headwater:
        gone = headwater.delete_webhook(webhook_id)
    if as_json:
        print_json(as_dict(gone))
    else:
        print(f"deleted {gone.name}: {gone.url}")


@app.command()
def deliveries(
    webhook_id: Id,
    state: Annotated[str, typer.Option(help="Only waiting, delivered or failed ones.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=1000)] = PER_PAGE,
    credentials: Credentials = None,
    as_json: Json = False,
) -> None:
    """List what a webhook was told, and what became of it."""
    if state and state.lower() not in STATES:
        raise typer.BadParameter(f"--state {state!r} must be waiting, delivered or failed")
    wanted: Any = state.lower() or None
    with _client(credentials) as headwater:
        found = headwater.get_webhook_deliveries(webhook_id, state=wanted, per_page=limit).data
    if as_json:
        print_json([as_dict(one) for one in found])
    elif found:
        _print_table([_delivery_row(one) for one in found])
    else:
        print("no such delivery" if state else "nothing was told yet")


@app.command()
def redeliver(
    webhook_id: Id,
    delivery_id: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="DELIVERY...", help="Ids of deliveries.", show_default=False),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that were given up or refused.")] = False,
    credentials: Credentials = None,
) -> None:
    """Deliver events again, or now those that wait for their next attempt."""
    if bool(delivery_id) == failed:
        raise typer.BadParameter("name deliveries, or say --failed")
    with _client(credentials) as headwater:
        ids = delivery_id or []
        if failed:
            page = headwater.get_webhook_deliveries(webhook_id, state="failed", per_page=1000)
            ids = [one.id for one in reversed(page.data)]  # the oldest first, as they happened
        for one in ids:
            headwater.redeliver(webhook_id, one)
    print(f"{len(ids)} to be delivered again")


def _webhook_row(one: Webhook) -> dict[str, str]:
    return {
        "id": one.id,
        "status": "enabled" if one.enabled else "disabled",
        "name": one.name,
        "url": one.url,
        "events": ",".join(one.events),
    }


def _delivery_row(one: Delivery) -> dict[str, str]:
    """What it was about goes by the name that every payload has it under."""
    return {
        "id": one.id,
        "state": one.state,
        "name": one.event,
        "about": one.about,
        "attempts": str(one.attempts),
        "answer": str(one.status_code or ""),
        "created": moment(one.created_at),
        "error": one.error or "",
    }


def _print_table(rows: list[dict[str, str]]) -> None:
    # A program or a pager reads whole lines; a person has the width of the terminal.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(table(rows, width)))
