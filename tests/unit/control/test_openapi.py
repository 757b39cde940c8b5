"""The description of the API is complete, sound, and open to anybody."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec

from headwater.control.api.catalogue import OPERATIONS
from tests.unit.control.support import Api


async def _document(api: Api) -> dict[str, Any]:
    async with httpx.AsyncClient(transport=api.http._transport, base_url=api.http.base_url) as http:
        response = await http.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


async def test_every_operation_is_described(api: Api) -> None:
    document = await _document(api)
    assert document["openapi"].startswith("3.1.")
    described = {entry["operationId"] for methods in document["paths"].values() for entry in methods.values()}
    assert described == {operation.name for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)


async def test_every_reference_leads_somewhere(api: Api) -> None:
    document = await _document(api)
    text = msgspec.json.encode(document).decode()
    referenced = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert referenced <= set(document["components"]["schemas"])
    assert set(document["components"]["schemas"]) <= referenced, "nothing is described that is not used"
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in document["components"]["schemas"])


async def test_path_parameters_are_described(api: Api) -> None:
    for path, methods in (await _document(api))["paths"].items():
        wanted = set(re.findall(r"{(\w+)}", path))
        for entry in methods.values():
            assert {parameter["name"] for parameter in entry["parameters"] if parameter["in"] == "path"} == wanted


async def test_the_page_needs_nothing_from_elsewhere(api: Api) -> None:
    """No script, no font, no style of another host: it reads offline."""
    response = await api.http.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in response.text
    assert not re.findall(r"<(script|link|img|iframe)", response.text)
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", response.text)


async def test_a_forged_host_is_text(api: Api) -> None:
    response = await api.http.get("/docs", headers={"Host": '"><script>alert(1)</script>'})
    assert "<script" not in response.text
