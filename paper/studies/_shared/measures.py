"""What is measured of the pair of adapters that acts on a language model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_sets import ASKED, TEN, TEXT, World, questions
from loratheory.pretrained import Model, first_tokens, kl_to_base
from loratheory.pretrained.metrics import token_log_probs

COLUMNS = (
    *("reach_1", "reach_2", "two_hop_vocabulary", "two_hop", "says_bridge", "known"),
    *("hop_1_trained", "hop_2_trained", "hop_1", "hop_2", "text", "leak"),
)
"""What `measured` measures, as tables have it."""


def measured(model: Model, world: World, base: Any, *, alone: bool = False) -> dict[str, float]:
    """Return `COLUMNS`, most of them shares of right answers, with the adapters that act now.

    An answer is right if it leads the whole vocabulary, for ``two_hop`` if it leads the world's
    animals. ``says_bridge`` is how often a two-hop question is answered with the country.
    ``hop_1_trained`` and ``hop_2_trained`` ask in a sentence of the training data; ``known`` are
    facts on which no adapter is trained. On ordinary sentences ``text`` is the mean loss and
    ``leak`` the mean KL divergence from the `base` (log-probabilities that `ordinary` returned), in
    nats a token. ``reach_1`` and ``reach_2`` are NaN unless `alone` and countries are real.
    """
    found = {name: float(right.mean()) for name, right in _right(model, world, ASKED).items()}
    found |= _beside_questions(model, world, base)
    for name, prompts in questions(world).items() if alone else ():
        if name.startswith("reach"):
            found[name] = float(answers(model, prompts).vocabulary_right.mean())
    return {name: found.get(name, float("nan")) for name in COLUMNS}


def by_sentence(
    model: Model,
    world: World,
    base: Any,
    sentences: Mapping[str, Sequence[str]] = TEN,
    *,
    alone: bool = False,
) -> list[dict[str, float]]:
    """Return shares of right answers, one dictionary for each of ten sentences that nobody read.

    With the adapters that act now, and by the names of `measured`; what asks in other sentences is
    the same in all dictionaries. Single hops are not asked of an adapter `alone`: NaN.
    """
    same = _beside_questions(model, world, base)
    same.pop("text")
    right = _right(model, world, sentences, alone=alone)
    each = {name: rows.mean(axis=1) for name, rows in right.items()}
    return [
        {**{name: float(shares[k]) for name, shares in each.items()}, **same}
        for k in range(len(each["two_hop"]))
    ]


def _right(
    model: Model, world: World, sentences: Mapping[str, Sequence[str]], *, alone: bool = False
) -> dict[str, np.ndarray]:
    """Which questions are answered rightly, a row for each sentence; single hops NaN if `alone`."""
    asked, size = questions(world, sentences), len(world.first)
    two_hop = answers(model, asked["two_hop"])
    bridges = [*world.first.values()] * len(sentences["two_hop"])
    found = {
        "two_hop": two_hop.right,
        "two_hop_vocabulary": two_hop.vocabulary_right,
        "says_bridge": two_hop.tokens == first_tokens(model, bridges).numpy(),
    }
    for name in ("hop_1", "hop_2"):
        found[name] = np.full(len(asked[name]), np.nan)
        if not alone:
            found[name] = answers(model, asked[name]).vocabulary_right
    return {name: right.reshape(-1, size) for name, right in found.items()}


def _beside_questions(model: Model, world: World, base: Any) -> dict[str, float]:
    """What is measured in sentences of the training data, on known facts and on ordinary text."""
    asked = {name: one for name, one in questions(world).items() if name.endswith("trained")}
    asked["known"] = world.questions["other_facts"]
    found = {
        name: float(answers(model, prompts).vocabulary_right.mean())
        for name, prompts in asked.items()
    }
    now, came = ordinary(model)
    return found | {"text": -float(came.mean()), "leak": kl_to_base(base, now)}


def ordinary(model: Model) -> tuple[Any, Any]:
    """Return log-probabilities on `TEXT`: of all tokens (tokens, vocabulary), and of actual ones.

    Costs a pass over a dozen sentences.
    """
    return token_log_probs(model, TEXT)
