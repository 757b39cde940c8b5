"""What `headwater hls-check` makes of the URL that it is given."""

from __future__ import annotations

import pytest

from headwater.cli.hls_check import playlist_of
from tests.unit.cli.test_commands import run

ID = "0123456789abcdef" * 2
SESSION = "01234567-89ab-4def-8123-456789abcdef"


@pytest.mark.parametrize(
    ("url", "playlist"),
    [
        (f"http://127.0.0.1:8080/{ID}", f"http://127.0.0.1:8080/{ID}/manifest/video.m3u8"),
        (f"https://live.example.com/{ID}/?autoplay=0", f"https://live.example.com/{ID}/manifest/video.m3u8"),
        (f"http://h/{ID}/{SESSION}", f"http://h/{ID}/{SESSION}/manifest/video.m3u8"),
    ],
)
def test_a_page_of_ours_is_checked_by_its_playlist(url: str, playlist: str) -> None:
    assert playlist_of(url) == playlist


@pytest.mark.parametrize(
    "url",
    [
        f"http://h/{ID}/manifest/video.m3u8?dvrEnabled=true",
        f"http://h/{ID}/lifecycle",
        "http://h/live/master.m3u8",
        "http://h/",
        "http://[h/",
        f"http://h/{ID[:-1]}g",
    ],
)
def test_everything_else_is_taken_as_it_is(url: str) -> None:
    assert playlist_of(url) == url


def test_a_page_that_is_no_playlist_is_said_with_exit_code_1() -> None:
    done = run("hls-check", f"http://127.0.0.1:9/{ID}", "--seconds", "1")
    assert done.returncode == 1
    assert f"its playlist is checked: http://127.0.0.1:9/{ID}/manifest/video.m3u8" in done.stderr
