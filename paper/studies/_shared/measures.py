"""Measure the pair of adapters that is active on a language model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loratheory.evaluate.answers import Answers, answers
from loratheory.evaluate.fact_adapters import Authors, authors
from loratheory.evaluate.fact_sets import BIRTH, FEW, HELD_OUT, TEXT, FactSet, Items, questions
from loratheory.pretrained import Model, first_tokens, kl_to_base
from loratheory.pretrained.metrics import token_log_probs
from paper.studies._shared import Language


def measured(model: Model, facts: FactSet, base: Any) -> dict[str, float]:
    """Return the measures of the active adapters, by column.

    Top-1 accuracies are of two-hop questions (``two_hop_vocabulary``), of single hops in held-out
    templates (``hop_1``, ``hop_2``) and in a trained template (``hop_1_trained``,
    ``hop_2_trained``), and of ``known`` facts, on which no adapter is trained. ``says_bridge`` is
    the share of two-hop questions answered with the country. ``drift`` is the mean KL divergence on
    generic text from the `base` (an output of `generic_log_probs`), in nats per token.
    """
    found = {name: float(right.mean()) for name, right in _right(model, facts, FEW).items()}
    return found | _other_measures(model, facts, base)


def by_template(
    model: Model,
    facts: FactSet,
    base: Any,
    templates: Mapping[str, Sequence[str]] = HELD_OUT,
    *,
    alone: bool = False,
) -> list[dict[str, float]]:
    """Return the measures of the active adapters for each of ten held-out templates.

    The names are those of `measured`. Measures that use other prompts are equal in all
    dictionaries. For an adapter `alone` the accuracies of single hops are NaN.
    """
    same = _other_measures(model, facts, base)
    right = _right(model, facts, templates, alone=alone)
    # A row for each template.
    shares = pd.DataFrame({name: rows.mean(axis=1) for name, rows in right.items()})
    return [{**row, **same} for row in shares.to_dict("records")]


def _right(
    model: Model, facts: FactSet, templates: Mapping[str, Sequence[str]], *, alone: bool = False
) -> dict[str, np.ndarray]:
    """Return masks of right answers (templates, facts); single hops are NaN if `alone`."""
    prompts, shape = questions(facts, templates), (-1, len(facts.first))
    two_hop = answers(model, prompts["two_hop"])
    bridges = [*facts.first.values()] * len(templates["two_hop"])
    found = {
        "two_hop_vocabulary": two_hop.vocabulary_right.reshape(shape),
        "says_bridge": (two_hop.tokens == first_tokens(model, bridges).numpy()).reshape(shape),
    }
    for name in ("hop_1", "hop_2"):
        right = np.full(len(prompts[name]), np.nan)
        found[name] = right if alone else answers(model, prompts[name]).vocabulary_right
        found[name] = found[name].reshape(shape)
    return found


def _other_measures(model: Model, facts: FactSet, base: Any) -> dict[str, float]:
    """Return the measures on trained templates, on known facts and on generic text."""
    prompts, found = questions(facts), dict[str, float]()
    for name in ("hop_1_trained", "hop_2_trained"):
        found[name] = accuracy(model, prompts[name])
    found["known"] = accuracy(model, facts.questions["other_facts"])
    return found | {"drift": kl_to_base(base, generic_log_probs(model))}


def accuracy(model: Model, prompts: Items) -> float:
    """Return the top-1 accuracy on questions."""
    return float(answers(model, prompts).vocabulary_right.mean())


def begin(config: Language, **facts: str) -> tuple[Authors, Any]:
    """Return the adapter authors of a seed's fact set, and `generic_log_probs` of the base."""
    both = authors(config.base(dtype="bfloat16"), config.seed, **facts)
    return both, generic_log_probs(both.model)


def generic_log_probs(model: Model) -> Any:
    """Return log-probabilities (tokens, vocabulary) on the generic `TEXT`, in one pass."""
    return token_log_probs(model, TEXT)[0]


def two_step(model: Model, facts: FactSet) -> Answers:
    """Return the answers to two-hop questions under two-step prompting.

    The most likely country of the fact set is put into the second prompt. The cost is two passes
    per question.
    """
    one, two = BIRTH.trained[0], facts.about.trained[0]
    said = answers(model, facts.questions["hop_1"]).words
    prompts = []
    for (person, word), country in zip(facts.two_hop.items(), said, strict=True):
        prompts.append((f"{one.format(person)} {country}. {two.format(country)}", word))
    return answers(model, prompts)
