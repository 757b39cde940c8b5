"""Publishers come in: RTMP and RTMPS listeners, limits, and the gate that admits."""

from headwater.pipeline.ingest.listener import RtmpIngest
from headwater.pipeline.ingest.settings import IngestSettings

__all__ = ["IngestSettings", "RtmpIngest"]
