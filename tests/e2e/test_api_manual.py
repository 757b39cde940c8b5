"""What docs/api.md has under "Five minutes", pasted into a shell and into Python, as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.support import api
from tests.support import Server, require

MANUAL = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
FIVE_MINUTES = MANUAL.partition("## Five minutes")[2].partition("\n## ")[0]


def test_the_lines_can_be_pasted(server: Server) -> None:
    """The variables, then a livestream by our client, one by the official SDK, one by curl: three in all."""
    blocks = re.findall(r"```(sh|python)\n(.*?)```", FIVE_MINUTES, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "python", "python", "sh"]
    script = "\n".join(
        text if kind == "sh" else f'"$PYTHON" - <<"PASTED"\n{text}PASTED' for kind, text in blocks
    ).replace("DATA=.headwater", f"DATA='{server.data}'")
    env = {
        "PATH": f"{Path(require('curl')).parent}:/usr/bin:/bin:{Path(sys.executable).parent}",
        "PYTHON": sys.executable,
    }
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    with api(server) as client:
        made = list(client.iterate_livestreams())
    assert [one.name for one in made] == ["launch"] * 3
    assert all(one.playback_url in done.stdout for one in made)
