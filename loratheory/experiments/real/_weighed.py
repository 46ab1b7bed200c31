"""How much a rule gives each adapter on the tokens of some questions."""

from collections.abc import Sequence
from functools import wraps

import numpy as np

from loratheory.experiments.real import _known as known
from loratheory.experiments.real._facts import Facts, items
from loratheory.lowrank import Array
from loratheory.pretrained import Attached, Model, next_logits
from loratheory.shapes import Float64

SHARES = ("own_1", "others_1", "own_2", "others_2")
"""What `shared` tells."""


def shared(model: Model, acting: Attached, facts: Facts, number: int) -> dict[str, float]:
    """Return how much a rule gives the right adapters and the others, asked chains.

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

    Returns
    -------
    dict of str to float
        Mean weights over tokens and modules: ``own_1`` of the pair's adapter of hop 1,
        ``others_1`` of the other pairs' (NaN where there are none), and so for hop 2.
    """
    asked = items(facts.chain, known.TWO_HOP)
    weights = weighed(model, acting, [prompt for prompt, _ in asked])
    told: list[float] = []
    for hop in (weights[::2], weights[1::2]):
        others = np.delete(hop, number)
        told += [float(hop[number]), float(others.mean()) if others.size else np.nan]
    return dict(zip(SHARES, told, strict=True))


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
        Of the last time that a module is passed: what gates try before does not count. Nor do
        coefficients.
    """
    route, found = acting.route, list[Float64[np.ndarray, "tokens adapters"]]()
    assert route is not None
    last: dict[str, Float64[np.ndarray, "tokens adapters"]] = {}

    @wraps(route)
    def _watched(module: str, x: Array) -> Array:
        weights = route(module, x)
        last[module] = weights.double().cpu().numpy()
        return weights

    acting.follow(_watched)
    try:
        for prompt in prompts:
            next_logits(model, [prompt])
            found += last.values()
            last.clear()
    finally:
        acting.follow(route)
    return np.concatenate(found).mean(0)
