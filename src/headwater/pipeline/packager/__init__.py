"""Access units in, CMAF init segments, segments and parts out. Pure.

packager.py    Packager: the start, boundaries, cuts, the end
lane.py        a track's way: configuration, clock, writer
clock.py       even times from uneven time stamps
writer.py      samples to parts and segments
plan.py        where segments end
wall_clock.py  EXT-X-PROGRAM-DATE-TIME
"""

from headwater.pipeline.packager.packager import Packager
from headwater.pipeline.packager.settings import PackagerSettings

__all__ = ["Packager", "PackagerSettings"]
