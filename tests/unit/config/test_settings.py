"""Settings: where a value comes from, what is allowed, and what is said where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.config import bounds
from headwater.config.address import Address
from headwater.config.bounds import BOUNDS
from headwater.config.example import example
from headwater.config.load import SettingError, load, unknown_variables
from headwater.config.settings import Key, Settings, keys
from headwater.config.values import spell

ROOT = Path(__file__).parents[3]


def test_nothing_said_gives_the_defaults() -> None:
    assert load({}, environ={}) == Settings()


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "headwater.toml"
    file.write_text('[server]\nhttp = "127.0.0.1:1"\nrtmp = "127.0.0.1:2"\nlog_level = "error"\n')
    environ = {"HEADWATER_HTTP": "127.0.0.1:3", "HEADWATER_RTMP": "127.0.0.1:4"}
    server = load({"server.http": "127.0.0.1:5"}, environ=environ, file=file).server
    assert (server.http.port, server.rtmp.port, server.log_level) == (5, 4, "error")


def test_sections_have_variables_of_their_own() -> None:
    settings = load({}, environ={"HEADWATER_PACKAGER_PART_TARGET_MS": "200", "HEADWATER_LIVESTREAM_RECORD": "no"})
    assert settings.packager.part_target_ms == 200
    assert settings.livestream.record is False
    assert settings.control.record is False, "the control plane follows the livestream section"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEADWATER_HTTP", "nonsense", "HOST:PORT"),
        ("HEADWATER_HTTP", "127.0.0.1:70000", "65535"),
        ("HEADWATER_PACKAGER_PART_TARGET_MS", "20", "200"),
        ("HEADWATER_LIVESTREAM_RECORD", "perhaps", "true"),
        ("HEADWATER_LOG_LEVEL", "loud", "debug"),
        ("HEADWATER_HTTPS", "127.0.0.1:0", "tls_cert"),
    ],
)
def test_a_value_that_cannot_be_used_names_what_is_allowed(variable: str, value: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        load({}, environ={variable: value})


def test_an_unknown_key_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "headwater.toml"
    file.write_text('[server]\nhttpp = "127.0.0.1:1"\n')
    with pytest.raises(SettingError, match="http"):
        load({}, environ={}, file=file)


def test_an_unknown_variable_is_a_warning_and_not_one_of_kubernetes() -> None:
    said = unknown_variables({"HEADWATER_HTPP": "x", "HEADWATER_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"})
    assert len(said) == 1 and "HEADWATER_HTTP" in said[0]


def test_a_variable_that_is_like_none_gets_no_suggestion() -> None:
    assert unknown_variables({"HEADWATER_FOO": "x"}) == ["the environment variable HEADWATER_FOO sets nothing"]


def test_the_database_password_is_never_repeated() -> None:
    with pytest.raises(SettingError) as error:
        load({}, environ={"HEADWATER_DATABASE_URL": "mysql://user:hunter2@host/db"})
    assert "hunter2" not in str(error.value)


def test_the_example_file_is_in_step_and_its_defaults_load(tmp_path: Path) -> None:
    committed = (ROOT / "headwater.example.toml").read_text()
    assert committed == example(), "run: python -m headwater.config.example > headwater.example.toml"
    lines = committed.splitlines()
    names = {key.name for key in keys().values()}
    uncommented = [line[2:] if line[2:].split(" = ")[0] in names else line for line in lines]
    file = tmp_path / "all.toml"
    file.write_text("\n".join(uncommented))
    assert load({}, environ={}, file=file) == Settings()


def test_every_key_is_described() -> None:
    assert [key.path for key in keys().values() if not key.description] == []


@given(st.integers(min_value=0, max_value=65535), st.sampled_from(["127.0.0.1", "0.0.0.0", "::1", "::", "example.com"]))
def test_addresses_read_back(port: int, host: str) -> None:
    address = Address(host, port)
    assert load({}, environ={"HEADWATER_HTTP": str(address)}).server.http == address


@given(st.integers(min_value=200, max_value=1000))
def test_values_read_back_from_a_file(part_ms: int) -> None:
    assert load({}, environ={"HEADWATER_PACKAGER_PART_TARGET_MS": spell(part_ms).replace("_", "")}) is not None


NUMBERS = [key for key in keys().values() if key.hint in (int, float)]


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: key.path)
def test_every_number_has_bounds_and_its_default_lies_within(key: Key) -> None:
    bounds.check(key.path, key.default)
    low, high = BOUNDS[key.path]
    for beyond in (low - 1, high + 1):
        with pytest.raises(SettingError, match=rf"{key.path} = .*{key.variable}.*must be"):
            load(environ={key.variable: str(int(beyond)) if key.hint is int else str(beyond)})


def test_no_bound_is_of_a_key_that_is_gone() -> None:
    assert set(BOUNDS) == {key.path for key in NUMBERS}


def test_a_rule_over_several_keys_names_the_section_and_the_source() -> None:
    with pytest.raises(SettingError, match=r"\[packager\] max_gop_ms.*HEADWATER_PACKAGER_MAX_GOP_MS"):
        load(environ={"HEADWATER_PACKAGER_MAX_GOP_MS": "1500"})
