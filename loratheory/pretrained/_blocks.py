r"""Block gates: each adapter on or off at a token by how much it changes a whole block's output.

`loratheory.adapters.calibrate` compares :math:`\|\Delta_j x\|`, map by map. Here the response of
adapter ``j`` is :math:`\|f_j(x) - f_0(x)\|`, with :math:`f_j` the attention or the MLP in which it
alone acts and :math:`f_0` the bare one: what a nonlinearity or a later map takes back does not
count, and all maps of a block are switched together, once a token and layer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import unwrap
from typing import Any

import numpy as np

from loratheory.lowrank import Array
from loratheory.pretrained._acting import Attached
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model


@dataclass(eq=False)
class _Block:
    """A module around some adapted maps, and who acts in it at present.

    Attributes
    ----------
    name : str
        Of the module.
    module : torch.nn.Module
        Itself.
    size : int
        How many adapters there are.
    on : (t, k) or (1, k) tensor
        Weights of the adapters at the tokens that pass.
    limits : (k,) tensor or None
        Responses above which adapters are on; none while they are being found.
    seen : list of (t, k) tensor
        Responses to base tokens, until the limits are known.
    """

    name: str
    module: Any
    size: int
    on: Any
    limits: Any = None
    seen: list[Any] = field(default_factory=list)

    def decide(self, module: Any, args: Any, kwargs: Any) -> None:
        """Ask each adapter alone what it changes, before the block is passed in earnest."""
        import torch
        from transformers import Cache

        if any(isinstance(value, Cache) for value in (*args, *kwargs.values())):
            fact = "each adapter is tried on a token in turn, and a cache would keep every trial"
            raise failure(self.name, fact, "call the network with use_cache=False")
        outputs = []
        for row in (np.zeros(self.size), *np.eye(self.size)):
            self.on = torch.from_numpy(row)[None]
            out = module.forward(*args, **kwargs)
            out = out[0] if isinstance(out, tuple) else out
            outputs.append(out.reshape(-1, out.shape[-1]))
        responses = torch.stack([(one - outputs[0]).norm(dim=-1) for one in outputs[1:]], dim=-1)
        if self.limits is None:
            self.seen.append(responses)
            self.on = torch.zeros_like(responses)
        else:
            self.on = (responses > self.limits).to(responses.dtype)


def block_gates(
    model: Model, acting: Attached, batches: Iterable[Mapping[str, Array]], *, z: int | float = 2.0
) -> None:
    """Let adapters act in full at tokens where they change a block uncommonly much, else not.

    Parameters
    ----------
    model : Model
        On which `acting` acts.
    acting : Attached
        Its route is replaced, until `Attached.follow` replaces it again; coefficients stay.
    batches : iterable of mapping
        What the network is called with on ordinary prompts, without padding: they tell how much
        each adapter changes a block as a rule.
    z : float
        Standard deviations above the mean change at which an adapter is switched on.

    Raises
    ------
    ModelError
        If a map stands in no block, a batch is padded, or, later, the network keeps a cache.

    Notes
    -----
    A pass then costs that of ``k + 2`` models with `k` adapters, and memory for the outputs of
    one block ``k + 1`` times.
    """
    import torch

    size = acting.coefficients.shape[1]
    parents = {name: name.rpartition(".")[0] for name in acting.names}
    alone = next((name for name, parent in parents.items() if not parent), None)
    if alone:
        fact = "it stands in no block of the network"
        raise failure(alone, fact, "attach adapters of attention and MLPs only")
    blocks = {
        name: _Block(name, model.network.get_submodule(name), size, torch.zeros(1, size))
        for name in dict.fromkeys(parents.values())
    }

    def _route(module: str, x: Array) -> Array:
        weights = blocks[parents[module]].on
        return weights.to(x).expand(x.shape[0], size)

    def _before(block: _Block, module: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(_route):
            block.decide(module, args, kwargs)

    acting.follow(_route)
    for block in blocks.values():
        before = partial(_before, block)
        handle = block.module.register_forward_pre_hook(before, with_kwargs=True)
        acting._handles.append(handle)
    with torch.no_grad():
        for batch in batches:
            if "attention_mask" in batch and not bool(batch["attention_mask"].all()):
                fact = "a batch is padded, and padding is no token"
                raise failure(model.name or model.kind, fact, "give each prompt alone")
            model.network(**batch, use_cache=False)
    for block in blocks.values():
        if not block.seen:
            raise failure(block.name, "no token came there", "give prompts that reach it")
        seen = torch.cat(block.seen)
        block.limits = seen.mean(0) + z * seen.std(0, correction=0)
        block.seen.clear()
