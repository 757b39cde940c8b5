"""One attempt over real sockets: what is sent, what of an answer is looked at, and where it may go."""

from __future__ import annotations

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headwater.control.database import open_database
from headwater.control.webhooks import signing
from headwater.control.webhooks.attempt import ANSWER_LIMIT, Caller
from headwater.control.webhooks.bounded import READ_LIMIT
from headwater.control.webhooks.signing import Key
from headwater.outbound import Outbound
from tests.e2e.conftest import certificate  # noqa: F401 - the fixture
from tests.support import require

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HERE = ("127.0.0.1", "::1")


def caller(
    *, found: tuple[str, ...] = ("127.0.0.1",), timeout_s: float = 5.0, tls: ssl.SSLContext | None = None
) -> Caller:
    async def resolver(_host: str, _port: int) -> list[str]:
        return list(found)

    return Caller(Outbound(HERE, resolver=resolver), timeout_s, tls=tls)


class Server:
    """Answers each connection as it is told to and remembers what came."""

    def __init__(self, answer: bytes | Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")
            )
            self.requests.append(head + await reader.readexactly(length))
            if callable(self.answer):
                await self.answer(reader, writer)
            else:
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


async def test_the_request_names_the_host_and_goes_to_the_address() -> None:
    async with serving(OK) as server:
        calling = caller()
        outcome = await calling.post(f"http://hooks.example:{server.port}/a?b=c", b"{}", {"rtk-uuid": "u"})
        await calling.close()
    assert (outcome.status_code, outcome.answer, outcome.error) == (200, "fine", None)
    (request,) = server.requests
    assert request.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: hooks.example:{server.port}".encode() in request
    for line in (b"Content-Type: application/json", b"rtk-uuid: u", b"User-Agent: Headwater/"):
        assert line in request
    assert request.endswith(b"\r\n\r\n{}")


async def test_a_certificate_has_to_be_the_hosts(certificate: tuple[Path, Path]) -> None:  # noqa: F811
    """The connection goes to an address, and TLS still asks for the name in the URL: `localhost` is certified here."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(*certificate)
    names: list[str | None] = []
    theirs.sni_callback = lambda _socket, name, _context: names.append(name)
    ours = ssl.create_default_context(cafile=str(certificate[0]))
    async with serving(OK, theirs) as server:
        calling = caller(tls=ours)
        good = await calling.post(f"https://localhost:{server.port}/", b"{}", {})
        bad = await calling.post(f"https://other.example:{server.port}/", b"{}", {})
        await calling.close()
    assert good.delivered, good
    assert not bad.delivered and bad.status_code is None
    assert "certificate" in str(bad.error)
    assert names == ["localhost", "other.example"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://hooks.example/", "http://10.0.0.1/", "http://[::ffff:127.0.0.9]/"])
async def test_nothing_is_sent_to_an_address_that_is_not_public(url: str) -> None:
    outcome = await caller(found=("10.0.0.1",)).post(url, b"{}", {})
    assert outcome.away
    assert "not a public address" in str(outcome.error)


async def test_the_address_is_vetted_at_each_attempt() -> None:
    """A name that was public and then leads home is not followed there."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def resolver(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    async with serving(OK) as server:
        calling = Caller(Outbound(HERE, resolver=resolver), 5.0)
        url = f"http://hooks.example:{server.port}/"
        first, second = [await calling.post(url, b"{}", {}) for _ in range(2)]
        await calling.close()
    assert first.delivered and not second.delivered
    assert len(server.requests) == 1


async def test_redirects_are_not_followed() -> None:
    async with serving(OK) as home:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{home.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(moved) as server:
            calling = caller()
            outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
            await calling.close()
    assert outcome.status_code == 307
    assert outcome.error == "the receiver answered 307, and redirects are not followed"
    assert home.requests == []


async def test_the_next_address_is_tried_where_nobody_listens() -> None:
    async with serving(OK) as server:
        calling = caller(found=("::1", "127.0.0.1"))
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.delivered, outcome


async def test_of_an_endless_answer_the_beginning_is_read() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with serving(endless) as server:
        calling = caller()
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert (outcome.status_code, outcome.answer) == (200, "x" * ANSWER_LIMIT)


@pytest.mark.parametrize("piece", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"X: " + b"y" * 1000 + b"\r\n"])
async def test_of_what_never_becomes_an_answer_only_so_much_is_read(piece: bytes) -> None:
    """Interim answers, or a head, without end: given up long before the time is over."""

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"103" not in piece:
            writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(piece * 100)
            await writer.drain()

    async with serving(endless) as server:
        calling = caller(timeout_s=60.0)
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.away and f"more than {READ_LIMIT} bytes" in str(outcome.error)


async def test_a_body_that_does_not_come_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.control.webhooks.attempt.ANSWER_TIMEOUT_S", 0.05)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        await reader.read()

    async with serving(slow) as server:
        calling = caller()
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.delivered


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 200_000, "no HTTP answer"),
    ],
)
async def test_what_is_no_answer(answer: bytes, words: str) -> None:
    async with serving(answer) as server:
        calling = caller()
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.status_code is None
    assert words in str(outcome.error)


async def test_a_receiver_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as server:
        calling = caller(timeout_s=0.2)
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.away
    assert outcome.error == "no answer within 0.2 s"


async def test_nobody_listens() -> None:
    async with serving(OK) as server:
        pass
    calling = caller()
    outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
    await calling.close()
    assert outcome.away
    assert str(outcome.error).startswith("no connection")


async def test_retry_after_is_read_where_it_counts() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    async with serving(busy) as server:
        calling = caller()
        outcome = await calling.post(f"http://hooks.example:{server.port}/", b"{}", {})
        await calling.close()
    assert outcome.retry_after_s == 120


def verified(folder: Path) -> str:
    """What openssl says of `signature` and `body` by `key.pem`."""
    command = [require("openssl"), "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "body"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return run.stdout + run.stderr


class TestSignature:
    async def test_openssl_verifies_it(self, tmp_path: Path, database_url: str | None) -> None:
        """By the key that is published, over the raw body; another body does not fit."""
        database = await open_database(database_url, tmp_path)
        signer = await Key(database).signer()
        again = await Key(database).signer()
        await database.close()
        assert again.public_pem == signer.public_pem, "the key stays"
        body = '{"event":"livestreaming.statusUpdate","title":"Grüße"}'.encode()
        (tmp_path / "key.pem").write_text(signer.public_pem)
        (tmp_path / "signature").write_bytes(base64.b64decode(signer.sign(body), validate=True))
        for content, said in ((body, "Verified OK"), (body + b" ", "Verification failure")):
            (tmp_path / "body").write_bytes(content)
            assert said in verified(tmp_path)

    async def test_two_servers_that_start_together_have_one_key(
        self, tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signing, "KEY_BITS", 1024)
        databases = [await open_database(database_url, tmp_path) for _ in range(2)]
        signers = await asyncio.gather(*(Key(database).signer() for database in databases))
        for database in databases:
            await database.close()
        assert signers[0].public_pem == signers[1].public_pem
