"""Putting a finished folder in its place, so that a crash leaves the old one or the new one."""

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def put(draft: Path, target: Path) -> None:
    """Give the folder `draft` the name `target`; what was there is removed.

    Two folders are swapped in one step where the system can (Linux); elsewhere the old one is
    renamed aside for a moment, to a hidden name beside it, and back again if the next rename
    fails.

    Parameters
    ----------
    draft : Path
        A finished folder, in the same parent as `target`.
    target : Path
        A folder, or nothing yet.
    """
    _settle(draft)
    if not target.exists():
        draft.rename(target)
        _settle(target.parent)
        return
    if _swapped(draft, target):
        _settle(target.parent)
        shutil.rmtree(draft, ignore_errors=True)
        return
    aside = draft.with_suffix(".old")
    target.rename(aside)
    try:
        draft.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    _settle(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Ask that the folder's entries reach the disk now; some file systems cannot promise it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swapped(one: Path, other: Path) -> bool:
    """Whether the system swapped the two names; if not, nothing has happened."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
