"""What a file from a stranger holds: sure to lie in its folder, of bounded size, proven once.

The layout of a safetensors file is proven by the safetensors library, with which PEFT loads; the
places of the tensors are then taken from the header as they stand. Numbers are read by seek and
read, one tensor at a time. Nothing is mapped: pages of a mapping count as resident for as long as
it is open.
"""

import json
import math
import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._adapter import DTYPES, AdapterError, refusal, shown
from loratheory.shapes import Float

KINDS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
CODES = dict(zip(("F16", "BF16", "F32", "F64"), DTYPES, strict=True))
LIMIT = 100_000_000  # bytes of header, the limit of the safetensors library itself
_AGAIN = "copy or download the file again"


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
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in values if keys.count(key) > 1)
            raise refusal(path, f"the key {shown(twice)} occurs twice", remedy)
        return values

    def number(word: str) -> float:
        """No number at all: NaN and infinities are not JSON."""
        raise refusal(path, f"holds the number {word}, which is not JSON", remedy)

    try:
        values = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=number)
    except AdapterError:
        raise
    except UnicodeDecodeError as error:
        raise refusal(path, f"byte {error.start} is not UTF-8 text", remedy) from None
    except RecursionError:
        raise refusal(path, "the JSON is nested too deeply", remedy) from None
    except ValueError as error:
        raise refusal(path, f"is not JSON ({error})", remedy) from None
    if not isinstance(values, dict):
        raise refusal(path, f"holds {shown(values)}, not a JSON object", remedy)
    return values


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies; `load` reads it.

    Attributes
    ----------
    file : Path
        The safetensors file.
    key : str
        Its name there.
    dtype : str
        One of `DTYPES`.
    shape : tuple of int
        Its sides.
    start : int
        Its first byte, from the start of the file.
    stamp : tuple of int
        Which state of the file this is true of.
    """

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stamp: tuple[int, ...]

    @property
    def place(self) -> str:
        """How messages call it."""
        return f"{self.file}: tensor {shown(self.key)}"


def _stamp(descriptor: int) -> tuple[int, ...]:
    stat = os.fstat(descriptor)
    return (stat.st_size, stat.st_ino, stat.st_mtime_ns)


def header(file: Path) -> dict[str, Tensor]:
    """Return every tensor's place, once the safetensors library has proven the whole layout.

    Parameters
    ----------
    file : Path
        A safetensors file.

    Returns
    -------
    dict of str to Tensor
        In the order of the header; together they fill the file without gap or overlap.

    Raises
    ------
    AdapterError
        If the file is cut, its header damaged, or a tensor holds anything but floating-point
        numbers of 16, 32 or 64 bits.
    """
    with opened(file) as source:  # before the library looks: a later change shows in the stamp
        stamp = _stamp(source.fileno())
        try:
            with safe_open(file, framework="numpy"):
                pass
            length = int.from_bytes(source.read(8), "little")
            entries = json_object(file, source.read(length))
        except SafetensorError as error:
            fact = f"the safetensors library refuses this file of {stamp[0]} bytes ({error})"
            raise refusal(file, fact, "if it was cut or changed, " + _AGAIN) from None
        except OSError as error:
            raise unreadable(file, error) from None
    entries.pop("__metadata__", None)
    tensors = {}
    for key, entry in entries.items():
        code, shape, start = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"][0]
        if code not in CODES:
            place, remedy = f"{file}: tensor {shown(key)}", f"save it in one of {', '.join(DTYPES)}"
            raise refusal(place, f"dtype is {shown(code)}", remedy)
        tensors[key] = Tensor(file, key, CODES[code], shape, 8 + length + start, stamp)
    return tensors


def load(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """Return the numbers of one tensor, all finite; nothing of the file stays open.

    Parameters
    ----------
    tensor : Tensor
        From `header`.

    Returns
    -------
    array
        float64 stays; all else becomes float32, which holds it exactly.

    Raises
    ------
    AdapterError
        If the file has changed since, or an entry is NaN or infinite.
    """
    stored = "<u2" if tensor.dtype == "bfloat16" else KINDS[tensor.dtype].newbyteorder("<")
    values = np.empty(math.prod(tensor.shape), stored)
    try:
        with opened(tensor.file) as source:
            same = _stamp(source.fileno()) == tensor.stamp
            source.seek(tensor.start)
            size = source.readinto(values.data.cast("B"))
    except OSError as error:
        raise unreadable(tensor.file, error) from None
    if not same or size != values.nbytes:
        raise refusal(tensor.place, "the file changed while it was being read", "read it again")
    if tensor.dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    kind = np.float64 if tensor.dtype == "float64" else np.float32
    with np.errstate(invalid="ignore"):  # signalling NaN, refused in the next step
        wide = values.astype(kind, copy=False).reshape(tensor.shape)
    finite(tensor.place, wide)
    return wide


def finite(place: str, array: Float[np.ndarray, "..."], cause: str = "") -> None:
    """Refuse NaN and infinity, by place and position."""
    good = np.isfinite(array)
    if not good.all():
        spot = np.unravel_index(int(good.argmin()), array.shape)
        fact = f"{float(array[spot])} at position {[int(index) for index in spot]}{cause}"
        raise refusal(place, fact, "every entry must be finite: redo the step that produced it")
