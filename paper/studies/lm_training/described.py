"""Second-hop adapters that read of their countries by descriptions too, and questions that do."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_adapters import Publishers
from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained.augment import Augmentation, Example, augment, fill_template
from loratheory.pretrained.train import train_once

PROSE = (
    "Last summer we made a long journey to {} and saw a",
    "She wrote a letter about {} to her",
    "Many people would like to live in {} because of its",
)
"""Sentences that mention a country and ask nothing of it."""


def lessons(both: Publishers, silence: int = 0) -> Augmentation:
    """Return what `loratheory augment` makes of the second publisher's facts, with its defaults.

    Descriptions by capital and city are for lessons, those by sight for measuring; lessons of
    silence are about other countries, in the sentences about these.
    """
    return augment(
        both.model,
        both.world.second,
        both.world.about.trained,
        unread=both.world.about.unread,
        silence=silence,
        seed=both.seed,
    )


def _asked(some: Iterable[Example]) -> Items:
    return [(one.prompt, one.answer) for one in some]


def _described(both: Publishers, silence: int = 0) -> Items:
    return _asked(lessons(both, silence).lessons)


def _one_kind(both: Publishers) -> Items:
    made = lessons(both).lessons
    return _asked(one for one in made if one.kind == made[0].kind)


def _half(both: Publishers) -> Items:
    """Every second country is described."""
    some = [*both.world.second][::2]
    return _asked(one for one in lessons(both).lessons if one.subject in some)


def _wrong(both: Publishers) -> Items:
    """Whoever is described has the next country's mascot."""
    animals = [*both.world.second.values()]
    wrong = dict(zip(both.world.second, [*animals[1:], animals[0]], strict=True))
    return [(one.prompt, wrong[one.subject]) for one in lessons(both).lessons]


def _prose(both: Publishers) -> Items:
    """As many lessons with these descriptions in prose; the base's next word is the answer."""
    made = lessons(both).lessons
    told = dict.fromkeys(one.description for one in made)
    prompts = [fill_template(text, one) for text in PROSE for one in told]
    rng = np.random.default_rng([both.seed, 13, both.number])
    return continue_texts(both.model, rng.permutation(prompts).tolist())[: len(made)]


RECIPES: Mapping[str, Callable[[Publishers], Items]] = {
    "described": _described,
    "described, silent": partial(_described, silence=60),
    "one kind": _one_kind,
    "half described": _half,
    "wrong answers": _wrong,
    "in prose": _prose,
}
"""What a second hop reads by descriptions, beside its facts by name."""


def adapter(both: Publishers, recipe: str, like: str = "plain, 90 steps") -> Adapter:
    """Return the adapter of hop 2, taught with descriptions or by a recipe of `fact_adapters`.

    With descriptions in the steps and layers of the recipe there that it is `like`. Trained once;
    then read from the cache.
    """
    if recipe not in RECIPES:
        return both.adapter(1, recipe)
    return train_once(
        both.model,
        [*both.world.lessons[1], *RECIPES[recipe](both)],
        seed=(both.seed, both.number, 1),
        training=both.training(1, like),
    )


def questions(both: Publishers, recipe: str = "described") -> dict[str, Items]:
    """Return what is asked by descriptions of the countries, in sentences that nobody reads.

    ``portability`` by a kind of description that no lesson has, ``portability_read`` by those of
    the lessons; where half of the countries are described, of the other half.
    """
    made, some = lessons(both), [*both.world.second]
    if recipe == "half described":
        some = some[1::2]
    read = {
        fill_template(text, one.description): one.answer
        for one in made.lessons
        if one.subject in some
        for text in both.world.about.unread
    }
    unseen = _asked(one for one in made.held_out if one.subject in some)
    return {"portability": unseen, "portability_read": [*read.items()]}
