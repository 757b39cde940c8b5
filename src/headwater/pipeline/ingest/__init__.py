"""Publishers come in: RTMP and RTMPS listeners, limits, and the gate that admits."""
