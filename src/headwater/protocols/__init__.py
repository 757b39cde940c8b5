"""How it is written on the wire and on disk: AMF, FLV, RTMP, ISO BMFF, M3U8. Pure."""
