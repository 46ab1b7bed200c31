"""safetensors files written as a stream: room for the header, the data, then the header."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters._error import refusal
from loratheory.adapters._safetensors import CODES, DTYPES, finite
from loratheory.shapes import Float


def save(
    file: Path,
    names: Sequence[str],
    tensors: Iterable[tuple[str, Float[np.ndarray, "rows columns"]]],
    dtype: str,
) -> tuple[int, float]:
    """Write matrices as they come, one in memory at a time.

    Parameters
    ----------
    file : Path
        A file that does not exist yet.
    names : sequence of str
        The keys of all tensors, so that the header's room is known; spaces fill what is left.
    tensors : iterable of (str, array)
        In the same order, made one at a time.
    dtype : str
        One of `DTYPES`.

    Returns
    -------
    bytes : int
        Size of the file, which is on the disk when this returns.
    rounding : float
        Largest relative Frobenius error that `dtype` made in one matrix.

    Raises
    ------
    AdapterError
        If a number is not finite or too large for `dtype`.
    """
    code = next(code for code, name in CODES.items() if name == dtype)
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    widest = {"dtype": code, "shape": [2**62] * 2, "data_offsets": [2**62] * 2}
    room = len(_json(entries | dict.fromkeys(names, widest)))
    room += -room % 8
    place, worst = 0, 0.0
    with file.open("xb") as target:
        target.write(b" " * (8 + room))
        for name, exact in tensors:
            stored = cast(name, exact, dtype)
            worst = max(worst, _rounding(exact, stored))
            bits = stored.view(np.uint16) if dtype == "bfloat16" else stored
            target.write(bits.reshape(-1).data.cast("B"))
            entries[name] = {
                "dtype": code,
                "shape": [*stored.shape],
                "data_offsets": [place, place + stored.nbytes],
            }
            place += stored.nbytes
        target.seek(0)
        target.write(room.to_bytes(8, "little") + _json(entries).ljust(room))
        target.flush()
        os.fsync(target.fileno())
    return 8 + room + place, worst


def _json(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def cast(name: str, exact: Float[np.ndarray, "..."], dtype: str) -> Any:
    """The numbers in storage type `dtype`, little-endian, in C order; too large is refused."""
    finite(name, exact)
    with np.errstate(over="ignore", under="ignore"):
        stored = np.ascontiguousarray(exact).astype(DTYPES[dtype], copy=False)
    lost = ~np.isfinite(stored)
    if lost.any():
        value = float(exact[np.unravel_index(int(lost.argmax()), exact.shape)])
        fact = f"the value {value:g} is too large for {dtype}"
        raise refusal(name, fact, "write with dtype bfloat16 or float32")
    if dtype == "bfloat16":
        return stored
    return stored.astype(DTYPES[dtype].newbyteorder("<"), copy=False)


def _rounding(exact: Float[np.ndarray, "..."], stored: Any) -> float:
    if exact.dtype == stored.dtype:
        return 0.0
    wide = exact.astype(np.float64)
    norm = float(np.linalg.norm(wide))
    return float(np.linalg.norm(stored.astype(np.float64) - wide)) / norm if norm else 0.0
