"""Overlay the sources of settings and check every value."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater.config import bounds
from headwater.config.settings import SECRET, SHARED, Key, Settings, keys, sections
from headwater.config.values import convert, spell
from headwater.errors import OperatorError

MAX_FILE_BYTES = 1_000_000
"""A configuration is a few kilobytes; anything near a megabyte is the wrong file."""

PREFIX = "HEADWATER_"
NOT_SETTINGS = frozenset(
    f"HEADWATER_{name}"
    for name in ("CONFIG", "DEBUG", "REQUIRE_ALL", "CREDENTIALS", "BASE_URL", "API_TOKEN", "ACCOUNT_ID", "APP_ID")
)
"""Variables of ours that are no keys: which file to read, whom the client calls, switches of tests and commands."""


class SettingError(OperatorError):
    """A setting that cannot be used.

    Attributes:
        key: As the file spells it, e.g. `server.http`.
        origin: Where the value came from.
    """

    def __init__(self, key: str, origin: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.origin = origin


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as a source gave it, converted, with where it came from."""

    raw: object
    value: object
    origin: str


def load(
    options: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Build the settings: defaults < file < environment < options.

    Args:
        options: From the command line, by key path (`server.http`); None as a value means not given.
        environ: The environment; only `HEADWATER_...` is read.
        file: The TOML file, or None: the one that `HEADWATER_CONFIG` names, if any.

    Raises:
        SettingError: a value, a key or the file cannot be used; says which, why, and from where.
    """
    environ = environ or {}
    known = keys()
    if file is None and environ.get("HEADWATER_CONFIG"):
        file = Path(environ["HEADWATER_CONFIG"])
    given: dict[str, _Given] = {}
    if file is not None:
        given |= _from_file(file, known)
    given |= _from_environment(environ, known)
    given |= _from_options(options or {}, known)
    return _build(given)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Sentences about `HEADWATER_...` variables that set nothing.

    Not an error: Kubernetes adds `HEADWATER_PORT...` and `HEADWATER_SERVICE_...` for a service named headwater.
    """
    variables = {key.variable for key in keys().values()}
    found = [name for name in environ if name.startswith(PREFIX) and name not in variables | NOT_SETTINGS]
    injected = ("HEADWATER_PORT", "HEADWATER_SERVICE_", "HEADWATER_TEST_", "HEADWATER_CONFORMANCE_")
    # Without the prefix: all of them share it, and would look alike by it.
    variables_by_name = {variable.removeprefix(PREFIX): variable for variable in variables}
    return [
        f"the environment variable {name} sets nothing{_suggest_variable(name, variables_by_name)}"
        for name in sorted(found)
        if not name.startswith(injected)
    ]


def _from_file(path: Path, known: Mapping[str, Key]) -> dict[str, _Given]:
    document = _read(path)
    given = {}
    for section, content in document.items():
        if section not in sections():
            kind = "section" if isinstance(content, dict) else "key"
            hint = _suggest(section, sections()) if kind == "section" else _suggest_path(section, known)
            raise SettingError(section, str(path), f"{path}: there is no {kind} {section}{hint}")
        if not isinstance(content, dict):
            raise SettingError(section, str(path), f"{path}: {section} is a section: write [{section}]")
        for name, raw in content.items():
            key = known.get(f"{section}.{name}")
            if key is None:
                names = [k.name for k in known.values() if k.section == section]
                raise SettingError(name, str(path), _no_key(path, section, name, names, known))
            given[key.path] = _give(key, raw, str(path), text=False)
    return given


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingError("", str(path), f"{path} is no configuration file: it exceeds {MAX_FILE_BYTES} bytes")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise SettingError("", str(path), f"the configuration file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingError("", str(path), f"the configuration file {path} is not TOML: {error}") from None


def _no_key(path: Path, section: str, name: str, names: list[str], known: Mapping[str, Key]) -> str:
    target = SHARED.get(f"{section}.{name}")
    if target is not None:
        return f"{path}: {section}.{name} follows {target}: set that one"
    return f"{path}: there is no key {name} in [{section}]{_suggest(name, names) or _suggest_path(name, known)}"


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Key]) -> dict[str, _Given]:
    return {
        key.path: _give(key, environ[key.variable], f"the environment variable {key.variable}", text=True)
        for key in known.values()
        if key.variable in environ
    }


def _from_options(options: Mapping[str, object], known: Mapping[str, Key]) -> dict[str, _Given]:
    given = {}
    for path, raw in options.items():
        if raw is not None:
            origin = "the option --" + path.partition(".")[2].replace("_", "-")
            given[path] = _give(known[path], raw, origin, text=isinstance(raw, str))
    return given


def _give(key: Key, raw: object, origin: str, *, text: bool) -> _Given:
    try:
        value = convert(raw, key.hint, text=text)
        bounds.check(key.path, value)
    except ValueError as error:
        raise SettingError(key.path, origin, _sentence(key.path, raw, origin, str(error))) from None
    return _Given(raw, value, origin)


def _build(given: Mapping[str, _Given]) -> Settings:
    built: dict[str, Any] = {}
    for section, cls in sections().items():
        values = {
            path.partition(".")[2]: entry.value for path, entry in given.items() if path.startswith(section + ".")
        }
        values |= _shared(section, built)
        try:
            built[section] = cls(**values)
        except (OperatorError, ValueError) as error:
            # A rule over several keys of a stage, which the stage itself knows.
            origins = sorted({entry.origin for path, entry in given.items() if path.startswith(section + ".")})
            said = f"[{section}] {error}" + (f" (from {', '.join(origins)})" if origins else "")
            raise SettingError(section, ", ".join(origins), said) from None
    settings = Settings(**built)
    for name, allowed in settings.server.problems():
        path = f"server.{name}"
        entry = given.get(path)
        raw = entry.raw if entry else getattr(settings.server, name)
        origin = entry.origin if entry else ""
        raise SettingError(path, origin, _sentence(path, raw, origin, allowed))
    return settings


def _shared(section: str, built: Mapping[str, Any]) -> dict[str, object]:
    """The values of keys that follow other keys; sections that are followed come first in `Settings`."""
    values = {}
    for path, target in SHARED.items():
        if path.startswith(section + "."):
            source, _, name = target.partition(".")
            values[path.partition(".")[2]] = getattr(built[source], name)
    return values


def _sentence(path: str, raw: object, origin: str, allowed: str) -> str:
    shown = "(not shown)" if path in SECRET else spell(raw)
    return f"{path} = {shown}{f' (from {origin})' if origin else ''}: {allowed}"


def _suggest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _suggest_variable(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name.removeprefix(PREFIX), list(known), n=1, cutoff=0.75)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _suggest_path(name: str, known: Mapping[str, Key]) -> str:
    """A key of that name, or one close to it, in another section."""
    by_name = {key.name: key.path for key in known.values()}
    near = difflib.get_close_matches(name, list(by_name), n=1, cutoff=0.75)
    return f"; did you mean {by_name[near[0]]}?" if near else ""
