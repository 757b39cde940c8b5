"""The syntax of playlists: one rule for each kind of `Problem` that the parser notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headwater.hlscheck.observation import Observation
from headwater.hlscheck.playlist import Problem
from headwater.hlscheck.rules.base import Evidence, Severity, multivariants, rule, snapshots, whole

_SYNTAX = (
    ("characters", "4.1", "Playlists are UTF-8 without byte order mark or control characters", "Write plain UTF-8."),
    ("extm3u", "4.4.1.1", "The first line is #EXTM3U", "Begin the playlist with #EXTM3U and nothing before it."),
    (
        "mixed-playlist",
        "4.1",
        "A playlist is a media playlist or a multivariant playlist, never both",
        "Move the tag to the kind of playlist that it belongs to.",
    ),
    (
        "attribute-list",
        "4.2",
        "Attribute lists are NAME=value pairs, each name once",
        "Write NAME=value,NAME=value without spaces, and quote strings.",
    ),
    (
        "attribute-value",
        "4.2",
        "Attribute values have the type that their tag defines",
        "Quote quoted strings, do not quote enumerated ones, and write numbers in decimal digits.",
    ),
    (
        "variable",
        "4.3",
        "Variables are defined once, before they are used",
        "Define the variable with EXT-X-DEFINE above its first use; media playlists must IMPORT those of the other.",
    ),
    ("required-attribute", "4.4", "Tags carry the attributes that they require", "Add the attribute."),
    ("tag-value", "4.4", "Tag values are well-formed", "Write the value in the form that the tag's clause defines."),
    ("duplicate-tag", "4.4.3", "Tags for the whole playlist stand once", "Leave out the repetition."),
    ("tag-order", "4.4", "Tags stand where their clause places them", "Move the tag."),
    (
        "segment-syntax",
        "4.4.4.1",
        "Every URI line has its EXTINF (or EXT-X-STREAM-INF), and every such tag its URI line",
        "Write the tag, then the tags of the same segment, then the URI line.",
    ),
    ("required-tag", "4.4.3.1", "A media playlist has EXT-X-TARGETDURATION", "Add EXT-X-TARGETDURATION."),
)


def _all_problems(observation: Observation) -> Iterable[tuple[str, str, Problem | None]]:
    """(rendition, URL, problem) of every playlist; None once per playlist, so that it counts as looked at."""
    for _ in multivariants(observation):
        assert observation.multivariant is not None
        yield "multivariant playlist", observation.url, None
        for problem in observation.multivariant.problems:
            yield "multivariant playlist", observation.url, problem
    for snapshot in snapshots(observation):
        yield snapshot.rendition.name, snapshot.rendition.url, None
        for problem in snapshot.playlist.problems:
            yield snapshot.rendition.name, snapshot.rendition.url, problem
    for rendition in observation.renditions:
        for delta in rendition.deltas:
            for problem in delta.playlist.problems:
                yield rendition.name, rendition.url, problem


def _of(rule_id: str) -> Callable[[tuple[str, str, Problem | None]], Iterable[Evidence]]:
    def check(subject: tuple[str, str, Problem | None]) -> Iterable[Evidence]:
        rendition, url, problem = subject
        if problem is not None and problem.rule == rule_id:
            yield Evidence(problem.text, rendition, url, problem.line)

    return check


for _id, _clause, _title, _advice in _SYNTAX:
    rule(_id, _clause, Severity.MUST, _title, _advice, over=_all_problems)(_of(_id))


def _version_needed(features: tuple[tuple[int, int, str], ...], version: int | None) -> Iterable[tuple[int, int, str]]:
    return (f for f in features if f[0] > (version or 1))


@rule(
    "version",
    "8",
    Severity.MUST,
    "EXT-X-VERSION is high enough for what the playlist uses",
    "Raise EXT-X-VERSION to the number named (a delta update needs 9, and 10 where it skips date ranges).",
    over=whole,
)
def version(observation: Observation) -> Iterable[Evidence]:
    found = []
    if (multivariant := observation.multivariant) is not None:
        found.append(("multivariant playlist", observation.url, multivariant.features, multivariant.version))
    for rendition in observation.renditions:
        name = rendition.name
        loaded = [(s.exchange.url, s.playlist) for s in rendition.snapshots]
        loaded += [(d.exchange.url, d.playlist) for d in rendition.deltas]
        found += [(name, url, playlist.features, playlist.version) for url, playlist in loaded]
    for name, url, features, declared in found:
        needed = max(_version_needed(features, declared), default=None)
        if needed is not None:
            says = f"EXT-X-VERSION is {declared}" if declared else "EXT-X-VERSION is absent"
            yield Evidence(f"{needed[2]} asks for version {needed[0]}; {says}", name, url, needed[1])
