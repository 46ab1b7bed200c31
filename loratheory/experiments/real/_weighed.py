"""How much a router gives each adapter on the tokens of some questions."""

from collections.abc import Sequence

import numpy as np

from loratheory.experiments.real._facts import Facts, items
from loratheory.lowrank import Array
from loratheory.pretrained import Attached, Model, next_logits
from loratheory.shapes import Float64

SHARES = ("own_weight", "alike_weight", "other_weight")
"""What `shared` tells."""


def shared(
    model: Model, acting: Attached, facts: Facts, number: int, templates: Sequence[str]
) -> dict[str, float]:
    """Return how much a router gives the right adapter and the wrong ones, asked single facts.

    Parameters
    ----------
    model : Model
        On which they act.
    acting : Attached
        Adapters of hop 1 and hop 2 of each pair in turn, weighed by a route.
    facts : Facts
        Of the pair that is asked.
    number : int
        Which pair that is.
    templates : (str, str)
        In which hop 1 and hop 2 are asked.

    Returns
    -------
    dict of str to float
        Mean weights over tokens and modules, then over both hops: ``own_weight`` of the adapter
        that was taught the fact, ``alike_weight`` of those that were taught other pairs' facts of
        the same hop (NaN where there are none), ``other_weight`` of all of the other hop.
    """
    told = []
    for hop, (known, asked) in enumerate(zip((facts.birth, facts.mascot), templates, strict=True)):
        weights = weighed(model, acting, [prompt for prompt, _ in items(known, [asked])])
        alike = np.delete(weights[hop::2], number)
        mean = float(alike.mean()) if alike.size else np.nan
        told.append((weights[hop::2][number], mean, weights[1 - hop :: 2].mean()))
    return dict(zip(SHARES, map(float, np.mean(told, axis=0)), strict=True))


def weighed(
    model: Model, acting: Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, " adapters"]:
    """Return the mean weight of each adapter over all tokens of the prompts and all modules.

    Parameters
    ----------
    model : Model
        On which they act.
    acting : Attached
        With a route, which answers as before.
    prompts : sequence of str
        Passed one by one, for padding is no token.

    Returns
    -------
    (adapters,) array
        Coefficients are not in it.
    """
    route, found = acting.route, []
    assert route is not None

    def _watched(module: str, x: Array) -> Array:
        weights = route(module, x)
        found.append(weights.double().cpu().numpy())
        return weights

    acting.follow(_watched)
    try:
        for prompt in prompts:
            next_logits(model, [prompt])
    finally:
        acting.follow(route)
    return np.concatenate(found).mean(0)
