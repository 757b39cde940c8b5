"""The OpenAPI 3.1 document, made from the operations and their structs: what is served is what is described."""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.control.api.errors import ErrorEnvelope
from headwater.control.api.operations import Operation

REFERENCE = "#/components/schemas/{name}"

DESCRIPTION = """\
A self-hosted livestream service behind the RealtimeKit Livestreams API: official SDKs work unchanged when given this
server's base URL and token. Send the API token as `Authorization: Bearer ...`. A token has the permission `read` or
`admin`; it is bound to an account, and may be bound to one app. Stream keys are empty in answers to `read` tokens.
Times in answers are ISO 8601 in UTC. Refusals carry `error` and `errors`, both with the HTTP status and a sentence.
"""

TAGS = (
    "Livestreams",
    "Meetings",
    "Presets",
    "Sessions",
    "Active session",
    "Recordings",
    "Analytics",
    "Webhooks",
    "Apps",
    "Tokens",
)

_PATH_PARAMETERS = {
    "account_id": "The account.",
    "app_id": "The app.",
    "livestream_id": "The livestream.",
    "session_id": "The session, of a livestream or of a meeting.",
    "recording_id": "The recording.",
    "meeting_id": "The meeting.",
    "participant_id": "The participant.",
    "preset_id": "The preset.",
    "webhook_id": "The webhook.",
    "delivery_id": "The delivery: an event for one webhook.",
    "token_id": "The API token (its id, not its secret).",
}


def document(operations: list[Operation], server_url: str, version: str) -> dict[str, Any]:
    """The document for a server that is reached at `server_url` (its base URL, ending in `/client/v4`)."""
    types = [operation.response for operation in operations]
    types += [operation.query for operation in operations]
    types += [operation.body for operation in operations if operation.body is not None]
    schemas, components = msgspec.json.schema_components([*types, ErrorEnvelope], ref_template=REFERENCE)
    known = dict(zip([id(type_) for type_ in types], schemas, strict=False))
    paths: dict[str, Any] = {}
    for operation in operations:
        entry = _operation(operation, known[id(operation.response)], components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    for operation in operations:
        components.pop(operation.query.__name__, None)  # a query is described by its parameters
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headwater", "version": version, "description": DESCRIPTION, "license": _LICENSE},
        "servers": [{"url": server_url}],
        "security": [{"api_token": []}],
        "tags": [{"name": tag} for tag in TAGS],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"api_token": {"type": "http", "scheme": "bearer"}},
        },
    }


_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _operation(operation: Operation, response: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-permission": operation.permission,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, components)],
        "responses": {
            str(operation.status): {"description": "Done", "content": {"application/json": {"schema": response}}},
            "default": {
                "description": "Refused",
                "content": {"application/json": {"schema": {"$ref": REFERENCE.format(name="ErrorEnvelope")}}},
            },
        },
    }
    if operation.body is not None:
        schema = {"$ref": REFERENCE.format(name=operation.body.__name__)}
        entry["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": schema}},
        }
    return entry


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in names
    ]


def _query_parameters(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[operation.query.__name__]
    parameters = []
    for name, kind in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": False, "schema": _without_null(kind)}
        parameters.append(parameter)
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is there or not; it is never null."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if "anyOf" not in schema or len(options) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name not in ("anyOf", "default")}, **options[0]}
