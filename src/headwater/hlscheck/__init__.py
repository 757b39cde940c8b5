"""A validator of the low-latency HLS rules, for anybody's stream.

Enters: the URL of a multivariant or media playlist. Leaves: a `Report` of the rules of draft-pantos-hls-rfc8216bis-22
and of section 14 of Apple's HLS authoring specification that the stream breaks, each with its clause and evidence.

    parser   text to typed playlists and syntax problems      pure
    mp4      init segments and fragments to samples            pure
    probe    a URL to an Observation                           HTTP
    rules    an Observation to outcomes                        pure
    report   outcomes to text, JSON and an exit code

It shares no code with this project's own packager and origin: a second, independent reading of the same rules.
"""

from headwater.hlscheck.checking import check, run
from headwater.hlscheck.report import Finding, Report, Seen, print_report

__all__ = ["Finding", "Report", "Seen", "check", "print_report", "run"]
