"""Start an event loop for the server."""

from __future__ import annotations

from headwater.config.settings import Settings


def run_server(settings: Settings) -> None:
    """Run the server until it is told to stop."""
    import uvloop

    from headwater import app

    uvloop.run(app.run(settings))
