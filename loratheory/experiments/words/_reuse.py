"""Two adapters reused on problems that need both, by every rule; and how problems are solved."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from loratheory.experiments.reuse import _rules as rules
from loratheory.experiments.reuse._bases import Bases, tensor
from loratheory.experiments.reuse._block import block_gates
from loratheory.experiments.reuse._deciders import deciders
from loratheory.experiments.reuse._shelves import Shelf, Teaching
from loratheory.experiments.words._problems import CODE, FORMS
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, stacked
from loratheory.tasks.word_problems import Problems
from loratheory.toy.transformer import Adapt, Lora, logits

RULES: Mapping[str, rules.Rule] = {
    "base": partial(rules.everywhere, None),
    "first alone": rules.alone(0),
    "second alone": rules.alone(1),
    "mean": rules.mean,
    "sum": rules.summed(),
    "ties": rules.merged("ties", density=0.3, rank=1024),
    "interpolating": rules.merged("interpolate", ridge=0.1),
    "arrow": rules.routed(deciders(0.3)["arrow"]),
    "gates": rules.routed(deciders(0.3)["gates"]),
    "block gates": block_gates(2.0),
}
"""Ways to reuse two adapters, and what one is without the other."""


def shelf(known: Bases, first: Lora, second: Lora) -> Shelf:
    """Return two adapters, one pair a replica, as the rules want them."""
    count = len(next(iter(first.up.values())))
    return Shelf(known, Teaching(sets=count), (), (), ((first, second),), {})


def acting(known: Bases, first: Lora, second: Lora) -> dict[str, Adapt | None]:
    """Return what each of `RULES` adds to the base, for all replicas."""
    here = shelf(known, first, second)
    return {name: rule(here)[0] for name, rule in RULES.items()}


def solved(
    known: Bases, prompts: Sequence[Prompts], adapt: Adapt | None
) -> Float[np.ndarray, " E"]:
    """Return the share of prompts in which each token due is the likeliest, ``(E,)``.

    Parameters
    ----------
    known : Bases
        One model.
    prompts : sequence of Prompts
        One a replica.
    adapt : callable or None
        What is added to it.

    Returns
    -------
    (E,) array
        A solution that greedy decoding writes by itself is right as a whole iff each of its tokens
        is the likeliest after the right ones: one pass tells.
    """
    return (said(known, prompts, adapt) == 1).mean(axis=1)


def said(known: Bases, prompts: Sequence[Prompts], adapt: Adapt | None) -> Float[np.ndarray, "E B"]:
    """Return which share of a prompt's tokens is right, one by one after the right ones."""
    rows = stacked(list(prompts))
    with torch.inference_mode():
        likeliest = logits(known.config, known.weights, tensor(rows.tokens), adapt).argmax(-1)
    due = rows.targets >= 0
    right = (likeliest.numpy() == rows.targets) & due
    return right.sum(axis=2) / due.sum(axis=2)


def marks(
    known: Bases, asked: Sequence[Problems], adapt: Adapt | None
) -> dict[str, Float[np.ndarray, " E"]]:
    """Return the share of problems solved, in each form.

    Parameters
    ----------
    known : Bases
        One model.
    asked : sequence of Problems
        As many a replica.
    adapt : callable or None
        What is added to it.

    Returns
    -------
    dict of str to (E,) array
        `stepwise`, the whole solution; `answered`, the answer alone.
    """
    return {
        name: solved(known, padded([form(CODE, one) for one in asked]), adapt)
        for name, (form, _) in FORMS.items()
    }


def padded(prompts: Sequence[Prompts]) -> list[Prompts]:
    """The prompts at the length of the longest."""
    length = max(one.tokens.shape[-1] for one in prompts)
    return [one.padded(length) for one in prompts]


def picked(adapter: Lora, replicas: Sequence[int]) -> Lora:
    """Return these replicas of an adapter, in this order, repeated where asked."""
    index = torch.tensor(replicas)
    return adapter.map(lambda x: x[index])
