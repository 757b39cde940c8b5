"""Segments and parts in, HTTP responses out.

Media comes in:
program.py     LiveProgram: a session as viewers see it; rendition.py, segment.py: one track of it, one segment
programs.py    the tables of what can be had
recorded.py    playlists of what lies on disk; library.py: its files

Requests come in, the way they go:
server.py      the listeners; rsgi.py: the TLS and HTTP/2 shell
http1.py       the plain HTTP/1.1 shell: the short way; http1_parser.py, asgi.py: all that does not take it
origin.py      Origin: a request in, a response out, now or later. Read it first
entry.py       the multivariant playlist; live_playlist.py: live media playlists; live_media.py: live segments and parts
recorded_media.py   everything from disk; about.py: status, viewers, thumbnail
blocking.py    the decision to serve, hold or reject a reload; holds.py: who came before there was anything
room.py        how many may wait
viewer.py      whose request it is; views.py: who watches, and for how long
request.py, response.py, ranges.py   HTTP as the origin sees it
"""

from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.server import HttpServer
from headwater.pipeline.origin.settings import OriginSettings

__all__ = ["HttpServer", "Origin", "OriginSettings"]
