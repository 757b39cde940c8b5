"""The demo's test picture: when it yields, when it comes back, and what is said; with processes that are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from headwater.cli.demo_card import ASK_EVERY_S, REFUSED, DemoCard, Place
from headwater.errors import OperatorError

KEY = Place("rtmp://127.0.0.1/live/one", "http://127.0.0.1/1")
NEW_KEY = Place("rtmp://127.0.0.1/live/two", "http://127.0.0.1/1")
DISABLED = Place(KEY.url, KEY.player_url, disabled=True)


class Process:
    """As much of a Popen as is looked at."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


@dataclass
class World:
    """The server and the processes of one demo."""

    place: Place | OperatorError = KEY
    live: bool = True
    children: list[Any] = field(default_factory=lambda: ["server"])
    started: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.card = DemoCard(
            self.children,
            start=self.start,
            place=self.ask,
            live=lambda _url: self.live,
            last_words=lambda: "its last words",
            say=self.said.append,
        )

    def start(self, url: str) -> Any:
        self.started.append(url)
        return Process(url)

    def ask(self) -> Place:
        if isinstance(self.place, OperatorError):
            raise self.place
        return self.place

    def ends(self, code: int) -> None:
        self.card.process.returncode = code
        self.passes(0.5)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.card.look(self.now)


def test_while_it_publishes_nothing_happens() -> None:
    world = World()
    world.passes(100)
    assert (world.started, world.said, len(world.children)) == ([KEY.url], [], 2)


def test_it_yields_to_an_encoder_and_comes_back_when_that_has_gone() -> None:
    world = World()
    world.ends(REFUSED)
    assert "your encoder has taken over" in world.said[0]
    assert world.children == ["server"], "what has ended is not ended again"
    for _ in range(10):
        world.passes(ASK_EVERY_S)
    assert (len(world.started), len(world.said)) == (1, 1), "while the encoder is live, and said once"
    world.live = False
    world.passes(ASK_EVERY_S)
    assert world.started == [KEY.url, KEY.url]
    assert world.children == [world.card.process, "server"], "and it is the first to be ended"
    assert world.said[1:] == ["the test picture is back"]


def test_a_disabled_livestream_is_said_and_waited_for() -> None:
    world = World()
    world.place, world.live = DISABLED, False
    world.ends(REFUSED)
    world.passes(ASK_EVERY_S)
    assert len(world.said) == 1 and "is disabled" in world.said[0] and len(world.started) == 1
    world.place = KEY
    world.passes(ASK_EVERY_S)
    assert len(world.started) == 2


def test_after_a_reset_it_publishes_with_the_new_key_and_says_it() -> None:
    world = World()
    world.place = NEW_KEY
    world.ends(REFUSED)
    assert world.started == [KEY.url, NEW_KEY.url]
    assert NEW_KEY.url in world.said[0]


@pytest.mark.parametrize("code", [1, -9])
def test_what_failed_is_started_again_after_a_pause_although_its_session_is_still_open(code: int) -> None:
    world = World()
    world.ends(code)
    assert len(world.started) == 1 and "its last words" in world.said[0]
    world.passes(ASK_EVERY_S)
    assert len(world.started) == 2


def test_a_server_that_does_not_answer_is_asked_again() -> None:
    world = World()
    world.place, world.live = OperatorError("down"), False
    world.ends(REFUSED)
    world.passes(ASK_EVERY_S)
    assert len(world.started) == 1
    world.place = KEY
    world.passes(ASK_EVERY_S)
    assert len(world.started) == 2
