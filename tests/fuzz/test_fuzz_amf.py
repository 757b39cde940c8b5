"""Fuzz: AMF0 and AMF3 decoders given hostile bytes.

Invariant: bytes either decode, to at most MAX_ENTRIES values and MAX_DEPTH levels, or raise ProtocolError.
FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols import amf0, amf3

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))

_markers = st.integers(0, 17).map(lambda marker: bytes((marker,)))
_counts = st.sampled_from([b"\0\0\0\1", b"\0\1", b"\xff\xff\xff\xff", b"\0\0\x09", b"\x03", b"\x01", b"\0\1a"])
_bytes = st.lists(_markers | _counts | st.binary(max_size=8), max_size=40).map(b"".join)


def depth_and_size(value: object, seen: frozenset[int] = frozenset()) -> tuple[int, int]:
    """Levels and values; what refers to itself counts once."""
    if id(value) in seen or not isinstance(value, dict | list):
        return 0, 1
    inner = [
        depth_and_size(item, seen | {id(value)}) for item in (value.values() if isinstance(value, dict) else value)
    ]
    return 1 + max((depth for depth, _ in inner), default=0), 1 + sum(size for _, size in inner)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_bytes)
def test_amf0_decodes_or_refuses(data: bytes) -> None:
    try:
        values = amf0.decode_all(data)
    except ProtocolError:
        return
    assert len(values) <= len(data)
    if b"\7" not in data and b"\x11" not in data:  # references may show one value many times
        depth, size = depth_and_size(values)
        assert depth <= amf3.MAX_DEPTH + 2
        assert size <= amf3.MAX_ENTRIES + 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(_bytes)
def test_amf3_decodes_or_refuses(data: bytes) -> None:
    try:
        _, end = amf3.decode(data)
    except ProtocolError:
        return
    assert 0 < end <= len(data)
