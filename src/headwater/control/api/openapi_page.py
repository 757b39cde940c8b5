"""The OpenAPI document as a page to read: one HTML file without a script and without anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

DEPTH_LIMIT = 6
"""How deep structs are drawn inside each other; ours nest four deep."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --ink: #246; }
@media (prefers-color-scheme: dark) { :root { --ink: #9cf; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-bottom: 2px solid var(--line); }
nav ul { columns: 18rem; padding-left: 1.2rem; } a { color: var(--ink); }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; padding: .5rem .9rem; }
summary { cursor: pointer; } summary code { overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; color: var(--ink); }
.permission { float: right; font-size: .8rem; border: 1px solid var(--line); border-radius: 1rem; padding: 0 .6rem; }
ul.fields { list-style: none; padding-left: 1.1rem; border-left: 2px solid var(--soft); margin: .2rem 0; }
.kind { opacity: .7; } pre { background: var(--soft); padding: .7rem; border-radius: .4rem; overflow-x: auto; }
h4 { margin: .9rem 0 .2rem; }
"""


def page(document: dict[str, Any]) -> str:
    """Render the document."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    links: dict[str, list[str]] = {tag: [] for tag in by_tag}
    base = document["servers"][0]["url"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation["tags"][0]
            by_tag[tag].append(_operation(document, base, method.upper(), path, operation))
            name = escape(operation["operationId"])
            links[tag].append(f'<li><a href="#{name}">{escape(operation["summary"])}</a></li>')
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(entries)}" for tag, entries in by_tag.items())
    contents = "".join(link for entries in links.values() for link in entries)
    info = document["info"]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} API</h1><p class=kind>{escape(info['version'])} · base URL "
        f"<code>{escape(base)}</code> · <a href=openapi.json>openapi.json</a></p>"
        f"<p>{_prose(info['description'])}</p><nav><ul>{contents}</ul></nav>{sections}</html>"
    )


def _prose(text: str) -> str:
    """Escaped, with `code` as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _operation(document: dict[str, Any], base: str, method: str, path: str, operation: dict[str, Any]) -> str:
    short = path.replace("/accounts/{account_id}/realtime/kit", "…")
    body = operation.get("requestBody")
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><span class=permission>'
        f"{escape(operation['x-permission'])}</span><span class=method>{method}</span> "
        f"<code>{escape(short)}</code><br>{escape(operation['summary'])}</summary>",
        f"<p><code>{escape(path)}</code></p>",
        _parameters(document, operation["parameters"]),
    ]
    if body is not None:
        needed = "" if body["required"] else " <span class=kind>(may be left out)</span>"
        parts.append(f"<h4>Body{needed}</h4>{_fields(document, _schema_of(body), DEPTH_LIMIT)}")
    parts.append(f"<pre>{escape(_curl(base, method, path, body is not None))}</pre>")
    for status, response in operation["responses"].items():
        if status != "default":
            parts.append(f"<h4>Answer {status}</h4>{_fields(document, _schema_of(response), DEPTH_LIMIT)}")
    return "".join(parts) + "</details>"


def _schema_of(content: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = content["content"]["application/json"]["schema"]
    return schema


def _curl(base: str, method: str, path: str, has_body: bool) -> str:
    lines = [f"curl -X {method} '{base}{path}'", '  -H "Authorization: Bearer $HEADWATER_API_TOKEN"']
    if has_body:
        lines += ["  -H 'Content-Type: application/json'", "  -d '{}'"]
    return " \\\n".join(lines)


def _parameters(document: dict[str, Any], parameters: list[dict[str, Any]]) -> str:
    query = [parameter for parameter in parameters if parameter["in"] == "query"]
    if not query:
        return ""
    rows = "".join(_field(document, entry["name"], entry["schema"], 1) for entry in query)
    return f"<h4>Query</h4><ul class=fields>{rows}</ul>"


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its reference, and without the null that it may also be."""
    for option in schema.get("anyOf", []):
        if option != {"type": "null"}:
            schema = {**schema, **option}
    if "$ref" in schema:
        found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return {**found, **{name: value for name, value in schema.items() if name == "description"}}
    return schema


def _fields(document: dict[str, Any], schema: dict[str, Any], depth: int) -> str:
    resolved = _resolve(document, schema)
    if resolved.get("type") == "array":
        resolved = _resolve(document, resolved["items"])
    properties = resolved.get("properties", {})
    if not properties or depth == 0:
        return ""
    rows = "".join(_field(document, name, kind, depth) for name, kind in properties.items())
    return f"<ul class=fields>{rows}</ul>"


def _field(document: dict[str, Any], name: str, schema: dict[str, Any], depth: int) -> str:
    resolved = _resolve(document, schema)
    description = schema.get("description") or resolved.get("description") or ""
    text = f" {_prose(description)}" if description and "properties" not in resolved else ""
    kind = _kind(document, schema)
    return f"<li><code>{escape(name)}</code> <span class=kind>{escape(kind)}</span>{text}" + (
        f"{_fields(document, schema, depth - 1)}</li>"
    )


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    nullable = {"type": "null"} in schema.get("anyOf", [])
    resolved = _resolve(document, schema)
    if "enum" in resolved:
        kind = " | ".join(str(value) for value in resolved["enum"])
    elif resolved.get("type") == "array":
        kind = f"array of {_kind(document, resolved['items'])}"
    else:
        kind = str(resolved.get("type", "any"))
    return f"{kind} or null" if nullable else kind
