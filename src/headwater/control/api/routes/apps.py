"""Apps of an account."""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.control.api import render
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError
from headwater.control.api.operations import ACCOUNT, Operation
from headwater.control.api.schemas import Answer, App, CreateApp, CreatedApp, ListApps, NoQuery, Page, UpdateApp
from headwater.control.api.validation import check_text
from headwater.control.repository import accounts


async def create(call: Call[NoQuery, CreateApp]) -> Answer[CreatedApp]:
    if call.token.app_id is not None:
        raise ApiError(403, "The API token is bound to one app")
    check_text("name", call.body.name)
    async with call.service.database.write() as conn:
        row = await accounts.create_app(conn, call.account_id, call.body.name, call.now_ms)
    return Answer(CreatedApp(render.app(row)))


async def list_all(call: Call[ListApps, None]) -> Page[App]:
    check_text("search", call.query.search)
    offset, limit = window(call.query.page_no, call.query.per_page)
    async with call.service.database.read() as conn:
        rows, total = await accounts.list_apps(
            conn,
            call.account_id,
            only_app=call.token.app_id,
            search=call.query.search,
            descending=call.query.sort_order != "ASC",
            offset=offset,
            limit=limit,
        )
    return Page([render.app(row) for row in rows], paging(total, offset, len(rows)))


async def show(call: AnyCall) -> Answer[App]:
    async with call.service.database.read() as conn:
        row = await accounts.get_app(conn, call.account_id, call.app_id)
    assert row is not None, "authentication has looked for it"
    return Answer(render.app(row))


async def update(call: Call[NoQuery, UpdateApp]) -> Answer[App]:
    changes: dict[str, Any] = {
        name: value
        for name, value in (("name", call.body.name), ("record", call.body.record))
        if value is not msgspec.UNSET
    }
    check_text("name", changes.get("name"))
    if changes:
        async with call.service.database.write() as conn:
            await accounts.update_app(conn, call.app_id, **changes)
        call.service.changed()
    return await show(call)


OPERATIONS = [
    Operation(
        "create_app",
        "POST",
        ACCOUNT + "/apps",
        "Create an app",
        create,
        Answer[CreatedApp],
        permission="admin",
        body=CreateApp,
        body_required=True,
        # The product answers 200 here, unlike everywhere else.
        tag="Apps",
    ),
    Operation(
        "list_apps",
        "GET",
        ACCOUNT + "/apps",
        "Fetch all apps of the account",
        list_all,
        Page[App],
        query=ListApps,
        tag="Apps",
    ),
    Operation(
        "update_app",
        "PATCH",
        ACCOUNT + "/apps/{app_id}",
        "Rename an app, or switch its recording",
        update,
        Answer[App],
        permission="admin",
        body=UpdateApp,
        body_required=True,
        tag="Apps",
    ),
    Operation("get_app", "GET", ACCOUNT + "/apps/{app_id}", "Fetch an app", show, Answer[App], tag="Apps"),
]
