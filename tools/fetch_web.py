"""Fetch the pages' libraries from npm into `src/headwater/web/vendor`."""

from pathlib import Path

Path("src/headwater/web/vendor").mkdir(parents=True, exist_ok=True)
