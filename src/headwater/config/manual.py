"""The tables of docs/configuration.md: every key, from the same descriptions as headwater.example.toml.

`python -m headwater.config.manual docs/configuration.md` writes them between the file's two marks; a test keeps them in
step. What stands around them is written by hand.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from headwater.config.bounds import BOUNDS, words
from headwater.config.settings import Key, keys
from headwater.config.values import spell

BEGIN = "<!-- settings: written by `python -m headwater.config.manual docs/configuration.md` -->\n"
END = "<!-- settings: end -->\n"

PURPOSES = {
    "server": "Where it listens, writes, and is reached",
    "livestream": "Broadcasts: coming back, going, recording",
    "packager": "Segments and parts: latency",
    "origin": "Delivery to viewers",
    "experience": "How viewers fare: what is kept of it",
    "recorder": "Writing to disk",
    "recordings": "What becomes of recordings",
    "store": "An S3-compatible store for recordings",
    "control": "The API",
    "webhooks": "Delivery of webhooks",
    "ingest": "What an encoder may send",
    "webrtc": "WebRTC: how it is reached, and what may be sent",
    "rooms": "Meetings: what participants may send and hold",
    "compositor": "Meetings' livestreams: picture, sound, and the process that makes them",
    "telemetry": "Metrics and readiness",
}
"""Every section, in the order of the manual: what most operators look for comes first."""


def tables() -> str:
    """A headline and a table for each section."""
    by_section = {section: list(group) for section, group in groupby(keys().values(), key=lambda key: key.section)}
    return "\n".join(_section(section, by_section[section]) for section in PURPOSES)


def filled(text: str) -> str:
    """The document with the tables of today between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _section(name: str, group: list[Key]) -> str:
    prefix = group[0].variable.removesuffix(group[0].name.upper())
    out = [f"### {PURPOSES[name]}\n", f"`[{name}]` in the file, `{prefix}…` in the environment.\n"]
    out += ["| key | default | allowed | |", "|---|---|---|---|"]
    return "\n".join([*out, *map(_row, group)]) + "\n"


def _row(key: Key) -> str:
    allowed = words(BOUNDS[key.path]) if key.path in BOUNDS else ""
    default = "" if key.default is None else f"`{spell(key.default)}`"
    return f"| `{key.name}` | {default} | {allowed} | {key.description.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text()))
