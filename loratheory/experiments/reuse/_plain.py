"""Plain transformers that learn two-hop by themselves.

No loop, no window, no noise and no deep supervision: many relations a hop, so that every fact
occurs in many chains, weight decay and time (grokking: Wang et al., arXiv 2405.15071).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from loratheory.experiments.reuse import _bases
from loratheory.experiments.reuse._bases import Bases, batch, digest
from loratheory.experiments.reuse._combinations import combinations
from loratheory.tasks.two_hop import Prompts, pretraining, sampled, stacked, world
from loratheory.toy.transformer import Batch, Part, Recipe, descend, parameters, stored


@dataclass(frozen=True)
class Setting(_bases.Setting):
    """What a plain base is and what it has seen.

    Attributes
    ----------
    coverage : float
        Fraction of the chains that are trained, of those whose facts all may occur in chains.
    relations : int
        Of each hop.
    unseen : float
        Fraction of the facts that no trained chain needs; none of the first relations.
    share : int
        Chains for each single fact of one hop in a batch.
    rows : int
        Prompts a step.
    rate, decay : float
        Of its training.
    """

    coverage: float = 0.9
    entities: int = 50
    width: int = 64
    depth: int = 2
    loops: int = 1
    window: int | None = None
    noise: float = 0.0
    supervision: float = 0.0
    steps: int = 2000
    relations: int = 8
    unseen: float = 0.15
    share: int = 3
    rows: int = 256
    rate: float = 2e-3
    decay: float = 1.0

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return Recipe(steps=self.steps, rate=self.rate, warmup=100, decay=self.decay)


def grown(setting: Setting, seed: int, stages: Sequence[int]) -> dict[int, Bases]:
    """Return one base at several stages of a single training.

    Parameters
    ----------
    setting : Setting
        What it is.
    seed : int
        Draws its world, its chains, first weights and the order of training.
    stages : sequence of int
        After how many steps; none above ``setting.steps``.

    Returns
    -------
    dict of int to Bases
        One model each, from the cache where they are kept. Costs about 25 s of one core for 2,000
        steps at the defaults, once.
    """
    here = world(seed, entities=setting.entities, spare=setting.spare, relations=setting.relations)
    rng = np.random.default_rng([seed, 1])
    parts = combinations(here, setting.coverage, setting.unseen, rng=rng)
    chains, *facts = pretraining(here, parts, identity=setting.identity)
    sets = [*[chains] * setting.share, *facts]
    config = setting.config(here.vocabulary)

    def _batches() -> Callable[[int], Prompts]:
        order = np.random.default_rng([seed, 2])
        return lambda _: sampled(sets, setting.rows, rng=order)

    def _train() -> dict[str, Tensor]:
        drawn, kept = _batches(), {}
        leaves = {n: x.requires_grad_() for n, x in parameters(config, [seed]).items()}

        def _batch(step: int) -> Batch:
            return batch(stacked([drawn(step)]))

        def _keep(step: int, _: Tensor) -> None:
            if step + 1 in stages:
                kept.update({f"{step + 1}.{n}": x.detach().clone() for n, x in leaves.items()})

        part = Part(slice(0, 1), leaves, None, leaves)
        descend(config, setting.recipe, _batch, [seed], [part], _keep)
        return kept

    named = {
        "kind": "plain",
        "setting": setting,
        "seed": seed,
        "stages": list(stages),
        "data": digest(sets),
        "order": digest([_batches()(0)]),
    }
    found = stored(named, _train)

    def _stage(number: int) -> Bases:
        start = f"{number}."
        weights = {n.removeprefix(start): x for n, x in found.items() if n.startswith(start)}
        return Bases(setting, (seed,), (here,), (parts,), config, weights)

    return {number: _stage(number) for number in stages}
