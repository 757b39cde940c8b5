"""The addresses that the API gives out: where to publish, where to watch, where the API is."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from headwater.control.settings import ControlSettings

API_PATH = "/client/v4"

SESSION_DIGITS = 12
"""Of a session's id in the URLs of its media."""

_WILDCARDS = frozenset({"0.0.0.0", "::", "", "*"})

_HOST_LIMIT = 255
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers listen, as (host, port); None: not at all. `metrics` is for the operator, and in no answer;
    `webrtc` is UDP, and told in the answers to offers."""

    http: tuple[str, int] | None = None
    https: tuple[str, int] | None = None
    rtmp: tuple[str, int] | None = None
    rtmps: tuple[str, int] | None = None
    metrics: tuple[str, int] | None = None
    webrtc: tuple[str, int] | None = None


class Urls:
    """URLs for what the API answers.

    A configured public URL is used as it is. Otherwise the listening address is; and where that is a wildcard
    (`0.0.0.0`), the host of the request's own `Host` header, because the caller has just reached us under it. Only the
    caller sees that answer, so a forged header harms nobody else; `X-Forwarded-Host` is not looked at.
    """

    def __init__(self, settings: ControlSettings) -> None:
        self._public_url = settings.public_url.rstrip("/") if settings.public_url else None
        self._public_rtmp_url = settings.public_rtmp_url
        self._addresses = Addresses()

    def listening(self, addresses: Addresses) -> None:
        """The servers have been bound."""
        self._addresses = addresses

    def base(self, scheme: str = "http", host: str | None = None) -> str:
        """The HTTP server's root without a trailing slash, for a request of this scheme and `Host` header."""
        if self._public_url is not None:
            return self._public_url
        secure = self._addresses.https if scheme == "https" or self._addresses.http is None else None
        bound = secure or self._addresses.http or ("127.0.0.1", 8080)
        scheme = "https" if secure else "http"
        if bound[0] in _WILDCARDS:
            known = _hostname(host) is not None
            return f"{scheme}://{host if known else f'127.0.0.1:{bound[1]}'}"
        return f"{scheme}://{_join(*bound)}"

    def api(self) -> str:
        return self.base() + API_PATH

    def playback(self, playback_id: str, scheme: str = "http", host: str | None = None) -> str:
        return f"{self.base(scheme, host)}/{playback_id}/manifest/video.m3u8"

    def session(self, playback_id: str, session_id: str, scheme: str = "http", host: str | None = None) -> str:
        """Where one session's recording plays, for as long as it is there."""
        name = session_id.replace("-", "")[:SESSION_DIGITS]
        return f"{self.base(scheme, host)}/{playback_id}/{name}/manifest/video.m3u8"

    def ingest(self, scheme: str = "http", host: str | None = None) -> str:
        """The RTMP URL that encoders want beside a stream key; RTMPS where only that is there."""
        if self._public_rtmp_url is not None:
            return self._public_rtmp_url
        plain = self._addresses.rtmp
        name, port = plain or self._addresses.rtmps or ("127.0.0.1", 1935)
        if name in _WILDCARDS:
            public = urlsplit(self._public_url).hostname if self._public_url is not None else _hostname(host)
            name = public or "127.0.0.1"
        secure = plain is None and self._addresses.rtmps is not None
        return f"{'rtmps' if secure else 'rtmp'}://{_join(name, port)}/live/"

    def loopback_ingest(self) -> str:
        """The same for a publisher in this machine."""
        name, port = self._addresses.rtmp or self._addresses.rtmps or ("127.0.0.1", 1935)
        secure = self._addresses.rtmp is None and self._addresses.rtmps is not None
        host = "127.0.0.1" if name in _WILDCARDS else name
        return f"{'rtmps' if secure else 'rtmp'}://{_join(host, port)}/live/"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hostname(host: str | None) -> str | None:
    """The name or address in a `Host` header (RFC 9110, 7.2), or None where it is not one."""
    if host is None or len(host) > _HOST_LIMIT:
        return None
    name, bracket, rest = host[1:].partition("]") if host.startswith("[") else ("", "", "")
    if bracket:
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            return None
        port = rest.removeprefix(":") if rest.startswith(":") else rest and "no port"
    else:
        name, _, port = host.partition(":")
        if not name or not _NAME_CHARACTERS.issuperset(name):
            return None
    return name if not port or (port.isdecimal() and port.isascii() and len(port) <= 5) else None
