"""Range fields, odd and even."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.byte_range import UNSATISFIABLE, ByteRange, read_range

HUGE = "9" * 4000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-", (0, 99)),
        ("bytes=5-9", (5, 9)),
        ("bytes=99-", (99, 99)),
        ("bytes=50-1000", (50, 99)),
        ("bytes=-1", (99, 99)),
        ("bytes=-1000", (0, 99)),
        ("Bytes=00000000000000000000000005-9", (5, 9)),
        ("bytes = 5-9 ", (5, 9)),
        (f"bytes=5-{HUGE}", (5, 99)),
        (f"bytes=-{HUGE}", (0, 99)),
    ],
)
def test_what_can_be_had(value: str, expected: tuple[int, int]) -> None:
    assert read_range(value.encode(), 100) == ByteRange(*expected)


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={HUGE}-", f"bytes={HUGE}-{HUGE}"])
def test_what_lies_beyond_the_end(value: str) -> None:
    assert read_range(value.encode(), 100) is UNSATISFIABLE


@pytest.mark.parametrize(
    "value",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=a-b", "bytes=0x1-2", "bytes=5-x", "bytes=1.5-2"),
        *("bytes=9-5", f"bytes={HUGE}-5", "bytes=0-1,5-6", "bytes=0-1,", "bytes=--1", "bytes=+1-2", "bytes=1 - 2"),
        *("seconds=0-1", "bytes 0-1", "=0-1", "bytes=\u0661-\u0662"),
    ],
)
def test_what_is_ignored(value: str) -> None:
    assert read_range(value.encode(), 100) is None


@given(st.binary(max_size=40) | st.from_regex(rb"bytes=[0-9]{0,25}-[0-9]{0,25}", fullmatch=True), st.integers(0, 1000))
def test_no_answer_lies_outside_of_the_body(value: bytes, size: int) -> None:
    found = read_range(value, size)
    assert found is None or found == UNSATISFIABLE or 0 <= found.first <= found.last < size
