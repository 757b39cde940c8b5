"""HTTP around the stream: HEAD, media types, gzip, HTTP/2, CORS, caching."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import (
    Exchange,
    Observation,
    Probe,
    ProbeKind,
    Resource,
    Snapshot,
)
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    answered,
    blocking,
    live,
    low_latency_live,
    probes,
    resources,
    rule,
    seen,
    snapshots,
    tls,
)
from headwater.hlscheck.urls import split

GZIP_WORTH_BYTES = 1_000  # below this compression gains nothing
IMMUTABLE_LEAST_S = 60  # "a long time" for what never changes, at the very least


def _asked(observation: Observation) -> Iterable[Snapshot]:
    return (s for s in snapshots(observation) if s.asked is not None and not s.playlist.ended)


def _head(probe: Probe) -> Iterable[Evidence]:
    get, head = probe.beside, probe.exchange
    assert get is not None
    if get.ok and head.status != get.status:
        yield answered(probe.rendition, head, f"HEAD: {head.describe()}, GET: {get.describe()}")
    elif get.ok and _media_type(head) != _media_type(get):
        yield answered(probe.rendition, head, f"HEAD says {_media_type(head)!r}, GET {_media_type(get)!r}")


def _media_type(exchange: Exchange) -> str:
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower()


@rule(
    "head-playlist",
    "RFC 9110 9.3.2",
    Severity.SHOULD,
    "HEAD of a playlist is answered as GET is",
    "Route HEAD as GET and leave the body out.",
    over=probes(ProbeKind.HEAD_PLAYLIST),
)
def head_playlist(probe: Probe) -> Iterable[Evidence]:
    yield from _head(probe)


@rule(
    "head-media",
    "RFC 9110 9.3.2",
    Severity.SHOULD,
    "HEAD of a segment is answered as GET is",
    "Route HEAD as GET and leave the body out.",
    over=probes(ProbeKind.HEAD_MEDIA),
)
def head_media(probe: Probe) -> Iterable[Evidence]:
    yield from _head(probe)


def _playlist_exchanges(observation: Observation) -> Iterable[tuple[str, Exchange]]:
    """One exchange of each playlist: the multivariant one and the newest of every rendition."""
    if observation.multivariant is not None and observation.multivariant_exchange is not None:
        yield "multivariant playlist", observation.multivariant_exchange
    for rendition in observation.renditions:
        if rendition.snapshots:
            yield rendition.name, rendition.snapshots[-1].exchange


PLAYLIST_TYPES = ("application/vnd.apple.mpegurl", "audio/mpegurl", "application/x-mpegurl", "audio/x-mpegurl")


@rule(
    "playlist-type-header",
    "4",
    Severity.MUST,
    "Playlists are identified by a .m3u8 path or by their media type",
    "Send Content-Type: application/vnd.apple.mpegurl.",
    over=_playlist_exchanges,
)
def playlist_type_header(subject: tuple[str, Exchange]) -> Iterable[Evidence]:
    name, exchange = subject
    path = split(exchange.url).path
    if _media_type(exchange) not in PLAYLIST_TYPES[:2] and not path.endswith((".m3u8", ".m3u")):
        yield Evidence(f"Content-Type is {_media_type(exchange) or 'absent'}", name, exchange.url)


@rule(
    "media-type-header",
    "3.1.2",
    Severity.SHOULD,
    "Fragments of MP4 are sent with a media type of MP4",
    "Send Content-Type: video/mp4 or audio/mp4 (video/iso.segment is right for fragments too).",
    over=lambda o: (r for r in resources(o) if r.exchange.ok and (r.media or r.init)),
)
def media_type_header(resource: Resource) -> Iterable[Evidence]:
    kind = _media_type(resource.exchange)
    if kind not in ("video/mp4", "audio/mp4", "application/mp4", "video/iso.segment", "audio/iso.segment"):
        yield answered(resource.rendition, resource.exchange, f"Content-Type is {kind or 'absent'}")


@rule(
    "gzip",
    "6.2.1",
    Severity.SHOULD,
    "Playlists are sent with gzip to clients that accept it",
    "Compress playlists once per version with Content-Encoding: gzip, and send Vary: Accept-Encoding.",
    over=_playlist_exchanges,
)
def gzip(subject: tuple[str, Exchange]) -> Iterable[Evidence]:
    name, exchange = subject
    encoding = exchange.headers.get("content-encoding", "identity")
    if exchange.size > GZIP_WORTH_BYTES and "gzip" not in encoding:
        yield Evidence(f"{exchange.size} bytes, Content-Encoding is {encoding}", name, exchange.url)


@rule(
    "http2",
    "B.1",
    Severity.MUST,
    "A low-latency stream is served over HTTP/2 or later",
    "Offer h2 in ALPN; Apple's players fall back to regular latency without it.",
    over=lambda o: _playlist_exchanges(o) if o.low_latency else (),
    needs=lambda o: low_latency_live(o) or tls(o),
)
def http2(subject: tuple[str, Exchange]) -> Iterable[Evidence]:
    name, exchange = subject
    if exchange.http_version in ("HTTP/1.1", "HTTP/1.0"):
        yield Evidence(f"the server chose {exchange.http_version}", name, exchange.url)


@rule(
    "cors",
    "Fetch 3.3",
    Severity.SHOULD,
    "Playlists and media may be read by pages of other origins (CORS)",
    "Send Access-Control-Allow-Origin; players in browsers cannot load the stream without it.",
    over=lambda o: _one_of_each(o),
)
def cors(subject: tuple[str, Exchange]) -> Iterable[Evidence]:
    name, exchange = subject
    if "access-control-allow-origin" not in exchange.headers:
        yield Evidence("Access-Control-Allow-Origin is absent", name, exchange.url)


def _one_of_each(observation: Observation) -> Iterable[tuple[str, Exchange]]:
    """An exchange of each playlist and of one init segment, segment and part of every rendition."""
    yield from _playlist_exchanges(observation)
    for rendition in observation.renditions:
        for found in (rendition.inits, rendition.segments, rendition.parts):
            for resource in list(found.values())[-1:]:
                if resource.exchange.ok:
                    yield rendition.name, resource.exchange


def max_age(exchange: Exchange) -> int | None:
    """Seconds that a shared cache may keep an answer; 0 where it must not, None where nothing is said."""
    directives: dict[str, str] = {}
    for item in exchange.headers.get("cache-control", "").lower().split(","):
        name, _, value = item.strip().partition("=")
        directives[name] = value.strip('"')
    if "no-store" in directives or "no-cache" in directives or "private" in directives:
        return 0
    for name in ("s-maxage", "max-age"):
        value = directives.get(name, "")
        if value.isascii() and value.isdigit():
            return int(value[:12])
    return None


@rule(
    "cache-live-playlist",
    "B.1",
    Severity.SHOULD,
    "An answer without directives is cacheable for half a target duration at most",
    "Send Cache-Control with max-age of half a target duration or less, or no-cache.",
    over=lambda o: (s for s in snapshots(o) if s.asked is None and not s.playlist.ended),
    needs=live,
)
def cache_live_playlist(snapshot: Snapshot) -> Iterable[Evidence]:
    age, target = max_age(snapshot.exchange), snapshot.playlist.target_duration or 0
    if age is not None and age > max(1, target / 2):
        yield seen(snapshot, f"cacheable for {age} s, target duration {target}")


@rule(
    "cache-blocking",
    "B.1",
    Severity.SHOULD,
    "An answer to a blocking reload is cacheable, for six target durations",
    "Send Cache-Control: max-age of six target durations; the directives are part of the cache key.",
    over=_asked,
    needs=blocking,
)
def cache_blocking(snapshot: Snapshot) -> Iterable[Evidence]:
    age, target = max_age(snapshot.exchange), snapshot.playlist.target_duration
    if target is None:
        return
    # Held too long it goes stale only by name; not cacheable at all, every viewer reaches the origin.
    if age is None or age < target or age > 6 * target:
        says = "nothing is said about caching" if age is None else f"cacheable for {age} s"
        yield seen(snapshot, f"{says}, six target durations are {6 * target} s")


@rule(
    "cache-media",
    "B.1",
    Severity.SHOULD,
    "Segments, parts and init segments are cacheable for long: they never change",
    "Send Cache-Control: public, max-age=31536000, immutable (or until the resource is removed).",
    over=lambda o: (r for r in resources(o) if r.exchange.ok),
    needs=low_latency_live,
)
def cache_media(resource: Resource) -> Iterable[Evidence]:
    age = max_age(resource.exchange)
    if age is None or age < IMMUTABLE_LEAST_S:
        says = "nothing is said about caching" if age is None else f"cacheable for {age} s"
        yield answered(resource.rendition, resource.exchange, says)


@rule(
    "one-host",
    "B.1",
    Severity.SHOULD,
    "All media playlists of a stream are on one host",
    "Serve the whole stream from one host, so that switching renditions needs no new connection.",
    over=lambda o: [o],
    needs=low_latency_live,
)
def one_host(observation: Observation) -> Iterable[Evidence]:
    hosts = {split(r.url).netloc: r for r in observation.renditions}
    if len(hosts) > 1:
        yield Evidence(f"they are on {', '.join(sorted(hosts))}", "", observation.url)
