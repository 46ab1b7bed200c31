r"""Gates over whole blocks and whole prompts, set by what adapters do to ordinary sentences.

`loratheory.adapters.calibrate` compares :math:`\|\Delta_j x\|`, map by map and token by token.

**Block gates** ask for :math:`\|f_j(x) - f_0(x)\|` instead, with :math:`f_j` the attention or the
MLP in which adapter ``j`` alone acts and :math:`f_0` the bare one: what a nonlinearity or a later
map takes back does not count, and all maps of a block are switched together.

**Prompt gates** let one group of adapters act for a whole prompt. Map by map and token by token
adapters that were trained on the same sentences about other subjects answer nearly alike; averaged
over all maps and tokens of a prompt their small differences may tell them apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import unwrap
from typing import Any

import numpy as np

from loratheory.adapters import Scores, response_scores, standardised
from loratheory.lowrank import Array
from loratheory.pretrained._ask import inputs
from loratheory.pretrained._attach import Attached
from loratheory.pretrained._model import Model, failure

Groups = Sequence[Sequence[int]]


def block_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    *,
    z: int | float = 2.0,
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
    blocks = {name: _Block(name, size, torch.zeros(1, size)) for name in parents.values()}

    def _route(module: str, x: Array) -> Array:
        return blocks[parents[module]].on.to(x).expand(x.shape[0], size)

    def _before(block: _Block, module: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(_route):
            block.decide(module, args, kwargs)

    acting.follow(_route)
    for name, block in blocks.items():
        acting.before(model.network.get_submodule(name), partial(_before, block))
    with torch.no_grad():
        for batch in batches:
            if "attention_mask" in batch and not bool(batch["attention_mask"].all()):
                fact = "a batch is padded, and padding is no token"
                raise model.failure(fact, "give each prompt alone")
            model.network(**batch, use_cache=False)
    for block in blocks.values():
        if not block.seen:
            raise failure(block.name, "no token came there", "give prompts that reach it")
        seen = torch.cat(block.seen)
        block.limits = seen.mean(0) + z * seen.std(0, correction=0)
        block.seen.clear()


@dataclass(eq=False)
class _Block:
    """A module around some adapted maps, and which of `size` adapters act in it at present.

    `on` (t, k) or (1, k): weights of the adapters at the tokens that pass. `limits` (k,): responses
    above which they are on; none while `seen`, responses (t, k) to ordinary tokens, is collected.
    """

    name: str
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


def prompt_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    groups: Groups,
    heard: Groups | None = None,
) -> None:
    r"""Let one group of adapters act in full at all tokens of a prompt, by largest response.

    The response of adapter ``j`` to a prompt is the mean, over all modules and tokens, of
    :math:`\|\Delta_j x\|` on the bare base's activations, in standard deviations above its mean
    over ordinary prompts.

    Parameters
    ----------
    model : Model
        On which `acting` acts.
    acting : Attached
        Its route is replaced, until `Attached.follow` replaces it again; coefficients stay.
    batches : iterable of mapping
        What the network is called with on ordinary prompts.
    groups : sequence of sequences of int
        Which adapters act together, by their number.
    heard : sequence of sequences of int, optional
        By which adapters each group is chosen, those of the first hop for instance; by all of it
        where not given.

    Raises
    ------
    ModelError
        If a group is empty or names no adapter; or, later, if the network is called with a cache
        or without `input_ids`, or a map does not see every token.

    Notes
    -----
    A pass then costs two, and the responses of all adapters.
    """
    size = acting.coefficients.shape[1]
    deciding = groups if heard is None else heard
    if len(deciding) != len(groups):
        fact = f"{len(groups)} groups are to be chosen by {len(deciding)}"
        raise model.failure(fact, "say for each group which adapters are heard")
    for group in (*groups, *deciding):
        if not group or not all(0 <= one < size for one in group):
            fact = f"a group is {list(group)}"
            raise model.failure(fact, f"name adapters from 0 to {size - 1}")
    before, acting.route = acting.coefficients.copy(), None
    acting.set(0.0)
    try:
        seen = inputs(model, batches, acting.names)
    finally:
        acting.set(before)
    updates = acting.updates
    scores = {name: standardised(response_scores(updates[name]), seen[name]) for name in updates}
    choice = _Choice(scores, groups, deciding)

    def _route(module: str, x: Array) -> Array:
        return choice.weights(module, x)

    def _before(network: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(_route) and choice.total is None:
            choice.decide(network, args, kwargs)

    acting.follow(_route)
    acting.before(model.network, _before)


@dataclass(eq=False)
class _Choice:
    """Which group of adapters acts at present, and the responses by which it is chosen.

    `scores` of each module, in deviations above the mean response to ordinary prompts. `on` (t, k):
    weights of the adapters at the `tokens` that pass, padding included. `total` (t, k): scores of
    the tokens, summed over `count` modules; None once the choice is made.
    """

    scores: Mapping[str, Scores]
    groups: Groups
    deciding: Groups
    on: Any = None
    total: Any = None
    count: int = 0
    tokens: int = 0

    def weights(self, module: str, x: Array) -> Array:
        """Add up scores, and let no adapter act, or return who acts."""
        import torch

        if len(x) != self.tokens:
            fact = f"{len(x)} of {self.tokens} tokens come there"
            raise failure(module, fact, "attach adapters of maps that see every token")
        if self.total is None:
            return self.on.to(x)
        scores = self.scores[module](x)
        self.total = self.total + scores
        self.count += 1
        return torch.zeros_like(scores)

    def decide(self, network: Any, args: Any, kwargs: Any) -> None:
        """Pass the prompts without adapters, and choose each one's group."""
        import torch

        if kwargs.get("past_key_values") is not None:
            fact = "a prompt is judged as a whole, and a cache holds part of it already"
            raise failure(type(network).__name__, fact, "call the network with use_cache=False")
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            fact = "it was called without input_ids, so that prompts cannot be told apart"
            raise failure(type(network).__name__, fact, "call it with input_ids")
        mask = kwargs.get("attention_mask")
        real = (torch.ones_like(ids) if mask is None else mask)[..., None].bool()
        self.total, self.count, self.tokens = 0.0, 0, ids.numel()
        try:
            with torch.no_grad():
                network.forward(*args, **kwargs)
            mean = self.total / self.count
        finally:
            self.total = None
        mean = mean.reshape(*ids.shape, -1)
        norms = torch.where(real, mean, 0.0).sum(1) / real.sum(1)
        best = torch.stack([norms[:, list(some)].mean(1) for some in self.deciding], 1).argmax(1)
        acts = torch.zeros(len(self.groups), norms.shape[1], device=norms.device)
        for number, group in enumerate(self.groups):
            acts[number, list(group)] = 1
        self.on = acts[best].repeat_interleave(ids.shape[1], 0)
