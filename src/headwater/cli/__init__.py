"""The command line: `headwater serve`, `demo`, `publish`, `livestreams`, `meetings` and others; see `root`."""

from __future__ import annotations


def main() -> None:
    """Run the command that `sys.argv` names."""
    from headwater.cli.root import run

    run()
