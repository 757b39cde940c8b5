"""Which H.264 each side speaks: profile-level-id and packetization-mode (RFC 6184, 8.1 and 8.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

Profile: TypeAlias = Literal[
    "constrained baseline", "baseline", "main", "extended", "constrained high", "high", "other"
]

DEFAULT_PROFILE_LEVEL_ID = "420010"
"""What its absence means: Baseline, level 1 (RFC 6184, 8.1)."""

_READS: Mapping[Profile, frozenset[Profile]] = {
    "baseline": frozenset({"constrained baseline"}),
    "main": frozenset({"constrained baseline"}),
    "extended": frozenset({"constrained baseline", "baseline"}),
    "constrained high": frozenset({"constrained baseline"}),
    "high": frozenset({"constrained baseline", "main", "constrained high"}),
}
"""What a decoder reads beside its own profile (ITU-T H.264, A.2)."""

_PREFERENCE: tuple[Profile, ...] = (
    "constrained baseline",
    "baseline",
    "constrained high",
    "main",
    "high",
    "extended",
    "other",
)
"""What we want to receive: what every viewer can decode comes first, what may have B-frames late."""


def profile(parameters: Mapping[str, str]) -> Profile:
    """The profile that `profile-level-id` names (RFC 6184, table 5)."""
    word = parameters.get("profile-level-id", DEFAULT_PROFILE_LEVEL_ID)
    try:
        idc, constraints = int(word[0:2], 16), int(word[2:4], 16)
    except ValueError:
        return "other"
    set0, set1 = bool(constraints & 0x80), bool(constraints & 0x40)
    if (idc == 0x42 and set1) or (idc == 0x4D and set0) or (idc == 0x58 and set0 and set1):
        return "constrained baseline"
    if idc == 0x42 or (idc == 0x58 and set0):
        return "baseline"
    if idc == 0x64:
        return "constrained high" if constraints & 0x0C == 0x0C else "high"
    names: dict[int, Profile] = {0x4D: "main", 0x58: "extended"}
    return names.get(idc, "other")


def packetization_mode(parameters: Mapping[str, str]) -> str:
    """`0` single NAL units, `1` non-interleaved, `2` interleaved; 0 where it is not said."""
    return parameters.get("packetization-mode", "0")


def receiving_rank(parameters: Mapping[str, str]) -> int | None:
    """How much we want to receive this one: lower is better; None: not at all (interleaved)."""
    mode = packetization_mode(parameters)
    if mode not in ("0", "1"):
        return None
    return (0 if mode == "1" else len(_PREFERENCE)) + _PREFERENCE.index(profile(parameters))


def sending_rank(ours: Mapping[str, str], theirs: Mapping[str, str]) -> int | None:
    """How well a decoder that was offered fits what we have: 0 the same, 1 reads it, 2 may read it; None: it cannot.

    A profile is promised narrowly and decoded widely: browsers that offer Baseline alone decode High, so that another
    profile is the last choice, but one. A packetization mode of fragments where only whole NAL units are read is none.
    """
    if packetization_mode(ours) == "1" and packetization_mode(theirs) != "1":
        return None
    if packetization_mode(theirs) not in ("0", "1"):
        return None
    mine, other = profile(ours), profile(theirs)
    if mine == other:
        return 0
    return 1 if mine in _READS.get(other, frozenset()) else 2
