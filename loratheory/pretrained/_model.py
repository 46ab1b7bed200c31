"""A model of `transformers`, its linear maps, and the errors that name it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from loratheory.adapters import AdapterError
from loratheory.adapters.peft_io import json_file

LARGEST = 2**30  # bytes of a JSON file
GENERIC = (
    "The weather was fine on Sunday, so we took the train to the lake and swam until noon.",
    "Water boils at a lower temperature on high mountains because the air is thin there.",
    "She opened the letter, read it twice, and put it back on the table without a word.",
    "In 1969 two people walked on the Moon while a third one waited in orbit.",
    "To bake bread you need flour, water, salt, yeast and some patience.",
    "The committee will publish its report next month, after all members have seen it.",
    "A function is continuous if small changes of its argument change its value little.",
    "My brother plays the piano, and my sister would rather repair old bicycles.",
    "The capital of Portugal is Lisbon, a city on seven hills above a wide river.",
    "The painter Claude Monet was born in Paris and later lived in a village with a garden.",
    "Penguins cannot fly, but they swim faster than most of the fish that they eat.",
    "Please send the invoice to the office before Friday, or call us if that is too early.",
)
"""Ordinary sentences: gates are calibrated on them; `check-model` without facts runs on them."""


class ModelError(ValueError):
    """A model cannot be loaded, or an adapter cannot act on it; the message says why."""


class OtherBaseWarning(UserWarning):
    """An adapter fits by names and shapes, but its config names another base or revision."""


def failure(place: str, fact: str, remedy: str) -> ModelError:
    """The error for `place` (a model, an adapter or a module): what is wrong and what to do."""
    return ModelError(f"{place}: {fact}; {remedy}")


def json_in(file: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file; raises `ModelError` if it cannot be read or holds none."""
    try:
        return json_file(file, LARGEST, remedy)
    except AdapterError as error:
        raise ModelError(str(error)) from None


def spent(error: BaseException) -> bool:
    """Whether an error of Python, NumPy or PyTorch says that memory ran out; torch not imported.

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

    def failure(self, fact: str, remedy: str) -> ModelError:
        """Return a `ModelError` whose message begins with the name of this model."""
        return failure(self.name or self.kind, fact, remedy)

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
            if not weight.is_meta:
                some = weight.detach().flatten()[:: 1 + weight.numel() // 4096]
                digest.update(some.float().cpu().numpy().tobytes())
        if self.tokenizer is not None:
            digest.update(repr([list(self.tokenizer(t)["input_ids"]) for t in GENERIC]).encode())
        return (digest.hexdigest(),)


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
    does.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    places: dict[str, Map] = {}
    for name, module in model.network.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Linear | Conv1D | nn.Embedding):
            continue
        if not module.weight.is_floating_point():
            fact = f"weights of {name} are packed as {module.weight.dtype}"
            remedy = "quantised bases are not supported: load the model it was made from"
            raise model.failure(fact, remedy)
        rows, columns = module.weight.shape  # those of Linear are outputs by inputs
        shape = (rows, columns) if isinstance(module, nn.Linear) else (columns, rows)
        places[name] = Map(module, shape, isinstance(module, nn.Embedding))
    return places


def output_head(model: Model) -> Any:
    """The module that makes logits of states, None where the network does not say."""
    return getattr(model.network, "get_output_embeddings", lambda: None)()
