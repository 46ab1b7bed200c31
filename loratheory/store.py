"""Whole files, names made from content, digests of code, locks, the cache folder."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk; such errors name no file


def cache_folder() -> Path:
    """Return the cache folder for trained weights and unpacked models; it need not exist yet.

    It is ``$LORATHEORY_CACHE``, else ``loratheory`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.
    """
    if chosen := os.environ.get("LORATHEORY_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loratheory"


def content_hash(value: Any, *, digits: int = 32) -> str:
    """Return a hash that is the same for equal values on every machine, to use as a name.

    It is the first `digits` of the 64 hexadecimal digits of SHA-256. Bytes are hashed as they are;
    anything that JSON can hold is hashed regardless of the order of keys; a dataclass is hashed by
    its name and its fields.

    Raises
    ------
    TypeError
        If a part of the value has another type: two such values may print alike and yet differ.
    """
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, default=_fields).encode()
    return hashlib.sha256(value).hexdigest()[:digits]


def _fields(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: dataclasses.asdict(value)}
    message = (
        f"{value!r} is a {type(value).__name__}: "
        "a content hash is of dataclasses, numbers, texts, lists and mappings"
    )
    raise TypeError(message)


@cache
def code() -> str:
    """Return a digest of this package, code and data, by which results of other code are known.

    Costs a reading of each of its files.
    """
    digest, package = hashlib.sha256(), Path(__file__).parent
    for file in sorted(filter(Path.is_file, package.rglob("*.*"))):
        # Python writes there while it runs.
        if file.parent.name == "__pycache__":
            continue
        digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file so that it appears complete or not at all.

    Text is encoded as UTF-8 and its line ends are kept. The folder must exist. An existing file is
    replaced in one step and keeps its permissions; of a symbolic link the target is replaced.

    Raises
    ------
    OSError
        If `path` cannot be written; the error names it, and an existing file is unchanged.
    """
    content = data.encode() if isinstance(data, str) else data
    if path.exists() and not path.is_file():
        # A device such as /dev/null is written to; a file in its place would break the system.
        with _naming(path):
            path.write_bytes(content)
        return
    with draft(path) as temporary:
        temporary.write_bytes(content)
        if path.exists():
            shutil.copymode(path, temporary)


@contextmanager
def draft(target: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path for a new file or folder, which becomes `target` when finished.

    The caller makes a file or a folder at the yielded path, which lies next to `target` in a hidden
    folder. At the end of the ``with`` block it is renamed to `target`; after an exception it is
    removed. Where `target` is a symbolic link, what it points to is replaced.

    Parameters
    ----------
    target : Path
        The final path; its parent folder must exist.
    replace : bool
        Whether a file may replace a file, and a folder a folder with all its contents.

    Raises
    ------
    FileExistsError
        If something is at `target` and `replace` is false.
    OSError
        If `target` cannot be written; the error names it, and what was there is unchanged.
    """
    place = Path(os.path.realpath(target))
    with _naming(target):
        _refuse_existing(place, replace=replace)
        room = tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name[:50]}.")
    with room:
        path = Path(room.name, place.name)
        try:
            yield path
        except OSError as error:
            if error.errno not in FULL or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(target)) from error
        with _naming(target):
            # Again: somebody may have made it meanwhile.
            _refuse_existing(place, replace=replace)
            if path.is_dir() and place.is_dir():
                _swap(path, place)
            else:
                path.replace(place)


def _swap(path: Path, place: Path) -> None:
    """Rename a folder to the name of another, which no system does over one that holds files."""
    old = path.with_name(f"{place.name[:50]}.old")
    place.rename(old)
    try:
        path.rename(place)
    except BaseException:
        old.rename(place)
        raise


def _refuse_existing(place: Path, *, replace: bool) -> None:
    if not replace and os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that the user named, not a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def lock(file: Path) -> Iterator[None]:
    """Hold a lock that only one process can hold; it is freed however that process ends.

    `file` is created if it does not exist; its folder must exist.
    """
    # Only what needs torch takes locks, and torch brings filelock.
    from filelock import FileLock

    with FileLock(file):
        yield
