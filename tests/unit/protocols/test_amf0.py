"""AMF0: every type reads and writes, and nothing but ProtocolError comes of bad bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.amf0 import EcmaArray, decode_all, encode_all
from headwater.protocols.amf3 import MAX_DEPTH, MAX_ENTRIES, Date, TypedObject

_scalars = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=40)
_names = st.text(min_size=1, max_size=10)
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(values, max_size=5))
def test_what_is_written_reads_back(some: list[object]) -> None:
    assert decode_all(encode_all(*some)) == some


@given(values, st.data())
def test_every_shorter_prefix_of_a_value_is_refused(value: object, data: st.DataObject) -> None:
    whole = encode_all(value)
    cut = data.draw(st.integers(1, len(whole) - 1)) if len(whole) > 1 else 0
    if cut:
        with pytest.raises(ProtocolError):
            decode_all(whole[:cut])


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("003ff0000000000000", 1.0),
        ("0101", True),
        ("02000568656c6c6f", "hello"),
        ("0300016105000009", {"a": None}),
        ("05", None),
        ("06", None),
        ("080000006300016105000009", {"a": None}),  # a count that lies: the end marker decides
        ("0a000000020505", [None, None]),
        ("0b40000000000000000000", Date(2.0)),
        ("0c0000000161", "a"),
        ("0d", None),
        ("0f000000023c61", "<a"),
        ("1000014300016105000009", {"a": None}),
    ],
)
def test_each_type_reads(encoded: str, value: object) -> None:
    assert decode_all(bytes.fromhex(encoded)) == [value]


def test_a_typed_object_keeps_its_class() -> None:
    value = TypedObject("Pair")
    value["x"] = 1.0
    (read,) = decode_all(encode_all(value))
    assert isinstance(read, TypedObject)
    assert (read.class_name, read) == ("Pair", {"x": 1.0})


def test_a_reference_is_the_object_it_names() -> None:
    (read,) = decode_all(b"\x0a\0\0\0\2" + encode_all({"x": 1.0}) + b"\x07\0\1")
    assert read == [{"x": 1.0}, {"x": 1.0}]


def test_avmplus_switches_to_amf3_for_one_value() -> None:
    assert decode_all(b"\x11\x06\x07abc" + encode_all(2)) == ["abc", 2.0]


def test_an_ecma_array_is_written_as_one() -> None:
    assert encode_all(EcmaArray(a=1))[:5] == b"\x08\0\0\0\1"


def test_a_long_string_takes_the_long_form() -> None:
    text = "x" * 70_000
    assert encode_all(text)[0] == 0x0C
    assert decode_all(encode_all(text)) == [text]


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x0a\xff\xff\xff\xff",  # a strict array of 4 billion
        b"\x0a\0\0\0\1" * (MAX_DEPTH + 2),
        b"\x03\0\1a" * (MAX_DEPTH + 2),
        b"\x0a" + (MAX_ENTRIES + 1).to_bytes(4, "big") + b"\x05" * (MAX_ENTRIES + 1),
        b"\x0c\xff\xff\xff\xff",
        b"\x07\0\0",
        b"\x04",
        b"\x0e",
        b"\x99",
    ],
)
def test_hostile_values_are_refused(hostile: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_all(hostile)


def test_entries_are_counted_over_the_whole_message() -> None:
    """Many small values side by side are as much work as one large one."""
    with pytest.raises(ProtocolError, match=str(MAX_ENTRIES)):
        decode_all(b"\x05" * (MAX_ENTRIES + 1))
