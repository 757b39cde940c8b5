"""Livestreams played by WebRTC (WHEP).

session ──Tap──► playout.py  one a livestream that is watched: access units ─► RTP packets, once for all viewers
                    ├─► sound.py, sound_worker.py   AAC and MP3 ─► Opus, in a process of its own
                    └─► viewer.py   one a viewer: its own headers, what is sent again, reports
endpoint.py   POST /<playback id>/webRTC/play: who is let in, and why not
"""
