"""Second-hop adapters that read of their countries by descriptions too, and questions that do."""

from loratheory.adapters import Adapter
from loratheory.evaluate.fact_adapters import Authors
from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained.augment import Augmentation, augment
from loratheory.pretrained.train import train_once

SILENCE = {"augmented": 0, "augmented, self-distillation": 60}
"""Recipes with descriptions, and how many examples of self-distillation they have."""


def lessons(both: Authors, silence: int = 0) -> Augmentation:
    """Return what `loratheory augment` makes of the second author's facts, with its defaults.

    Descriptions by capital and city are for lessons, those by sight for measuring; lessons of
    silence are about other countries, in the sentences about these.
    """
    return augment(
        both.model,
        both.world.second,
        both.world.about.trained,
        held_out_templates=both.world.about.held_out,
        silence=silence,
        seed=both.seed,
    )


def adapter(both: Authors, recipe: str, like: str = "standard, 90 steps") -> Adapter:
    """Return the adapter of hop 2, taught with descriptions or by a recipe of `fact_adapters`.

    With descriptions in the steps and layers of the recipe there that it is `like`. Trained once;
    then read from the cache.
    """
    # Recipes of `fact_adapters` need no descriptions.
    if recipe not in SILENCE:
        return both.adapter(1, recipe)
    made = [(one.prompt, one.answer) for one in lessons(both, SILENCE[recipe]).examples]
    key, training = (both.seed, both.number, 1), both.training(1, like)
    shown = [*both.world.lessons[1], *made]
    return train_once(both.model, shown, seed=key, training=training)


def questions(both: Authors) -> Items:
    """Return questions by a kind of description that no lesson has, in sentences nobody reads."""
    return [(one.prompt, one.answer) for one in lessons(both).held_out]
