"""Where a server listens: HOST:PORT, with IPv6 in brackets."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MAX_PORT = 65535
MAX_HOST_CHARACTERS = 253
"""RFC 1035, 2.3.4: the longest name that a resolver takes."""


def advice_when_taken(name: str, port: int | None = None) -> str:
    """What to do where another program has a listener's address.

    Args:
        name: The listener's, as the option spells it: `http`.
        port: None: the sentence before has named it.
    """
    protocol = "u" if name == "webrtc" else "t"
    which = f"ss -l{protocol}np 'sport = :{port}'" if port is not None else f"ss -l{protocol}np says what"
    return f"stop what uses it ({which}), or choose another: --{name} HOST:PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """A listening address.

    Attributes:
        host: An IPv4 or IPv6 address (without brackets) or a name.
        port: 0 to 65535; 0 picks a free one.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `127.0.0.1:8080`, `[::1]:8080`, `localhost:0` or `:8080` (every IPv4 address of the machine).

        Raises:
            ValueError: with what is wrong, in words.
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon:
            raise ValueError("must be HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080")
        return cls(_host(host), _port(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_any(self) -> bool:
        """Every address of the machine is meant."""
        return self.host in ("0.0.0.0", "::")

    @property
    def reachable_host(self) -> str:
        """The host for a URL that this machine can open, IPv6 in brackets."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= MAX_PORT):
        raise ValueError(f"the port {text!r} must be 0 (any free one) to {MAX_PORT}")
    return int(text)


def _host(text: str) -> str:
    if text == "":
        return "0.0.0.0"
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError(f"{text} is not an IPv6 address") from None
    if ":" in text:
        raise ValueError(f"an IPv6 address stands in brackets: [{text}]:PORT")
    if text.replace(".", "").isdigit():
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(f"{text} is not an IPv4 address") from None
    labels = text.rstrip(".").split(".")
    if len(text) > MAX_HOST_CHARACTERS or not all(_is_label(label) for label in labels):
        raise ValueError(f"{text!r} is neither an address nor a host name")
    return text


def _is_label(text: str) -> bool:
    return 0 < len(text) <= 63 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()
