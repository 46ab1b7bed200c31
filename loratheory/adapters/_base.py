"""Weights of base models, read one at a time: DoRA's updates, adapters of fine-tuned models."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from loratheory.adapters._adapter import Adapter, Info, Lazy, refusal, shown
from loratheory.adapters._files import Tensor, header, inside, json_file, load, model_config
from loratheory.lowrank import LowRank
from loratheory.shapes import Float


def tensors_of(place: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return where every tensor of a model's folder or file lies, by name; no number is read.

    In a pipeline of diffusers, each network has a folder, whose name comes first:
    ``unet.conv_in.weight``. Tensors that hold no floating-point numbers are left out.
    """
    home = Path(place)
    if home.is_file():
        return header(home, others=True)
    if not home.is_dir():
        raise refusal(home, "there is no such folder or file", "name the model's folder")
    tensors = dict(_of_folder(home))
    for inner in sorted(path for path in home.iterdir() if path.is_dir()):
        tensors |= {f"{inner.name}.{key}": tensor for key, tensor in _of_folder(inner)}
    if not tensors:
        raise refusal(home, "holds no safetensors of a model", "name the folder of a saved model")
    return tensors


def _of_folder(home: Path) -> Iterator[tuple[str, Tensor]]:
    index = sorted(home.glob("*.safetensors.index.json"))
    names = sorted(path.name for path in home.glob("*.safetensors"))
    if index:
        places = json_file(index[0]).get("weight_map")
        if not isinstance(places, dict):
            raise refusal(index[0], f"weight_map is {shown(places)}", "restore the file")
        names = sorted({str(name) for name in places.values()})
    elif len(names) > 1:
        usual = [
            n for n in names if n in ("model.safetensors", "diffusion_pytorch_model.safetensors")
        ]
        if not usual:
            fact = f"holds {len(names)} safetensors files and no index"
            raise refusal(home, fact, "name the one file that is the model")
        names = usual
    for name in names:
        yield from header(inside(home, name), others=True).items()


def as_map(
    weight: np.ndarray, name: str, shape: tuple[int, int], info: Info
) -> Float[np.ndarray, "m n"] | None:
    """Return a view of a weight in the layout (outputs, inputs) of an update of shape `shape`.

    A convolution is flattened; what is stored as (inputs, outputs), namely embeddings and GPT-2's
    maps, is transposed. None where the shapes differ.
    """
    flat = weight.reshape(len(weight), -1)
    turned = name in info.embeddings or bool(info.config.get("fan_in_fan_out"))
    if flat.shape != shape or (turned and shape[0] == shape[1]):
        flat = flat.T
    return flat if flat.shape == shape else None


def rescaled(
    name: str, low: LowRank, magnitude: np.ndarray, tensors: Mapping[str, Tensor], info: Info
) -> LowRank:
    """Return what DoRA adds to the base: rows of base + update scaled to `magnitude`, minus base.

    It need not have low rank: it is a float64 LowRank one of whose factors is the identity. Liu et
    al. 2024, arXiv 2402.09353, equation 5.
    """
    remedy = "give the base that the adapter was trained on"
    if f"{name}.weight" not in tensors:
        raise refusal(info.name, f"the base has no {name}.weight", remedy)
    base = as_map(load(tensors[f"{name}.weight"]).astype(np.float64), name, low.shape, info)
    if base is None or magnitude.size != len(base):
        shape = [*tensors[f"{name}.weight"].shape]
        fact = f"{name} of the base has shape {shape}, its DoRA {low.shape} and"
        raise refusal(info.name, f"{fact} {magnitude.size} magnitudes", remedy)
    moved = base + low.map(np.float64).dense()
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    if not length.all():
        raise refusal(info.name, f"a row of base + update of {name} is zero", remedy)
    change = moved * (magnitude.reshape(-1, 1) / length) - base
    m, n = change.shape
    return LowRank(change, np.eye(n)) if n <= m else LowRank(np.eye(m), change)


_EMBEDDINGS = {
    "embed_tokens", "embed_in", "wte", "wpe", "word_embeddings", "position_embeddings", "shared",
    "token_type_embeddings", "embed_positions", "token_embedding", "position_embedding",
}  # fmt: skip
_TURNED = {"c_attn", "c_proj", "c_fc", "q_attn"}  # GPT-2 stores these inputs first


def extracted(
    base: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    rank: int,
    note: Callable[[str, float, float], None] = lambda *_: None,
) -> Adapter:
    """Return the adapter of a given rank that is nearest to what fine-tuning changed in each map.

    Parameters
    ----------
    base, tuned : path
        Folders or safetensors files of two models of one architecture.
    rank : int
        The rank of each map's update, or less where the map is smaller.
    note : callable
        ``note(module, energy, lost)`` is called when a map's update is computed, with the squared
        norm of the map's change and how much of it the adapter does not hold.

    Returns
    -------
    Adapter
        Lazy: a look-up loads one weight of each model and takes the leading eigenvectors of the
        Gram matrix of their difference, in float64: ``O(m n min(m, n))``. Maps that did not change
        are left out, which costs reading all weights once; `Info.notes` names tensors that changed
        but are no maps (norms, biases) and those that only one model has.

    Raises
    ------
    AdapterError
        If a shape differs, or nothing changed.
    """
    one, two = tensors_of(base), tensors_of(tuned)
    first = os.fspath(base)
    turned = model_config(base).get("model_type") == "gpt2"
    changed: list[str] = []
    rest = sorted(one.keys() ^ two.keys())
    for key in (key for key in one if key in two):
        if one[key].shape != two[key].shape:
            fact = f"has shape {[*two[key].shape]}, that of {first} {[*one[key].shape]}"
            raise refusal(two[key].place, fact, "give two models of one shape")
        if not np.array_equal(load(one[key]), load(two[key])):
            is_map = key.endswith(".weight") and len(one[key].shape) > 1
            (changed if is_map else rest).append(key)
    if not changed:
        raise refusal(
            two[next(iter(two))].file, f"no map differs from {first}", "nothing to extract"
        )
    names = {key.removesuffix(".weight"): key for key in changed}
    shape = {name: one[key].shape for name, key in names.items()}
    last = {name: name.rpartition(".")[2] for name in names}
    embedded = {name for name in names if last[name] in _EMBEDDINGS}
    flipped = embedded | {name for name in names if turned and last[name] in _TURNED}

    def _made(name: str) -> LowRank:
        pair = (load(model[names[name]]).astype(np.float64) for model in (two, one))
        change = next(pair) - next(pair)
        change = change.T if name in flipped else change.reshape(len(change), -1)
        low = _leading(change, rank)
        energy = float(np.linalg.norm(change)) ** 2
        note(name, energy, max(0.0, energy - low.norm**2))  # a projection: Pythagoras
        return low

    sizes = {name: (s[0], math.prod(s[1:])) for name, s in shape.items()}
    sizes = {name: size[::-1] if name in flipped else size for name, size in sizes.items()}
    info = Info(
        name=os.fspath(tuned),
        base=first,
        embeddings=frozenset(embedded),
        kernels={name: s[1:] for name, s in shape.items() if len(s) > 2},
        config={"fan_in_fan_out": True} if flipped - embedded else {},
        notes=tuple(_left_out(rest)),
    )
    return Adapter(Lazy(tuple(names), _made), sizes, info)


def _left_out(keys: list[str]) -> Iterator[str]:
    if keys:
        named = ", ".join(keys[:3]) + (", …" if keys[3:] else "")
        yield f"what changed and is no map, or is in one model alone, is left out ({named})"


def _leading(matrix: Float[np.ndarray, "m n"], rank: int) -> LowRank:
    """The best approximation of a rank, from the smaller of the two Gram matrices.

    Singular values below 1e-8 of the largest are lost in it, which no file of 32 bits holds.
    """
    from scipy.linalg import eigh  # here, since loading it takes a while

    if matrix.shape[0] > matrix.shape[1]:
        return _leading(matrix.T, rank).T
    m = len(matrix)
    wanted = (max(0, m - rank), m - 1)
    _, axes = eigh(matrix @ matrix.T, subset_by_index=wanted)
    return LowRank(axes, axes.T @ matrix)
