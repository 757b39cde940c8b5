"""How the server answers: blocking reload, hints, availability, HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import (
    Exchange,
    HintRequest,
    Kind,
    Observation,
    Probe,
    ProbeKind,
    Rendition,
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
    number,
    probes,
    renditions,
    resources,
    rule,
    seen,
    snapshots,
    tls,
)
from headwater.hlscheck.urls import split

PROMPT_S = 1.0  # "at once": what a slow network may take beside it
TRICKLE_S = 0.1  # between first and last byte of a part, beside TRICKLE_SHARE of its duration
TRICKLE_SHARE = 0.3
TRICKLE_TIMES = 4  # slower than the fastest download of the same rendition
GZIP_WORTH_BYTES = 1_000  # below this compression gains nothing
IMMUTABLE_LEAST_S = 60  # "a long time" for what never changes, at the very least


def _asked(observation: Observation) -> Iterable[Snapshot]:
    return (s for s in snapshots(observation) if s.asked is not None and not s.playlist.ended)


@rule(
    "blocking-holds",
    "6.2.5.2",
    Severity.MUST,
    "A blocking reload answers when the asked segment or part is there, not earlier",
    "Hold the request until the playlist has the part; check that no cache answers without regard to the query.",
    over=_asked,
    needs=blocking,
)
def blocking_holds(snapshot: Snapshot) -> Iterable[Evidence]:
    assert snapshot.asked is not None
    msn, part = snapshot.asked
    playlist = snapshot.playlist
    if part is None:
        last = playlist.last_msn
        if last is None or last < msn:
            yield seen(snapshot, f"asked for segment {msn}, the playlist ends with {last}")
        return
    if playlist.last_part is not None and playlist.last_part >= (msn, part):
        return
    if playlist.last_msn is None or playlist.last_msn < msn:
        newest = ".".join(map(str, playlist.last_part)) if playlist.last_part else "none"
        yield seen(snapshot, f"asked for part {msn}.{part}, the newest listed one is {newest}")


@rule(
    "blocking-timeout",
    "6.2.5.2",
    Severity.SHOULD,
    "A reload that blocked for more than three target durations is answered with 503",
    "Bound the wait: answer 503 after three target durations, so that players try another server.",
    over=renditions,
    needs=blocking,
)
def blocking_timeout(rendition: Rendition) -> Iterable[Evidence]:
    newest = rendition.newest
    if newest is None or newest.target_duration is None:
        return
    bound = 3 * newest.target_duration
    exchanges = [s.exchange for s in rendition.snapshots if s.asked] + rendition.failures
    for exchange in exchanges:
        held = (exchange.head_at or exchange.last_byte_at) - exchange.sent_at
        late = "_HLS_msn" in exchange.url and held > bound + PROMPT_S
        if late and exchange.status != 503:
            yield answered(rendition, exchange, f"{exchange.describe()} after {number(held)} s, target {bound // 3}")


@rule(
    "reload-fails",
    "6.2.1",
    Severity.MUST,
    "A live playlist can be loaded whenever it is asked for",
    "Find out why a reload of the next segment or part fails.",
    over=renditions,
)
def reload_fails(rendition: Rendition) -> Iterable[Evidence]:
    for exchange in rendition.failures:
        if exchange.status != 503:  # that is how a server says that the publisher is late
            yield answered(rendition, exchange, exchange.describe())


@rule(
    "no-directives",
    "6.2.5.2",
    Severity.MUST,
    "A request without directives is answered at once",
    "Hold only requests with _HLS_msn: players load the playlist without it first, and older ones always.",
    over=lambda o: (p for p in probes(ProbeKind.HEAD_PLAYLIST)(o) if p.beside is not None and p.beside.ok),
    needs=blocking,
)
def no_directives(probe: Probe) -> Iterable[Evidence]:
    assert probe.beside is not None
    held = probe.beside.head_at - probe.beside.sent_at
    if held > PROMPT_S:
        yield answered(probe.rendition, probe.beside, f"answered after {number(held)} s")


@rule(
    "part-without-msn",
    "6.2.5.2",
    Severity.MUST,
    "_HLS_part without _HLS_msn is refused with 400",
    "Answer 400 to a request that has _HLS_part and no _HLS_msn.",
    over=probes(ProbeKind.PART_WITHOUT_MSN),
    needs=blocking,
)
def part_without_msn(probe: Probe) -> Iterable[Evidence]:
    if probe.exchange.status != 400:
        yield answered(probe.rendition, probe.exchange, f"{probe.exchange.describe()}, not 400")


def _refused(probe: Probe) -> Iterable[Evidence]:
    took = probe.exchange.last_byte_at - probe.exchange.sent_at
    if not 400 <= probe.exchange.status < 500 or took > PROMPT_S:
        text = f"{probe.exchange.describe()} after {number(took)} s, not 400 at once"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "far-msn",
    "6.2.5.2",
    Severity.SHOULD,
    "_HLS_msn of more than two segments beyond the last is refused with 400 at once",
    "Answer 400 where _HLS_msn is larger than the last media sequence number plus two.",
    over=probes(ProbeKind.FAR_MSN),
    needs=blocking,
)
def far_msn(probe: Probe) -> Iterable[Evidence]:
    yield from _refused(probe)


@rule(
    "far-part",
    "6.2.5.2",
    Severity.SHOULD,
    "_HLS_part beyond the advance part limit is refused with 400 at once",
    "Answer 400 where _HLS_part exceeds the last part by more than 3 / PART-TARGET (3 from one second on).",
    over=probes(ProbeKind.FAR_PART),
    needs=blocking,
)
def far_part(probe: Probe) -> Iterable[Evidence]:
    yield from _refused(probe)


def _whole_at_once(probe: Probe, allowed_s: float) -> Iterable[Evidence]:
    exchange = probe.exchange
    took = exchange.last_byte_at - exchange.sent_at
    if probe.playlist is None:
        yield answered(probe.rendition, exchange, f"{exchange.describe()}, not the playlist")
    elif took > allowed_s:
        yield answered(probe.rendition, exchange, f"answered after {number(took)} s")
    elif probe.playlist.last_msn is None or probe.playlist.last_msn < (probe.before.last_msn or 0):
        yield answered(probe.rendition, exchange, f"the playlist ends with segment {probe.playlist.last_msn}")


@rule(
    "old-msn",
    "6.2.5.2",
    Severity.MUST,
    "_HLS_msn of a segment that is there is answered at once with the whole playlist",
    "Do not hold, cut or refuse a request for what the playlist already has.",
    over=probes(ProbeKind.OLD_MSN),
    needs=blocking,
)
def old_msn(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S)


@rule(
    "past-last-part",
    "6.2.5.2",
    Severity.MUST,
    "A part index past a segment's last part means part 0 of the next segment",
    "Treat _HLS_part past the end of a complete segment as the first part of the segment after it.",
    over=probes(ProbeKind.PAST_LAST_PART),
    needs=blocking,
)
def past_last_part(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S + 2 * (probe.before.part_target or 0))


@rule(
    "ended-directives",
    "6.2.5.2",
    Severity.MUST,
    "Directives are ignored once the playlist has EXT-X-ENDLIST",
    "Answer at once with the ended playlist, whatever _HLS_msn and _HLS_part ask for.",
    over=probes(ProbeKind.ENDED_DIRECTIVES),
)
def ended_directives(probe: Probe) -> Iterable[Evidence]:
    yield from _whole_at_once(probe, PROMPT_S)


def _hints(observation: Observation) -> Iterable[tuple[Rendition, HintRequest]]:
    for rendition in observation.renditions:
        for request in rendition.hints.values():
            if request.exchange is not None:
                yield rendition, request


@rule(
    "hint-requestable",
    "6.2.6",
    Severity.MUST,
    "A hinted part can be requested at once: the request is held and then answered",
    "Hold the request for a hinted part until the part is there; never answer 404 while the hint is listed.",
    over=_hints,
    needs=low_latency_live,
)
def hint_requestable(subject: tuple[Rendition, HintRequest]) -> Iterable[Evidence]:
    rendition, request = subject
    exchange = request.exchange
    assert exchange is not None
    if not exchange.ok and not rendition.snapshots[-1].playlist.ended:
        listed = any(
            p.uri == request.hint.uri for s in rendition.snapshots for seg in s.playlist.all_segments for p in seg.parts
        )
        if listed:  # a hint may be withdrawn, and then 404 is right (6.2.6)
            yield answered(rendition, exchange, f"{exchange.describe()}; the part was hinted, and listed later")


@rule(
    "hint-trickled",
    "6.2.6",
    Severity.MUST,
    "No byte of a part is sent before all of it can be sent at full speed",
    "Hold the response until the part is complete; chunks as they are encoded ruin the client's bandwidth estimate.",
    over=lambda o: (r for r in resources(o) if r.kind is Kind.PART and r.exchange.ok),
    needs=low_latency_live,
)
def hint_trickled(resource: Resource) -> Iterable[Evidence]:
    exchange = resource.exchange
    spread = exchange.last_byte_at - exchange.first_byte_at
    duration = resource.listed.duration if resource.listed and resource.listed.duration else 0.0
    if not exchange.size or spread <= max(TRICKLE_S, TRICKLE_SHARE * duration):
        return
    # As slow as the part's own production, while the same server was several times faster with other resources.
    times = _fastest(resource.rendition) * spread / exchange.size
    if times > TRICKLE_TIMES:
        text = f"{exchange.size} bytes took {number(spread)} s from first to last; others came {times:.0f} times faster"
        yield answered(resource.rendition, exchange, text)


def _fastest(rendition: Rendition) -> float:
    """Bytes per second of the fastest download of a part or segment, one millisecond at least each."""
    speeds = [
        r.exchange.size / max(r.exchange.last_byte_at - r.exchange.first_byte_at, 0.001)
        for r in [*rendition.segments.values(), *rendition.parts.values()]
        if r.exchange.ok
    ]
    return max(speeds, default=0.0)


@rule(
    "never-hinted",
    "6.2.6",
    Severity.SHOULD,
    "A part that was never hinted is answered with 404",
    "Hold requests for hinted parts only; answer 404 to all other unknown URLs.",
    over=probes(ProbeKind.NEVER_HINTED),
    needs=low_latency_live,
)
def never_hinted(probe: Probe) -> Iterable[Evidence]:
    took = probe.exchange.last_byte_at - probe.exchange.sent_at
    if probe.exchange.status not in (403, 404, 410) or took > PROMPT_S:
        text = f"{probe.exchange.describe()} after {number(took)} s, not 404 at once"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "removed-part",
    "6.2.2",
    Severity.MUST,
    "A part can be downloaded for three target durations after it left the playlist",
    "Keep parts for three target durations after their EXT-X-PART is gone.",
    over=probes(ProbeKind.REMOVED_PART),
    needs=low_latency_live,
)
def removed_part(probe: Probe) -> Iterable[Evidence]:
    if not probe.exchange.ok and probe.age < 3 * (probe.before.target_duration or 0):
        text = f"{probe.exchange.describe()}, {number(probe.age)} s after it left the playlist"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "removed-segment",
    "6.2.2",
    Severity.MUST,
    "A segment can be downloaded for a playlist duration and its own after it first appeared",
    "Keep segments for one segment duration at least after they left the playlist.",
    over=probes(ProbeKind.REMOVED_SEGMENT),
    needs=live,
)
def removed_segment(probe: Probe) -> Iterable[Evidence]:
    if not probe.exchange.ok:
        text = f"{probe.exchange.describe()}, {number(probe.age)} s after it left the playlist"
        yield answered(probe.rendition, probe.exchange, text)


@rule(
    "available",
    "6.2.1",
    Severity.MUST,
    "Every listed segment, part and init segment can be downloaded at once",
    "List resources when they can be served, or mark them as gaps.",
    over=resources,
)
def available(resource: Resource) -> Iterable[Evidence]:
    if not resource.exchange.ok and not resource.exchange.truncated:
        yield answered(resource.rendition, resource.exchange, f"{resource.kind}: {resource.exchange.describe()}")


@rule(
    "byte-ranges",
    "4.4.4.2",
    Severity.MUST,
    "A request for a listed byte range is answered with that range",
    "Answer Range requests with 206; caches and servers in front must pass them on.",
    over=lambda o: (r for r in resources(o) if r.byterange is not None and r.exchange.ok),
)
def byte_ranges(resource: Resource) -> Iterable[Evidence]:
    if resource.whole_came:
        assert resource.byterange is not None
        text = f"bytes {resource.byterange[0]}-{resource.byterange[1]} were asked for, the whole resource came"
        yield answered(resource.rendition, resource.exchange, text)


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
