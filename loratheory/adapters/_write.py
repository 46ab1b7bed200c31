"""Writing an `Adapter` as a folder or file that PEFT, kohya's scripts or diffusers can load."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import _config as peft
from loratheory.adapters._adapter import DTYPES, PARAMETERS, Adapter, AdapterError, refusal, shown
from loratheory.adapters._files import CODES, KINDS, NAME, WEIGHTS, finite
from loratheory.adapters._names import comfy, kohya
from loratheory.lowrank import Array, LowRank, array_namespace, host
from loratheory.shapes import Float
from loratheory.store import draft

CARD = "adapter_card.json"
FORMS = ("peft", "kohya", "diffusers")
_OURS = re.compile(
    r"adapter_(config|model|card)\b.*\.(json|safetensors|bin)|README\.md|\.gitattributes"
)


@dataclass(frozen=True)
class Written:
    """What `write` has put on the disk."""

    folder: Path  #: The folder or file written.
    dtype: str  #: Storage type of every tensor.
    bytes: int  #: Size of the weights file.
    rounding: float  #: Largest relative Frobenius error of a factor; 0 if none was rounded.


def write(
    adapter: Adapter,
    place: str | os.PathLike[str],
    *,
    form: str | None = None,
    dtype: str | None = None,
    force: bool = False,
    card: Mapping[str, Any] | None = None,
) -> Written:
    """Write an adapter so that PEFT, kohya's scripts or diffusers can load it.

    It is written with scale 1 (alpha equals the rank); where ranks differ, PEFT's rank and alpha
    patterns name each module exactly. A module of width 0 becomes one of rank 1 with zeros.

    Parameters
    ----------
    adapter : Adapter
        In memory or lazy: one module at a time is looked up, written and released.
    place : path
        A folder for PEFT, or a file name that ends in ``.safetensors`` for any form. Its parent
        must exist. It is written under a hidden name and renamed when it is complete.
    form : str, optional
        ``peft``, ``kohya`` or ``diffusers``: how keys are written; by default as they were read.
    dtype : str, optional
        float16, bfloat16, float32 or float64; by default that of `adapter.info`, except that
        float64 becomes float32, the precision in which adapters run, unless float64 is given here.
    force : bool
        Whether to replace an adapter at `place`, in one step where the system can swap two folders.
        A folder that holds anything else is never replaced.
    card : mapping, optional
        Further information on the adapter, written to ``adapter_card.json`` in the folder, which
        PEFT ignores.

    Returns
    -------
    Written
        Where the adapter lies and how much was rounded: reading it back gives the same updates up
        to ``rounding``.

    Raises
    ------
    AdapterError
        If `place` exists (without `force`) or cannot be written, the adapter has no module or one
        that the form cannot hold, or a number is not finite or too large for `dtype`. Nothing on
        the disk has then changed.

    Examples
    --------
    >>> import tempfile
    >>> persons = lt.read("tests/data/persons")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write(persons, folder + "/copy")
    ...     len(lt.read(folder + "/copy"))
    60
    """
    usual = {"float64": "float32"}.get(adapter.info.dtype, adapter.info.dtype)
    kind = usual if dtype is None else dtype
    if kind not in DTYPES:
        key = "dtype"
        raise refusal(key, f"is {shown(kind)}", f"choose one of {', '.join(DTYPES)}")
    target = Path(os.path.realpath(place))
    if not len(adapter):
        raise refusal(adapter.info.name, "has no module", "there is nothing to write")
    style = form or adapter.info.form or "peft"
    single = target.suffix == ".safetensors"
    _holds(adapter, style, target, single=single)
    _may_replace(target, force, single=single)
    widths: dict[str, int] = {}
    starts = [_start(module, adapter, style) for module in _modules(adapter)]
    names = [f"{key}.lora_embedding_{half}" for key in starts for half in "ABC"]
    names += [peft.PREFIX + name + peft.ROWS for name in adapter.info.others]
    tensors, texts = _tensors(adapter, style, widths), adapter.info.header
    try:
        with draft(target, replace=force) as place_:
            if single:
                size, rounding = _save(place_, names, tensors, kind, texts)
            else:
                place_.mkdir()
                size, rounding = _save(place_ / WEIGHTS, names, tensors, kind, {})
                _json_file(place_ / NAME, _config(adapter, widths), sort_keys=True)
                if card is not None:
                    _json_file(place_ / CARD, card, ensure_ascii=False)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "make room or choose another place; nothing has changed there"
        raise refusal(target, f"cannot be written ({reason})", remedy) from None
    return Written(target, kind, size, rounding)


def _json_file(file: Path, value: Mapping[str, Any], **options: bool) -> None:
    file.write_text(json.dumps(value, indent=2, **options) + "\n", encoding="utf-8")  # type: ignore[arg-type]


def _holds(adapter: Adapter, form: str, target: Path, *, single: bool) -> None:
    """Refuse what a form cannot say."""
    info, place = adapter.info, adapter.info.name
    if form not in FORMS:
        raise refusal(place, f"the form is {shown(form)}", f"choose one of {', '.join(FORMS)}")
    if form != "peft" and not single:
        raise refusal(
            target, f"the form of {form} is one file", f"name it {target.name}.safetensors"
        )
    if form == "peft" and info.naming:
        fact = "its modules belong to parts of a pipeline, PEFT's to one network"
        raise refusal(
            place, fact, "choose one (convert --part), or write kohya's or diffusers' form"
        )
    if form != "peft" and not info.naming:
        fact = f"its modules belong to one network, {form}'s to the parts of a pipeline"
        raise refusal(place, fact, "say which part it is (convert --part unet)")
    biased, fused = any(n.endswith(peft.BIAS) for n in adapter), bool(info.config.get(PARAMETERS))
    for what, there, fine in (
        ("tensors that take the place of the base's", info.others, not single),
        ("embeddings", info.embeddings, form == "peft" and not biased),
        ("biases", biased, not single and not fused),
        ("fused experts", fused, not single),
    ):
        if there and not fine:
            where = (
                "beside what else it has" if form == "peft" and not single else f"in {form}'s file"
            )
            raise refusal(place, f"has {what}, which cannot be written {where}", "keep its form")


def _may_replace(target: Path, force: bool, *, single: bool) -> None:
    if not target.parent.is_dir():
        raise refusal(target, "its parent folder does not exist", "make that folder first")
    if not os.path.lexists(target):
        return
    if target.is_dir() == single:
        kinds = ("folder", "file") if single else ("file", "folder")
        raise refusal(target, f"is a {kinds[0]}", f"name a {kinds[1]}")
    if not force:
        raise _taken(target)
    if single:
        return
    try:
        others = sorted(p.name for p in target.iterdir() if not _OURS.fullmatch(p.name))
    except OSError as error:
        raise refusal(target, f"cannot be read ({error.strerror})", "name another folder") from None
    if others:
        fact = f"holds {shown(others[0])}, which is no part of an adapter and would be lost"
        raise refusal(target, fact, "move it away or name another folder")


def _taken(target: Path) -> AdapterError:
    return refusal(target, "exists already", "name another folder, or replace it by force")


def _modules(adapter: Adapter) -> dict[str, list[str]]:
    """The modules of the file, each with those of the adapter in it: itself, or its experts."""
    found: dict[str, list[str]] = {}
    fused = bool(adapter.info.config.get(PARAMETERS))
    for name in adapter:
        if not name.endswith(peft.BIAS):
            module = re.sub(rf"{peft.EXPERT}\d+$", "", name) if fused else name
            found.setdefault(module, []).append(name)
    return found


def _start(module: str, adapter: Adapter, form: str) -> str:
    """What the keys of a module begin with."""
    if form == "peft":
        return peft.PREFIX + module
    if form == "kohya":
        return kohya(module, one_encoder=adapter.info.naming == "diffusers")
    return module if adapter.info.naming == "diffusers" else comfy(module)


def _tensors(adapter: Adapter, form: str, widths: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """Every tensor in turn; fills `widths`, known once a module has been made."""
    biased = any(name.endswith(peft.BIAS) for name in adapter)
    for module, names in _modules(adapter).items():
        lows = [_made(adapter, name) for name in names]
        width = max(1, *(low.width for low in lows), *_beside(module, adapter))
        widths[module] = width
        ups, downs = zip(*(_padded(low, width) for low in lows), strict=True)
        up, down = ups[0], downs[0]
        if names != [module]:  # as PEFT lays them out: columns in turn, rows below each other
            up, down = np.stack(ups, axis=-1).reshape(len(up), -1), np.concatenate(downs)
        if module.endswith(peft.PROJECTION):
            up = up / peft.TWICE
        if kernel := adapter.info.kernels.get(module):
            up = up.reshape(*up.shape, *[1] * (len(kernel) - 1))
            down = down.reshape(len(down), *kernel)
        first, second = ENDINGS["tokens" if module in adapter.info.embeddings else form]
        start = _start(module, adapter, form)
        yield start + first, down
        yield start + second, up
        if form == "kohya":
            yield f"{start}.alpha", np.asarray(width, np.float32)
        if biased:
            name = f"{module}{peft.BIAS}"
            low = _made(adapter, name) if name in adapter else LowRank(up[:, :0], down[:0, :1])
            yield f"{peft.PREFIX}{name}", (_plain(low.up) @ _plain(low.down)).reshape(-1)
    yield from _wholes(adapter)


ENDINGS = {
    "peft": (".lora_A.weight", ".lora_B.weight"),
    "diffusers": (".lora_A.weight", ".lora_B.weight"),
    "kohya": (".lora_down.weight", ".lora_up.weight"),
    "tokens": (".lora_embedding_A", ".lora_embedding_B"),
}


def _made(adapter: Adapter, name: str) -> LowRank:
    low, shape = adapter[name], adapter.shapes[name]
    if low.shape != shape:
        place, fact = f"module {name}", f"has shape {low.shape}, announced as {shape}"
        raise refusal(place, fact, "correct the adapter's shapes")
    return low


def _padded(low: LowRank, width: int) -> tuple[Any, Any]:
    up, down, empty = _plain(low.up), _plain(low.down), width - low.width
    if not empty:
        return up, down
    return np.pad(up, ((0, 0), (0, empty))), np.pad(down, ((0, empty), (0, 0)))


def _wholes(adapter: Adapter) -> Iterator[tuple[str, Any]]:
    """What takes the place of the base's tensors, rows of one embedding together."""
    adapted, others = _modules(adapter), adapter.info.others
    for name, whole in others.items():
        if whole.kind == "bias" and whole.owner in adapted:
            yield f"{peft.PREFIX}{whole.owner}{peft.WRAPPED}.bias", whole.load()
        elif whole.kind != "row":
            yield peft.PREFIX + name, whole.load()
    for owner, rows in _rows(adapter).items():
        numbers = [others[f"{owner}[{row}]"].load() for row in rows]
        yield f"{peft.PREFIX}{owner}{peft.ROWS}", np.stack(numbers)


def _rows(adapter: Adapter) -> dict[str, list[int]]:
    """The trained rows of each embedding, in order."""
    found: dict[str, list[int]] = {}
    for name, whole in adapter.info.others.items():
        if whole.kind == "row":
            found.setdefault(whole.owner, []).append(int(name[len(whole.owner) + 1 : -1]))
    return {owner: sorted(rows) for owner, rows in found.items()}


def _beside(module: str, adapter: Adapter) -> list[int]:
    """The width of the other half of an ``nn.MultiheadAttention``: PEFT gives both one rank."""
    other = module + peft.PROJECTION
    if module.endswith(peft.PROJECTION):
        other = module.removesuffix(peft.PROJECTION)
    return [adapter[other].width] if other in adapter else []


def _plain(array: Array) -> Any:
    """The same numbers as a NumPy array in float32 or float64, wherever they were."""
    xp = array_namespace(array)
    if array.dtype not in (xp.float32, xp.float64):
        array = xp.astype(array, xp.float32)
    return host(array)


def _config(adapter: Adapter, widths: dict[str, int]) -> dict[str, Any]:
    """Most modules have rank `r`; each other one has patterns anchored to its whole name.

    Fused experts have `r` itself: their pattern would need the name of a parameter.
    """
    modules = _modules(adapter)
    fused = {widths[module] for module, names in modules.items() if names != [module]}
    if len(fused) > 1:
        fact = f"its fused experts have the ranks {sorted(fused)}, PEFT's have one"
        raise refusal(adapter.info.name, fact, "give all of them one rank")
    plain = {m.removesuffix(peft.PROJECTION): w for m, w in widths.items() if modules[m] == [m]}
    r = [*fused, *(width for width, _ in Counter(plain.values()).most_common(1))][0]
    ranks = {f"^{re.escape(name)}": width for name, width in plain.items() if width != r}
    others, rows = adapter.info.others.values(), _rows(adapter)
    biases = {whole.owner for whole in others if whole.kind == "bias"}
    return {
        **peft.handed_on(adapter.info.config),
        "peft_type": "LORA",
        "base_model_name_or_path": adapter.info.base or None,
        "inference_mode": True,
        "init_lora_weights": True,
        "bias": "none" if not biases else "lora_only" if biases <= plain.keys() else "all",
        "lora_bias": any(name.endswith(peft.BIAS) for name in adapter),
        "modules_to_save": sorted({w.owner for w in others if w.kind == "module"}) or None,
        "trainable_token_indices": rows or None,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "r": r,
        "lora_alpha": r,
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
        "target_modules": [*plain],
    }


def _save(
    file: Path,
    names: list[str],
    tensors: Iterator[tuple[str, Any]],
    dtype: str,
    texts: Mapping[str, str],
) -> tuple[int, float]:
    """Write a safetensors file of tensors as they come, one in memory at a time.

    The header is written last, into room that is kept for it: `names` are the keys of all tensors,
    in their order, and spaces fill what is left. Returns the file's size and the largest relative
    Frobenius error that `dtype` made in one matrix.
    """
    code = next(code for code, name in CODES.items() if name == dtype)
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", **texts}}
    widest = {"dtype": code, "shape": [2**62] * 5, "data_offsets": [2**62] * 2}
    room = len(_json(entries | dict.fromkeys(names, widest)))
    room += -room % 8
    place, worst = 0, 0.0
    with file.open("xb") as target:
        target.write(b" " * (8 + room))
        for name, exact in tensors:
            kind = dtype if exact.ndim else "float32"  # a rank may be no number of 16 bits
            stored = in_kind(name, exact, kind)
            if exact.dtype != stored.dtype and (norm := np.linalg.norm(exact.astype(np.float64))):
                lost = stored.astype(np.float64) - exact.astype(np.float64)
                worst = max(worst, float(np.linalg.norm(lost)) / float(norm))
            bits = stored.view(np.uint16) if kind == "bfloat16" else stored
            target.write(bits.reshape(-1).data.cast("B"))
            span = [place, place + stored.nbytes]
            own = code if exact.ndim else "F32"
            entries[name] = {"dtype": own, "shape": [*exact.shape], "data_offsets": span}
            place = span[1]
        target.seek(0)
        target.write(room.to_bytes(8, "little") + _json(entries).ljust(room))
    return 8 + room + place, worst


def _json(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def in_kind(name: str, exact: Float[np.ndarray, "..."], dtype: str) -> Any:
    """Return numbers in storage type `dtype`, little-endian, in C order; overflow is refused."""
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
