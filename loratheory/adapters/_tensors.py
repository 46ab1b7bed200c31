"""Tensors of a safetensors file from a stranger: proven by its header, loaded one at a time.

The layout is proven by the safetensors library, with which PEFT loads; the places of the tensors
are then taken from the header as they stand. Numbers are read by seek and read. Nothing is mapped:
pages of a mapping count as resident for as long as it is open.
"""

import math
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._adapter import DTYPES, refusal, shown
from loratheory.adapters._json import json_object, opened, unreadable
from loratheory.shapes import Float

KINDS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
CODES = dict(zip(("F16", "BF16", "F32", "F64"), DTYPES, strict=True))
_WHOLE = {"I32": "int32", "I64": "int64"}  # of single numbers only: some trainers' alpha
LARGEST = float(np.finfo(np.float32).max)  # a norm of larger float64 numbers may overflow


def inside(folder: Path, name: str) -> Path:
    """Return the regular file `name` of `folder`, sure that it does not lead elsewhere.

    Links are followed within the folder, and from a snapshot of the Hugging Face cache into the
    blobs of the same repository, which is how that cache stores every file.
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
    caches = (place.parent for place in (home, *home.parents))
    homes = [home, *(place.parent / "blobs" for place in caches if place.name == "snapshots")]
    if not any(real.is_relative_to(place) for place in homes):
        fact = f"the link leads out of the folder, to {real}"
        raise refusal(path, fact, "put the file itself there if you trust it")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", "put the adapter's own file there")
    return path


class Tensor(NamedTuple):
    """Where one tensor lies: `start` is its first byte in the file, `stamp` the file's state."""

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


def _stamp(source: BufferedReader) -> tuple[int, ...]:
    state = os.fstat(source.fileno())
    return state.st_size, state.st_ino, state.st_mtime_ns


def header(file: Path, *, others: bool = False) -> dict[str, Tensor]:
    """Return every tensor's place, once the safetensors library has proven the whole layout.

    Together they fill the file without gap or overlap. Refused if the file is cut, its header
    damaged, or a tensor holds anything but floating-point numbers of 16, 32 or 64 bits; with
    `others` such a tensor is left out.
    """
    with opened(file) as source:  # before the library looks: a later change shows in the stamp
        stamp = _stamp(source)
        try:
            with safe_open(file, framework="numpy"):
                pass
            length = int.from_bytes(source.read(8), "little")
            entries = json_object(file, source.read(length))
        except SafetensorError as error:
            fact = f"the safetensors library refuses this file of {stamp[0]} bytes ({error})"
            remedy = "if it was cut or changed, copy or download the file again"
            raise refusal(file, fact, remedy) from None
        except OSError as error:
            raise unreadable(file, error) from None
    entries.pop("__metadata__", None)
    tensors = {}
    for key, entry in entries.items():
        code, shape, start = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"][0]
        dtype = CODES.get(code) or ("" if shape else _WHOLE.get(code, ""))
        tensor = Tensor(file, key, dtype, shape, 8 + length + start, stamp)
        if dtype:
            tensors[key] = tensor
        elif not others:
            remedy = f"save it in one of {', '.join(DTYPES)}"
            raise refusal(tensor.place, f"dtype is {shown(code)}", remedy)
    return tensors


def metadata(file: Path) -> dict[str, str]:
    """Return the texts that the header holds beside the tensors, once `header` has proven it."""
    with safe_open(file, framework="numpy") as opened_file:
        return dict(opened_file.metadata() or {})


def load(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """Return the numbers of one tensor, all finite; nothing of the file stays open.

    float64 stays; all else becomes float32, which holds it exactly. Refused if the file has changed
    since its header was read, or an entry is NaN or infinite.
    """
    kept = np.dtype(KINDS.get(tensor.dtype, tensor.dtype))
    stored = np.dtype(np.uint16 if tensor.dtype == "bfloat16" else kept).newbyteorder("<")
    values = np.empty(math.prod(tensor.shape), stored)
    try:
        with opened(tensor.file) as source:
            same = _stamp(source) == tensor.stamp
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
