"""What the operator can set of ingest: every limit on what a stranger can send, and every wait."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.protocols.rtmp.server import SessionLimits


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Limits and waits of the RTMP and RTMPS listeners.

    Attributes:
        connections: Open connections at one time, publishing or not.
        unauthenticated_connections: Connections whose key was not admitted yet; bounds what strangers can hold.
        unauthenticated_per_address: The same from one address; many encoders may stand behind one router or load
            balancer, and all return at once after a restart.
        handshake_timeout_s: From the connection to the end of the handshake; a slow link takes under a second.
        publish_timeout_s: From the connection to an admitted publish; encoders take under two seconds.
        admit_timeout_s: How long the gate may take to decide.
        first_media_timeout_s: From the admitted publish to the first media; encoders start up meanwhile.
        idle_timeout_s: Nothing at all received from an admitted publisher: it is taken for lost (checked every 0.5 s,
            so that it is noticed within 5 s). Encoders send audio or video many times a second, and OBS sends silence.
        stall_timeout_s: A publisher that answers pings but sends no media is let go after this.
        linger_s: How long a refused publisher may take to read why, before the connection is cut.
        max_unauthenticated_bytes: Received before the publish is admitted: handshake, connect, publish, and what
            follows in the same packets.
        max_unauthenticated_message: One message before the publish is admitted; connect takes 300 to 2,000 bytes.
        max_message: One message of an admitted publisher; the largest key frames (2160p, 100 Mbit/s) are below 4 MB.
        max_chunk_streams: Chunk streams in use by one connection; encoders use 3 to 6.
        min_chunk_size: The least that a publisher may announce: the protocol's default. Less is only work.
        chunk_size: What we announce; ffmpeg then sends with the same. Large, so that most messages are one chunk.
        window_acknowledgement_size: How often (bytes) each side acknowledges.
        max_bitrate_bps: Mean bits per second over 10 s that a publisher may send; 0: no cap.
        write_buffer: Bytes that we hold for a publisher that does not read; answers are some hundred bytes.
        max_video_tracks: Video tracks taken of a multitrack publish; further ones are dropped with a warning.
        max_audio_tracks: The same for audio.
    """

    connections: int = 2_000
    unauthenticated_connections: int = 500
    unauthenticated_per_address: int = 200
    handshake_timeout_s: float = 5.0
    publish_timeout_s: float = 15.0
    admit_timeout_s: float = 10.0
    first_media_timeout_s: float = 20.0
    idle_timeout_s: float = 4.25
    stall_timeout_s: float = 20.0
    linger_s: float = 2.0
    max_unauthenticated_bytes: int = 512 * 1024
    max_unauthenticated_message: int = 16 * 1024
    max_message: int = 8 * 1024 * 1024
    max_chunk_streams: int = 64
    min_chunk_size: int = 128
    chunk_size: int = 60_000
    window_acknowledgement_size: int = 2_500_000
    max_bitrate_bps: int = 0
    write_buffer: int = 64 * 1024
    max_video_tracks: int = 1
    max_audio_tracks: int = 1

    def session_limits(self) -> SessionLimits:
        """Those of one connection's protocol."""
        return SessionLimits(
            handshake_timeout_s=self.handshake_timeout_s,
            publish_timeout_s=self.publish_timeout_s,
            first_media_timeout_s=self.first_media_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            stall_timeout_s=self.stall_timeout_s,
            max_unauthenticated_bytes=self.max_unauthenticated_bytes,
            max_unauthenticated_message=self.max_unauthenticated_message,
            max_message=self.max_message,
            max_chunk_streams=self.max_chunk_streams,
            min_chunk_size=self.min_chunk_size,
            chunk_size=self.chunk_size,
            window_acknowledgement_size=self.window_acknowledgement_size,
        )
