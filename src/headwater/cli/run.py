"""Start an event loop for the server."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from headwater.config.settings import Settings


def run_server(settings: Settings) -> NoReturn:
    """Run the server until it is told to stop, and end the process.

    A drained server has closed everything: what would follow is only the interpreter taking its modules apart, which
    takes longer than the drain (0.5 s and more on a busy machine).
    """
    import uvloop

    from headwater import app

    uvloop.run(app.run(settings))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
