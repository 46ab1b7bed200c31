"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path


def whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then renamed.

    Parameters
    ----------
    path : Path
        In a folder that exists; an older file of that name is replaced.
    content : str or bytes
        Text is written as UTF-8, line ends as they are.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
