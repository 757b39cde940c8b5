"""What a number may be, key by key: the lowest and the highest value, both allowed. None: no bound on that side."""

from __future__ import annotations

from typing import TypeAlias

Bound: TypeAlias = tuple[float | None, float | None]

KIB, MIB, GIB = 1024, 1024**2, 1024**3

BOUNDS: dict[str, Bound] = {
    "ingest.connections": (1, 100_000),
    "ingest.unauthenticated_connections": (1, 100_000),
    "ingest.unauthenticated_per_address": (1, 100_000),
    "ingest.handshake_timeout_s": (0.1, 60),
    "ingest.publish_timeout_s": (0.1, 120),
    "ingest.admit_timeout_s": (0.1, 60),
    "ingest.first_media_timeout_s": (0.1, 300),
    "ingest.idle_timeout_s": (0.5, 300),
    "ingest.stall_timeout_s": (0.5, 3600),
    "ingest.linger_s": (0, 30),
    "ingest.max_unauthenticated_bytes": (16 * KIB, 16 * MIB),
    "ingest.max_unauthenticated_message": (4 * KIB, 1 * MIB),
    "ingest.max_message": (64 * KIB, 64 * MIB),
    "ingest.max_chunk_streams": (6, 1024),
    "ingest.min_chunk_size": (1, 4096),
    "ingest.chunk_size": (128, 16 * MIB - 1),  # a message's length has 24 bits (RTMP 1.0, 5.4.1)
    "ingest.window_acknowledgement_size": (16 * KIB, 2**31 - 1),
    "ingest.max_bitrate_bps": (0, 10**9),
    "ingest.write_buffer": (4 * KIB, 16 * MIB),
    "ingest.max_video_tracks": (1, 16),
    "ingest.max_audio_tracks": (1, 16),
    "rooms.max_rooms": (1, 100_000),
    "rooms.max_participants": (1, 1000),
    "rooms.max_joins_per_minute": (1, 10_000),
    "rooms.max_subscriptions": (1, 10_000),
    "rooms.max_event_streams": (1, 100),
    "rooms.return_s": (0.5, 60),
    "rooms.publication_s": (0.5, 300),
    "rooms.camera_bps": (100_000, 50_000_000),
    "rooms.screen_bps": (100_000, 50_000_000),
    "rooms.least_bps": (30_000, 10_000_000),
    "compositor.max_broadcasts": (0, 1000),
    "compositor.fps": (5, 60),
    "compositor.video_kbps": (200, 50_000),
    "compositor.audio_kbps": (32, 320),
    "compositor.playout_delay_ms": (50, 2000),
    "compositor.max_restarts": (0, 1000),
    "compositor.restart_window_s": (1, 3600),
    "compositor.stop_timeout_s": (0.5, 8),
    "compositor.queue_bytes": (256 * 1024, 1 << 30),
    "webrtc.port_count": (1, 1000),
    "webrtc.max_peers": (1, 100_000),
    "webrtc.max_connecting": (1, 100_000),
    "webrtc.connect_timeout_s": (1, 120),
    "webrtc.silence_timeout_s": (3, 120),
    "webrtc.max_offer_bytes": (4 * KIB, 64 * KIB),
    "webrtc.max_addresses": (2, 64),
    "webrtc.max_ssrcs": (4, 1024),
    "webrtc.receive_buffer_bytes": (64 * KIB, 256 * MIB),
    "livestream.reconnect_window_s": (0, 1800),
    "livestream.goodbye_window_s": (0, 1800),
    "livestream.progress_interval_s": (0.1, 5),
    "livestream.tick_interval_s": (0.02, 1),
    "livestream.ingest_gap_ms": (100, 60_000),
    "livestream.max_sessions": (1, 100_000),
    "packager.segment_target_ms": (1000, 10_000),
    "packager.part_target_ms": (200, 1000),
    "packager.max_gop_ms": (1000, 60_000),
    "packager.first_segment_ms": (100, 10_000),
    "packager.probe_ms": (0, 10_000),
    "packager.late_track_ms": (0, 30_000),
    "origin.memory_window_s": (2, 600),
    "origin.dvr_window_s": (6, 86_400),
    "origin.hold_s": (0, 60),
    "origin.ended_s": (0, 3600),
    "origin.max_waiting": (1, 1_000_000),
    "origin.max_waiting_livestream": (1, 1_000_000),
    "origin.max_views": (1, 10_000_000),
    "origin.max_head_bytes": (2 * KIB, 1 * MIB),
    "origin.keep_alive_s": (1, 3600),
    "origin.head_timeout_s": (0.1, 120),
    "origin.body_timeout_s": (0.1, 600),
    "origin.stalled_s": (1, 3600),
    "origin.max_connections": (1, 1_000_000),
    "origin.read_threads": (1, 64),
    "experience.max_viewings": (1, 1_000_000),
    "experience.idle_s": (10, 3600),
    "experience.read_interval_s": (0, 60),
    "experience.rotate_s": (60, 86_400),
    "experience.checkpoint_interval_s": (0.1, 60),
    "experience.reports_per_s": (128, 1_000_000),
    "recorder.queue_limit_bytes": (1 * MIB, 16 * GIB),
    "recorder.gather_ms": (0, 1000),
    "recorder.sync_interval_ms": (0, 5000),
    "recorder.reserve_bytes": (0, 1024 * GIB),
    "recordings.keep_days": (0, 36_500),
    "recordings.keep_bytes": (0, 1024**6),
    "recordings.check_interval_s": (1, 86_400),
    "store.retry_max_s": (1, 86_400),
    "control.download_link_s": (60, 7 * 86_400),
    "control.participant_token_s": (60, 365 * 86_400),
    "control.requests_per_s": (0.1, 1_000_000),
    "control.requests_burst": (1, 1_000_000),
    "control.failed_auth_per_s": (0.01, 1000),
    "control.failed_auth_burst": (1, 10_000),
    "control.body_limit_bytes": (1 * KIB, 16 * MIB),
    "control.body_timeout_s": (0.1, 600),
    "telemetry.max_livestreams": (0, 10_000),
    "telemetry.ready_database_s": (0.1, 30),
    "telemetry.ready_free_bytes": (0, 1024 * GIB),
    "webhooks.concurrency": (1, 1000),
    "webhooks.concurrency_per_webhook": (1, 100),
    "webhooks.timeout_s": (0.1, 120),
    "webhooks.retry_first_s": (0.05, 3600),
    "webhooks.retry_max_s": (0.05, 86_400),
    "webhooks.give_up_s": (1, 30 * 86_400),
    "webhooks.keep_finished": (1, 100_000),
    "webhooks.keep_finished_s": (60, 366 * 86_400),
}


def check(key: str, value: object) -> None:
    """Hold a number against its bounds.

    Raises:
        ValueError: with the bounds, in words.
    """
    bound = BOUNDS.get(key)
    if bound is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = bound
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"must be {words(bound)}")


def words(bound: Bound) -> str:
    """A bound for people: `0 to 1800`, `at least 1`."""
    low, high = bound
    if low is None:
        return f"at most {_number(high)}"
    return f"at least {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else f"{value:g}"
