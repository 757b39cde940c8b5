"""(d) From a part's last frame to its listing, and (e) from the first publish byte to a playable playlist.

Measured from outside, over real sockets: the replay notes when it has written each video frame, and one player a
livestream sits in blocking reload and notes when the playlist that lists a part has arrived. Both share one clock and
one process, so a figure holds the way there and back and the client's own scheduling; a bound is printed beside it: the
time that a bare asyncio server takes to answer a waiting client after the same kind of write, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import uvloop

from benchmarks.measure import pin
from benchmarks.replay import replay
from benchmarks.servers import RunningServer, headwater
from benchmarks.source import Source, load

FRAMES_PER_SECOND = 30


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def attribute(line: str, name: str) -> str:
    """The value of an attribute of a playlist line."""
    for field in line.split(":", 1)[1].split(","):
        key, _, value = field.partition("=")
        if key == name:
            return value.strip('"')
    raise KeyError(name)


class Connection:
    """A kept-alive HTTP/1.1 connection with little in it: the client must not be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def get(self, url: str) -> tuple[int, str]:
        """Status and body."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._writer.write(f"GET {target} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head[9:12]), (await self._reader.readexactly(length)).decode()

    def close(self) -> None:
        self._writer.close()


class Player:
    """Follows one video playlist by blocking reload; notes the arrival time of each newly listed part's last frame."""

    def __init__(self, client: Connection, url: str) -> None:
        self._client = client
        self._url = url
        self.listed: list[tuple[int, float]] = []

    async def media_playlist(self) -> str:
        """The URL of the video's media playlist; the server holds the request until there is one."""
        status, text = await self._client.get(self._url)
        while status != 200:
            status, text = await self._client.get(self._url)
        lines = text.splitlines()
        position = next(k for k, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF"))
        return urljoin(self._url, lines[position + 1])

    async def follow(self, until: float) -> None:
        url = await self.media_playlist()
        query = ""
        known: dict[tuple[int, int], float] = {}
        while time.monotonic() < until:
            joint = "&" if "?" in url else "?"
            status, text = await self._client.get(url + (joint + query if query else ""))
            arrived = time.monotonic()
            if status != 200:
                await asyncio.sleep(0.2)
                continue
            query = self._read(text, known, arrived)

    def _read(self, text: str, known: dict[tuple[int, int], float], arrived: float) -> str:
        """Note what is new; returns the next reload's directives."""
        lines = text.splitlines()
        msn = next(int(line.split(":")[1]) for line in lines if line.startswith("#EXT-X-MEDIA-SEQUENCE"))
        part, fresh = 0, []
        for line in lines:
            if line.startswith("#EXT-X-PART:"):
                if (msn, part) not in known:
                    known[msn, part] = float(attribute(line, "DURATION"))
                    fresh.append((msn, part))
                part += 1
            elif line.startswith("#EXTINF"):
                msn, part = msn + 1, 0
        if len(fresh) == 1 and len(known) > 1:
            frames = round(sum(known.values()) * FRAMES_PER_SECOND)
            self.listed.append((frames - 1, arrived))
        return f"_HLS_msn={msn}&_HLS_part={part}"


async def bound(rounds: int = 300) -> list[float]:
    """A bare asyncio server: one connection writes a frame's bytes, another waits for 1.2 KB; seconds per round."""
    waiting: list[asyncio.StreamWriter] = []
    answer, frame = bytes(1200), bytes(12_500)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(1) == b"w":
            waiting.append(writer)
            return
        for _ in range(rounds):
            await reader.readexactly(len(frame))
            waiting[0].write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, waiter = await asyncio.open_connection("127.0.0.1", port)
    waiter.write(b"w")
    _, publisher = await asyncio.open_connection("127.0.0.1", port)
    publisher.write(b"p")
    took = []
    for _ in range(rounds):
        await asyncio.sleep(0.003)
        since = time.monotonic()
        publisher.write(frame)
        await reader.readexactly(len(answer))
        took.append(time.monotonic() - since)
    for writer in (waiter, publisher, *waiting):
        writer.close()
    server.close()
    return took


async def listing(server: RunningServer, source: Source, streams: int, seconds: float) -> list[float]:
    """(d): seconds from a part's last frame, written, to its listing, read."""
    made = [server.create(f"latency-{k}") for k in range(streams)]
    plan = {"host": "127.0.0.1", "port": server.rtmp_port, "app": "live", "seconds": seconds}
    plan["keys"] = [livestream["stream_key"] for livestream in made]
    written: dict[tuple[int, int], float] = {}

    def sent(publisher: int, frame: int, when: float) -> None:
        written[publisher, frame] = when

    publishing = asyncio.create_task(replay(source, plan, sent))
    await asyncio.sleep(1)
    until = time.monotonic() + seconds - 2
    urls = [livestream["playback_url"] for livestream in made]
    connections = [await Connection.open(url) for url in urls]
    players = [Player(client, url) for client, url in zip(connections, urls, strict=True)]
    await asyncio.gather(*(player.follow(until) for player in players))
    await publishing
    for connection in connections:
        connection.close()
    return [
        arrived - written[k, frame]
        for k, player in enumerate(players)
        for frame, arrived in player.listed
        if (k, frame) in written
    ]


async def first_playlist(server: RunningServer, source: Source, rounds: int) -> list[float]:
    """(e): seconds from the first publish byte to a media playlist with a segment, polled as a player does."""
    took = []
    for k in range(rounds):
        made = server.create(f"first-{k}")
        plan = {"host": "127.0.0.1", "port": server.rtmp_port, "app": "live", "seconds": 5}
        client = await Connection.open(made["playback_url"])
        publishing = asyncio.create_task(replay(source, {**plan, "keys": [made["stream_key"]]}))
        since = time.monotonic()
        player = Player(client, made["playback_url"])
        while "#EXTINF" not in (await client.get(await player.media_playlist()))[1]:
            await asyncio.sleep(0.05)
        took.append(time.monotonic() - since)
        await publishing
        client.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    source = load()
    with tempfile.TemporaryDirectory() as folder, headwater(Path(folder), recording=False) as server:
        pin(server.pid, 0)
        floor = uvloop.run(bound())
        delays = uvloop.run(listing(server, source, options.streams, options.seconds))
        first = uvloop.run(first_playlist(server, source, 3))
    p50, p99 = percentile(delays, 0.5) * 1000, percentile(delays, 0.99) * 1000
    bare50, bare99 = percentile(floor, 0.5) * 1000, percentile(floor, 0.99) * 1000
    print(f"(d) part listed after its last frame, {options.streams} livestreams, {len(delays)} parts:")
    print(
        f"    p50 {p50:.2f} ms  p99 {p99:.2f} ms   bare asyncio: p50 {bare50:.2f}  p99 {bare99:.2f}"
        f"   ratio p50 {p50 / bare50:.1f}"
    )
    print(
        f"(e) first playable playlist (GOP 2 s): median {statistics.median(first):.2f} s,"
        f" worst {max(first):.2f} s, aim 2.5 s"
    )


if __name__ == "__main__":
    main()
