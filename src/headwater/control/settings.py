"""The control plane's settings and limits, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """What the operator decides of the control plane.

    Attributes:
        data_dir: Holds the SQLite database, `credentials.json` and `node-id`; created with mode 0700.
        database_url: `postgresql://...`, `sqlite:///...`, or None: `headwater.db` in `data_dir`.
        public_url: How viewers and callers reach the HTTP server from outside, e.g. `https://live.example.com`;
            None: derived from the listening address (see `urls.py`).
        public_rtmp_url: The ingest URL that encoders are given, e.g. `rtmps://live.example.com:443/live/`.
        record: Whether sessions are recorded to disk.
        reconnect_window_s: How long a lost publisher may come back to the same session.
        download_link_s: How long a recording's download link holds.
        participant_token_s: How long a participant's token lets its holder into a meeting; the API refreshes it.
        cors_origins: Web origins whose scripts may call the API; none by default: a token in a page is a leaked token.
        requests_per_s: Sustained API requests per second of one token; a dashboard that polls ten livestreams needs 10.
        requests_burst: Requests that one token may make at once, e.g. a script that walks all pages.
        failed_auth_per_s: Sustained refused authentications per second of one address.
        failed_auth_burst: Refusals at once; more answer 429. Keys are unguessable: this bounds our own work and log.
        body_limit_bytes: Largest request body; the largest legitimate one (a meeting with all its configs) is 4 KB.
        body_timeout_s: How long a body may take to arrive, so that a slow sender holds no handler.
    """

    data_dir: Path
    database_url: str | None = None
    public_url: str | None = None
    public_rtmp_url: str | None = None
    record: bool = True
    reconnect_window_s: float = 30.0
    download_link_s: float = 6 * 3600
    participant_token_s: float = 7 * 86_400
    cors_origins: tuple[str, ...] = ()
    requests_per_s: float = 50.0
    requests_burst: int = 200
    failed_auth_per_s: float = 1.0
    failed_auth_burst: int = 20
    body_limit_bytes: int = 64 * 1024
    body_timeout_s: float = 10.0
