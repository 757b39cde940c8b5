"""Where a client finds out whom to call, and as whom.

Each value is taken from the first place that has it: the argument; a `credentials.json`, as the server writes it into
its data folder, that an argument names; the environment; a `credentials.json` that HEADWATER_CREDENTIALS names, or that
is in the folder HEADWATER_DATA.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headwater.client.errors import NotConfigured

ENVIRONMENT = {
    "base_url": "HEADWATER_BASE_URL",
    "api_token": "HEADWATER_API_TOKEN",
    "account_id": "HEADWATER_ACCOUNT_ID",
    "app_id": "HEADWATER_APP_ID",
}


class _File(msgspec.Struct):
    base_url: str | None = None
    api_token: str | None = None
    account_id: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that a call needs. `base_url` ends in `/client/v4`."""

    base_url: str
    api_token: str
    account_id: str
    app_id: str

    def __repr__(self) -> str:
        return f"Access({self.base_url!r}, account_id={self.account_id!r}, app_id={self.app_id!r})"


def find_access(
    *,
    base_url: str | None = None,
    api_token: str | None = None,
    account_id: str | None = None,
    app_id: str | None = None,
    credentials: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Access:
    """Put together what is needed.

    Args:
        credentials: A `credentials.json`, or the folder that has one.

    Raises:
        NotConfigured: something is missing, or the file cannot be read.
    """
    environ = os.environ if environ is None else environ
    given = {"base_url": base_url, "api_token": api_token, "account_id": account_id, "app_id": app_id}
    if credentials is not None:
        given = _filled(given, _read(_file_of(credentials)))
    values = {name: value or environ.get(ENVIRONMENT[name]) for name, value in given.items()}
    path = _from_environment(environ)
    if credentials is None and path is not None and not all(values.values()):
        values = _filled(values, _read(path))
    found = {name: value for name, value in values.items() if value}
    if len(found) < len(values):
        wanted = ", ".join(f"{name} ({ENVIRONMENT[name]})" for name in values if name not in found)
        raise NotConfigured(
            "whose server? --credentials PATH (credentials= in Python) or HEADWATER_CREDENTIALS=PATH names its data "
            f"folder or its credentials.json; without one these are missing: {wanted}"
        )
    return Access(**found)


def _filled(values: Mapping[str, str | None], file: _File) -> dict[str, str | None]:
    return {name: value or getattr(file, name) for name, value in values.items()}


def _file_of(named: Path | str) -> Path:
    path = Path(named)
    return path / "credentials.json" if path.is_dir() else path


def _from_environment(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("HEADWATER_CREDENTIALS")
    if named is not None:
        return _file_of(named)
    data = environ.get("HEADWATER_DATA")
    in_data = Path(data) / "credentials.json" if data else None
    return in_data if in_data is not None and in_data.exists() else None


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise NotConfigured(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{path} is not a credentials.json: {error}") from error
