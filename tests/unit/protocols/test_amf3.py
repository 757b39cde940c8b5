"""AMF3: the values that may stand behind avmplus, by the examples of its specification's sections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.amf3 import MAX_DEPTH, Date, TypedObject, decode


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", None),
        ("01", None),
        ("02", False),
        ("03", True),
        ("0405", 5),
        ("048100", 128),
        ("04ffffffff", -1),
        ("04bfffffff", (1 << 28) - 1),
        ("053ff8000000000000", 1.5),
        ("0607616263", "abc"),
        ("07053c61", "<a"),
        ("0801400000000000" + "0000", Date(2.0)),
        ("0905010401" + "0402", [1, 2]),
        ("090303610401010402", {"a": 1, "0": 2}),
        ("0a0b01036104010" + "1", {"a": 1}),
        ("0a130343036104" + "07", {"a": 7}),
        ("0b053c62", "<b"),
        ("0c0501ff", b"\x01\xff"),
        ("0d050000000001ffffffff", [1, -1]),
        ("0e030000000001", [1]),
        ("0f03003ff0000000000000", [1.0]),
        ("10030001" + "0401", [1]),
        ("110300" + "060361" + "0401", {"a": 1}),
    ],
)
def test_each_type_reads(encoded: str, value: object) -> None:
    data = bytes.fromhex(encoded)
    assert decode(data) == (value, len(data))


def test_a_class_keeps_its_name_and_traits_are_reused() -> None:
    first = bytes.fromhex("0a1303430361" + "0401")
    again = bytes.fromhex("0a01" + "0402")
    value, _ = decode(b"\x09\x05\x01" + first + again)
    assert isinstance(value, list)
    assert value == [{"a": 1}, {"a": 2}]
    assert all(isinstance(item, TypedObject) and item.class_name == "C" for item in value)


def test_strings_and_objects_are_referenced() -> None:
    assert decode(bytes.fromhex("090501" + "060361" + "0600"))[0] == ["a", "a"]
    value, _ = decode(bytes.fromhex("090501" + "090301" + "0401" + "0902"))
    assert value == [[1], [1]]


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "04ff",
        "0604",  # a string that was not sent
        "0902",  # an object that was not sent
        "0a05",  # traits that were not sent
        "0a07" + "0343",  # externalizable
        "09ffffffff01",  # 2^28 items
        "0dffffffff00",
        "11ffffffff00",
        "0affffffff" + "01",
        "12",
        "0903010903010903" * MAX_DEPTH,
        "110300" + "01" + "01",  # a key that is null
    ],
)
def test_hostile_values_are_refused(hostile: str) -> None:
    with pytest.raises(ProtocolError):
        decode(bytes.fromhex(hostile))


@given(st.binary(max_size=200))
def test_any_bytes_read_or_are_refused(data: bytes) -> None:
    try:
        _, end = decode(data)
    except ProtocolError:
        return
    assert 0 < end <= len(data)
