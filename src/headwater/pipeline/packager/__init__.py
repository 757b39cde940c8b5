"""Access units in, CMAF init segments, segments and parts out. Pure."""
