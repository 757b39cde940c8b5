"""For each rule, one way to break it and no other: the seeded faults.

A fault is an `Origin` with one place changed. `also` names rules that are broken of necessity with it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headwater.hlscheck.fetch import Request
from headwater.hlscheck.observation import Exchange
from tests.unit.hlscheck import boxes
from tests.unit.hlscheck.origin import (
    FIRST_MSN,
    JUMP,
    JUMP_TICKS,
    PARTS,
    URL,
    V0,
    Asked,
    Origin,
    part_bytes,
    segment_bytes,
)


@dataclass(frozen=True)
class Fault:
    """A broken origin, and the rule that must be found broken."""

    rule: str
    origin: Callable[[], Origin]
    also: frozenset[str] = frozenset()
    url: str = URL
    seconds: float = 9.0


FAULTS: list[Fault] = []


def fault(rule: str, *also: str, url: str = URL, seconds: float = 9.0, **changes: Any) -> None:
    FAULTS.append(Fault(rule, lambda: Origin(**changes), frozenset(also), url, seconds))


Edit = Callable[[Asked, str], str]


def replaced(pattern: str, by: str, *, only: str = "", after: int = 0, count: int = 0) -> Edit:
    """Every match in the media playlists, of one track where `only` names it, from its so-manieth load on."""

    def edit(asked: Asked, text: str) -> str:
        if (only and asked.track.name != only) or asked.loads <= after:
            return text
        return re.sub(pattern, by, text, count=count, flags=re.M)

    return edit


def in_main(pattern: str, by: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        changed = re.sub(pattern, by, text, count=1, flags=re.M)
        assert changed != text, pattern
        return changed

    return edit


def video_only(edit: Edit) -> Edit:
    return lambda asked, text: edit(asked, text) if asked.track.width else text


def full_only(edit: Edit) -> Edit:
    return lambda asked, text: text if asked.skip else edit(asked, text)


def delta_only(edit: Edit) -> Edit:
    return lambda asked, text: edit(asked, text) if asked.skip else text


Answer = Callable[[Asked | None, Request, Exchange], None]


def header(name: str, value: str | None, when: Callable[[Asked | None, Request], bool] = lambda a, r: True) -> Answer:
    def edit(asked: Asked | None, request: Request, exchange: Exchange) -> None:
        if exchange.status == 200 and when(asked, request):
            exchange.headers.pop(name, None)
            if value is not None:
                exchange.headers[name] = value

    return edit


def refused(when: Callable[[Asked | None, Request], bool], status: int = 404) -> Answer:
    def edit(asked: Asked | None, request: Request, exchange: Exchange) -> None:
        if when(asked, request):
            exchange.status, exchange.body, exchange.size = status, b"", 0

    return edit


def of_path(pattern: str) -> Callable[[Asked | None, Request], bool]:
    return lambda asked, request: re.search(pattern, request.url) is not None


# Blocking reload.

fault("blocking-holds", blocks=False)
fault("no-directives", holds_bare=1.5)
fault("part-without-msn", part_needs_msn=False)
fault("far-msn", refuse_far_msn=False)
fault("far-part", refuse_far_part=False)
fault("old-msn", old_blocks=True)
fault("past-last-part", past_last_rolls=False, answer=refused(lambda a, r: bool(a and a.part == PARTS), 404))
fault("ended-directives", ends_at=4.0, answer=refused(lambda a, r: bool(a and a.msn == FIRST_MSN + 22), 400))
fault("reload-fails", answer=lambda a, r, e: _fail_once(a, e))


def _fail_once(asked: Asked | None, exchange: Exchange) -> None:
    """One load of the first variant fails."""
    if asked and asked.track is V0 and (asked.msn, asked.part) == (FIRST_MSN + 21, 2) and asked.at < 3.2:
        exchange.status, exchange.body, exchange.size = 500, b"", 0


fault(
    "blocking-timeout",
    "part-cadence",
    "segment-cadence",
    waits_forever=True,
    lists=lambda track, at, parts: min(parts, 88) if 4 < at < 11.5 else parts,
    seconds=13,
)

# Hints and resources.

fault("hint-requestable", holds_hints=False)
fault("hint-trickled", trickle=0.45)
fault("never-hinted", holds_unknown=True)
fault("removed-part", keeps_s=-0.5, answer=lambda a, r, e: _revive(r, e, "s"))
fault("removed-segment", keeps_s=-0.5, answer=lambda a, r, e: _revive(r, e, "p"))
fault("available", answer=refused(of_path(r"v0/s20\.m4s")))


def _revive(request: Request, exchange: Exchange, kind: str) -> None:
    """Undo the origin's 404 for one kind of resource."""
    found = re.search(rf"/live/(\w+)/{kind}(\d+)\.m4s", request.url)
    if found and exchange.status == 404:
        make = segment_bytes if kind == "s" else part_bytes
        exchange.status, exchange.body = 200, make(found[1], int(found[2]))
        exchange.size = len(exchange.body)
        exchange.headers["cache-control"] = "max-age=31536000"


fault(
    "byte-ranges",
    playlist=replaced(r"^s20\.m4s", f"#EXT-X-BYTERANGE:{len(segment_bytes('v0', 20))}@0\ns20.m4s", only="v0"),
    media=lambda path, data: data + b"and more" if path == "v0/s20.m4s" else data,
)

# HTTP.

fault("head-playlist", answer=refused(lambda a, r: r.method == "HEAD" and a is not None, 405))
fault("head-media", answer=refused(lambda a, r: r.method == "HEAD" and a is None, 405))
fault(
    "playlist-type-header",
    answer=lambda a, r, e: _renamed(a, r, e),
)
fault("media-type-header", answer=header("content-type", "application/octet-stream", of_path(r"m4s|mp4")))
fault("gzip", answer=header("content-encoding", None))
fault("http2", answer=lambda a, r, e: setattr(e, "http_version", "HTTP/1.1"))
fault("cors", answer=header("access-control-allow-origin", None))
fault("cache-live-playlist", answer=header("cache-control", "max-age=10", lambda a, r: bool(a and a.msn is None)))
fault("cache-blocking", answer=header("cache-control", "no-cache", lambda a, r: bool(a and a.msn is not None)))
fault("cache-media", answer=header("cache-control", "max-age=2", of_path(r"m4s|mp4")))


def _renamed(asked: Asked | None, request: Request, exchange: Exchange) -> None:
    """The playlist is found at a path without the suffix (after a redirect), without a type that says what it is."""
    if request.url == URL:
        exchange.url = URL.removesuffix(".m3u8")
        exchange.headers["content-type"] = "text/plain"


# Media.

fault("readable", media=lambda path, data: data[:-7] if path == "v0/s20.m4s" else data)
fault("map-present", playlist=replaced(r"^#EXT-X-MAP.*\n", ""))
fault(
    "tracks-in-map",
    media=lambda path, data: boxes.init(9, 24_000, b"avc1", width=640, height=360) if path == "v0/i0.mp4" else data,
)


def _segment_20(change: Callable[[bytes], bytes]) -> Callable[[str, bytes], bytes]:
    return lambda path, data: change(data) if path == "v0/s20.m4s" else data


fault("segment-is-parts", media=_segment_20(lambda data: data.replace(b"v0960000.", b"v0960000!")))
fault("duration-true", media=lambda path, data: _longer(path, data))


def _longer(path: str, data: bytes) -> bytes:
    """The last sample of segment 20, and of its last part, lasts 100 ms longer than the playlist says."""
    if path not in ("v0/s20.m4s", f"v0/p{20 * PARTS + 3}.m4s"):
        return data
    step, last = (1000).to_bytes(4, "big"), data.rindex((1000).to_bytes(4, "big"))
    return data[:last] + (3400).to_bytes(4, "big") + data[last + len(step) :]


def _not_sync(path: str, data: bytes) -> bytes:
    """The first sample of segment 20 and of its first part is no sync sample."""
    was, now = struct.pack(">III", 1000, 1000, boxes.SYNC), struct.pack(">III", 1000, 1000, boxes.NON_SYNC)
    return data.replace(was, now, 1) if path in ("v0/s20.m4s", f"v0/p{20 * PARTS}.m4s") else data


fault(
    "independent-true",
    playlist=replaced(rf'(URI="p{20 * PARTS + 1}\.m4s")', r"\1,INDEPENDENT=YES", only="v0"),
)
fault(
    "independent-said",
    playlist=replaced(rf'(URI="p{20 * PARTS}\.m4s"),INDEPENDENT=YES', r"\1", only="v0"),
)
fault(
    "independent-segments",
    media=_not_sync,
    playlist=replaced(rf'(URI="p{20 * PARTS}\.m4s"),INDEPENDENT=YES', r"\1", only="v0"),
)
fault(
    "decode-times",
    media=lambda path, data: _later(path, data),
)


def _later(path: str, data: bytes) -> bytes:
    """Segment 20 and its parts begin 50 ms late, and their last sample is so much shorter."""
    found = re.match(r"v0/([ps])(\d+)\.m4s", path)
    if not found or (int(found[2]) if found[1] == "s" else int(found[2]) // PARTS) != 20:
        return data
    for part in range(20 * PARTS, 21 * PARTS):
        start = V0.start(part)
        data = data.replace(start.to_bytes(8, "big"), (start + 240).to_bytes(8, "big"))
    return data


fault(
    "needless-discontinuity",
    playlist=lambda a, t: _discontinuity_after(a, t, 20),
)


def _discontinuity_after(asked: Asked, text: str, index: int) -> str:
    """EXT-X-DISCONTINUITY before a segment of every rendition, which goes on all the same."""
    at = text.find(f"\ns{index}.m4s")
    if at < 0:
        at = text.find(f'URI="p{index * PARTS}.m4s",INDEPENDENT=YES')
    if at < 0:
        return text
    start = text.rindex("#EXT-X-PROGRAM-DATE-TIME", 0, at)
    return f"{text[:start]}#EXT-X-DISCONTINUITY\n{text[start:]}"


# The multivariant playlist.

fault("variants", multivariant=in_main(r"(?s)#EXT-X-STREAM-INF.*", ""))
fault("groups-resolve", multivariant=lambda text: text.replace('AUDIO="sound"', 'AUDIO="noise"', 1))
fault(
    "media-names",
    multivariant=in_main(
        r"^(#EXT-X-MEDIA.*)$", r'\1\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="English",URI="a0/list.m3u8"'
    ),
)
fault("codecs-present", multivariant=in_main(r'CODECS="[^"]*",', ""))
fault("codecs-complete", multivariant=in_main(r"avc1.64001e", "hvc1.1.6.L93.B0"))
fault("bandwidth", multivariant=in_main(r"BANDWIDTH=90000,AVERAGE-BANDWIDTH=85000", "BANDWIDTH=30000"))
fault("average-bandwidth", multivariant=in_main(r"AVERAGE-BANDWIDTH=85000", "AVERAGE-BANDWIDTH=30000"))
fault("resolution", multivariant=in_main(r"640x360", "1280x720"))
fault("frame-rate", multivariant=in_main(r"FRAME-RATE=24.000", "FRAME-RATE=30.000"))

# Parts.

fault("part-too-long", playlist=replaced("PART-TARGET=0.5$", "PART-TARGET=0.48", only="v0"))
fault("part-too-short", "part-hold-back-apple", playlist=replaced("PART-TARGET=0.5$", "PART-TARGET=0.6", only="v0"))
fault(
    "part-sum",
    "duration-true",
    playlist=replaced(r'^(#EXT-X-PART:DURATION=)0\.50000(,URI="p81)', r"\g<1>0.45000\2", only="v0"),
)
fault(
    "tags-before-parts",
    playlist=replaced(r'^(#EXT-X-PROGRAM-DATE-TIME:.*\n)(#EXT-X-PART:.*URI="p80\..*\n)', r"\2\1", only="v0"),
)
fault("parts-kept-long", playlist=lambda a, t: _all_parts(a, t))


def _all_parts(asked: Asked, text: str) -> str:
    """Parts of every listed segment of the first variant."""
    if asked.track is not V0:
        return text

    def add(found: re.Match[str]) -> str:
        index = int(found[1])
        lines = ""
        if f'URI="p{index * PARTS}.m4s"' not in text:
            for part in range(index * PARTS, index * PARTS + PARTS):
                independent = ",INDEPENDENT=YES" if part % PARTS == 0 else ""
                lines += f'#EXT-X-PART:DURATION=0.50000,URI="p{part}.m4s"{independent}\n'
        return f"{lines}#EXTINF:2.00000,\ns{index}.m4s"

    return re.sub(r"^#EXTINF:2.00000,\ns(\d+)\.m4s", add, text, flags=re.M)


fault("part-independent", "independent-said", playlist=replaced(r",INDEPENDENT=YES", "", only="v0"))
fault("preload-hint-present", playlist=replaced(r"^#EXT-X-PRELOAD-HINT.*\n", "", only="v0"))
fault("preload-hint-once", playlist=replaced(r"^(#EXT-X-PRELOAD-HINT.*\n)", r"\1\1", only="v0"))
fault(
    "preload-hint-listed",
    "hint-becomes-part",
    playlist=replaced(r"^#EXT-X-PRELOAD-HINT:TYPE=PART,URI=.*$", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p79.m4s"'),
)
fault("hint-becomes-part", playlist=replaced(r'(HINT:TYPE=PART,URI="p\d+)', r"\1-other", only="v0"))

# Delta updates.

fault("skip-once", playlist=replaced(r"^(#EXT-X-SKIP.*\n)", r"\1\1"))
fault("delta-answered", playlist=lambda a, t: _whole(a, t))


def _whole(asked: Asked, text: str) -> str:
    """Ignore `_HLS_skip`."""
    found = re.search(r"^#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)\n", text, re.M)
    if not found:
        return text
    first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1]) - FIRST_MSN  # type: ignore[index]
    lines = ""
    for index in range(first, first + int(found[1])):
        duration = asked.track.seconds((index + 1) * PARTS) - asked.track.seconds(index * PARTS)
        lines += f"#EXTINF:{duration:.5f},\ns{index}.m4s\n"
    return text.replace(found[0], lines)


fault("delta-merges", playlist=replaced(r"SKIPPED-SEGMENTS=2", "SKIPPED-SEGMENTS=3"))
fault("delta-boundary", playlist=delta_only(lambda a, t: _skip_more(t)))


def _skip_more(text: str) -> str:
    """Skip two segments more than the boundary allows."""
    text = re.sub(r"SKIPPED-SEGMENTS=(\d+)", lambda m: f"SKIPPED-SEGMENTS={int(m[1]) + 2}", text)
    head, segments = text.split("#EXT-X-SKIP", 1)
    skip, rest = segments.split("\n", 1)
    for _ in range(2):
        rest = rest[rest.index(".m4s\n", rest.index("#EXTINF")) + 5 :]
    return f"{head}#EXT-X-SKIP{skip}\n{rest}"


fault("skip-unasked", playlist=full_only(lambda a, t: _skip_one(t) if (a.msn, a.part) == (FIRST_MSN + 20, 2) else t))


def _skip_one(text: str) -> str:
    start = text.index("#EXT-X-MAP")
    after_map = text.index("\n", start) + 1
    end = text.index(".m4s\n", text.index("#EXTINF")) + 5
    return f"{text[:start]}#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n{text[start:after_map]}{text[end:]}"


# Renditions.

fault("reports-present", playlist=replaced(r"^#EXT-X-RENDITION-REPORT.*a0.*\n", "", only="v0"))
fault("report-uri", playlist=replaced(r'"\.\./a0/', '"https://origin.test/live/a0/', only="v0"))
fault(
    "report-true",
    playlist=lambda a, t: re.sub(r"LAST-MSN=(\d+)", lambda m: f"LAST-MSN={int(m[1]) - 2}", t) if a.track is V0 else t,
)


def _dated(seconds: float, only: str, first: int = 0) -> Edit:
    """Shift every date of one track, from the segment with an index on."""
    from datetime import datetime, timedelta

    def edit(asked: Asked, text: str) -> str:
        if asked.track.name != only:
            return text
        pattern = r"PROGRAM-DATE-TIME:(\S+)Z\n((?:#(?!EXT-X-PROGRAM).*\n)*(?:s(\d+)\.m4s)?)"

        def shift(found: re.Match[str]) -> str:
            index = int(found[3]) if found[3] else 10**6
            if index < first:
                return found[0]
            moved = datetime.fromisoformat(found[1]) + timedelta(seconds=seconds)
            return f"PROGRAM-DATE-TIME:{moved.isoformat(timespec='milliseconds')}Z\n{found[2]}"

        return re.sub(pattern, shift, text)

    return edit


fault("pdt-same-mapping", playlist=_dated(-0.4, "a0"))
fault("pdt-drift", "pdt-same-mapping", playlist=_dated(-0.3, "v0", first=18))
fault("pdt-ambiguous", "pdt-same-mapping", playlist=_dated(-1.4, "v0", first=18))


def _everywhere(seconds: float) -> Edit:
    edits = [_dated(seconds, name) for name in ("v0", "v1", "a0")]

    def edit(asked: Asked, text: str) -> str:
        for one in edits:
            text = one(asked, text)
        return text

    return edit


fault("pdt-future", playlist=_everywhere(30.0))
fault("pdt-present", playlist=replaced(r"^#EXT-X-PROGRAM-DATE-TIME.*\n", "", only="v0"))
fault("pdt-discontinuity", playlist=replaced(r"(DISCONTINUITY\n#EXT-X-MAP.*\n)#EXT-X-PROGRAM.*\n", r"\1"))

# Structure.

fault(
    "target-duration",
    "pdt-drift",
    playlist=replaced(r"^#EXTINF:2.00000,\n(s1[23])", r"#EXTINF:2.60000,\n\1", only="v0"),
)
fault("server-control", playlist=replaced("CAN-BLOCK-RELOAD=YES,", ""))
fault("part-inf", playlist=replaced(r"^#EXT-X-PART-INF.*\n", "", only="v0"))
fault("part-hold-back-present", playlist=replaced(r",PART-HOLD-BACK=1.6", ""))
fault("part-hold-back-draft", playlist=replaced(r"PART-HOLD-BACK=1.6", "PART-HOLD-BACK=0.9"))
fault("part-hold-back-apple", playlist=replaced(r"PART-HOLD-BACK=1.6", "PART-HOLD-BACK=1.2"))
fault("hold-back", playlist=replaced(r",HOLD-BACK=6.0", ",HOLD-BACK=5.0"))
fault("can-skip-until", playlist=full_only(replaced(r"CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.0")))
fault("skip-dateranges", playlist=replaced(r"CAN-SKIP-UNTIL=12.0", "CAN-SKIP-DATERANGES=YES"))
fault(
    "skip-dateranges-offered",
    playlist=replaced(r"^(#EXTM3U\n)", '\\1#EXT-X-DATERANGE:ID="a",START-DATE="2027-01-15T08:00:00Z"\n'),
)
fault("ended-block-reload", ends_at=4.0, playlist=replaced("CONTROL:CAN-SKIP", "CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP"))
fault(
    "ended-preload-hint",
    ends_at=4.0,
    playlist=replaced(r"^#EXT-X-ENDLIST\n", '#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p99.m4s"\n'),
)
fault(
    "playlist-type",
    playlist=replaced(r"^(#EXT-X-TARGETDURATION.*\n)", r"\1#EXT-X-PLAYLIST-TYPE:EVENT\n", only="v0"),
)
fault("server-control-same", playlist=replaced(r",HOLD-BACK=6.0", ",HOLD-BACK=7.0", only="v1"))

# From load to load.

fault("part-target-constant", playlist=replaced("PART-TARGET=0.512", "PART-TARGET=0.515", only="a0", after=9))
fault("media-sequence-back", "blocking-holds", playlist=lambda a, t: _restarted(a, t))


def _restarted(asked: Asked, text: str) -> str:
    """At the end of the check the first variant counts from somewhat before."""
    if asked.track is not V0 or asked.at < 8.5:
        return text
    return re.sub(r"MEDIA-SEQUENCE:(\d+)", lambda m: f"MEDIA-SEQUENCE:{int(m[1]) - 3}", text)


fault(
    "discontinuity-sequence-back",
    playlist=replaced(r"DISCONTINUITY-SEQUENCE:\d+", "DISCONTINUITY-SEQUENCE:6", after=9),
)
fault(
    "discontinuity-number",
    playlist=replaced(r"DISCONTINUITY-SEQUENCE:\d+", "DISCONTINUITY-SEQUENCE:9", after=9),
)
fault("segment-changed", playlist=replaced(r"^s15\.m4s", "s015.m4s", only="v0", after=9))
fault("segment-vanished", "blocking-holds", "report-true", playlist=lambda a, t: _shorter(a, t))


def _shorter(asked: Asked, text: str) -> str:
    """At the end of the check the first variant lacks its newest segment and the open one."""
    if asked.track is not V0 or asked.at < 8.5:
        return text
    lines = text.split("\n")
    last = max(i for i, line in enumerate(lines) if line.startswith("s"))
    before = max(i for i, line in enumerate(lines[:last]) if line.startswith("s"))
    tail = [line for line in lines[last + 1 :] if line.startswith(("#EXT-X-PRELOAD", "#EXT-X-RENDITION"))]
    return "\n".join([*lines[: before + 1], *tail, ""])


fault(
    "part-changed",
    playlist=replaced(r'URI="p85\.m4s"$', 'URI="p85.m4s?again"', only="v0", after=16),
)
fault("part-cadence", lists=lambda track, at, parts: min(parts, 85) if 3 < at < 4.4 else parts)

# Syntax.

fault("characters", playlist=replaced(r"^(#EXTINF:2.00000,)", "\\1\x07", only="v0"))
fault("extm3u", playlist=replaced(r"^#EXTM3U\n", "#EXT-X-M3U\n", only="v0"))
fault("mixed-playlist", playlist=replaced(r"^#EXTM3U\n", '#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID="a"\n', only="v0"))
fault("attribute-list", playlist=replaced(r"^#EXT-X-PART-INF:", "#EXT-X-PART-INF: ", only="v0"))
fault(
    "attribute-value",
    "server-control-same",
    playlist=replaced(r",HOLD-BACK=6.0", ',HOLD-BACK="6.0"', only="v0"),
)
fault("required-attribute", playlist=replaced(r"^(#EXTM3U\n)", '\\1#EXT-X-DATERANGE:CLASS="a"\n', only="v0"))
fault("variable", playlist=replaced(r"^s15\.m4s", "s15.m4s?{$token}", only="v0"))
fault("tag-value", playlist=replaced(r"^#EXTINF:2.00000,\n(s1[23])", r"#EXTINF:2.00000\n\1", only="v0"))
fault("duplicate-tag", playlist=replaced(r"^(#EXT-X-TARGETDURATION.*\n)", r"\1\1", only="v0"))
fault("tag-order", playlist=lambda a, t: _late_sequence(a, t))


def _late_sequence(asked: Asked, text: str) -> str:
    """The discontinuity sequence of a track stands at the end, where it is what it would be without the tag."""
    found = re.search(r"^#EXT-X-INDEPENDENT.*\n|^#EXT-X-DISCONTINUITY-SEQUENCE.*\n", text, re.M)
    assert found
    return text.replace(found[0], "") + found[0]


fault("segment-syntax", playlist=replaced(r"^(#EXT-X-MAP.*i0.*\n)", "#EXTINF:2.00000,\n\\1", only="v0"))
fault("required-tag", playlist=replaced(r"^#EXT-X-TARGETDURATION.*\n", "", only="v0"))
fault("version", playlist=full_only(replaced("EXT-X-VERSION:9", "EXT-X-VERSION:5", only="v0")))

# What needs a stream of another shape.


def together(*edits: Edit) -> Edit:
    def edit(asked: Asked, text: str) -> str:
        for one in edits:
            text = one(asked, text)
        return text

    return edit


plain = replaced(r"^#EXT-X-(PART|PRELOAD|RENDITION|SERVER-CONTROL|PART-INF).*\n(?=[^\n]*)", "")
no_skip = replaced(r"CAN-SKIP-UNTIL=12.0,", "")

fault("pdt-everywhere", playlist=together(plain, replaced(r"^#EXT-X-PROGRAM-DATE-TIME.*\n", "", only="v1")))
fault("segment-cadence", playlist=plain, lists=lambda track, at, parts: min(parts, 80))
fault(
    "target-duration-constant",
    playlist=together(
        no_skip, replaced(",HOLD-BACK=6.0", ",HOLD-BACK=9.0"), replaced("DURATION:2", "DURATION:3", after=9)
    ),
)
fault(
    "target-duration-same",
    playlist=together(
        no_skip, replaced(",HOLD-BACK=6.0", ",HOLD-BACK=9.0"), replaced("DURATION:2", "DURATION:3", only="a0")
    ),
)
fault(
    "discontinuities-same",
    playlist=replaced(r"DISCONTINUITY-SEQUENCE:7", "DISCONTINUITY-SEQUENCE:8", only="a0"),
)
fault("i-frames-only-parts", playlist=replaced(r"^(#EXT-X-VERSION.*\n)", r"\1#EXT-X-I-FRAMES-ONLY\n", only="v0"))
fault("ended-goes-on", ends_at=4.0, playlist=lambda a, t: t.replace("#EXT-X-ENDLIST\n", "") if _asked_late(a) else t)


def _asked_late(asked: Asked) -> bool:
    return asked.msn == FIRST_MSN + 22


fault("live-window", playlist=together(no_skip, lambda a, t: _short_window(t)), seconds=6)


def _short_window(text: str) -> str:
    """Only the last two segments are left."""
    first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])  # type: ignore[index]
    head, mark, rest = text.partition("#EXT-X-MAP")
    tag, _, rest = rest.partition("\n")
    while rest.count("#EXTINF") > 2:
        rest = rest[rest.index(".m4s\n", rest.index("#EXTINF")) + 5 :]
        first += 1
    head = re.sub(r"MEDIA-SEQUENCE:\d+", f"MEDIA-SEQUENCE:{first}", head)
    return f"{head}{mark}{tag}\n{rest}"


fault("delta-offered", playlist=together(no_skip, lambda a, t: _long_window(t) if a.track.width else t))


def _long_window(text: str) -> str:
    """60 older segments before the listed ones."""
    first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])  # type: ignore[index]
    text = text.replace(f"MEDIA-SEQUENCE:{first}\n", f"MEDIA-SEQUENCE:{FIRST_MSN - 60}\n")
    older = "".join(f"#EXTINF:2.00000,\ns{msn - FIRST_MSN}.m4s\n" for msn in range(FIRST_MSN - 60, first))
    return re.sub(r"^(#EXT-X-MAP.*\n)", lambda m: m[1] + older, text, count=1, flags=re.M)


def _other_host(asked: Asked, text: str) -> str:
    return re.sub(r'URI="\.\./(\w+)/', lambda m: f'URI="//{_HOSTS.get(m[1], "origin.test")}/live/{m[1]}/', text)


_HOSTS = {"a0": "other.test"}
fault("one-host", multivariant=in_main('URI="a0', 'URI="https://other.test/live/a0'), playlist=_other_host)
fault("aligned", media=lambda path, data: _shifted(path, data))


def _shifted(path: str, data: bytes) -> bytes:
    """All media of the second variant is 50 ms later."""
    found = re.match(r"v1/([ps])(\d+)\.m4s", path)
    if not found:
        return data
    number = int(found[2])
    for part in range(number, number + 1) if found[1] == "p" else range(number * PARTS, number * PARTS + PARTS):
        start = V0.start(part) + (JUMP_TICKS * V0.timescale if part >= JUMP * PARTS else 0)
        data = data.replace(start.to_bytes(8, "big"), (start + 1200).to_bytes(8, "big"))
    return data


fault(
    "frame-rate-present",
    multivariant=in_main(r",FRAME-RATE=24.000", ""),
    media=lambda path, data: _dense(path, data),
)


def _dense(path: str, data: bytes) -> bytes:
    """The first variant has 48 frames a second."""
    found = re.match(r"v0/([ps])(\d+)\.m4s", path)
    if not found:
        return data
    number = int(found[2])
    parts = [number] if found[1] == "p" else list(range(number * PARTS, number * PARTS + PARTS))
    fragments = []
    for part in parts:
        start = V0.start(part)
        samples = [
            boxes.Sample(500, f"{start + 500 * i}".encode().ljust(80, b"."), part % PARTS == 0 and i == 0)
            for i in range(24)
        ]
        shift = JUMP_TICKS * V0.timescale if part >= JUMP * PARTS else 0
        fragments.append(boxes.fragment(1, start + shift, samples))
    return b"".join(fragments)
