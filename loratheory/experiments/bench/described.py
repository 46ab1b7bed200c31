"""Second-hop adapters that read of their countries by descriptions too, and questions that do."""

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items
from loratheory.experiments.bench.language_facts import MASCOT
from loratheory.experiments.bench.portable import RECIPES as PLAIN
from loratheory.experiments.bench.portable import Publishers
from loratheory.experiments.bench.sentences import ASKED
from loratheory.pretrained import Rehearsal, put, rehearsal, trained_once

RECIPES = {"described": 0, "described, silent": 60}
"""How many lessons are of silence, beside those by description."""


def lessons(both: Publishers, silence: int = 0) -> Rehearsal:
    """Return what `loratheory rehearse` makes of the second publisher's facts, with its defaults.

    Descriptions by capital and city are for lessons, those by sight for measuring; lessons of
    silence are about other countries, in the sentences about these.
    """
    return rehearsal(
        both.model,
        both.world.second,
        MASCOT.trained,
        unread=ASKED["hop_2"],
        silence=silence,
        seed=both.seed,
    )


def adapter(both: Publishers, recipe: str) -> Adapter:
    """Return the adapter of hop 2, taught with descriptions or by a recipe of `bench.portable`.

    With descriptions in as many steps as ``plain, 90 steps``. Trained once; then read from the
    cache.
    """
    if recipe not in RECIPES:
        return both.adapter(1, recipe)
    shown = [(one.prompt, one.answer) for one in lessons(both, RECIPES[recipe]).lessons]
    return trained_once(
        both.model,
        [*both.world.lessons[1], *shown],
        seed=(both.seed, both.number, 1),
        training=PLAIN["plain, 90 steps"].training,
    )


def questions(both: Publishers) -> dict[str, Items]:
    """Return what is asked by descriptions of the countries, in sentences that nobody reads.

    ``portability`` by a kind of description that no lesson has, ``portability_read`` by those of
    the lessons.
    """
    made = lessons(both)
    unseen = [(one.prompt, one.answer) for one in made.held_out]
    read = {
        put(text, one.description): one.answer for one in made.lessons for text in ASKED["hop_2"]
    }
    return {"portability": unseen, "portability_read": [*read.items()]}
