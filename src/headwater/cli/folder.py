"""Whether a server runs on a data folder."""

from __future__ import annotations

import fcntl
from pathlib import Path


def held(data: Path) -> bool:
    """Whether a running `headwater serve` holds the folder's lock; nothing is created or changed.

    Whoever cannot open the lock, because there is none or it is another user's, is told by the server itself.
    """
    try:
        with (data / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
