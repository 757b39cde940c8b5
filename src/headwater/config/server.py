"""The settings of the process itself: where it listens, where it writes, how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from headwater.config.address import Address

HTTP = Address("127.0.0.1", 8080)
RTMP = Address("127.0.0.1", 1935)
WEBRTC = Address("127.0.0.1", 8189)
"""Loopback: who opens a server to the network says so."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where `headwater serve` listens and writes.

    Attributes:
        data: The data folder: database, credentials, recordings. Created if missing, with mode 0700.
        http: HOST:PORT of API, playlists, media and pages over HTTP/1.1. Port 0 picks a free one.
        https: The same over TLS with HTTP/1.1 and HTTP/2; needs tls_cert and tls_key. Apple's players do
            low latency over HTTP/2 only. Empty: not served.
        rtmp: HOST:PORT for encoders over RTMP.
        rtmps: The same over TLS; needs tls_cert and tls_key. Empty: not served.
        webrtc: HOST:PORT, over UDP, of all media of meetings, WHIP and WHEP; their HTTP is that of http and https.
            Empty: not served.
        metrics: HOST:PORT for the operator alone, over HTTP: `/metrics` for Prometheus, `/healthz`, and `/readyz` with
            what is wrong in words. Whoever reaches it may read it. Empty: not served.
        tls_cert: PEM file: the certificate, then its chain.
        tls_key: PEM file: the private key of tls_cert.
        public_url: How viewers and callers reach the HTTP server when it stands behind a proxy or a load balancer, e.g.
            `https://live.example.com`. Empty: by the Host header or the listening address.
        public_rtmp_url: The ingest server that encoders are given, e.g. `rtmps://live.example.com:443/live/`.
            Empty: derived from the listening address.
        database_url: `postgresql://user:password@host/database`. Empty: SQLite in the data folder.
        ready_file: Written as JSON with the listening addresses once the server accepts. Empty: none.
        log_format: `text` for people, `json` for machines, one object a line; `auto`: text on a terminal, else JSON.
        log_level: `debug`, `info`, `warning` or `error`.
    """

    data: Path = Path("headwater-data")
    http: Address = HTTP
    https: Address | None = None
    rtmp: Address = RTMP
    rtmps: Address | None = None
    webrtc: Address | None = WEBRTC
    metrics: Address | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_url: str | None = None
    public_rtmp_url: str | None = None
    database_url: str | None = None
    ready_file: Path | None = None
    log_format: str = "auto"
    log_level: str = "info"

    def problems(self) -> list[tuple[str, str]]:
        """What the values of several keys, or their words, do not allow: (key, what is allowed)."""
        keyless = not (self.tls_cert and self.tls_key)
        listening = [key for key in ("https", "rtmps") if getattr(self, key) is not None]
        found = [(key, "needs tls_cert and tls_key") for key in listening if keyless]
        if bool(self.tls_cert) != bool(self.tls_key):
            found.append(("tls_cert" if self.tls_cert else "tls_key", "tls_cert and tls_key go together"))
        for key, schemes in _SCHEMES.items():
            value = getattr(self, key)
            if value is not None and not _is_url(value, schemes):
                found.append((key, f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}"))
        for key, words in _WORDS.items():
            if getattr(self, key) not in words:
                found.append((key, f"must be {', '.join(words[:-1])} or {words[-1]}"))
        return found


_SCHEMES = {
    "public_url": ("http", "https"),
    "public_rtmp_url": ("rtmp", "rtmps"),
    "database_url": ("postgresql", "sqlite"),
}
_WORDS = {"log_format": ("auto", "text", "json"), "log_level": ("debug", "info", "warning", "error")}


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    scheme = parts.scheme.partition("+")[0]
    return scheme in schemes and (bool(parts.hostname) or scheme in ("sqlite", "postgresql"))
