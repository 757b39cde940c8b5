"""What reading both kinds of playlist shares: lines, known and unknown tags, problems, versions (draft clause 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headwater.hlscheck.attributes import Attributes, read_integer
from headwater.hlscheck.playlist import (
    Problem,
)

MAX_LINES = 200_000  # a day of 1 s segments with their tags; past it the rest is left unread
MAX_PROBLEMS = 1_000  # of one playlist; a reader needs the first few
MAX_UNKNOWN_TAGS = 100
MAX_VARIABLES = 100  # EXT-X-DEFINE of one playlist
MAX_VARIABLE_LENGTH = 4096  # a token or a base URL
MAX_REFERENCES = 20  # of variables in one line

MULTIVARIANT_TAGS = frozenset(
    [
        "EXT-X-MEDIA",
        "EXT-X-STREAM-INF",
        "EXT-X-I-FRAME-STREAM-INF",
        "EXT-X-SESSION-DATA",
        "EXT-X-SESSION-KEY",
        "EXT-X-CONTENT-STEERING",
    ]
)
MEDIA_TAGS = frozenset(
    [
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-PART-INF",
        "EXT-X-SERVER-CONTROL",
        "EXTINF",
        "EXT-X-BYTERANGE",
        "EXT-X-DISCONTINUITY",
        "EXT-X-KEY",
        "EXT-X-MAP",
        "EXT-X-PROGRAM-DATE-TIME",
        "EXT-X-GAP",
        "EXT-X-BITRATE",
        "EXT-X-PART",
        "EXT-X-DATERANGE",
        "EXT-X-SKIP",
        "EXT-X-PRELOAD-HINT",
        "EXT-X-RENDITION-REPORT",
    ]
)
COMMON_TAGS = frozenset(["EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START", "EXT-X-DEFINE"])
# 4.4.2, 4.4.3 and the single tags of 4.4.1 and 4.4.5: at most once in a playlist.
ONCE_TAGS = frozenset(
    [
        "EXT-X-VERSION",
        "EXT-X-INDEPENDENT-SEGMENTS",
        "EXT-X-START",
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-PART-INF",
        "EXT-X-SERVER-CONTROL",
        "EXT-X-CONTENT-STEERING",
        "EXTM3U",
    ]
)


class Reader:
    """What both kinds of playlist share: lines, known and unknown tags, problems, versions."""

    foreign: frozenset[str]
    handlers: dict[str, Callable[[str], None]]

    def __init__(self, text: str, imported: Mapping[str, str], query: Mapping[str, str]) -> None:
        self.text, self.imported, self.query = text, imported, query
        self.variables: dict[str, str] = {}
        self.line = 0
        self.problems: list[Problem] = []
        self.tag_lines: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.features: list[tuple[int, int, str]] = []
        self.version: int | None = None
        self.independent = False

    def problem(self, rule: str, text: str) -> None:
        self.keep(Problem(rule, self.line, text))

    def keep(self, problem: Problem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def attributes(self, value: str, tag: str) -> Attributes:
        return Attributes(value, self.line, tag, self.keep)

    def walk(self) -> None:
        self._characters()
        lines = self.text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        for self.line, raw in enumerate(lines[:MAX_LINES], 1):
            line = raw[:-1] if raw.endswith("\r") else raw
            if self.line == 1 and line != "#EXTM3U":
                self.problem("extm3u", f"the first line is {line[:40]!r}, not #EXTM3U")
            if line.startswith("#EXT"):
                self._tag(line)
            elif line and not line.startswith("#"):
                self.on_uri(self.substitute(line))
        if len(lines) > MAX_LINES:
            self.problem("characters", f"more than {MAX_LINES} lines; the rest was not read")
        if not lines:
            self.line = 1
            self.problem("extm3u", "the playlist is empty")

    def _characters(self) -> None:
        if self.text.startswith("\ufeff"):
            self.line = 1
            self.problem("characters", "begins with a byte order mark")
            self.text = self.text[1:]
        if "\ufffd" in self.text:
            self.line = self.text.count("\n", 0, self.text.index("\ufffd")) + 1
            self.problem("characters", "is not UTF-8")
        if not self.text.isprintable():
            for number, line in enumerate(self.text.split("\n")[:MAX_LINES], 1):
                if not line.isprintable() and any(_is_control(c) for c in line.removesuffix("\r")):
                    self.line = number
                    self.problem("characters", "has a control character")

    def _tag(self, line: str) -> None:
        name, colon, value = line[1:].partition(":")
        known = self.handlers.get(name)
        if known is None and name not in MEDIA_TAGS | MULTIVARIANT_TAGS | COMMON_TAGS:
            if len(self.unknown) < MAX_UNKNOWN_TAGS:
                self.unknown.setdefault(name[:80], self.line)
            return
        if name in self.foreign:
            self.problem("mixed-playlist", f"{name} does not belong into this kind of playlist")
            return
        if name in ONCE_TAGS and name in self.tag_lines:
            self.problem("duplicate-tag", f"{name} stands here again, first in line {self.tag_lines[name]}")
        self.tag_lines.setdefault(name, self.line)
        if known is not None:
            known(self.substitute(value) if colon else "")

    def on_uri(self, uri: str) -> None:
        raise NotImplementedError

    def integer(self, tag: str, value: str) -> int | None:
        number = read_integer(value)
        if number is None:
            self.problem("tag-value", f"{tag} must be a decimal integer, is {value[:40]!r}")
        return number

    def on_version(self, value: str) -> None:
        self.version = self.integer("EXT-X-VERSION", value)

    def on_independent(self, value: str) -> None:
        self.independent = True

    def on_define(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-DEFINE")
        self.features.append((11 if "QUERYPARAM" in attributes.raw else 8, self.line, "EXT-X-DEFINE"))
        if "NAME" in attributes.raw:
            name, found = attributes.quoted("NAME"), attributes.quoted("VALUE", required=True)
        elif "IMPORT" in attributes.raw:
            name = attributes.quoted("IMPORT")
            found = self.imported.get(name or "")
        else:
            name = attributes.quoted("QUERYPARAM", required=True)
            found = self.query.get(name or "")
        if name is None:
            return
        if found is None:
            self.problem("variable", f"EXT-X-DEFINE of {name[:40]}: there is no such value to take")
        if name in self.variables:
            self.problem("variable", f"{name[:40]} is defined twice")
        if len(self.variables) < MAX_VARIABLES:
            self.variables[name] = (found or "")[:MAX_VARIABLE_LENGTH]

    def substitute(self, text: str) -> str:
        """Put values in the place of variable references `{$name}` (4.3)."""
        if "{$" not in text:
            return text
        out: list[str] = []
        position, count = 0, 0
        while (start := text.find("{$", position)) >= 0 and (end := text.find("}", start)) >= 0:
            name = text[start + 2 : end]
            count += 1
            if name not in self.variables or count > MAX_REFERENCES:
                self.problem("variable", f"{{${name[:40]}}} is not defined")
                break
            out += [text[position:start], self.variables[name]]
            position = end + 1
        return "".join([*out, text[position:]])

    def on_start(self, value: str) -> None:
        self.attributes(value, "EXT-X-START")

    def nothing(self, value: str) -> None:
        pass


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 or 0x7F <= code <= 0x9F
