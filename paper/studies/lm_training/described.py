"""Train hop-2 adapters with augmentation by descriptions of countries; measure portability."""

from loratheory.adapters import Adapter
from loratheory.evaluate.fact_adapters import Authors
from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained.augment import Augmentation, augment
from loratheory.pretrained.train import train_once

SELF_DISTILLATION = {"augmented": 0, "augmented, self-distillation": 60}
"""Training conditions with augmentation, and their numbers of self-distillation examples."""


def augmentation(both: Authors, self_distillation: int = 0) -> Augmentation:
    """Return the output of `loratheory augment` for the second author's facts, with its defaults.

    Descriptions by capital and city are for training, descriptions by sight for measuring.
    Self-distillation examples are about other countries, in the same templates.
    """
    return augment(
        both.model,
        both.facts.second,
        both.facts.about.trained,
        held_out_templates=both.facts.about.held_out,
        silence=self_distillation,
        seed=both.seed,
    )


def adapter(both: Authors, condition: str, like: str = "standard, 90 steps") -> Adapter:
    """Return the hop-2 adapter of a condition with augmentation or of `fact_adapters`.

    With augmentation, the steps and layers are those of the condition `like`. The adapter is
    trained once and then read from the cache.
    """
    # Conditions of `fact_adapters` have no augmentation.
    if condition not in SELF_DISTILLATION:
        return both.adapter(1, condition)
    added = augmentation(both, SELF_DISTILLATION[condition]).examples
    key, training = (both.seed, both.number, 1), both.training(1, like)
    examples = [*both.facts.training_sets[1], *((one.prompt, one.answer) for one in added)]
    return train_once(both.model, examples, seed=key, training=training)


def questions(both: Authors) -> Items:
    """Return questions by a held-out kind of description, in held-out templates."""
    return [(one.prompt, one.answer) for one in augmentation(both).held_out]
