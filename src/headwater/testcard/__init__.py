"""A moving test picture with sound, and publishing it over RTMP."""
