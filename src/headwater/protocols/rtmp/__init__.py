"""RTMP 1.0, sans I/O: handshake, chunk stream, messages, server and client sessions."""
