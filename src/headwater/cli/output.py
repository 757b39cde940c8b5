"""What commands print: rich on a terminal, plain when piped, JSON when asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document, indented, with everything that JSON does not know as text."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values, one a line, aligned; values are never wrapped, so that they can be copied."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        console.print(f"[dim]{name:<{width}}[/]  {value}", soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table, or a sentence where there is nothing to show."""
    if not rows:
        console.print(empty)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
