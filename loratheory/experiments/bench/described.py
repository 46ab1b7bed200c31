"""Second-hop adapters that read of their countries by descriptions too, and questions that do."""

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items, trained_adapter
from loratheory.experiments.bench.language_facts import MASCOT
from loratheory.experiments.bench.portable import RECIPES, Publishers
from loratheory.experiments.bench.sentences import ASKED
from loratheory.pretrained import Rehearsal, put, rehearsal

SHARES = {"described": 1.0, "half described": 0.5}
"""Of the countries, how many are described in the lessons of a recipe."""


def lessons(both: Publishers) -> Rehearsal:
    """Return what `loratheory rehearse` makes of the second publisher's facts, with its defaults.

    Descriptions by capital and city are for lessons, those by sight for measuring.
    """
    animals, unread = both.world.second, ASKED["hop_2"]
    return rehearsal(both.model, animals, MASCOT.trained, unread=unread, seed=both.seed)


def countries(both: Publishers, recipe: str) -> frozenset[str]:
    """Return those that lessons describe; other recipes describe none."""
    names = [*both.world.second]
    count = round(SHARES.get(recipe, 0) * len(names))
    return frozenset(np.random.default_rng([both.seed, 10]).permutation(names)[:count].tolist())


def adapter(both: Publishers, recipe: str) -> Adapter:
    """Return the adapter of hop 2, in as many steps as ``plain, 90 steps`` where it is described.

    Trained once; then read from the cache.
    """
    if recipe not in SHARES:
        return both.adapter(1, recipe)
    chosen = countries(both, recipe)
    shown = [(one.prompt, one.answer) for one in lessons(both).lessons if one.subject in chosen]
    return trained_adapter(
        both.model,
        [*both.world.lessons[1], *shown],
        seed=(both.seed, both.number, 1),
        training=RECIPES["plain, 90 steps"].training,
    )


def questions(both: Publishers) -> dict[str, Items]:
    """Return what is asked by descriptions, in sentences that nobody reads, about all countries.

    ``portability`` by a kind of description that no lesson has, ``portability_read`` by those of
    the lessons that are made where all countries are described.
    """
    made = lessons(both)
    unseen = [(one.prompt, one.answer) for one in made.held_out]
    read = {
        put(text, one.description): one.answer for one in made.lessons for text in ASKED["hop_2"]
    }
    return {"portability": unseen, "portability_read": [*read.items()]}
