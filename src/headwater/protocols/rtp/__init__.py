"""RTP and RTCP, and the codecs' packings in it. Pure: bytes and the time come in, bytes and findings go out."""
