"""Models of `transformers`: a network with its tokenizer and origin, and what adapters change."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from loratheory.adapters import AdapterError
from loratheory.adapters.peft_io import json_file

LARGEST = 2**30  # bytes of a JSON file
# Generic text: gates are calibrated on these sentences, and drift is measured on them.
GENERIC = tuple(Path(__file__).with_name("generic.txt").read_text("utf-8").splitlines())


class ModelError(ValueError):
    """A model cannot be loaded, or an adapter cannot act on it; the message says why."""


class OtherBaseWarning(UserWarning):
    """An adapter fits by names and shapes, but its config names another base or revision."""


def failure(place: "str | Path | Model", fact: str, remedy: str) -> ModelError:
    """Return the error for a model, an adapter or a module: what is wrong and what to do."""
    where = place.name or place.kind if isinstance(place, Model) else place
    return ModelError(f"{where}: {fact}; {remedy}")


def read_json(file: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file; `ModelError` if it cannot be read or holds none."""
    try:
        return json_file(file, LARGEST, remedy)
    except AdapterError as error:
        raise ModelError(str(error)) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy or PyTorch says that memory ran out.

    PyTorch's allocator on CPUs has no exception type of its own.
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its tokenizer and origin; ``Model(network)`` wraps a network of your own.

    Attributes
    ----------
    network : torch.nn.Module
        Usually a causal language model of `transformers`.
    tokenizer : tokenizer or None
        None where there is none.
    name : str
        The Hugging Face id or folder, empty where unknown. An adapter whose
        `base_model_name_or_path` differs causes a warning.
    revision : str
        The commit on the hub, empty where unknown.
    notes : tuple of str
        Sentences for the user, for example that the weights were dequantised.
    """

    network: Any
    tokenizer: Any = None
    name: str = ""
    revision: str = ""
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The name of the network's class, for messages."""
        return type(self.network).__name__

    @property
    def device(self) -> Any:
        """The device that takes the model's tokens."""
        return next(self.network.parameters()).device

    @cached_property
    def digest(self) -> str:
        """A digest of the weights, up to 4,096 numbers of each, whatever type they are loaded in.

        Adapters record it, so that their bases can be compared by more than a name.
        Empty for float16: a model loaded in it has lost digits that bfloat16 keeps.
        """
        if any(str(x.dtype) == "torch.float16" for x in self.network.parameters()):
            return ""
        return digest_weights(self.network.named_parameters())

    def is_in(self, folder: str) -> bool:
        """Return whether these weights are stored in a folder, by their digest."""
        names = frozenset(dict(self.network.named_parameters()))
        return _digest_folder(folder, names) == self.digest

    @property
    def content(self) -> tuple[str, ...]:
        """A digest of weights and tokenizer for a model in a folder, whose files may change.

        A cache key of whatever is derived from the model should contain it. It covers up to 4,096
        numbers of each weight and how `GENERIC` is tokenized. Empty for ids: their commit suffices.
        """
        if not Path(self.name).is_dir():
            return ()
        digest = hashlib.sha256()
        for weight in self.network.parameters():
            # Evenly spaced numbers: any fine-tuning changes some of them.
            some = weight.detach().flatten()[:: 1 + weight.numel() // 4096]
            digest.update(some.float().cpu().numpy().tobytes())
        if self.tokenizer is not None:
            digest.update(repr([list(self.tokenizer(t)["input_ids"]) for t in GENERIC]).encode())
        return (digest.hexdigest(),)


def digest_weights(weights: Iterable[tuple[str, Any]]) -> str:
    """Return a digest of named weights, whatever their order and type."""
    parts = list[str]()
    for name, weight in weights:
        some = weight.detach().flatten()[:: 1 + weight.numel() // 4096]
        # Rounded to eight bits, so that the type in which a model is loaded does not count.
        numbers = some.bfloat16().float().cpu().numpy().tobytes()
        parts.append(f"{name} {hashlib.sha256(numbers).hexdigest()}")
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


@lru_cache(maxsize=32)
def _digest_folder(folder: str, names: frozenset[str]) -> str:
    """Return the digest of the weights of these names that are stored in a folder."""
    stored = dict[str, Any]()
    for file in Path(folder).glob("*.safetensors"):
        with suppress(SafetensorError, OSError):
            stored |= load_file(file)
    return digest_weights((name, stored[name]) for name in names.intersection(stored))


class Map(NamedTuple):
    """A module that a low-rank update can act on: a linear map or an embedding.

    `shape` is the shape of an update: (outputs, inputs), also where the weight is stored
    transposed, as in GPT-2; for an embedding (width, tokens).
    """

    module: Any
    shape: tuple[int, int]
    embedding: bool


def maps(model: Model) -> dict[str, Map]:
    """Return every linear map and embedding of a model by name, in the network's order.

    A module registered under several names appears under each. Linear maps are `torch.nn.Linear`,
    GPT-2's `Conv1D` and their subclasses, so fused projections and experts too, but not experts
    that share one tensor. Raises `ModelError` if a weight is packed into integers, as bitsandbytes
    does, or was offloaded from memory: adapters act, and theorems are checked, where weights are.
    """
    places: dict[str, Map] = {}
    for name, module in model.network.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Linear | Conv1D | nn.Embedding):
            continue
        if not module.weight.is_floating_point():
            remedy = "quantised bases are not supported: load the model it was made from"
            raise failure(model, f"weights of {name} are packed as {module.weight.dtype}", remedy)
        if module.weight.is_meta:
            fact = f"the weight of {name} was offloaded and is not in memory"
            raise failure(model, fact, "load the model without offloading, for instance on the CPU")
        # GPT-2 stores its maps transposed, and embeddings are tokens by width.
        rows, columns = module.weight.shape
        shape = (rows, columns) if isinstance(module, nn.Linear) else (columns, rows)
        places[name] = Map(module, shape, isinstance(module, nn.Embedding))
    return places


def output_head(model: Model) -> Any:
    """Return the module that makes logits of states, None where the network does not say."""
    return getattr(model.network, "get_output_embeddings", lambda: None)()
