"""Whole files, names made from content, digests of code, locks, the cache folder."""

import ast
import ctypes
import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

_LOCKS = os.name == "posix"  # elsewhere nothing is locked, see `lock`
if _LOCKS:
    import fcntl

_CWD, _NO_REPLACE, _EXCHANGE = -100, 1, 2  # AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE of Linux


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
def code(module: str) -> str:
    """Return a digest of the source of a module and of all of this package that it imports.

    So that results of other code are told apart. Costs a parse of each of these files.
    """
    digest = hashlib.sha256()
    for name, file in sorted(_imported(module).items()):
        digest.update(f"{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _imported(module: str) -> dict[str, Path]:
    """The files of a module and of what it imports, early or late, down to the last."""
    own = getattr(sys.modules.get(module), "__file__", None)
    found, waiting = {}, {module: Path(own) if own else _file(module)}
    while waiting:
        name, file = waiting.popitem()
        if file is None or name in found:
            continue
        found[name] = file
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                waiting |= {each.name: _file(each.name) for each in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                inner = [f"{node.module}.{each.name}" for each in node.names]
                modules = [each if _file(each) else node.module for each in inner]
                waiting |= {each: _file(each) for each in modules}
    return found


def _file(module: str) -> Path | None:
    """Where a module of this package is, None for any other name."""
    package, *parts = module.split(".")
    place = Path(__file__).parent.joinpath(*parts)
    files = (place.with_suffix(".py"), place / "__init__.py") if package == "loratheory" else ()
    return next((file for file in files if file.is_file()), None)


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file so that it appears complete or not at all.

    Text is encoded as UTF-8 and its line ends are kept. The folder must exist. An existing regular
    file is replaced in one step and keeps its permissions; where `path` is a symbolic link, the
    link stays and its target is replaced. Where `path` is a device, a FIFO, a socket or an open
    descriptor (``/dev/stdout``, ``/dev/fd/63``), the data are written into it directly.

    Raises
    ------
    OSError
        If `path` cannot be written; the error names it, and an existing regular file is unchanged.
    """
    content = data.encode() if isinstance(data, str) else data
    with _named(path):
        if (descriptor := _descriptor(path)) is not None:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()  # what was printed earlier comes first
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            return
        kind = _kind(path)
        if kind in (stat.S_IFREG, stat.S_IFDIR, None):
            with draft(path) as temporary, temporary.open("xb") as file:
                if kind == stat.S_IFREG:
                    shutil.copymode(path, temporary)
                file.write(content)
        elif kind == stat.S_IFSOCK:
            import socket  # here, since loading it takes as long as merging ten small modules

            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(content)
        else:
            with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
                file.write(content)


def _kind(path: Path) -> int | None:
    """What the path leads to, links followed; None for nothing."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _descriptor(path: Path) -> int | None:
    """The number of the open file that the path names in Linux's table of them, if it does.

    Replacing the file behind ``/dev/stdout`` would lose what was printed there before.
    """
    table = re.compile(rf"/proc/{os.getpid()}(/task/\d+)?/fd")
    for _ in range(40):  # as many links as Linux follows
        if not path.is_symlink():
            break
        if table.fullmatch(os.path.realpath(path.parent)):
            return int(path.name)
        path = path.parent / path.readlink()
    return None


@contextmanager
def draft(target: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path for a new file or folder, which becomes `target` when finished.

    The caller makes a file or a folder at the yielded path. At the end of the ``with`` block it is
    flushed to disk and renamed to `target` in one step; after an exception it is removed. Where
    `target` is a symbolic link, the link stays and what it points to is replaced. The temporary
    path lies beside `target` in a hidden folder, ``.NAME.xxxxxxxx.new``. A draft that a killed
    process left for the same target is removed first, with a warning in the log ``loratheory``.

    Parameters
    ----------
    target : Path
        The final path; its parent folder must exist.
    replace : bool
        Whether a file may replace a file, and a folder a folder with all its contents. If not,
        whatever is at `target` stays, even if it was put there while the block ran.

    Raises
    ------
    FileExistsError
        If something is at `target` and `replace` is false.
    OSError
        If `target` cannot be written; the error names it, and what was there is unchanged.
    """
    place = Path(os.path.realpath(target))
    if not replace and os.path.lexists(place):
        raise _exists(target)
    for leftover in _abandoned(place):
        shutil.rmtree(leftover, ignore_errors=True)
        logging.getLogger("loratheory").warning("removed %s, left by a killed run", leftover)
    with _named(target):
        room, handle = _room(place)
    try:
        path = room / place.name
        yield path
        with _named(target):
            for part in (*path.rglob("*"), path):
                _settle(part)
            _put(path, place, replace=replace)
        with suppress(OSError):
            _settle(place.parent)
    finally:
        shutil.rmtree(room, ignore_errors=True)
        os.close(handle)


@contextmanager
def lock(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that only one process can hold; it is freed however that process ends.

    `file` is created if it does not exist, and never removed; its folder must exist. Where the
    system has no ``flock`` (Windows) nothing is locked: two processes may then do the same work
    twice, but what each writes with `draft` still appears complete.

    Raises
    ------
    BlockingIOError
        If another process holds the lock and `wait` is false.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if _LOCKS:
            with _named(file):
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that the user named, not a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _prefix(place: Path) -> str:
    return f".{place.name[:50]}."  # a name may have 255 bytes, a letter up to four


def _room(place: Path) -> tuple[Path, int]:
    """A new hidden folder beside the place, and a descriptor that holds its lock."""
    while True:
        room = place.parent / f"{_prefix(place)}{secrets.token_hex(4)}.new"
        room.mkdir()
        if not _LOCKS:
            return room, os.open(os.devnull, os.O_RDONLY)
        handle = os.open(room, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks: then nobody removes it either
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), room.stat()):
                return room, handle
        os.close(handle)  # removed before it was locked, by one who took it for abandoned


def _abandoned(place: Path) -> Iterator[Path]:
    """Folders of drafts for this place whose process is gone, locked while they are looked at."""
    pattern = re.compile(re.escape(_prefix(place)) + r"[0-9a-f]{8}\.new")
    with suppress(OSError):
        rooms = [path for path in place.parent.iterdir() if pattern.fullmatch(path.name)]
        for room in rooms if _LOCKS else []:
            with suppress(OSError):
                handle = os.open(room, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield room
                finally:
                    os.close(handle)


def _settle(path: Path) -> None:
    """Ask that a file or the entries of a folder reach the disk now."""
    if path.is_dir() and not _LOCKS:
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise  # the disk is full or broken; a file system that cannot promise it says those
    finally:
        os.close(handle)


def _put(path: Path, place: Path, *, replace: bool) -> None:
    """Give the finished draft its name in one step."""
    if not replace:
        if _renamed(path, place, _NO_REPLACE):
            return
        if os.path.lexists(place):
            raise _exists(place)
        if path.is_dir():
            path.rename(place)  # which never replaces a folder that holds anything
        else:
            os.link(path, place)
    elif path.is_dir() and place.is_dir():
        if _renamed(path, place, _EXCHANGE):
            return  # the old one now lies where the draft was, and goes with it
        old = path.with_name("old")
        place.rename(old)
        try:
            path.rename(place)
        except BaseException:
            old.rename(place)
            raise
    else:
        path.replace(place)


def _renamed(path: Path, place: Path, how: int) -> bool:
    """Whether the system renamed this way; if not, nothing has happened."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return bool(rename(_CWD, os.fsencode(path), _CWD, os.fsencode(place), how) == 0)


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
