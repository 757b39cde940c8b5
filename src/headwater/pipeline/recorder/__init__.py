"""Parts in, one fragmented MP4 a session on disk, and back."""
