"""Singular vectors of base weights, taken once and kept: every further adapter reuses them."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loratheory.adapters._replace import put
from loratheory.cache import cache_folder
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Map
from loratheory.shapes import Float, Float64

FILE = "basis.safetensors"


@dataclass(frozen=True, eq=False)
class Basis:
    """The singular vectors of a base weight on its shorter side, and its singular values.

    Attributes
    ----------
    frame : (k, k) array
        Orthonormal columns, ``k = min(m, n)``: left singular vectors where outputs are not more
        than inputs, else right ones. The others follow from the weight and need no room.
    sigma : (k,) array
        Descending.
    """

    frame: Float64[np.ndarray, "k k"]
    sigma: Float64[np.ndarray, " k"]


def weight(place: Map, name: str = "a weight") -> Float[np.ndarray, "m n"]:
    """Return the weight of a map, outputs × inputs, in float32 (float64 if it is).

    Parameters
    ----------
    place : Map
        A module of the model.
    name : str
        What to call it in the error.

    Returns
    -------
    (m, n) array
        A NumPy copy or view on the CPU.

    Raises
    ------
    ModelError
        If it was offloaded and is not in memory, or an entry is not finite.
    """
    import torch

    stored = place.module.weight.detach()
    if stored.is_meta:
        remedy = "load the model without offloading, or name other layers"
        raise failure(name, "its weight is not in memory", remedy)
    kind = torch.float64 if stored.dtype == torch.float64 else torch.float32
    matrix: Float[np.ndarray, "m n"] = stored.to("cpu", kind).numpy()
    if not np.isfinite(matrix).all():
        remedy = "mend or replace the model's files: no theorem speaks of such a weight"
        raise failure(name, "not every entry of its weight is finite", remedy)
    return matrix if isinstance(place.module, torch.nn.Linear) else matrix.T


def basis(matrix: Float[np.ndarray, "m n"]) -> Basis:
    """Return a base weight's singular vectors on its shorter side, from the cache if there.

    Parameters
    ----------
    matrix : (m, n) array
        Its bytes are the key, so that no model is mistaken for another revision of it.

    Returns
    -------
    Basis
        Costs the eigenvectors of its smaller Gram matrix once, ``O(m n k)``, and ``4 k^2`` bytes
        of disk, in float32; then a digest of the weight and reading the file.
    """
    from safetensors.numpy import load_file, save_file

    whole = np.ascontiguousarray(matrix)
    digest = hashlib.blake2b(f"{whole.dtype} {whole.shape}".encode(), digest_size=16)
    digest.update(whole.data.cast("B"))
    folder = cache_folder() / "bases" / digest.hexdigest()
    if (folder / FILE).exists():
        kept = load_file(folder / FILE)
        return Basis(kept["frame"].astype(np.float64), kept["sigma"])
    squared, vectors = np.linalg.eigh(gram(matrix))
    parts = {
        "frame": np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32),
        "sigma": np.sqrt(np.maximum(squared[::-1], 0.0)),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as room:
        draft = Path(room) / "draft"
        draft.mkdir()
        save_file(parts, draft / FILE)
        put(draft, folder)
    return Basis(parts["frame"].astype(np.float64), parts["sigma"])


def gram(matrix: Float[np.ndarray, "m n"]) -> Float64[np.ndarray, "k k"]:
    """The Gram matrix of the shorter side, in float64."""
    wide = np.asarray(matrix, np.float64)
    return wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
