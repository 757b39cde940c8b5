"""API tokens of an account."""

from __future__ import annotations

from headwater.control.api.call import Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import ACCOUNT, Operation
from headwater.control.api.schemas import (
    Answer,
    CreatedToken,
    CreateToken,
    Message,
    NoQuery,
    Page,
    PageQuery,
    Token,
)
from headwater.control.api.times import iso
from headwater.control.api.validation import check_text
from headwater.control.repository import accounts, tokens
from headwater.control.repository.tokens import TokenRow


async def create(call: Call[NoQuery, CreateToken]) -> Answer[CreatedToken]:
    _for_the_account(call.token)
    body = call.body
    check_text("name", body.name)
    async with call.service.database.write() as conn:
        if body.app_id is not None:
            check_text("app_id", body.app_id)
            if await accounts.get_app(conn, call.account_id, body.app_id) is None:
                raise not_found("The app")
        row, secret = await tokens.create(
            conn,
            call.account_id,
            app_id=body.app_id,
            name=body.name,
            permission=body.permission,
            now_ms=call.now_ms,
        )
    return Answer(CreatedToken(row.id, iso(row.created_ms), row.name, body.permission, row.app_id, secret))


async def list_all(call: Call[PageQuery, None]) -> Page[Token]:
    _for_the_account(call.token)
    offset, limit = window(call.query.page_no, call.query.per_page)
    async with call.service.database.read() as conn:
        rows, total = await tokens.list_page(conn, call.account_id, offset=offset, limit=limit)
    page = [
        Token(row.id, iso(row.created_ms), row.name, "admin" if row.permission == "admin" else "read", row.app_id)
        for row in rows
    ]
    return Page(page, paging(total, offset, len(rows)))


async def revoke(call: Call[NoQuery, None]) -> Answer[Message]:
    _for_the_account(call.token)
    token_id = call.path["token_id"]
    if token_id == call.token.id:
        raise ApiError(409, "A token does not revoke itself: nobody might be left to make another")
    async with call.service.database.write() as conn:
        row = await tokens.revoke(conn, call.account_id, token_id, call.now_ms)
    if row is None:
        raise not_found("The API token")
    call.service.tokens_changed()
    return Answer(Message("Revoked the API token"))


def _for_the_account(token: TokenRow) -> None:
    """A token of one app must not make, see or revoke tokens of the others."""
    if token.app_id is not None:
        raise ApiError(403, "The API token is bound to one app")


OPERATIONS = [
    Operation(
        "create_token",
        "POST",
        ACCOUNT + "/tokens",
        "Create an API token",
        create,
        Answer[CreatedToken],
        permission="admin",
        body=CreateToken,
        body_required=True,
        status=201,
        tag="Tokens",
    ),
    Operation(
        "list_tokens",
        "GET",
        ACCOUNT + "/tokens",
        "Fetch all API tokens of the account",
        list_all,
        Page[Token],
        permission="admin",
        query=PageQuery,
        tag="Tokens",
    ),
    Operation(
        "revoke_token",
        "DELETE",
        ACCOUNT + "/tokens/{token_id}",
        "Revoke an API token",
        revoke,
        Answer[Message],
        permission="admin",
        tag="Tokens",
    ),
]
