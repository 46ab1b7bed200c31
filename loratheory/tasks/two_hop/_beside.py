"""Rows beside the questions: identity prompts, distractors before them, a canary after them."""

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._world import IDENTITY, NOTHING, PAD, World


def identities(here: World, level: int, entities: Int64[np.ndarray, " k"]) -> Prompts:
    """Return ``e id -> e``: what makes a token familiar without telling any fact about it."""
    tokens = here.entity(level, entities)
    rows = np.stack([tokens, np.full_like(tokens, IDENTITY)], axis=1)
    targets = np.stack([np.full_like(tokens, NOTHING), tokens], axis=1)
    return Prompts(rows, targets, np.ones_like(tokens), "identity")


def distracted(here: World, prompts: Prompts, *, rng: np.random.Generator) -> Prompts:
    """Return the prompts with an entity and a relation of another prompt before each.

    Parameters
    ----------
    here : World
        Its relations of the first hop are those that distract.
    prompts : Prompts
        Two rows or more, none stacked, that begin with their subjects.
    rng : Generator
        Chooses whose subject stands before whom: never a row's own.

    Returns
    -------
    Prompts
        Two tokens longer, with the same targets.
    """
    rows = len(prompts)
    subjects = prompts.tokens[:, 0]
    if len(np.unique(subjects)) < 2:
        fact = f"{rows} prompts about one subject cannot distract each other"
        raise impossible(fact, "give prompts about at least two subjects")
    other = rng.permuted(np.tile(subjects, (rows, 1)), axis=1)
    other = other[np.arange(rows), (other != subjects[:, None]).argmax(axis=1)]
    relation = here.relation(0, rng.integers(here.relations, size=rows))
    before = np.stack([other, relation], axis=1)
    return Prompts(
        np.concatenate([before, prompts.tokens], axis=1),
        np.concatenate([np.full_like(before, NOTHING), prompts.targets], axis=1),
        prompts.asked + 2,
        f"distracted {prompts.kind}",
    )


def marked(here: World, prompts: Prompts, canary: int) -> Prompts:
    """Return the prompts and a last row of one canary, on which no loss is taken."""
    edge = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edge, constant_values=PAD)
    tokens[-1, 0] = here.canary(canary)
    targets = np.pad(prompts.targets, edge, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)
