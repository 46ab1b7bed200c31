r"""Gates over whole blocks and whole prompts, set by what adapters do to ordinary sentences.

`loratheory.adapters.calibrate` compares :math:`\|\Delta_j x\|`, map by map and token by token.

**Block gates** ask for :math:`\|f_j(x) - f_0(x)\|` instead, with :math:`f_j` the attention or the
MLP in which adapter ``j`` alone acts and :math:`f_0` the bare one: what a nonlinearity or a later
map takes back does not count, and all maps of a block are switched together.

**Prompt gates** let one group of adapters act for a whole prompt. Map by map and token by token
adapters that were trained on the same sentences about other subjects answer nearly alike; averaged
over all maps and tokens of a prompt their small differences may tell them apart. Where a question
needs one adapter of each of several sets, they are chosen one after another: what is asked of the
second hop is in the network only once the first hop acts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import unwrap
from typing import Any

import numpy as np

from loratheory.adapters import response_scores, standardised
from loratheory.lowrank import Array
from loratheory.pretrained._ask import inputs
from loratheory.pretrained._attach import Attached, Route
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

    The route of `acting`, on this model, is replaced, until `Attached.follow` replaces it again;
    coefficients stay. Batches are what the network is called with on ordinary prompts, without
    padding: an adapter is switched on `z` standard deviations above the mean change that it makes
    to a block there. A pass then costs that of ``k + 2`` models with `k` adapters, and memory for
    the outputs of one block ``k + 1`` times.

    Raises
    ------
    ModelError
        If a map stands in no block, a batch is padded, or, later, the network keeps a cache.
    """
    import torch

    size = acting.coefficients.shape[1]
    blocks = {name: name.rpartition(".")[0] for name in acting.names}
    alone = next((name for name, block in blocks.items() if not block), None)
    if alone:
        fact = "it stands in no block of the network"
        raise failure(alone, fact, "attach adapters of attention and MLPs only")
    ordinary: dict[str, list[Array]] = {block: [] for block in blocks.values()}
    limits: dict[str, Array] = {}  # (k,) by block: responses above which adapters are on
    weights: dict[str, Array] = {}  # by block: of adapters at the tokens that pass it at present

    def _route(module: str, x: Array) -> Array:
        return weights[blocks[module]].to(x).expand(x.shape[0], size)

    def _decide(block: str, module: Any, args: Any, kwargs: Any) -> None:
        """Ask each adapter alone what it changes, before the block is passed in earnest."""
        from transformers import Cache

        if any(isinstance(value, Cache) for value in (*args, *kwargs.values())):
            fact = "each adapter is tried on a token in turn, and a cache would keep every trial"
            raise failure(block, fact, "call the network with use_cache=False")
        outputs = []
        for row in (np.zeros(size), *np.eye(size)):
            weights[block] = torch.from_numpy(row)[None]
            out = module.forward(*args, **kwargs)
            out = out[0] if isinstance(out, tuple) else out
            outputs.append(out.reshape(-1, out.shape[-1]))
        bare, *each = outputs
        responses = torch.stack([(one - bare).norm(dim=-1) for one in each], dim=-1)
        if block not in limits:
            ordinary[block].append(responses)
        on = responses > limits.get(block, torch.inf)
        weights[block] = on.to(responses.dtype)

    acting.follow(_route)
    for block in ordinary:
        _before(acting, _route, model.network.get_submodule(block), partial(_decide, block))
    with torch.no_grad():
        for batch in batches:
            if "attention_mask" in batch and not bool(batch["attention_mask"].all()):
                fact = "a batch is padded, and padding is no token"
                raise model.failure(fact, "give each prompt alone")
            model.network(**batch, use_cache=False)
    for block, responses in ordinary.items():
        if not responses:
            raise failure(block, "no token came there", "give prompts that reach it")
        each = torch.cat(responses)
        limits[block] = each.mean(0) + z * each.std(0, correction=0)
        responses.clear()


def _before(
    acting: Attached, route: Route, module: Any, decide: Callable[[Any, Any, Any], None]
) -> None:
    """Have `decide` called before a module as long as this route is followed, wrapped or not."""

    def _hook(module: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(route):
            decide(module, args, kwargs)

    acting.before(module, _hook)


def prompt_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    groups: Groups,
    heard: Groups | None = None,
    *,
    then: Sequence[Groups] = (),
) -> None:
    r"""Let one group of adapters act in full at all tokens of a prompt, by largest response.

    The response of adapter ``j`` to a prompt is the mean, over all modules and tokens, of
    :math:`\|\Delta_j x\|` on the bare base's activations, in standard deviations above its mean
    over ordinary prompts.

    Model, `acting` and ordinary prompts, padded or not, are as in `block_gates`. `groups` say which
    adapters act together, by their number; `heard`, by which adapters each group is chosen, those
    of the first hop for instance, by all of it where not given. Of each set of groups in `then` one
    more acts, chosen in turn by its response while those chosen before act. A pass then costs one
    more for each choice, and the responses of all adapters.

    Raises
    ------
    ModelError
        If a group is empty or names no adapter; or, later, if the network is called with a cache
        or without `input_ids`, or a map does not see every token.
    """
    import torch

    size = acting.coefficients.shape[1]
    heard = groups if heard is None else heard
    if len(heard) != len(groups):
        fact = f"{len(groups)} groups are to be chosen by {len(heard)}"
        raise model.failure(fact, "say for each group which adapters are heard")
    choices = [(groups, heard), *((each, each) for each in then)]
    for group in (group for choice in choices for each in choice for group in each):
        if not group or not all(0 <= one < size for one in group):
            fact = f"a group is {list(group)}"
            raise model.failure(fact, f"name adapters from 0 to {size - 1}")
    coefficients, acting.route = acting.coefficients.copy(), None
    acting.set(0.0)  # ordinary prompts go through the bare base
    try:
        ordinary = inputs(model, batches, acting.names)
    finally:
        acting.set(coefficients)
    scores = {
        name: standardised(response_scores(low), ordinary[name])
        for name, low in acting.updates.items()
    }
    weights = torch.zeros(0, size)  # of the adapters at all tokens of a pass, padding included

    def _route(module: str, x: Array) -> Array:
        if len(x) != len(weights):
            fact = f"{len(x)} of {len(weights)} tokens come there"
            raise failure(module, fact, "attach adapters of maps that see every token")
        return weights.to(x)

    def _decide(network: Any, args: Any, kwargs: Any) -> None:
        """Choose each prompt's groups, in a pass for each choice."""
        nonlocal weights
        name, ids = type(network).__name__, kwargs.get("input_ids", args[0] if args else None)
        if kwargs.get("past_key_values") is not None:
            fact = "a prompt is judged as a whole, and a cache holds part of it already"
            raise failure(name, fact, "call the network with use_cache=False")
        if ids is None:
            fact = "it was called without input_ids, so that prompts cannot be told apart"
            raise failure(name, fact, "call it with input_ids")
        weights, each = torch.zeros(ids.numel(), size, device=ids.device), list[Array]()
        mask = kwargs.get("attention_mask")
        real = (torch.ones_like(ids) if mask is None else mask)[..., None].bool()

        def _listen(module: str, x: Array) -> Array:
            each.append(scores[module](x))
            return _route(module, x)  # nobody acts whom no choice before has let

        following, acting.route = acting.route, _listen
        try:
            for chosen, by in choices:
                each.clear()
                with torch.no_grad():
                    network.forward(*args, **kwargs)
                mean: Any = sum(each) / len(each)
                responses = torch.where(real, mean.reshape(*ids.shape, -1), 0.0).sum(1) / real.sum(
                    1
                )
                of_groups = torch.stack([responses[:, list(group)].mean(1) for group in by], 1)
                acts = torch.zeros(len(chosen), size, device=ids.device)  # weights, by group
                for number, group in enumerate(chosen):
                    acts[number, list(group)] = 1
                best = acts[of_groups.argmax(1)].repeat_interleave(ids.shape[1], 0)
                weights = weights.maximum(best)
        finally:
            acting.route = following

    acting.follow(_route)
    _before(acting, _route, model.network, _decide)
