"""Fuzz: a server session and a demuxer given hostile bytes.

Invariant: bytes either parse or raise ProtocolError; nothing else comes out, at any split; what the session holds of
them stays below its limits. FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.protocols.rtmp.messages import chunked
from headwater.protocols.rtmp.server import ServerSession, SessionLimits
from tests.unit.protocols.rtmp.peers import C2, HANDSHAKE, OBS, command, connect

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
LIMITS = SessionLimits(max_message=20_000, max_unauthenticated_message=2_000)

_amf = st.binary(max_size=40) | st.sampled_from(
    [b"\x02\0\7connect\0", b"\x02\0\7publish\0", b"\x03\0\3app\x02\xff\xff"]
)
_type = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 15, 17, 18, 20, 22]) | st.integers(0, 255)
_message = st.builds(
    chunked, st.integers(2, 63), _type, st.integers(0, 3), st.integers(0, 1 << 33), _amf, st.sampled_from([128, 4096])
)
_piece = st.binary(max_size=60) | _message | st.sampled_from([*OBS, connect(), command("deleteStream", 1, None, 1.0)])


def limited(session: ServerSession, now: float) -> None:
    session.handle_timeout(now)
    demuxer = session._demuxer
    assert len(demuxer._buffer) <= 2 * LIMITS.max_message
    assert 0 <= demuxer._pending_bytes <= LIMITS.max_message


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.lists(_piece, max_size=12), st.integers(1, 400))
def test_a_session_parses_or_refuses(admitted: bool, pieces: list[bytes], cut: int) -> None:
    session = ServerSession(LIMITS, random=bytes(RANDOM_SIZE), now=0)
    session.receive_data(HANDSHAKE + C2, 0)
    if admitted:
        session.receive_data(b"".join(OBS), 0)
        session.accept_publish(0)
    data = b"".join(pieces)
    try:
        for number, at in enumerate(range(0, len(data), cut)):
            session.receive_data(data[at : at + cut], number)
            session.data_to_send()
            limited(session, number)
    except ProtocolError:
        pass


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=4000), st.integers(1, 500))
def test_a_handshake_parses_or_refuses(data: bytes, cut: int) -> None:
    session = ServerSession(LIMITS, random=bytes(RANDOM_SIZE), now=0)
    try:
        for at in range(0, len(data), cut):
            session.receive_data(data[at : at + cut], 0)
    except ProtocolError:
        pass


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(_piece, max_size=12), st.data())
def test_a_demuxer_gives_the_same_whatever_the_split(pieces: list[bytes], data: st.DataObject) -> None:
    """Also of bytes that end in an error: the same messages come before it."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))

    def run(places: list[int]) -> tuple[list[object], bool]:
        demuxer = Demuxer(max_message=20_000)
        messages: list[object] = []
        try:
            for start, end in zip([0, *places], [*places, len(stream)], strict=True):
                messages += demuxer.feed(stream[start:end])
        except ProtocolError:
            return messages, True
        return messages, False

    byte_by_byte = run(list(range(1, len(stream))) if stream else [])
    split, failed = run(cuts)
    assert failed == byte_by_byte[1]
    assert split == byte_by_byte[0][: len(split)]
    assert failed or len(split) == len(byte_by_byte[0])
