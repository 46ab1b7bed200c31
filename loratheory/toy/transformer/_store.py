"""A cache of trained weights, named by a hash of everything that determines them."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from loratheory import store

VERSION = 1
"""Raise it with every change of this package that changes what training makes.

Weights kept under another version are then made anew. A test trains a small model and says when
that has happened.
"""


class StoreError(ValueError):
    """Weights cannot be written to the cache."""


class BusyError(StoreError):
    """Another process is training these weights."""


def content_hash(parts: Mapping[str, Any]) -> str:
    """Return the name under which what these parts determine is cached; their order is ignored.

    Parts are the config, the recipe, the seeds and what the data were made from: dataclasses,
    numbers, texts, None, and lists and mappings of them. Others raise `TypeError`, since different
    ones may print alike. Names change with `VERSION` and with the version of PyTorch.
    """
    versions = {"code": VERSION, "torch": str(torch.__version__)}
    return store.content_hash({"parts": dict(parts), **versions})


def stored(
    parts: Mapping[str, Any],
    train: Callable[[], dict[str, Tensor]],
    folder: Path | None = None,
    *,
    wait: bool = True,
) -> dict[str, Tensor]:
    """Return the weights that `parts` determine; calls `train` only if they are not stored yet.

    `parts` is everything that determines the weights, see `content_hash`. Files lie in `folder`, by
    default the user's cache; they appear complete or not at all, and a damaged one is made again.
    No two processes train the same weights at once; a lock ends with its process.

    Raises
    ------
    StoreError
        If the folder cannot be written; raised before any training.
    BusyError
        If another process is training these weights, and `wait` is false.
    """
    folder = store.cache_folder() if folder is None else folder
    file = folder / f"{content_hash(parts)}.safetensors"
    if (weights := _read(file)) is not None:
        return weights
    try:
        (folder / "locks").mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _refusal(folder, error) from error
    try:
        with store.lock(folder / "locks" / file.stem, wait=wait):
            weights = _read(file)  # another process may have made it meanwhile
            return _made(file, train) if weights is None else weights
    except BlockingIOError:
        message = f"another process is training {file.stem}: wait for it"
        raise BusyError(message) from None


def _made(file: Path, train: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return newly trained weights, after writing them to the file."""
    weights = train()
    contiguous = {name: x.contiguous() for name, x in weights.items()}
    try:
        with store.draft(file) as scratch:
            save_file(contiguous, scratch, metadata={"digest": _digest(weights)})
    except (OSError, SafetensorError) as error:
        raise _refusal(file.parent, error) from error
    return weights


def _read(file: Path) -> dict[str, Tensor] | None:
    """Return the weights of a file, or None where it is missing or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            digest = (opened.metadata() or {}).get("digest")
    except (OSError, SafetensorError):
        return None
    return weights if digest == _digest(weights) else None


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Return a fingerprint of the tensors' names, types, shapes and numbers."""
    total = hashlib.sha256()
    for name in sorted(weights):
        x = weights[name].detach().cpu().contiguous()
        total.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        total.update(x.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _refusal(folder: Path, error: Exception) -> StoreError:
    message = (
        f"{folder} cannot keep weights ({error}): "
        "make room or set LORATHEORY_CACHE to a folder that can be written"
    )
    return StoreError(message)
