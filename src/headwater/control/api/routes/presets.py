"""Presets of an app."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.preset_schemas import PRESETS_LIMIT, EditPreset, Preset, PresetBody, PresetListItem
from headwater.control.api.schemas import Answer, NoQuery, Page, PageQuery
from headwater.control.api.times import iso
from headwater.control.api.validation import check_text
from headwater.control.presets import merged
from headwater.control.repository import accounts, presets
from headwater.control.repository.presets import PresetRow

ROLE_OF_OTHERS = "viewer"
"""What a preset that was made by the API goes by where it says nothing: the least."""


async def create(call: Call[NoQuery, PresetBody]) -> Answer[Preset]:
    check_text("name", call.body.name)
    settings = _given(call.body)
    async with call.service.database.write() as conn:
        await accounts.lock_app(conn, call.app_id)  # two of one name meet here
        await _check_name_is_free(conn, call, call.body.name)
        if await presets.count(conn, call.app_id) >= PRESETS_LIMIT:
            raise ApiError(409, f"The app has {PRESETS_LIMIT} presets already; delete one first")
        row = await presets.create(
            conn, call.app_id, name=call.body.name, role=ROLE_OF_OTHERS, settings=settings, now_ms=call.now_ms
        )
    return Answer(shown(row))


async def list_all(call: Call[PageQuery, None]) -> Page[PresetListItem]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    async with call.service.database.read() as conn:
        rows, total = await presets.list_page(conn, call.app_id, offset=offset, limit=limit)
    items = [PresetListItem(row.id, row.name, iso(row.created_ms), iso(row.updated_ms)) for row in rows]
    return Page(items, paging(total, offset, len(rows)))


async def show(call: AnyCall) -> Answer[Preset]:
    async with call.service.database.read() as conn:
        return Answer(shown(await _get(conn, call)))


async def update(call: Call[NoQuery, EditPreset]) -> Answer[Preset]:
    return await _change(call, replace=False)


async def replace(call: Call[NoQuery, PresetBody]) -> Answer[Preset]:
    return await _change(call, replace=True)


async def _change(call: Call[NoQuery, Any], *, replace: bool) -> Answer[Preset]:
    settings = _given(call.body)
    async with call.service.database.write() as conn:
        await accounts.lock_app(conn, call.app_id)
        row = await _get(conn, call, lock=True)
        name = row.name if call.body.name is msgspec.UNSET else call.body.name
        check_text("name", name)
        if name != row.name:
            await _check_name_is_free(conn, call, name)
        if not replace:
            settings = merged(msgspec.json.decode(row.settings), settings)
        await presets.update(conn, row.id, call.now_ms, name=name, settings=settings)
        row = await _get(conn, call)
    call.service.changed()
    return Answer(shown(row))


async def delete(call: AnyCall) -> Answer[Preset]:
    async with call.service.database.write() as conn:
        row = await _get(conn, call, lock=True)
        if await presets.is_used(conn, row.id):
            raise ApiError(409, f"There are participants with the preset {row.name}; give them another one first")
        await presets.delete(conn, row.id)
    return Answer(shown(row))


def _given(body: PresetBody | EditPreset) -> dict[str, Any]:
    """What was given of a preset but its name, as plain JSON values; whole numbers are integers."""
    fields: dict[str, Any] = msgspec.to_builtins(body)
    fields.pop("name", None)
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(row: PresetRow) -> Preset:
    fields = {"id": row.id, "name": row.name, "created_at": iso(row.created_ms), "updated_at": iso(row.updated_ms)}
    return msgspec.convert({**row.definition, **fields}, Preset)


async def _check_name_is_free(conn: AsyncConnection, call: AnyCall, name: str) -> None:
    if await presets.named(conn, call.app_id, name) is not None:
        raise ApiError(409, f"name: the app has a preset {name} already")


async def _get(conn: AsyncConnection, call: AnyCall, *, lock: bool = False) -> PresetRow:
    row = await presets.get(conn, call.app_id, call.path["preset_id"], lock=lock)
    if row is None:
        raise not_found("The preset")
    return row


_PRESETS = APP + "/presets"
_PRESET = _PRESETS + "/{preset_id}"

OPERATIONS = [
    Operation(
        "create_preset",
        "POST",
        _PRESETS,
        "Create a preset",
        create,
        Answer[Preset],
        permission="admin",
        body=PresetBody,
        body_required=True,
        status=201,
        tag="Presets",
    ),
    Operation(
        "list_presets",
        "GET",
        _PRESETS,
        "Fetch all presets of an app",
        list_all,
        Page[PresetListItem],
        query=PageQuery,
        tag="Presets",
    ),
    Operation("get_preset", "GET", _PRESET, "Fetch a preset", show, Answer[Preset], tag="Presets"),
    Operation(
        "update_preset",
        "PATCH",
        _PRESET,
        "Update a preset",
        update,
        Answer[Preset],
        permission="admin",
        body=EditPreset,
        body_required=True,
        tag="Presets",
    ),
    Operation(
        "replace_preset",
        "PUT",
        _PRESET,
        "Replace a preset",
        replace,
        Answer[Preset],
        permission="admin",
        body=PresetBody,
        body_required=True,
        tag="Presets",
    ),
    Operation(
        "delete_preset", "DELETE", _PRESET, "Delete a preset", delete, Answer[Preset], permission="admin", tag="Presets"
    ),
]
