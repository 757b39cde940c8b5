"""Playlists whose last lines are each viewer's own."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipeline.origin.personal import Template, is_view
from headwater.pipeline.origin.response import Response

DATE = b"Tue, 24 Nov 2026 12:00:00 GMT"
VIEWS = st.text("0123456789abcdef", min_size=12, max_size=12).map(str.encode)


@given(
    st.binary(max_size=3000), st.lists(st.binary(max_size=80).map(lambda b: b.replace(b"@", b"")), min_size=1), VIEWS
)
@pytest.mark.parametrize("level", [None, 5])
def test_a_body_is_what_all_get_and_what_is_the_viewers(
    level: int | None, shared: bytes, pieces: list[bytes], view: bytes
) -> None:
    template = Template([("content-type", "x")], shared, b"@".join(pieces), '"1"', gzip_level=level)
    response = template.of(view)
    body = response.body if level is None else gzip.decompress(response.body)
    assert body == shared + view.join(pieces)
    head, _, sent = response.joined(DATE).partition(b"\r\n\r\n")
    assert sent == response.body and f"content-length: {len(sent)}".encode() in head
    plain = Response(200, [("content-type", "x")], (response.body,), etag='"1"')
    assert response.joined(DATE) == plain.joined(DATE) and response.head(DATE) == plain.head(DATE)
    assert (response.headers, response.size, response.etag) == (plain.headers, plain.size, plain.etag)


@pytest.mark.parametrize(
    "key", [b"", b"0123456789a", b"0123456789abc", b"0123456789aB", b'0123456789a"', b"0123456789a\n"]
)
def test_what_was_not_given_out_is_no_name(key: bytes) -> None:
    assert not is_view(key)


def test_what_was_given_out_is_one() -> None:
    assert is_view(b"0123456789ab")
