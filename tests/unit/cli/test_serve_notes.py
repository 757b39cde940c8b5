"""What `headwater serve` tells a person at its start."""

from __future__ import annotations

from pathlib import Path

from headwater.cli.serve import notes
from headwater.config.address import Address
from headwater.config.server import ServerSettings


def test_the_first_start_names_the_credentials_and_the_next_command(tmp_path: Path) -> None:
    (said,) = notes(ServerSettings(data=tmp_path))
    assert str(tmp_path / "credentials.json") in said
    assert f"headwater livestreams create --credentials {tmp_path} " in said
    (tmp_path / "credentials.json").touch()
    assert list(notes(ServerSettings(data=tmp_path))) == []


def test_who_listens_on_every_address_is_told_which_option_names_the_host(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").touch()
    everywhere = ServerSettings(data=tmp_path, http=Address("0.0.0.0", 8080), rtmp=Address("::", 1935))
    said, _ = notes(everywhere)
    assert "--public-url" in said and "--public-rtmp-url" in said
    half = ServerSettings(
        data=tmp_path,
        http=Address("0.0.0.0", 80),
        public_url="http://live.example.com",
        webrtc=Address("0.0.0.0", 8189),
    )
    assert list(notes(half)) == []


def test_who_lets_others_in_is_told_that_their_media_stays_out(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").touch()
    (said,) = notes(ServerSettings(data=tmp_path, public_url="https://live.example.com"))
    assert "--webrtc 0.0.0.0:8189" in said
    assert list(notes(ServerSettings(data=tmp_path, public_url="https://live.example.com", webrtc=None))) == []
