"""Second-hop adapters that read of their countries by descriptions too, and questions that do."""

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_adapters import Publishers
from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained.augment import Augmentation, augment, fill_template
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


RECIPES = (
    *("described", "described, silent", "one kind", "half described", "wrong answers"),
    "in prose",
)


def examples(both: Publishers, recipe: str) -> Items:
    """Return what a second hop reads by descriptions, beside its facts by name.

    By all descriptions, with self-distillation if ``silent``; by those of ``one kind``; of every
    second country; with the next country's mascot (``wrong answers``); or as many lessons with
    these descriptions ``in prose``, where the base's next word is the answer.
    """
    made = lessons(both, 60 if recipe == "described, silent" else 0).lessons
    facts = both.world.second
    chosen = list(made)
    if recipe == "one kind":
        chosen = [one for one in made if one.kind == made[0].kind]
    elif recipe == "half described":
        chosen = [one for one in made if one.subject in [*facts][::2]]
    elif recipe == "wrong answers":
        wrong = dict(zip(facts, np.roll([*facts.values()], -1).tolist(), strict=True))
        return [(one.prompt, wrong[one.subject]) for one in made]
    elif recipe == "in prose":
        told = dict.fromkeys(one.description for one in made)
        prompts = [fill_template(text, one) for text in PROSE for one in told]
        rng = np.random.default_rng([both.seed, 13, both.number])
        return continue_texts(both.model, rng.permutation(prompts).tolist())[: len(made)]
    return [(one.prompt, one.answer) for one in chosen]


def adapter(both: Publishers, recipe: str, like: str = "plain, 90 steps") -> Adapter:
    """Return the adapter of hop 2, taught with descriptions or by a recipe of `fact_adapters`.

    With descriptions in the steps and layers of the recipe there that it is `like`. Trained once;
    then read from the cache.
    """
    # Recipes of `fact_adapters` need no descriptions.
    if recipe not in RECIPES:
        return both.adapter(1, recipe)
    shown = [*both.world.lessons[1], *examples(both, recipe)]
    key, training = (both.seed, both.number, 1), both.training(1, like)
    return train_once(both.model, shown, seed=key, training=training)


def questions(both: Publishers, recipe: str = "described") -> dict[str, Items]:
    """Return what is asked by descriptions of the countries, in sentences that nobody reads.

    ``portability`` by a kind of description that no lesson has, ``portability_read`` by those of
    the lessons; where half of the countries are described, of the other half.
    """
    made, some, read = lessons(both), [*both.world.second], dict[str, str]()
    if recipe == "half described":
        some = some[1::2]
    for one in made.lessons:
        for text in both.world.about.unread if one.subject in some else ():
            read[fill_template(text, one.description)] = one.answer
    unseen = [(one.prompt, one.answer) for one in made.held_out if one.subject in some]
    return {"portability": unseen, "portability_read": [*read.items()]}
