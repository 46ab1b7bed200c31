"""A base with an adapter added to its weights, as the folder of an ordinary model."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters._adapter import Adapter, refusal, shown
from loratheory.adapters._base import as_map, tensors_of
from loratheory.adapters._config import BIAS
from loratheory.adapters._files import Tensor, load, model_config
from loratheory.adapters._write import in_kind
from loratheory.store import draft

_BESIDE = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Ends of files that a model needs beside its weights; other copies of its weights would be old."""
_TERMS = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
_REMEDY = "see that this is the base that it was trained on, as save_pretrained wrote it"


def folded(
    adapter: Adapter,
    base: str | os.PathLike[str],
    output: str | os.PathLike[str],
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """Add an adapter to a base's weights and write the result as an ordinary model's folder.

    Parameters
    ----------
    adapter : Adapter
        One adapter, which may be a merge. Adapters that gates choose between cannot be folded in.
    base : path
        The folder of the base: safetensors in one file or in shards, config and tokenizer. For a
        pipeline of diffusers, the folder above those of its networks.
    output : path
        A folder that does not exist yet; it appears complete or not at all.
    note : callable
        ``note(module)`` is called when the module's weight is written.

    Returns
    -------
    dict of str to float
        By module, the Frobenius norm of what rounding to the weight's own type lost, divided by the
        norm of the update. Costs copying the base; one weight and its update are in memory at a
        time.

    Raises
    ------
    AdapterError
        If a module is no weight of the base or is tied to another one, the adapter replaces tensors
        of the base, a sum is not finite, or `output` exists or cannot be written.
    """
    home, target = Path(base), Path(output)
    tensors = tensors_of(home)
    if home.is_file():
        raise refusal(home, "is a file", "name the model's folder, with its config and tokenizer")
    if adapter.info.others:
        fact = f"puts {shown(next(iter(adapter.info.others)))} in place of the base's own tensor"
        raise refusal(adapter.info.name, fact, "fold it in with PEFT's merge_and_unload")
    places = {name: _weight(name, adapter, tensors) for name in adapter}
    _are_free(places, home, tensors)
    lost: dict[str, float] = {}
    try:
        with draft(target, replace=False) as room:
            for file in _taken_along(home, tensors):
                copy = room / file.relative_to(home)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            for name, tensor in places.items():
                note(name)
                weight, lost[name] = _sum(name, adapter, tensor)
                with (room / tensor.file.relative_to(home)).open("r+b") as changed:
                    changed.seek(tensor.start)
                    changed.write(weight.reshape(-1).data.cast("B"))
    except FileExistsError:
        raise refusal(target, "exists already", "name another folder") from None
    except OSError as error:
        place, reason = error.filename or target, error.strerror or str(error)
        remedy = f"make room or choose another place; {target} is not written"
        raise refusal(place, f"cannot be copied or written ({reason})", remedy) from None
    return lost


def _weight(name: str, adapter: Adapter, tensors: Mapping[str, Tensor]) -> Tensor:
    """The tensor of a module; some files leave out the first part of its name."""
    end = f"{name.removesuffix(BIAS)}.bias" if name.endswith(BIAS) else f"{name}.weight"
    for key in (end, end.partition(".")[2]):
        if key in tensors:
            return tensors[key]
    fact = f"the base has no {shown(end)} in floating-point numbers, to which it adds"
    raise refusal(adapter.info.name, fact, _REMEDY)


def _are_free(places: Mapping[str, Tensor], home: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse to change an embedding or a head that stands for both: an adapter changes one."""
    config = model_config(home)
    for name, tensor in places.items():
        outside = not any(part.isdecimal() for part in name.split("."))
        whole = tensor.shape[0] >= int(config.get("vocab_size") or 2**62)
        alone = sum(other.shape == tensor.shape for other in tensors.values()) == 1
        if outside and whole and config.get("tie_word_embeddings", alone):
            fact = "embedding and head are one tensor in it, and the adapter changes one of both"
            raise refusal(tensor.place, fact, "save the base with tie_word_embeddings=False")


def _taken_along(home: Path, tensors: Mapping[str, Tensor]) -> list[Path]:
    """What is copied: the weights that are read, and what describes them; no code.

    Other forms of the weights would hold the old ones.
    """
    weights = {tensor.file for tensor in tensors.values()}
    networks = (home / "model_index.json").is_file()
    files = [*home.glob("*"), *(home.glob("*/*") if networks else ())]
    plain = [
        file
        for file in files
        if file in weights
        or file.name.startswith(_TERMS)
        or (file.suffix in _BESIDE and not file.name.endswith(".bin.index.json"))
    ]
    return [file for file in plain if file.is_file()]


def _sum(name: str, adapter: Adapter, tensor: Tensor) -> tuple[Any, float]:
    """The new weight in its own type, and how much of the update rounding to it lost."""
    low = adapter[name].map(np.float64)
    exact = load(tensor).astype(np.float64)
    view = as_map(exact, name, low.shape, adapter.info)
    if view is None:
        fact = f"has shape {[*tensor.shape]}, the update of {shown(name)} {[*low.shape]}"
        raise refusal(tensor.place, fact, _REMEDY)
    view += low.dense()
    new, size = in_kind(tensor.place, exact, tensor.dtype), low.norm
    lost = float(np.linalg.norm(new.astype(np.float64) - exact)) / size if size else 0.0
    return (new.view(np.uint16) if tensor.dtype == "bfloat16" else new), lost
