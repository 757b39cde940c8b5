"""The examples of docs/webhooks.md, run as they are written: a signature is verified in Python and in Node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from headwater.control.webhooks import signing
from headwater.control.webhooks.signing import Signer
from tests.support import require

MANUAL = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"event": "livestreaming.statusUpdate", "name": "Grüße"}'.encode()


def example(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    return str(text)


def test_in_python() -> None:
    signer = Signer(signing._new_pem())
    names: dict[str, Any] = {}
    exec(example("python"), names)
    assert names["is_genuine"](signer.public_pem, BODY, signer.sign(BODY))
    assert not names["is_genuine"](signer.public_pem, BODY + b" ", signer.sign(BODY))


def test_in_node(tmp_path: Path) -> None:
    node = require("node")
    signer = Signer(signing._new_pem())
    given = {"key": signer.public_pem, "body": BODY.decode(), "signature": signer.sign(BODY)}
    (tmp_path / "given.json").write_text(json.dumps(given))
    use = """
import { readFileSync } from "node:fs";
const { key, body, signature } = JSON.parse(readFileSync("given.json"));
console.log(isGenuine(key, Buffer.from(body), signature), isGenuine(key, Buffer.from(body + " "), signature));
"""
    (tmp_path / "verify.mjs").write_text(example("js") + use)
    run = subprocess.run([node, "verify.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert run.stdout == "true false\n", run.stderr
