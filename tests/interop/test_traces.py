"""Traces as a collector gets them: OTLP over HTTP, read with OpenTelemetry's own protocol definitions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.e2e.support import card_command, create, played, running
from tests.support import Server, running_server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OTLP receiver.

    Attributes:
        spans: What has come.
        services: service.name of the resources.
        headers: Values of `x-collector-key`.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.headers: set[str] = set()
        self.url = ""

    def take(self, path: str, key: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.headers.add(key)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {entry.key: entry.value.string_value for entry in of_resource.resource.attributes}
            self.services.add(attributes["service.name"])
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans

    def one(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.take(self.path, self.headers["x-collector-key"] or "", body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Span) -> dict[str, str]:
    return {entry.key: entry.value.string_value for entry in span.attributes}


def ask(server: Server, path: str) -> int:
    headers = {
        "authorization": f"Bearer {server.credentials['api_token']}",
        "traceparent": f"00-{TRACE}-{PARENT}-01",
    }
    base = f"{server.http}/client/v4/accounts/{server.credentials['account_id']}/realtime/kit"
    return httpx.get(f"{base}/{server.credentials['app_id']}{path}", headers=headers, timeout=20).status_code


def test_a_collector_gets_requests_and_the_whole_broadcast(tmp_path: Path) -> None:
    with collector() as received:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-collector-key=collector-secret",
            "OTEL_SERVICE_NAME": "live-1",
        }
        with running_server(tmp_path / "data", env=environment) as server:
            made = create(server)
            with running(card_command(server.rtmp + made.stream_key)):
                played(made.playback_url)
                assert ask(server, f"/livestreams/{made.id}") == 200
                assert server.terminate() == 0
            log = server.log.read_text()

    assert (received.services, received.headers) == ({"live-1"}, {"collector-secret"})
    route = "/client/v4/accounts/{account_id}/realtime/kit/{app_id}/livestreams/{livestream_id}"
    request = received.one(f"GET {route}")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER and attributes(request)["headwater.livestream_id"] == made.id

    session = received.one("livestream.session")
    assert attributes(session)["headwater.livestream_id"] == made.id
    assert session.status.code == Status.STATUS_CODE_UNSET
    children = [received.one(f"livestream.{name}") for name in ("start", "publisher", "recording")]
    assert {child.parent_span_id for child in children} == {session.span_id}
    assert {child.trace_id for child in children} == {session.trace_id}
    start, publisher, recording = children
    assert session.start_time_unix_nano == start.start_time_unix_nano <= publisher.start_time_unix_nano
    assert start.start_time_unix_nano < start.end_time_unix_nano <= session.end_time_unix_nano
    assert publisher.end_time_unix_nano <= recording.end_time_unix_nano
    assert attributes(session)["headwater.session_id"] in attributes(recording)["headwater.recording"]

    everything = b"".join(span.SerializeToString() for span in received.spans)
    for secret in (made.stream_key, server.credentials["api_token"], "collector-secret"):
        assert secret.encode() not in everything and secret not in log


def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with running_server(tmp_path / "data", env=environment) as server:
        create(server)
        assert ask(server, "/livestreams") == 200
        assert server.terminate() == 0
