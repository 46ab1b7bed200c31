"""Files from strangers: found inside their folder, opened with care, parsed without surprise."""

import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from loratheory.adapters._error import AdapterError, refusal, shown


def inside(folder: Path, name: str) -> Path:
    """Return the regular file `name` of `folder`, sure that it does not lead elsewhere.

    Links are followed within the folder, and from a snapshot of the Hugging Face cache into the
    blobs of the same repository, which is how that cache stores every file.

    Parameters
    ----------
    folder : Path
        Where the file must lie.
    name : str
        A file name without any folder in it.

    Returns
    -------
    Path
        ``folder / name``.

    Raises
    ------
    AdapterError
        If the name points out of the folder, or there is no regular file of that name.
    """
    path = folder / name
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        fact = f"the file name {shown(name)} leads out of the folder"
        raise refusal(folder, fact, "name files of the folder itself")
    try:
        real, home = path.resolve(strict=True), folder.resolve()
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from None
    homes = [home]
    if home.parent.name == "snapshots":
        homes.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in homes):
        fact = f"the link leads out of the folder, to {real}"
        raise refusal(path, fact, "put the file itself there if you trust it")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", "put the adapter's own file there")
    return path


def unreadable(path: Path, error: Exception) -> AdapterError:
    """The error for a file that the system does not let us read."""
    reason = getattr(error, "strerror", None) or str(error)
    return refusal(path, f"cannot be read ({reason})", "check that it exists and may be read")


def opened(path: Path) -> BufferedReader:
    """The file, open for reading."""
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


def json_file(path: Path, limit: int) -> dict[str, Any]:
    """Return the JSON object that a file of at most `limit` bytes holds.

    Parameters
    ----------
    path : Path
        The file.
    limit : int
        Its greatest size in bytes.

    Returns
    -------
    dict
        The object, as `json_object` checks it.

    Raises
    ------
    AdapterError
        If the file is larger, unreadable, or not a plain JSON object.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise refusal(path, f"has {size} bytes, over {limit}", "use the adapter's own file")
        try:
            return json_object(path, file.read())
        except OSError as error:
            raise unreadable(path, error) from None


def json_object(path: Path, text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`: no key twice, no NaN, nothing nested beyond reason.

    Parameters
    ----------
    path : Path
        The file it comes from, for messages.
    text : bytes
        UTF-8.

    Returns
    -------
    dict
        The parsed object.

    Raises
    ------
    AdapterError
        If `text` is anything else.
    """
    remedy = "restore the file as PEFT saved it"

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """The object of these pairs."""
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in found if keys.count(key) > 1)
            raise refusal(path, f"the key {shown(twice)} occurs twice", remedy)
        return found

    def number(word: str) -> float:
        """No number at all: NaN and infinities are not JSON."""
        raise refusal(path, f"holds the number {word}, which is not JSON", remedy)

    try:
        found = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=number)
    except AdapterError:
        raise
    except UnicodeDecodeError as error:
        raise refusal(path, f"byte {error.start} is not UTF-8 text", remedy) from None
    except RecursionError:
        raise refusal(path, "the JSON is nested too deeply", remedy) from None
    except ValueError as error:
        raise refusal(path, f"is not JSON ({error})", remedy) from None
    if not isinstance(found, dict):
        raise refusal(path, f"holds {shown(found)}, not a JSON object", remedy)
    return found
