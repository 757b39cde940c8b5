"""The newest official Python SDK, beside the pinned one: the same tests, run against it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("test_python_sdk.py", "test_python_sdk_recordings.py", "test_python_sdk_meetings.py")
TESTS = [str(Path(__file__).with_name(name)) for name in NAMES]
WANTED = "cloudflare>=5.9"


@pytest.mark.timeout(240)
def test_every_operation(tools: Path) -> None:
    sdk = tools / "python-sdk-newest"
    _install(sdk)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(sdk), str(ROOT)])}
    version = subprocess.run(
        [sys.executable, "-c", "import cloudflare; print(cloudflare.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert version != "5.2.0", "the pinned version was imported instead"
    command = [sys.executable, "-m", "pytest", *TESTS, "-q", "--rootdir", str(ROOT)]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, f"cloudflare {version}\n{run.stdout}\n{run.stderr}"


def _install(folder: Path) -> None:
    """Install the newest version once; its dependencies are those of the pinned one."""
    if (folder / "cloudflare").exists():
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), WANTED], check=True, timeout=200)
