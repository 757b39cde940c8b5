"""The demo's test picture: it yields to the user's own encoder, and comes back when that has gone.

    PUBLISHING ──taken over──► YIELDED ──no longer live──► PUBLISHING
        │ refused (disabled, key reset), or failed
        └──────────► AWAY ──after a pause──► PUBLISHING

Only the server's end ends the demo; whatever happens to the picture is said in a line.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass

from headwater.errors import HeadwaterError

ASK_EVERY_S = 3.0
"""From one question to the server to the next, while the card is not publishing."""

REFUSED = 4
"""The exit code of `headwater publish` that the server refused or cut off."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the card publishes, as the API says now.

    Attributes:
        url: Ingest server and stream key in one.
        player_url: The page to watch.
    """

    url: str
    player_url: str
    disabled: bool = False


class DemoCard:
    """The process that publishes the card, and what to do when it ends.

    `look` is called again and again; it neither waits nor sleeps.

    Attributes:
        process: The newest one; it may have ended.
    """

    def __init__(
        self,
        children: MutableSequence[subprocess.Popen[bytes]],
        *,
        start: Callable[[str], subprocess.Popen[bytes]],
        place: Callable[[], Place],
        live: Callable[[str], bool],
        last_words: Callable[[], str],
        say: Callable[[str], None],
    ) -> None:
        """
        Args:
            children: Whom the demo ends when it ends, in this order; the card's process is kept in its first place.
            start: Starts a process that publishes to a URL.
            place: Asks the API; HeadwaterError where it does not answer.
            live: Whether a player URL plays now.
            last_words: What the process said last.
            say: Prints a line.
        """
        self._children = children
        self._start, self._place, self._live = start, place, live
        self._last_words, self._say = last_words, say
        self._at = place()
        self._ask_at = 0.0
        self._said = ""
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        process = self._start(self._at.url)
        self._children.insert(0, process)
        self._ended = False
        return process

    def look(self, now: float) -> None:
        """See whether the card still publishes, and start it again when that can help.

        Args:
            now: Monotonic seconds.
        """
        if self.process.poll() is None:
            return
        if not self._ended:
            self._ended = True
            self._children.remove(self.process)
            # What only failed may fail again at once; what was refused is asked about now.
            self._ask_at = now if self.process.returncode == REFUSED else now + ASK_EVERY_S
            if self.process.returncode != REFUSED:
                self._say_once(f"the test picture ended ({self._last_words()}): it is started again")
        if now >= self._ask_at:
            self._ask_at = now + ASK_EVERY_S
            self._decide()

    def _decide(self) -> None:
        try:
            before, self._at = self._at, self._place()
        except HeadwaterError:
            return  # the server is busy, or about to end: ask again
        refused = self.process.returncode == REFUSED
        if self._at.disabled:
            self._say_once("the livestream is disabled: the test picture waits until it is enabled again")
        elif self._at.url != before.url:
            self._say(f"the livestream has a new stream key; publish to {self._at.url}")
            self._again()
        elif refused and self._live(self._at.player_url):
            self._say_once("your encoder has taken over; the test picture comes back when it has gone")
        else:
            self._again()

    def _again(self) -> None:
        if self._said:
            self._say("the test picture is back")
        self._said = ""
        self.process = self._begin()

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._say(text)
        self._said = text
