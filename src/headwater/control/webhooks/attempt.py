"""One attempt to deliver: an HTTP request to a vetted address, and what came of it in words.

No redirect is followed, no proxy of the environment is used, a connection serves one request, and of an answer no more
than its status, its `Retry-After` and its first bytes is looked at.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import httpcore
import httpx

from headwater import __version__
from headwater.control.repository.event_log import plain_text
from headwater.control.webhooks.backoff import Outcome
from headwater.control.webhooks.bounded import BoundedBackend
from headwater.outbound import Forbidden, NotResolved, Outbound

ANSWER_LIMIT: Final = 1024
"""Bytes of an answer that are kept: enough for its error message."""

ANSWER_TIMEOUT_S: Final = 1.0
"""How long an answer's body is waited for once its status is there; it decides nothing."""

ADDRESSES_TRIED: Final = 3
"""Addresses of a host that are connected to, one after the other, while there is time."""

ERROR_LIMIT: Final = 300

_LATER: Final = frozenset({429, 503})
"""Answers whose `Retry-After` counts (RFC 9110, 10.2.3)."""


class Caller:
    """Makes attempts; several at once."""

    def __init__(self, outbound: Outbound, timeout_s: float, *, tls: ssl.SSLContext | None = None) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._tls = tls
        self._http: httpx.AsyncClient | None = None

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            # SSL_CERT_FILE counts, proxies of the environment do not: they would connect to where we did not look.
            # No connection is kept: the pool knows an address and not the host that its certificate was checked for.
            tls = self._tls or httpx.create_ssl_context()
            transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
            transport._pool = httpcore.AsyncConnectionPool(
                ssl_context=tls, max_connections=None, max_keepalive_connections=0, network_backend=BoundedBackend()
            )
            self._http = httpx.AsyncClient(
                transport=transport,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(self._timeout_s, connect=self._timeout_s / 2),
            )
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """POST a body; whatever goes wrong is an outcome."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(httpx.URL(url), body, headers)
        except TimeoutError:
            return Outcome(None, error=f"no answer within {self._timeout_s:g} s")
        except (Forbidden, NotResolved) as error:
            return Outcome(None, error=_short(str(error)))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Outcome(None, error=_words(error, self._timeout_s))

    async def _post(self, url: httpx.URL, body: bytes, headers: dict[str, str]) -> Outcome:
        host = url.raw_host.decode("ascii").strip("[]")
        addresses = await self._outbound.addresses(host, url.port or (443 if url.scheme == "https" else 80))
        for address in addresses[: ADDRESSES_TRIED - 1]:
            try:
                return await self._post_to(address, host, url, body, headers)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
        return await self._post_to(addresses[-1], host, url, body, headers)

    async def _post_to(self, address: str, host: str, url: httpx.URL, body: bytes, headers: dict[str, str]) -> Outcome:
        """To this address; the server still has to show a certificate for the host."""
        fixed = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": f"Headwater/{__version__}",
            "Accept-Encoding": "identity",
        }
        request = self._client().build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={**fixed, **headers},
            extensions={"sni_hostname": host},
        )
        response = await self._client().send(request, stream=True)
        try:
            answer = await _first_bytes(response)
        finally:
            await response.aclose()
        code = response.status_code
        outcome = Outcome(code, plain_text(answer.decode("utf-8", "replace"), ANSWER_LIMIT))
        if outcome.delivered:
            return outcome
        moved = ", and redirects are not followed" if 300 <= code < 400 else ""
        after_s = _seconds(response.headers.get("retry-after")) if code in _LATER else None
        return Outcome(code, outcome.answer, f"the receiver answered {code}{moved}", after_s)


async def _first_bytes(response: httpx.Response) -> bytes:
    """The beginning of the body as it was sent, unpacked by nobody; less of it where it is slow."""
    content = bytearray()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            async for piece in response.aiter_raw():
                content += piece
                if len(content) >= ANSWER_LIMIT:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass  # the status has been received; the body decides nothing
    return bytes(content[:ANSWER_LIMIT])


def _seconds(text: str | None) -> float | None:
    """A `Retry-After` in seconds; one that is a date is as good as none."""
    return float(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None


def _words(error: Exception, timeout_s: float) -> str:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {timeout_s / 2:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, httpx.ConnectError):
        return _short(f"no connection: {reason}")
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return _short(f"no HTTP answer: {reason}")
    return _short(reason)


def _short(text: str) -> str:
    return plain_text(text, ERROR_LIMIT)
