"""The addresses that the API gives out: where to publish, where to watch, where the API is."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from headwater.control.settings import ControlSettings

API_PATH = "/client/v4"

_WILDCARDS = frozenset({"0.0.0.0", "::", "", "*"})

_HOST_LIMIT = 255
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers listen, as (host, port); None: not at all."""

    http: tuple[str, int] | None = None
    https: tuple[str, int] | None = None
    rtmp: tuple[str, int] | None = None
    rtmps: tuple[str, int] | None = None


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
            return f"{scheme}://{host if _is_host(host) else f'127.0.0.1:{bound[1]}'}"
        return f"{scheme}://{_join(*bound)}"

    def api(self) -> str:
        return self.base() + API_PATH

    def playback(self, playback_id: str, scheme: str = "http", host: str | None = None) -> str:
        return f"{self.base(scheme, host)}/{playback_id}/manifest/video.m3u8"

    def ingest(self, scheme: str = "http", host: str | None = None) -> str:
        """The RTMP URL that encoders want beside a stream key; RTMPS where only that is there."""
        if self._public_rtmp_url is not None:
            return self._public_rtmp_url
        plain = self._addresses.rtmp
        name, port = plain or self._addresses.rtmps or ("127.0.0.1", 1935)
        if name in _WILDCARDS:
            name = urlsplit(self.base(scheme, host)).hostname or "127.0.0.1"
        secure = plain is None and self._addresses.rtmps is not None
        return f"{'rtmps' if secure else 'rtmp'}://{_join(name, port)}/live/"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_host(host: str | None) -> bool:
    return host is not None and 0 < len(host) <= _HOST_LIMIT and _HOST_CHARACTERS.issuperset(host)
