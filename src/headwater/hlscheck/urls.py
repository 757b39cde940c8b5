"""URLs from playlists, which may be anything: joining and splitting that never raises."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit


def split(url: str) -> SplitResult:
    """urlsplit; all parts empty but the path for what is no URL (an open bracket, a port that is no number)."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", url, "", "")


def join(base: str, uri: str) -> str:
    """urljoin; the URI itself where it cannot be joined: loading it then fails, and that is the finding."""
    try:
        return urljoin(base, uri)
    except ValueError:
        return uri
