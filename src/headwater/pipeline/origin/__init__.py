"""Segments and parts in, HTTP responses out.

program.py     LiveProgram: a session as viewers see it; rendition.py: one track of it
blocking.py    the decision to serve, hold or reject a reload; views.py: who watches, and for how long
recorded.py    playlists of what lies on disk
origin.py      Origin: a request in, a response out, now or later
http1.py       its plain HTTP/1.1 shell; rsgi.py: its TLS and HTTP/2 shell; server.py: the listeners
"""

from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.server import HttpServer
from headwater.pipeline.origin.settings import OriginSettings

__all__ = ["HttpServer", "Origin", "OriginSettings"]
