"""Where the package keeps what it made itself and can make again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of kept weights and unpacked models.

    Returns
    -------
    Path
        ``$LORATHEORY_CACHE``, else ``loratheory`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.
    """
    if chosen := os.environ.get("LORATHEORY_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loratheory"
