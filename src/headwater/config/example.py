"""The manual of the settings: every key of every section, commented, with its default.

`python -m headwater.config.example > headwater.example.toml` writes it; a test keeps the file in step.
"""

from __future__ import annotations

import textwrap
from itertools import groupby

from headwater.config.bounds import BOUNDS, words
from headwater.config.settings import keys
from headwater.config.values import spell

HEAD = """\
# Headwater's settings. `headwater serve --config FILE` reads such a file.
#
# The command line wins over the environment, the environment over the file. Every key is also an environment variable:
# HEADWATER_ and the name in capitals for [server], HEADWATER_SECTION_NAME for the other sections. What is commented out
# here is the default. Times are in the unit that ends the name: _s seconds, _ms milliseconds.
"""
WIDTH = 118


def example() -> str:
    """The text of `headwater.example.toml`."""
    out = [HEAD]
    for section, group in groupby(keys().values(), key=lambda key: key.section):
        out.append(f"\n[{section}]\n")
        for key in group:
            out.append("\n")
            out.extend(f"# {line}\n" for line in textwrap.wrap(key.description, WIDTH))
            if key.path in BOUNDS:
                out.append(f"# Allowed: {words(BOUNDS[key.path])}.\n")
            out.append(f"# {key.name} = {spell(key.default)}\n")
    return "".join(out)


if __name__ == "__main__":
    print(example(), end="")
