"""The official TypeScript SDK through every operation, in Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conformance.service import Service, write_access
from tests.support import require

SOURCE = Path(__file__).parent / "typescript"


def test_every_operation(service: Service, tools: Path, tmp_path: Path) -> None:
    """The scripts' own assertions hold; they run where the SDK is installed, outside of the source tree."""
    folder = tools / "typescript-sdk"
    _install(folder)
    scripts = [shutil.copy(script, folder) for script in sorted(SOURCE.glob("*.test.mjs"))]
    access = write_access(service, tmp_path / "access.json")
    run = subprocess.run(
        [require("node"), "--test", *scripts],
        env={**os.environ, "ACCESS": str(access)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _install(folder: Path) -> None:
    """Install the pinned SDK once."""
    npm = require("npm")
    wanted = (SOURCE / "package.json").read_text("utf-8")
    installed = folder / "package.json"
    if (folder / "node_modules" / "cloudflare").exists() and installed.read_text("utf-8") == wanted:
        return
    folder.mkdir(exist_ok=True)
    installed.write_text(wanted, "utf-8")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(command, cwd=folder, check=True, timeout=110)
