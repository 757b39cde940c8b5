"""CMCD: the examples of the standard and of players read, and bad bytes spoil no more than their own key."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.cmcd import (
    BODY_LIMIT,
    HEADERS,
    KEYS,
    LIST_LIMIT,
    REPORTS_LIMIT,
    STATES,
    STRING_LIMIT,
    TEXT_LIMIT,
    Kind,
    Measure,
    Report,
    of_body,
    of_headers,
    of_query,
    parse,
)

SID = "6e2fb550-c457-11e9-bb97-0800200c9a66"


def test_the_query_example_of_the_standard() -> None:
    """CTA-5004, 5.1."""
    cid = 'cid="faec5fc2-ac30-11ea-bb37-0242ac130002"'
    text = f'bl=21300,br=3200,bs,{cid},d=4004,dl=18500,mtp=48100,sid="{SID}",su,tb=6000'
    assert of_query(quote(text).encode()) == {
        "bl": (Measure(21300),),
        "br": (Measure(3200),),
        "bs": True,
        "cid": "faec5fc2-ac30-11ea-bb37-0242ac130002",
        "d": 4004,
        "dl": 18500,
        "mtp": (Measure(48100),),
        "sid": SID,
        "su": True,
        "tb": (Measure(6000),),
    }


def test_the_header_example_of_the_standard() -> None:
    """CTA-5004, 5.2: each header by itself is a dictionary."""
    found = of_headers([f'sid="{SID}"'.encode(), b"br=3200,bs,d=4004,ot=v,tb=6000", b"mtp=25400", None])
    assert found["sid"] == SID and found["ot"] == "v" and found["bs"] is True and found["mtp"] == (Measure(25400),)
    assert len(HEADERS) == 4


def test_lists_by_object_type_of_version_2() -> None:
    found = parse(b'br=(5000;v 128;a),bl=(2300),bsd=(1200;v),ec=("a b" "c"),ltc=2400,msd=810,pr=1.25,sta=p,v=2')
    assert found["br"] == (Measure(5000, "v"), Measure(128, "a"))
    assert found["bl"] == (Measure(2300),)
    assert found["bsd"] == (Measure(1200, "v"),)
    assert found["ec"] == ("a b", "c")
    assert (found["ltc"], found["msd"], found["pr"], found["sta"], found["v"]) == (2400, 810, 1.25, "p", 2)


def test_next_objects_may_hold_what_ends_keys_elsewhere() -> None:
    assert parse(b'nor=("../a,b=(1).m4s";r="0-5" "c"),sid="a\\"b,c\\\\",com.example-x=1,su=?0') == {
        "sid": 'a"b,c\\',
        "su": False,
    }


@pytest.mark.parametrize(
    "member",
    [
        *("br=", "br=abc", 'br="1"', "br=1_0", "br=1e3", "br=()", "br=(", "br=(1", "br", "br=?1"),
        *("d=9999999999999999", "d=-", "d=1.", "d=.5", "d=\u0661", "d=(1)"),
        *("sid=abc", "sid=1", 'sid="', 'sid=""', f'sid="{"a" * (STRING_LIMIT + 1)}"', "sid"),
        *("bs=1", "bs=?2", "unknown=1", "=1", "", 'ec=("', "ec=(1)"),
    ],
)
def test_a_bad_key_is_left_out_and_the_one_before_it_counts(member: str) -> None:
    if member == "sid=abc":
        assert parse(f"mtp=100,{member}".encode()) == {"mtp": (Measure(100),), "sid": "abc"}
    else:
        assert parse(f"mtp=100,{member}".encode()) == {"mtp": (Measure(100),)}


def test_the_body_of_an_event_report_has_a_report_a_line() -> None:
    body = f'e=ps,sid="{SID}",sta=s,ts=1,v=2\r\n\ne=t,sid="{SID}",ts=2,v=2\n'.encode()
    assert [report["e"] for report in of_body(body)] == ["ps", "t"]


def test_json_as_drafts_had_it() -> None:
    body = b'[{"e":"ps","sta":"p","br":[3000],"bl":1200,"ts":5,"sid":"x","bs":true,"nested":{"a":1}}, 7]'
    found = {"e": "ps", "sta": "p", "br": (Measure(3000),), "bl": (Measure(1200),), "ts": 5, "sid": "x", "bs": True}
    assert of_body(body, b"application/json") == [found, {}]
    assert of_body(b'{"e":"t"}', b"application/json; charset=utf-8") == [{"e": "t"}]


@pytest.mark.parametrize("body", [b"", b"[", b"{]", b"[" * 60_000, b'{"a":' * 9_000, b"\xff"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        of_body(body, b"application/json")


def test_limits() -> None:
    with pytest.raises(ProtocolError):
        parse(b"a" * (TEXT_LIMIT + 1))
    with pytest.raises(ProtocolError):
        of_query(b"%41" * (TEXT_LIMIT + 1))
    with pytest.raises(ProtocolError):
        of_body(b"\n" * (BODY_LIMIT + 1))
    with pytest.raises(ProtocolError):
        of_body(b"su\n" * (REPORTS_LIMIT + 1))
    with pytest.raises(ProtocolError):
        of_body(b"[" + b"1," * REPORTS_LIMIT + b"1]", b"application/json")
    assert len(of_body(b"su\n" * REPORTS_LIMIT)) == REPORTS_LIMIT
    assert parse(b"br=(" + b"1 " * (LIST_LIMIT + 5) + b")")["br"] == (Measure(1),) * LIST_LIMIT


def test_states_are_the_ten_of_the_standard() -> None:
    assert len(STATES) == 10 and set("sprae") < STATES


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
integers = st.integers(-(10**12), 10**12)
types = st.sampled_from(["", "v", "a"])
VALUES = {
    Kind.BOOLEAN: st.booleans(),
    Kind.INTEGER: integers,
    Kind.DECIMAL: st.integers(-(10**6), 10**6).map(lambda number: number / 8),
    Kind.STRING: printable,
    Kind.TOKEN: st.sampled_from(["s", "p", "av", "ll", "h"]),
    Kind.MEASURES: st.lists(st.builds(Measure, integers, types), min_size=1, max_size=4).map(tuple),
    Kind.STRINGS: st.lists(printable, min_size=1, max_size=3).map(tuple),
}
reports = st.fixed_dictionaries({}, optional={key: VALUES[kind] for key, kind in KEYS.items()})


def written(report: Report) -> str:
    """A report as the standard writes it (RFC 8941, 4.1)."""
    return ",".join(f"{key}={member(value)}" if value is not True else key for key, value in report.items())


def member(value: object) -> str:
    match value:
        case bool():
            return f"?{value:d}"
        case tuple():
            return "(" + " ".join(member(entry) if isinstance(entry, str) else measure(*entry) for entry in value) + ")"
        case str() if value in ("s", "p", "av", "ll", "h"):
            return value
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def measure(number: int, object_type: str) -> str:
    return f"{number};{object_type}" if object_type else str(number)


@given(reports)
def test_what_is_written_reads_back_from_query_headers_and_body(report: Report) -> None:
    text = written(report).encode()
    assert parse(text) == report
    assert of_query(quote(text).encode()) == report
    assert of_body(text + b"\n") == ([report] if report else [])


@given(st.binary(max_size=300) | st.text('abrsidv=,;()"\\?01.- \n%', max_size=200).map(str.encode))
def test_strange_bytes_read_as_typed_values_or_are_refused(text: bytes) -> None:
    for report in [parse(text), of_query(text), *of_body(text)]:
        assert all(key in KEYS for key in report)
    try:
        of_body(text, b"application/json")
    except ProtocolError:
        pass


@given(reports, st.binary(max_size=30).filter(lambda junk: not set(junk) & set(b'"(),')))
def test_junk_between_keys_costs_nothing_but_itself(report: Report, junk: bytes) -> None:
    found = parse(b"zz=" + junk + b"," + written(report).encode())
    assert found == report
