"""docs/configuration.md: its tables are today's, its examples are ones that load."""

from __future__ import annotations

import re
import tomllib

from headwater.config.load import load
from headwater.config.manual import BEGIN, END, PURPOSES, filled
from headwater.config.settings import keys, sections
from tests.unit.config.test_settings import ROOT

MANUAL = (ROOT / "docs" / "configuration.md").read_text()


def test_the_tables_are_in_step() -> None:
    assert MANUAL.count(BEGIN) == MANUAL.count(END) == 1
    assert filled(MANUAL) == MANUAL, "run: python -m headwater.config.manual docs/configuration.md"


def test_every_section_and_key_is_in_it() -> None:
    assert set(PURPOSES) == set(sections())
    rows = re.findall(r"^\| `(\w+)` \|", MANUAL.partition(BEGIN)[2], re.MULTILINE)
    assert sorted(rows) == sorted(key.name for key in keys().values())


def test_its_example_loads() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)
    known = keys()
    document = tomllib.loads(example)
    options = {f"{section}.{name}": value for section, group in document.items() for name, value in group.items()}
    assert set(options) <= set(known)
    assert str(load(options, environ={}).server.https) == "0.0.0.0:443"
