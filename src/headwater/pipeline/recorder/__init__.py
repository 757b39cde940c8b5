"""Parts in, one fragmented MP4 a session on disk, and back.

    session.py      SessionRecorder: takes the packager's outputs, hands bytes over
    writer.py       DiskWriter: the one thread that writes
    head.py         the MP4's rewritable head
    records.py      what a recording knows beside its media, in the MP4 and in the index beside it
    survey.py       reads index and MP4; recovery.py completes them at the end, or after a crash
    files.py        names, reading, deleting
    recording.py    what the origin sees of it

The MP4 holds every track's parts as the packager made them, so that an HLS segment is a few ranges of it.
"""

from headwater.pipeline.recorder.files import delete
from headwater.pipeline.recorder.recovery import RecordingFile, load, recover
from headwater.pipeline.recorder.session import SessionRecorder
from headwater.pipeline.recorder.writer import DiskWriter, WriterSettings

__all__ = ["DiskWriter", "RecordingFile", "SessionRecorder", "WriterSettings", "delete", "load", "recover"]
