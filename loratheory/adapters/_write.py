"""An `Adapter` as a folder that PEFT loads as it is: whole or not at all."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters._adapter import DTYPES, Adapter, AdapterError, refusal, shown
from loratheory.adapters._config import PROJECTION, TWICE, handed_on
from loratheory.adapters._read import CODES, KINDS, NAME, PREFIX, WEIGHTS, finite
from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.store import draft

CARD = "adapter_card.json"
_OURS = re.compile(
    r"adapter_(config|model|card)\b.*\.(json|safetensors|bin)|README\.md|\.gitattributes"
)


@dataclass(frozen=True)
class Written:
    """What `write` put on the disk."""

    folder: Path  #: Where it lies now.
    dtype: str  #: Storage type of every tensor.
    bytes: int  #: Size of the weights file.
    rounding: float  #: Largest relative Frobenius error of one factor; 0 where nothing was lost.


def write(
    adapter: Adapter,
    folder: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    force: bool = False,
    card: Mapping[str, Any] | None = None,
) -> Written:
    """Write a folder that PEFT loads as it is, with the effect that `adapter` has.

    Every scale is 1 (`lora_alpha` equals the rank), modules of other ranks have patterns that fit
    them alone, and a module of width 0 becomes rank 1 of zeros.

    Parameters
    ----------
    adapter : Adapter
        Eager or lazy: modules are made, written and let go one at a time.
    folder : path
        Its parent must exist. It is built beside under a hidden name and then renamed.
    dtype : str, optional
        float16, bfloat16, float32 or float64; by default that of `adapter.info`, except that
        float64 is stored as float32, the precision adapters run in, unless asked for.
    force : bool
        Whether an adapter that is there already may be replaced, as a whole and in one step where
        the system can swap two folders. A folder that holds anything else is never replaced.
    card : mapping, optional
        What else is to be told of the adapter, as JSON can hold it: ``adapter_card.json`` in the
        folder, which PEFT ignores.

    Returns
    -------
    Written
        Reading ``folder`` back gives the same updates up to ``rounding``.

    Raises
    ------
    AdapterError
        If the place is taken or cannot be written, the adapter has no module, or a number is not
        finite or too large for `dtype`; then nothing has changed on the disk.
    """
    usual = {"float64": "float32"}.get(adapter.info.dtype, adapter.info.dtype)
    kind = usual if dtype is None else dtype
    if kind not in DTYPES:
        key = "dtype"
        raise refusal(key, f"is {shown(kind)}", f"choose one of {', '.join(DTYPES)}")
    target = Path(os.path.realpath(folder))
    if not len(adapter):
        raise refusal(adapter.info.name, "has no module", "there is nothing to write")
    _may_replace(target, force)
    widths: dict[str, int] = {}
    try:
        with draft(target, replace=force) as place:
            place.mkdir()
            names = [key for module in adapter for key in _keys(module, adapter)]
            size, rounding = _save(place / WEIGHTS, names, _factors(adapter, widths), kind)
            text = json.dumps(_config(adapter, widths), indent=2, sort_keys=True)
            (place / NAME).write_text(text + "\n", encoding="utf-8")
            if card is not None:
                text = json.dumps(card, indent=2, ensure_ascii=False)
                (place / CARD).write_text(text + "\n", encoding="utf-8")
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "make room or choose another place; nothing has changed there"
        raise refusal(target, f"cannot be written ({reason})", remedy) from None
    return Written(target, kind, size, rounding)


def _may_replace(target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise refusal(target, "its parent folder does not exist", "make that folder first")
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise refusal(target, "is a file", "name a folder")
    if not force:
        raise _taken(target)
    try:
        others = sorted(p.name for p in target.iterdir() if not _OURS.fullmatch(p.name))
    except OSError as error:
        raise refusal(target, f"cannot be read ({error.strerror})", "name another folder") from None
    if others:
        fact = f"holds {shown(others[0])}, which is no part of an adapter and would be lost"
        raise refusal(target, fact, "move it away or name another folder")


def _taken(target: Path) -> AdapterError:
    return refusal(target, "exists already", "name another folder, or replace it by force")


def _keys(module: str, adapter: Adapter) -> tuple[str, str]:
    if module in adapter.info.embeddings:
        return f"{PREFIX}{module}.lora_embedding_A", f"{PREFIX}{module}.lora_embedding_B"
    return f"{PREFIX}{module}.lora_A.weight", f"{PREFIX}{module}.lora_B.weight"


def _factors(adapter: Adapter, widths: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """Down and up of each module in turn; fills `widths`, known once a module has been made."""
    for module, shape in adapter.shapes.items():
        low = adapter[module]
        if low.shape != shape:
            place, fact = f"module {module}", f"has shape {low.shape}, announced as {shape}"
            raise refusal(place, fact, "correct the adapter's shapes")
        others = [adapter[name].width for name in _beside(module, adapter)]
        widths[module] = max(1, low.width, *others)
        down_key, up_key = _keys(module, adapter)
        up, down = _plain(low.up), _plain(low.down)
        if module.endswith(PROJECTION):
            up = up / TWICE
        if empty := widths[module] - low.width:
            up, down = np.pad(up, ((0, 0), (0, empty))), np.pad(down, ((0, empty), (0, 0)))
        yield down_key, down
        yield up_key, up


def _beside(module: str, adapter: Adapter) -> list[str]:
    """The other half of an ``nn.MultiheadAttention``: PEFT gives both halves one rank."""
    other = module + PROJECTION
    if module.endswith(PROJECTION):
        other = module.removesuffix(PROJECTION)
    return [other] if other in adapter else []


def _plain(array: Array) -> Any:
    """The same numbers as a NumPy array in float32 or float64, wherever they were."""
    xp = array_namespace(array)
    if array.dtype not in (xp.float32, xp.float64):
        array = xp.astype(array, xp.float32)
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.from_dlpack(array)


def _config(adapter: Adapter, widths: dict[str, int]) -> dict[str, Any]:
    """Most modules have rank `r`; each other one has patterns anchored to its whole name."""
    widths = {name.removesuffix(PROJECTION): width for name, width in widths.items()}
    r = Counter(widths.values()).most_common(1)[0][0]
    ranks = {f"^{re.escape(name)}": width for name, width in widths.items() if width != r}
    return {
        **handed_on(adapter.info.config),
        "peft_type": "LORA",
        "base_model_name_or_path": adapter.info.base or None,
        "inference_mode": True,
        "init_lora_weights": True,
        "bias": "none",
        "lora_dropout": 0.0,
        "use_rslora": False,
        "r": r,
        "lora_alpha": r,
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
        "target_modules": [*widths],
    }


def _save(
    file: Path,
    names: list[str],
    tensors: Iterable[tuple[str, Float[np.ndarray, "rows columns"]]],
    dtype: str,
) -> tuple[int, float]:
    """Write a safetensors file of matrices as they come, one in memory at a time.

    The header is written last, into room that is kept for it: `names` are the keys of all tensors,
    in their order, and spaces fill what is left. Returns the file's size and the largest relative
    Frobenius error that `dtype` made in one matrix.
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
            stored = _stored(name, exact, dtype)
            if exact.dtype != stored.dtype and (norm := np.linalg.norm(exact.astype(np.float64))):
                lost = stored.astype(np.float64) - exact.astype(np.float64)
                worst = max(worst, float(np.linalg.norm(lost)) / float(norm))
            bits = stored.view(np.uint16) if dtype == "bfloat16" else stored
            target.write(bits.reshape(-1).data.cast("B"))
            span = [place, place + stored.nbytes]
            entries[name] = {"dtype": code, "shape": [*stored.shape], "data_offsets": span}
            place = span[1]
        target.seek(0)
        target.write(room.to_bytes(8, "little") + _json(entries).ljust(room))
    return 8 + room + place, worst


def _json(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def _stored(name: str, exact: Float[np.ndarray, "..."], dtype: str) -> Any:
    """The numbers in storage type `dtype`, little-endian, in C order; too large is refused."""
    finite(name, exact)
    with np.errstate(over="ignore", under="ignore"):
        stored = np.ascontiguousarray(exact).astype(KINDS[dtype], copy=False)
    lost = ~np.isfinite(stored)
    if lost.any():
        value = float(exact[np.unravel_index(int(lost.argmax()), exact.shape)])
        fact = f"the value {value:g} is too large for {dtype}"
        raise refusal(name, fact, "write with dtype bfloat16 or float32")
    if dtype == "bfloat16":
        return stored
    return stored.astype(KINDS[dtype].newbyteorder("<"), copy=False)
