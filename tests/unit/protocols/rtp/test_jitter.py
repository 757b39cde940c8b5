"""Packets in order: whatever the network does to them, bounded in time, and what to ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.rtp.jitter import (
    MAX_ASKED,
    MAX_DROPOUT,
    MAX_MISSING,
    MAX_WAIT_MS,
    REORDERING_MS,
    JitterBuffer,
)
from headwater.protocols.rtp.packet import Packet


def packet(number: int) -> Packet:
    return Packet(False, 96, number & 0xFFFF, number * 10 & 0xFFFFFFFF, 1, number.to_bytes(4, "big"))


def number(packet: Packet) -> int:
    return int.from_bytes(packet.payload, "big")


def test_what_is_in_order_passes_at_once() -> None:
    buffer = JitterBuffer()
    assert [list(buffer.push(packet(at), 0)) for at in (65534, 65535, 65536)] == [
        [packet(65534)],
        [packet(65535)],
        [packet(65536)],
    ]
    assert buffer.held == 0 and not buffer.wanted(1000)


def test_a_gap_that_closes_costs_nothing() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1), 0)
    assert not buffer.push(packet(3), 1) and not buffer.push(packet(4), 2)
    assert [number(out) for out in buffer.push(packet(2), 3)] == [2, 3, 4]
    assert buffer.lost == 0 and not buffer.wanted(1000)


def test_one_lost_packet_stalls_for_the_bound_and_no_longer() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1), 0)
    buffer.push(packet(3), 10)
    assert not buffer.tick(10 + MAX_WAIT_MS - 1)
    assert [number(out) for out in buffer.tick(10 + MAX_WAIT_MS)] == [3]
    assert buffer.lost == 1
    assert not buffer.push(packet(2), 300) and buffer.late == 1


def test_two_gaps_do_not_add_up_their_waits() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1), 0)
    buffer.push(packet(5), 0)
    buffer.push(packet(3), MAX_WAIT_MS - 50)
    assert [number(out) for out in buffer.tick(MAX_WAIT_MS)] == [3, 5] and buffer.lost == 2


def test_a_missing_packet_is_asked_for_after_each_round_trip() -> None:
    buffer = JitterBuffer(max_wait_ms=10_000)
    buffer.push(packet(65534), 0)
    buffer.push(packet(65537), 0)
    assert not buffer.wanted(REORDERING_MS - 1)
    assert list(buffer.wanted(REORDERING_MS, 100)) == [65535, 0]
    assert not buffer.wanted(100, 100)
    buffer.push(packet(65536), 110)
    assert list(buffer.wanted(130, 100)) == [65535]
    asked = sum(1 for now in range(140, 9000, 10) if buffer.wanted(now, 100))
    assert asked == MAX_ASKED - 2


def test_too_many_missing_packets_are_not_asked_for() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1), 0)
    buffer.push(packet(1 + MAX_MISSING + 2), 0)
    assert not buffer.wanted(50)
    assert len(buffer.tick(MAX_WAIT_MS)) == 1 and buffer.lost == MAX_MISSING + 1


def test_a_stray_is_dropped_and_a_restart_followed() -> None:
    """RFC 3550, A.1: two in a row far from what was expected are a new beginning."""
    buffer = JitterBuffer()
    buffer.push(packet(100), 0)
    far = 100 + MAX_DROPOUT + 5000
    assert not buffer.push(packet(far), 1)
    assert [number(out) for out in buffer.push(packet(101), 2)] == [101]
    assert not buffer.push(packet(far + 10), 3)
    assert [number(out) for out in buffer.push(packet(far + 11), 4)] == [far + 11]
    assert [number(out) for out in buffer.push(packet(far + 12), 5)] == [far + 12]
    assert buffer.restarts == 1


def test_what_waits_is_bounded_in_number() -> None:
    buffer = JitterBuffer(max_held=5)
    buffer.push(packet(1), 0)
    out = [number(out) for at in range(3, 12) for out in buffer.push(packet(at), 0)]
    assert buffer.held <= 5 and out == list(range(3, 12)) and buffer.lost == 1


arrivals = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 400)), min_size=1, max_size=120)


@given(st.integers(0, 70_000), arrivals)
def test_whatever_the_network_does(first: int, arrivals: list[tuple[int, int]]) -> None:
    """Loss, disorder, duplicates, pauses: what comes out is in order, each once, and never late."""
    buffer = JitterBuffer()
    out: list[int] = []
    came: dict[int, float] = {}
    now = 0.0
    buffer.push(packet(first), now)
    for step, pause in arrivals:
        if pause > 380:
            now += pause - 380
        given = first + 1 + step
        came.setdefault(given, now)
        released = [number(one) for one in (*buffer.tick(now), *buffer.push(packet(given), now))]
        assert all(now - came[one] <= MAX_WAIT_MS + 20 for one in released)
        out += released
        assert all(one in {n & 0xFFFF for n in range(first, first + 90)} for one in buffer.wanted(now))
    out += [number(one) for one in buffer.tick(now + MAX_WAIT_MS)]
    assert out == sorted(set(out)) and set(out) <= set(came) and buffer.held == 0
    assert len(out) + buffer.lost == max(out, default=first) - first
    assert len(out) + buffer.late == len(arrivals)


@given(st.integers(0, 70_000), st.permutations(range(20)))
def test_disorder_alone_loses_nothing(first: int, order: list[int]) -> None:
    buffer = JitterBuffer()
    buffer.push(packet(first), 0)
    out = [number(one) for step in order for one in buffer.push(packet(first + 1 + step), 1)]
    assert out == [first + 1 + step for step in range(20)] and not buffer.lost and not buffer.wanted(1000)
