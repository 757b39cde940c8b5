"""Integer media time and its one rescaling rule."""


def rescale(ticks: int, from_timescale: int, to_timescale: int) -> int:
    """Convert ticks of one timescale to another, rounded to the nearest, halves up.

    Args:
        ticks: A time or duration in `from_timescale` units per second; may be negative.
        from_timescale: Ticks per second of the input, positive.
        to_timescale: Ticks per second of the result, positive.
    """
    return (2 * ticks * to_timescale + from_timescale) // (2 * from_timescale)
