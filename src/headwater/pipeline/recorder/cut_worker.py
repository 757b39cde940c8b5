"""The process that cuts recordings for `Maker`: one order on standard input, its outcome on standard output, both JSON.

    python -m headwater.pipeline.recorder.cut_worker

Cutting a day is minutes of work for Python: it must not hold the interpreter that serves viewers.
"""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import msgspec

from headwater.errors import HeadwaterError, OperatorError
from headwater.pipeline.recorder.cut import NothingThere, Span, cut, seconds_at
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.survey import survey

NICENESS = 10


class CutOrder(msgspec.Struct, frozen=True):
    """What is to be cut.

    Attributes:
        wall_ms: Spans by wall time; the last may be open.
        seconds: Spans by seconds since the beginning; one of the two is given.
    """

    source: str
    target: str
    max_bytes: int
    wall_ms: list[tuple[int, int | None]] | None = None
    seconds: list[tuple[float, float]] | None = None


class CutOutcome(msgspec.Struct, frozen=True):
    """What came of it; `error` is `CODE: sentence`, or empty; `again`: it may be otherwise later."""

    size: int = 0
    seconds: float = 0.0
    end_ms: int = 0
    error: str = ""
    again: bool = False


def main() -> None:
    """Do one order."""
    os.nice(NICENESS)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=CutOrder)
    sys.stdout.buffer.write(msgspec.json.encode(do(order)))


def do(order: CutOrder) -> CutOutcome:
    """Cut, and say what came of it."""
    target = Path(order.target)
    try:
        recording = survey(Path(order.source), index_only=True).recording()
        made = cut(recording, spans(order, recording), target, max_bytes=order.max_bytes)
    except NothingThere as error:
        return CutOutcome(error=f"ERR_NOTHING_RECORDED: {error}")
    except HeadwaterError as error:
        return CutOutcome(error=f"ERR_RECORDING_FAILED: {error}", again=isinstance(error, OperatorError))
    return CutOutcome(target.stat().st_size, made.seconds, made.end_ms)


def spans(order: CutOrder, recording: Recording) -> list[Span]:
    """The order's spans in seconds since the recording's beginning; none of them reaches back behind the one before."""
    if order.seconds is not None:
        return [(Fraction(start), Fraction(end)) for start, end in order.seconds]
    end_ms = recording.end_ms
    return [
        (seconds_at(recording, start), seconds_at(recording, end_ms if end is None else end))
        for start, end in order.wall_ms or ()
    ]


if __name__ == "__main__":
    main()
