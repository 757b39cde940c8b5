"""Webhooks of an app, and what became of the events that they were told."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import httpx
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation, Permission
from headwater.control.api.schemas import Answer, ListAnswer, Message, NoQuery, Page
from headwater.control.api.times import iso, iso_or_none
from headwater.control.api.validation import check_text
from headwater.control.api.webhook_schemas import (
    Attempt,
    Delivery,
    DeliveryWithAttempts,
    EditWebhook,
    EventName,
    ListDeliveries,
    Webhook,
    WebhookBody,
)
from headwater.control.repository import deliveries, webhooks
from headwater.control.repository.deliveries import DeliveryRow
from headwater.control.repository.webhooks import WebhookRow
from headwater.control.webhooks import names, payloads
from headwater.outbound import Forbidden, NotResolved

WEBHOOKS_PER_APP = 50
"""Each event is stored once for each webhook that wants it."""

RESOLVE_S = 2.0
"""How long creating a webhook waits for its host's addresses; they are vetted at each delivery anyway."""


_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:")


async def create(call: Call[NoQuery, WebhookBody]) -> Answer[Webhook]:
    body = call.body
    values = await _checked(call, {"name": body.name, "url": body.url, "events": body.events})
    async with call.service.database.write() as conn:
        if await webhooks.count(conn, call.app_id) >= WEBHOOKS_PER_APP:
            raise ApiError(409, f"An app has at most {WEBHOOKS_PER_APP} webhooks")
        row = await webhooks.create(conn, call.app_id, **values, enabled=body.enabled, now_ms=call.now_ms)
    call.service.changed()
    return Answer(_webhook(row))


async def list_all(call: Call[NoQuery, None]) -> ListAnswer[Webhook]:
    async with call.service.database.read() as conn:
        rows = await webhooks.list_all(conn, call.app_id)
    return ListAnswer([_webhook(row) for row in rows])


async def event_names(_call: Call[NoQuery, None]) -> ListAnswer[EventName]:
    return ListAnswer(msgspec.convert(list(names.SENT), list[EventName]))


async def show(call: Call[NoQuery, None]) -> Answer[Webhook]:
    async with call.service.database.read() as conn:
        return Answer(_webhook(await _get(conn, call)))


async def replace(call: Call[NoQuery, WebhookBody]) -> Answer[Webhook]:
    return await _change(call, msgspec.structs.asdict(call.body))


async def edit(call: Call[NoQuery, EditWebhook]) -> Answer[Webhook]:
    given = msgspec.structs.asdict(call.body)
    return await _change(call, {name: value for name, value in given.items() if value is not msgspec.UNSET})


async def _change(call: AnyCall, values: dict[str, Any]) -> Answer[Webhook]:
    values = await _checked(call, values)
    async with call.service.database.write() as conn:
        before = await _get(conn, call, lock=True)
        if values:
            await webhooks.update(conn, before.id, call.now_ms, **values)
        row = await _get(conn, call)
        if (row.url, row.enabled) != (before.url, before.enabled):
            await deliveries.renew(conn, row.id, call.now_ms)  # what waits is tried now, where it leads now
    call.service.webhooks.retry(row.id)
    call.service.changed()
    return Answer(_webhook(row))


async def delete(call: Call[NoQuery, None]) -> Answer[Webhook]:
    async with call.service.database.write() as conn:
        row = await _get(conn, call, lock=True)
        await webhooks.delete(conn, row.id)
    call.service.webhooks.retry(row.id)
    call.service.changed()
    return Answer(_webhook(row))


async def list_deliveries(call: Call[ListDeliveries, None]) -> Page[Delivery]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    async with call.service.database.read() as conn:
        webhook = await _get(conn, call)
        rows, total = await deliveries.list_page(conn, webhook.id, state=call.query.state, offset=offset, limit=limit)
    return Page([_delivery(call, row, next_ms) for row, next_ms in rows], paging(total, offset, len(rows)))


async def show_delivery(call: Call[NoQuery, None]) -> Answer[DeliveryWithAttempts]:
    async with call.service.database.read() as conn:
        row, next_ms = await _get_delivery(conn, call)
        tried = await deliveries.attempts(conn, row.seq)
    attempts = [Attempt(iso(one.at_ms), one.duration_ms, one.status_code, one.error, one.answer) for one in tried]
    return Answer(DeliveryWithAttempts(_delivery(call, row, next_ms), attempts))


async def redeliver(call: Call[NoQuery, None]) -> Answer[Message]:
    async with call.service.database.write() as conn:
        if not (await _get(conn, call, lock=True)).enabled:
            raise ApiError(409, "The webhook is disabled")
        row, _ = await _get_delivery(conn, call, lock=True)
        await deliveries.requeue(conn, row, call.now_ms)
    call.service.webhooks.retry(row.webhook_id)
    return Answer(Message("The event is delivered again"))


async def _get(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> WebhookRow:
    row = await webhooks.get(conn, call.app_id, call.path["webhook_id"], lock=lock)
    if row is None:
        raise not_found("The webhook")
    return row


async def _get_delivery(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> tuple[DeliveryRow, int | None]:
    webhook = await _get(conn, call)
    found = await deliveries.get(conn, webhook.id, call.path["delivery_id"], lock=lock)
    if found is None:
        raise not_found("The delivery")
    return found


def _webhook(row: WebhookRow) -> Webhook:
    events = msgspec.convert(row.event_names, list[EventName])
    return Webhook(row.id, row.name, row.url, events, row.enabled, iso(row.created_ms), iso(row.updated_ms))


def _delivery(call: AnyCall, row: DeliveryRow, next_ms: int | None) -> Delivery:
    payload = payloads.completed(row.body, call.service.urls)
    return Delivery(
        id=row.id,
        event=row.event,
        about=row.about,
        state=msgspec.convert(row.state, deliveries.State),
        attempts=row.attempts,
        status_code=row.status_code,
        error=row.error,
        created_at=iso(row.created_ms),
        finished_at=iso_or_none(row.finished_ms),
        next_attempt_at=iso_or_none(next_ms),
        payload=payload if call.is_admin else payloads.without_keys(payload),
    )


async def _checked(call: AnyCall, values: dict[str, Any]) -> dict[str, Any]:
    """What was given, if it can be.

    Raises:
        ApiError: 400, naming the member.
    """
    check_text("name", values.get("name"))
    if "url" in values:
        host, port = check_url(values["url"])
        await _vet(call, host, port)
    if "events" in values:
        values = {**values, "events": list(dict.fromkeys(values["events"]))}
    return values


def check_url(text: str) -> tuple[str, int]:
    """The host and port of a URL that a webhook may have; whether they may be called is another question.

    Raises:
        ApiError: 400.
    """
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ApiError(400, "url: only printable ASCII characters are allowed")
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise ApiError(400, "url: it is not a valid URL") from error
    if url.scheme not in ("http", "https"):
        raise ApiError(400, "url: it has to start with http:// or https://")
    if not host or not _HOST_CHARACTERS.issuperset(host):
        raise ApiError(400, "url: it names no host")
    if "@" in text.split("/")[2]:
        raise ApiError(400, "url: it must not hold a user name or a password")
    if url.fragment:
        raise ApiError(400, "url: it must not have a fragment")
    port = (443 if url.scheme == "https" else 80) if url.port is None else url.port
    if not 0 < port < 65536:
        raise ApiError(400, "url: its port is none")
    return host.strip("[]"), port


async def _vet(call: AnyCall, host: str, port: int) -> None:
    """Say early what every delivery would say; a name that has no address yet may get one."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            await call.service.webhooks.outbound.addresses(host, port)
    except Forbidden as error:
        raise ApiError(400, f"url: {error}; webhooks.allow_networks may allow it") from error
    except (NotResolved, TimeoutError) as error:
        if _is_address(host):
            raise ApiError(400, f"url: {error}") from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_WEBHOOKS = APP + "/webhooks"
_WEBHOOK = _WEBHOOKS + "/{webhook_id}"
_DELIVERIES = _WEBHOOK + "/deliveries"
_DELIVERY = _DELIVERIES + "/{delivery_id}"


def _operation(name: str, method: str, path: str, summary: str, handler: Any, response: Any, **more: Any) -> Operation:
    permission: Permission = "read" if method == "GET" else "admin"
    return Operation(name, method, path, summary, handler, response, permission=permission, tag="Webhooks", **more)


OPERATIONS = [
    _operation(
        "create_webhook",
        "POST",
        _WEBHOOKS,
        "Add a webhook",
        create,
        Answer[Webhook],
        body=WebhookBody,
        body_required=True,
        status=201,
    ),
    _operation("get_webhooks", "GET", _WEBHOOKS, "Fetch all webhooks of an app", list_all, ListAnswer[Webhook]),
    _operation(
        "get_webhook_events",
        "GET",
        _WEBHOOKS + "/all",
        "Fetch the names of the events that webhooks are told",
        event_names,
        ListAnswer[EventName],
    ),
    _operation("get_webhook_by_id", "GET", _WEBHOOK, "Fetch a webhook", show, Answer[Webhook]),
    _operation(
        "replace_webhook",
        "PUT",
        _WEBHOOK,
        "Replace a webhook",
        replace,
        Answer[Webhook],
        body=WebhookBody,
        body_required=True,
    ),
    _operation(
        "edit_webhook",
        "PATCH",
        _WEBHOOK,
        "Edit a webhook",
        edit,
        Answer[Webhook],
        body=EditWebhook,
        body_required=True,
    ),
    _operation("delete_webhook", "DELETE", _WEBHOOK, "Delete a webhook with its log", delete, Answer[Webhook]),
    _operation(
        "get_webhook_deliveries",
        "GET",
        _DELIVERIES,
        "Fetch what a webhook was told, the newest first",
        list_deliveries,
        Page[Delivery],
        query=ListDeliveries,
    ),
    _operation(
        "get_webhook_delivery",
        "GET",
        _DELIVERY,
        "Fetch one delivery with its attempts",
        show_delivery,
        Answer[DeliveryWithAttempts],
    ),
    _operation(
        "redeliver",
        "POST",
        _DELIVERY + "/redeliver",
        "Deliver an event again, or now what waits for its next attempt",
        redeliver,
        Answer[Message],
    ),
]
