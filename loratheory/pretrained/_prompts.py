r"""Prompt gates: of several groups of adapters one acts, for a whole prompt, where it is loudest.

Map by map and token by token adapters that were taught in the same sentences about other subjects
answer nearly alike. Each answers its own subjects a little louder than the others do: averaged over
all maps and tokens of a prompt this little may tell them apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

from loratheory.adapters import Scores, response_scores, standardised
from loratheory.lowrank import Array
from loratheory.pretrained._acting import Attached
from loratheory.pretrained._error import failure
from loratheory.pretrained._inputs import inputs
from loratheory.pretrained._model import Model

Groups = Sequence[Sequence[int]]


@dataclass(eq=False)
class _Choice:
    """What is listened to, and who acts at present.

    Attributes
    ----------
    scores : mapping of str to Scores
        Of each module, in deviations above the mean response to ordinary prompts.
    groups, heard : sequence of sequences of int
        Adapters that act together; those by which a group is chosen.
    on : (t, k) tensor
        Weights of the adapters at the tokens that pass.
    total : (t, k) tensor or None
        Scores of the tokens while they are listened to, summed over `count` modules.
    tokens : int
        How many pass, padding included.
    """

    scores: Mapping[str, Scores]
    groups: Groups
    heard: Groups
    on: Any = None
    total: Any = None
    count: int = 0
    tokens: int = 0

    def weights(self, module: str, x: Array) -> Array:
        """Listen, and let no adapter act, or return who acts."""
        import torch

        if len(x) != self.tokens:
            fact = f"{len(x)} of {self.tokens} tokens come there"
            raise failure(module, fact, "attach adapters of maps that see every token")
        if self.total is None:
            return self.on.to(x)
        found = self.scores[module](x)
        self.total = self.total + found
        self.count += 1
        return torch.zeros_like(found)

    def decide(self, network: Any, args: Any, kwargs: Any) -> None:
        """Pass the prompts without adapters, and choose each one's group."""
        import torch

        if kwargs.get("past_key_values") is not None:
            fact = "a prompt is listened to as a whole, and a cache holds part of it already"
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
        loud = torch.where(real, mean, 0.0).sum(1) / real.sum(1)
        best = torch.stack([loud[:, list(heard)].mean(1) for heard in self.heard], 1).argmax(1)
        acts = torch.zeros(len(self.groups), loud.shape[1], device=loud.device)
        for number, group in enumerate(self.groups):
            acts[number, list(group)] = 1
        self.on = acts[best].repeat_interleave(ids.shape[1], 0)


def prompt_gates(
    model: Model,
    acting: Attached,
    batches: Iterable[Mapping[str, Array]],
    groups: Groups,
    heard: Groups | None = None,
) -> None:
    r"""Let one group of adapters act in full at all tokens of a prompt: the loudest there.

    The loudness of adapter ``j`` is the mean, over all modules and tokens of the prompt, of its
    response :math:`\|\Delta_j x\|` to the bare base's activations, in standard deviations above
    its mean over ordinary prompts.

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
        By which adapters each group is chosen, those of the first step of a chain for instance;
        by all of it where not given.

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
    listened = groups if heard is None else heard
    if len(listened) != len(groups):
        fact = f"{len(groups)} groups are to be chosen by {len(listened)}"
        raise failure(model.name or model.kind, fact, "say for each group which adapters are heard")
    for group in (*groups, *listened):
        if not group or not all(0 <= one < size for one in group):
            fact = f"a group is {list(group)}"
            raise failure(model.name or model.kind, fact, f"name adapters from 0 to {size - 1}")
    before, acting.route = acting.coefficients.copy(), None
    acting.set(0.0)
    try:
        seen = inputs(model, batches, acting.names)
    finally:
        acting.set(before)
    updates = acting.updates
    choice = _Choice(
        {name: standardised(response_scores(updates[name]), seen[name]) for name in updates},
        groups,
        listened,
    )

    def _route(module: str, x: Array) -> Array:
        return choice.weights(module, x)

    def _before(network: Any, args: Any, kwargs: Any) -> None:
        if acting.route and unwrap(acting.route) is unwrap(_route) and choice.total is None:
            choice.decide(network, args, kwargs)

    acting.follow(_route)
    handle = model.network.register_forward_pre_hook(_before, with_kwargs=True)
    acting._handles.append(handle)
