"""Second moments of modules' inputs: their file, and a check that they fit adapters.

The second moment of inputs x is the mean of x xᵀ, an (n, n) matrix; it is kept as a *root*, a
(k, n) array with ``root.T @ root`` equal to it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._adapter import Aligned, Lazy, Shape, refusal, unreadable
from loratheory.lowrank import Array, double
from loratheory.store import draft

Roots = Mapping[str, Any]  # no array: a run-time check of one value would load it
COLLECT = "collect them with loratheory moments"


class Moments(Lazy):
    """A mapping from modules to (k, n) roots of second moments in a file, loaded at look-up."""

    def __init__(self, name: str, shapes: dict[str, Shape], load: Callable[[str], Array]) -> None:
        super().__init__(tuple(shapes), load)
        self.name, self.shapes = name, shapes


def read_moments(file: str | os.PathLike[str]) -> Moments:
    """Return the second moments of modules' inputs in a safetensors file.

    Parameters
    ----------
    file : path
        A file that `write_moments` or ``loratheory moments`` has written.

    Returns
    -------
    Moments
        For each module a (k, n) root; ``root.T @ root`` is the second moment. Only the header is
        read now, and a root at each look-up.

    Raises
    ------
    AdapterError
        If there is no such file, or a tensor in it is not a matrix.
    """
    path = Path(file)
    try:
        with safe_open(path, "numpy") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except OSError as error:
        raise unreadable(path, error) from None
    except SafetensorError as error:
        fact = f"this is no safetensors file ({error})"
        raise refusal(path, fact, COLLECT) from None
    for name, shape in shapes.items():
        if len(shape) != 2:
            fact = f"{name} has shape {shape}, and a root of a second moment is a matrix"
            raise refusal(path, fact, COLLECT)

    def _load(module: str) -> Array:
        with safe_open(path, "numpy") as stored:
            return stored.get_tensor(module)

    return Moments(str(path), shapes, _load)


def write_moments(moments: Mapping[str, Array], file: str | os.PathLike[str]) -> None:
    """Write roots of second moments to a safetensors file in float32, complete or not at all.

    Parameters
    ----------
    moments : mapping
        For each module a (k, n) root, as `loratheory.pretrained.moments` returns them.
    file : path
        The file, replaced if it exists.
    """
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(root, np.float32) for name, root in moments.items()}
    with draft(Path(file)) as place:
        save_file(tensors, place)


def roots(moments: Sequence[Roots], library: Aligned) -> Callable[[str], tuple[Array, ...]]:
    """Check that moments fit a library; return a function from a module to its adapters' roots.

    Raises
    ------
    AdapterError
        If there is neither one mapping for all adapters nor one for each, a module has no root or
        one of another width, or is an embedding. These checks load no numbers.
    """
    count = len(library.adapters)
    if len(moments) not in (1, count):
        place, fact = "moments", f"{len(moments)} are given for {count} adapters"
        raise refusal(place, fact, "give one an adapter, in their order, or one for all")
    names = [getattr(given, "name", f"moments {i}") for i, given in enumerate(moments, 1)]
    for name, given in zip(names, moments, strict=True):
        shapes = getattr(given, "shapes", None) or {m: tuple(x.shape) for m, x in given.items()}
        for module, (_, n) in library.shapes.items():
            if module in library.info.embeddings:
                fact = f"{module} is an embedding, whose inputs are no vectors"
                raise refusal(name, fact, "choose another method for adapters of embeddings")
            fact = ""
            if module not in shapes:
                fact = f"it has no second moment of {module}"
            elif len(shapes[module]) != 2 or shapes[module][1] != n:
                fact = f"{module} has inputs of {n} entries, and the root shape {shapes[module]}"
            if fact:
                raise refusal(name, fact, f"{COLLECT} on these adapters and their base")
    each = [*zip(names, moments, strict=True)] * (count if len(moments) == 1 else 1)
    return lambda module: tuple(double(given[module], f"{name}, {module}") for name, given in each)
