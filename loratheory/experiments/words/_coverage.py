"""Bases that have seen more or less of what is asked: no problem at all, up to the pair itself.

Where a base has met problems of two steps, they are four of seven of all that it reads: bases
differ in which they met, not in how many. All read for as long.
"""

from collections.abc import Mapping

import numpy as np

from loratheory.experiments.words._problems import (
    CODE,
    CONTEXT,
    PAIRS,
    SKILLS,
    Pair,
    alike,
    chains,
    drawn,
    linked,
    single,
    varied,
)
from loratheory.tasks.two_hop import NOTHING, Prompts
from loratheory.tasks.word_problems import Problems, answered, stepwise

SEEN = ("sums", "other words", "single steps", "other pairs", "pairs")
"""What bases have seen, of what adapters and targets need. "sums": sign, two numbers and the
result, of every skill, and no problem. "other words": that, and problems of one and two steps of
the context: no word of the adapters' skills. "single steps": problems of one step of every skill.
"other pairs": also of two, of the context. "pairs": also the six pairs, by `weights`."""
WEIGHTS = (0, 1, 3, 9, 27, 81)
"""How often each of the six pairs occurs, relative to the others."""


def weights(seed: int) -> dict[Pair, int]:
    """Return how often a base of "pairs" meets each; over six seeds every pair has every weight."""
    return {pair: WEIGHTS[(k + seed) % len(WEIGHTS)] for k, pair in enumerate(PAIRS)}


def coverage(seen: str, seed: int) -> Mapping[Pair, float]:
    """Return the share of each pair in all problems of two steps that a base has met."""
    whole = 2 * sum(WEIGHTS)  # as many again are of the context
    return {p: n / whole if seen == SEEN[4] else 0.0 for p, n in weights(seed).items()}


def sums(here: Problems) -> Prompts:
    """Return problems of one step without their words: sign and numbers, which want the result."""
    rows = stepwise(CODE, here)
    tokens = np.take_along_axis(rows.tokens, rows.asked[:, None] + np.arange(2, 5), axis=1)
    targets = np.full(tokens.shape, NOTHING)
    targets[:, 2] = rows.answer
    return Prompts(tokens, targets, np.full(len(tokens), 2), "sum")


def lessons(seen: str, seed: int, rows: int) -> tuple[Prompts, ...]:
    """Return the sets of prompts that a base learns from, in equal shares.

    Parameters
    ----------
    seen : str
        Of `SEEN`.
    seed : int
        Draws them, and says which pair is met how often.
    rows : int
        A third of the problems of each set.

    Returns
    -------
    tuple of Prompts
        Problems are told and solved as in `words._problems.pretraining`.
    """
    rng = np.random.default_rng([seed, 19])
    every = (*CONTEXT, *SKILLS)
    bare = sums(drawn(single(every), 3 * rows, rng))
    if seen == SEEN[0]:
        return (bare,)
    one = varied(single(CONTEXT if seen == SEEN[1] else every), rows, rng)
    solved = stepwise(CODE, one)
    sets = [solved, bare if seen == SEEN[1] else solved, answered(CODE, one)]
    if seen != SEEN[2]:
        met = [linked(pair) for pair, n in weights(seed).items() for _ in range(n)]
        for templates in (chains(CONTEXT, 2), met if seen == SEEN[4] else chains(CONTEXT, 2)):
            sets += [stepwise(CODE, varied(templates, rows, rng))] * 2
    return alike(sets)
