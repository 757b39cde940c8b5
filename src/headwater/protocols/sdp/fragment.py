"""What a PATCH of a WHIP resource holds: candidates, or the credentials of an ICE restart (RFC 8840, 9)."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.protocols.sdp.description import attribute_lines, split_attribute
from headwater.protocols.sdp.errors import SdpError
from headwater.protocols.sdp.offer import credentials

MAX_FRAGMENT_BYTES = 16 * 1024
"""All candidates of a machine with many networks have some 4 KB."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment.

    Attributes:
        ice_ufrag: Which ICE session it belongs to; another than before asks for a restart. None: not said.
        candidates: How many it brings. We are ICE-lite: the others check us, and we need not know where they are.
    """

    ice_ufrag: str | None
    candidates: int


def read_fragment(text: str) -> Fragment:
    """Read a fragment.

    Raises:
        SdpError: it cannot be read, or holds nothing of ICE.
    """
    values: dict[str, str] = {}
    candidates, ended = 0, False
    for letter, value in attribute_lines(text):
        if letter != "a":
            continue
        name, rest = split_attribute(value)
        candidates += name == "candidate"
        ended = ended or name == "end-of-candidates"
        values.setdefault(name, rest)
    if "ice-ufrag" not in values and "ice-pwd" not in values:
        if not candidates and not ended:
            raise SdpError("the fragment has neither candidates nor credentials (RFC 8840, 9)")
        return Fragment(None, candidates)
    return Fragment(credentials(values.get("ice-ufrag"), values.get("ice-pwd")), candidates)
