"""safetensors files by seek and read: the header first, then one tensor at a time.

Nothing is mapped: pages of a mapping count as resident for as long as it is open.
"""

import math
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._document import json_object, opened, unreadable
from loratheory.adapters._error import refusal, shown
from loratheory.shapes import Float

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
CODES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
LIMIT = 100_000_000  # bytes of header, the limit of the safetensors library itself
_AGAIN = "copy or download the file again"


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
    """Return every tensor's place, once the whole layout is known to be sound.

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
    try:
        with opened(file) as source:
            stamp = _stamp(source.fileno())
            length = int.from_bytes(source.read(8), "little")
            if stamp[0] < 8 or length > min(LIMIT, stamp[0] - 8):
                fact = f"{stamp[0]} bytes, of which the header claims {length} after the first 8"
                raise refusal(file, f"is no safetensors file: it has {fact}", _AGAIN)
            text = source.read(length)
    except OSError as error:
        raise unreadable(file, error) from None
    entries = json_object(file, text)
    entries.pop("__metadata__", None)
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for key, entry in entries.items():
        dtype, shape, (start, stop) = _entry(file, key, entry)
        tensors[key] = Tensor(file, key, dtype, shape, 8 + length + start, stamp)
        spans.append((start, stop, key))
    _fills(file, sorted(spans), stamp[0] - 8 - length)
    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise refusal(file, f"the safetensors library refuses it ({error})", _AGAIN) from None
    return tensors


def _entry(file: Path, key: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    place = f"{file}: tensor {shown(key)}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        fact = f"the header says {shown(entry)}"
        raise refusal(place, fact, "it must give dtype, shape and data_offsets; " + _AGAIN)
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if code not in [*CODES]:
        fact = f"dtype is {shown(code)}"
        raise refusal(place, fact, f"save the adapter in one of {', '.join(DTYPES)}")
    for name, sides in ("shape", shape), ("data_offsets", offsets):
        if not isinstance(sides, list) or len(sides) > 8 or not all(map(_is_size, sides)):
            fact = f"{name} is {shown(sides)}, not a short list of whole numbers"
            raise refusal(place, fact, _AGAIN)
    dtype = CODES[code]
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        fact = f"shape {shown(shape)} in {code} takes {size} bytes, data_offsets are {offsets}"
        raise refusal(place, fact, _AGAIN)
    return dtype, tuple(shape), (offsets[0], offsets[1])


def _is_size(side: Any) -> bool:
    return type(side) is int and 0 <= side < 2**63


def _fills(file: Path, spans: list[tuple[int, int, str]], size: int) -> None:
    """Refuse tensors that overlap, leave a gap, or end elsewhere than the file does."""
    for (_, stop, key), (start, _, after) in pairwise([(0, 0, ""), *spans]):
        if start != stop:
            fact = f"bytes {start} and {stop} of the data should be one: {shown(after)} does not"
            raise refusal(file, f"{fact} begin where {shown(key)} ends", _AGAIN)
    stop = spans[-1][1] if spans else 0
    if stop != size:
        fact = f"the tensors take {shown(stop)} bytes, the file holds {size}"
        raise refusal(file, fact, "it was cut or appended to: " + _AGAIN)


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
    stored = "<u2" if tensor.dtype == "bfloat16" else DTYPES[tensor.dtype].newbyteorder("<")
    values = np.empty(math.prod(tensor.shape), stored)
    try:
        with opened(tensor.file) as source:
            same = _stamp(source.fileno()) == tensor.stamp
            source.seek(tensor.start)
            whole = source.readinto(values.data.cast("B"))
    except OSError as error:
        raise unreadable(tensor.file, error) from None
    if not same or whole != values.nbytes:
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
