"""Publish the source to an RTMP server N times at once, paced by media time; a process of its own.

`python -m benchmarks.replay` reads a JSON plan from standard input (`host`, `port`, `app`, `keys`, `seconds`, `gop`),
prints one JSON line when every publisher is connected and one at the end. It writes one frame at a time, as encoders
do, and never waits for a server that is slow: what piles up is reported as `buffered`.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import sys
import time
from typing import Any

import uvloop

from benchmarks.source import CHUNK_SIZE, Source, header, load
from headwater.protocols import amf0


def _command(*values: Any, stream_id: int = 0) -> bytes:
    body = amf0.encode_all(*values)
    assert len(body) <= 4096
    return b"\x03\0\0\0" + len(body).to_bytes(3, "big") + b"\x14" + stream_id.to_bytes(4, "little") + body


def preamble(host: str, port: int, app: str, key: str) -> bytes:
    """Everything up to publish, sent in one go behind the handshake."""
    chunk_size = b"\x02\0\0\0\0\0\x04\x01\0\0\0\0" + CHUNK_SIZE.to_bytes(4, "big")
    connect = {"app": app, "type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; bench)"}
    connect["tcUrl"] = f"rtmp://{host}:{port}/{app}"
    return (
        chunk_size
        + _command("connect", 1.0, connect)
        + _command("releaseStream", 2.0, None, key)
        + _command("FCPublish", 3.0, None, key)
        + _command("createStream", 4.0, None)
        + _command("publish", 5.0, None, key, "live", stream_id=1)
    )


class Connection(asyncio.Protocol):
    """One publisher: the handshake, then whatever is written; answers are read and dropped."""

    def __init__(self, preamble_: bytes) -> None:
        self._preamble = preamble_
        self._need = 3073
        self.transport: asyncio.Transport
        self.ready = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(b"\x03" + bytes(1536))

    def data_received(self, data: bytes) -> None:
        if self._need > 0:
            self._need -= len(data)
            if self._need <= 0:
                self.transport.write(bytes(1536) + self._preamble)
                self.ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("lost in the handshake"))


async def replay(source: Source, plan: dict[str, Any], sent: Any = None, started: Any = None) -> dict[str, Any]:
    """Publish until `seconds` have passed. `sent(publisher, frame_index, when)` is told of every video frame."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for key in plan["keys"]:
        first = preamble(plan["host"], plan["port"], plan["app"], key)
        _, connection = await loop.create_connection(lambda first=first: Connection(first), plan["host"], plan["port"])  # type: ignore[misc]
        await connection.ready
        for message in source.headers:
            connection.transport.write(header(message, 0) + message.chunks)
        connections.append(connection)
    if started is not None:
        started()
    count = len(connections)
    begin = time.monotonic() + 0.2
    starts = [begin + 2.0 * k / count for k in range(count)]
    due = [(starts[k], k, 0) for k in range(count)]
    frames = [0] * count
    end, late = begin + plan["seconds"], 0.0
    heapq.heapify(due)
    while (now := time.monotonic()) < end:
        while due[0][0] <= now:
            when, k, index = due[0]
            late = max(late, now - when)
            turn, position = divmod(index, len(source.media))
            message = source.media[position]
            connection = connections[k]
            if not connection.lost:
                time_ms = turn * source.duration_ms + message.time_ms
                connection.transport.write(header(message, time_ms) + message.chunks)
                if sent is not None and message.type == 9:
                    sent(k, frames[k], time.monotonic())
                    frames[k] += 1
            turn, position = divmod(index + 1, len(source.media))
            following = (turn * source.duration_ms + source.media[position].time_ms) / 1000
            heapq.heapreplace(due, (starts[k] + following, k, index + 1))
            now = time.monotonic()
        await asyncio.sleep(max(0.0, min(0.005, due[0][0] - time.monotonic())))
    result = {
        "late_ms": round(late * 1000, 1),
        "buffered": sum(c.transport.get_write_buffer_size() for c in connections),
        "lost": sum(c.lost for c in connections),
    }
    for connection in connections:
        connection.transport.abort()
    await asyncio.sleep(0.1)
    return result


def main() -> None:
    plan = json.loads(sys.stdin.read())
    source = load(gop=plan.get("gop", 60))
    print(json.dumps(uvloop.run(replay(source, plan, started=lambda: print("{}", flush=True)))))


if __name__ == "__main__":
    main()
