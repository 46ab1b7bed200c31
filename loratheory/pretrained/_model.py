"""A model of `transformers` and what is known about where it came from."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from loratheory.pretrained._error import failure


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its tokenizer and origin; ``Model(network)`` wraps one made elsewhere.

    Attributes
    ----------
    network : torch.nn.Module
        Usually a causal language model of `transformers`.
    tokenizer : tokenizer or None
        None where there is none.
    name : str
        The Hugging Face id or folder; what an adapter's `base_model_name_or_path` is held against.
        Empty where unknown.
    revision : str
        The commit on the hub, empty where unknown.
    notes : tuple of str
        What the user should know, in sentences: that weights were dequantised, for example.
    """

    network: Any
    tokenizer: Any = None
    name: str = ""
    revision: str = ""
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The class of the network, as messages name it."""
        return type(self.network).__name__


class Map(NamedTuple):
    """A module that a low-rank update can act on.

    Attributes
    ----------
    module : torch.nn.Module
        A linear map or an embedding.
    shape : (int, int)
        Outputs, inputs; for an embedding width, tokens. The shape of updates, whatever the
        layout of the weight (GPT-2 stores the transpose).
    embedding : bool
        Whether inputs are token numbers.
    """

    module: Any
    shape: tuple[int, int]
    embedding: bool


def maps(model: Model) -> dict[str, Map]:
    """Return every linear map and embedding of a model by name, under all its names.

    Parameters
    ----------
    model : Model
        Any network; its linear maps are `torch.nn.Linear`, GPT-2's `Conv1D`, and what derives
        from them: fused ones and experts included, experts kept in one tensor not.

    Returns
    -------
    dict of str to Map
        In the network's order. Costs a walk over its modules.

    Raises
    ------
    ModelError
        If a weight is packed into integers, as bitsandbytes does.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found: dict[str, Map] = {}
    for name, module in model.network.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear):
            shape = (module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            shape = (int(module.weight.shape[1]), int(module.weight.shape[0]))
        elif isinstance(module, nn.Embedding):
            shape = (module.embedding_dim, module.num_embeddings)
        else:
            continue
        if not module.weight.is_floating_point():
            fact = f"weights of {name} are packed as {module.weight.dtype}"
            remedy = "quantised bases are not supported: load the model it was made from"
            raise failure(model.name or model.kind, fact, remedy)
        found[name] = Map(module, shape, isinstance(module, nn.Embedding))
    return found
