"""HTTP of the whole server where clients do what they should not: refusals arrive, the API's in its own words."""

from __future__ import annotations

import json
import socket

from tests.support import Server


def exchange(server: Server, *lines: str, body: bytes = b"") -> tuple[int, dict[str, object]]:
    """Send a request of a bearer whole, then read the answer to its end."""
    host, _, port = server.ready["http"].rpartition(":")
    token = f"Authorization: Bearer {server.credentials['api_token']}"
    head = "\r\n".join([*lines, "Host: test", "Connection: close", token, "", ""]).encode()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2])


def test_the_api_refuses_in_its_own_words(server: Server) -> None:
    """Both error envelopes, whatever was wrong."""
    access = server.credentials
    url = f"/client/v4/accounts/{access['account_id']}/realtime/kit/{access['app_id']}/livestreams"
    size = 20 << 20
    typed = (f"Content-Length: {size}", "Content-Type: application/json")
    answers = [
        exchange(server, f"FOO {url} HTTP/1.1"),
        exchange(server, f"FOO {url} HTTP/1.1", "Content-Length: 2", body=b"{}"),
        exchange(server, f"POST {url} HTTP/1.1", *typed, body=bytes(size)),
    ]
    assert [status for status, _ in answers] == [405, 405, 413]
    for _, body in answers:
        assert body["success"] is False and body["errors"] and body["error"]
