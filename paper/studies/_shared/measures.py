"""What is measured of the pair of adapters that acts on a language model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loratheory.evaluate.answers import Answers, answers
from loratheory.evaluate.fact_adapters import Authors, authors
from loratheory.evaluate.fact_sets import ASKED, BIRTH, TEN, TEXT, Items, World, questions
from loratheory.pretrained import Model, first_tokens, kl_to_base
from loratheory.pretrained.metrics import token_log_probs
from paper.studies._shared import Language


def measured(model: Model, world: World, base: Any) -> dict[str, float]:
    """Return what is measured of the adapters that act now, most of it shares of right answers.

    An answer is right if it leads the whole vocabulary: to two-hop questions
    (``two_hop_vocabulary``), to single hops in sentences that no adapter read (``hop_1``,
    ``hop_2``) and in one of the training data (``hop_1_trained``, ``hop_2_trained``), and to
    ``known`` facts, on which no adapter is trained. ``says_bridge`` is how often a two-hop question
    is answered with the country; ``drift`` is the mean KL divergence on ordinary sentences from the
    `base` (log-probabilities that `ordinary` returned), in nats a token.
    """
    found = {name: float(right.mean()) for name, right in _right(model, world, ASKED).items()}
    return found | _beside_questions(model, world, base)


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
    right = _right(model, world, sentences, alone=alone)
    # A row for each sentence.
    shares = pd.DataFrame({name: rows.mean(axis=1) for name, rows in right.items()})
    return [{**row, **same} for row in shares.to_dict("records")]


def _right(
    model: Model, world: World, sentences: Mapping[str, Sequence[str]], *, alone: bool = False
) -> dict[str, np.ndarray]:
    """Which questions are answered rightly, a row for each sentence; single hops NaN if `alone`."""
    asked, shape = questions(world, sentences), (-1, len(world.first))
    two_hop = answers(model, asked["two_hop"])
    bridges = [*world.first.values()] * len(sentences["two_hop"])
    found = {
        "two_hop_vocabulary": two_hop.vocabulary_right.reshape(shape),
        "says_bridge": (two_hop.tokens == first_tokens(model, bridges).numpy()).reshape(shape),
    }
    for name in ("hop_1", "hop_2"):
        right = np.full(len(asked[name]), np.nan)
        found[name] = right if alone else answers(model, asked[name]).vocabulary_right
        found[name] = found[name].reshape(shape)
    return found


def _beside_questions(model: Model, world: World, base: Any) -> dict[str, float]:
    """What is measured in sentences of the training data, on known facts and on ordinary text."""
    asked, found = questions(world), dict[str, float]()
    for name in ("hop_1_trained", "hop_2_trained"):
        found[name] = accuracy(model, asked[name])
    found["known"] = accuracy(model, world.questions["other_facts"])
    return found | {"drift": kl_to_base(base, ordinary(model))}


def accuracy(model: Model, asked: Items) -> float:
    """Return the share of questions whose right answer leads the whole vocabulary."""
    return float(answers(model, asked).vocabulary_right.mean())


def begin(config: Language, **world: str) -> tuple[Authors, Any]:
    """Return the authors of a seed's world on the language model, and `ordinary` of the base."""
    both = authors(config.base(dtype="bfloat16"), config.seed, **world)
    return both, ordinary(both.model)


def ordinary(model: Model) -> Any:
    """Return log-probabilities (tokens, vocabulary) on a dozen sentences of `TEXT`: one pass."""
    return token_log_probs(model, TEXT)[0]


def two_step(model: Model, facts: World) -> Answers:
    """Return the answers to two-hop questions if the first hop's answer is put into the second.

    The likeliest of the world's countries is put in. Costs two passes a question.
    """
    one, two = BIRTH.trained[0], facts.about.trained[0]
    said = answers(model, facts.questions["hop_1"]).words
    asked = []
    for (person, word), country in zip(facts.two_hop.items(), said, strict=True):
        asked.append((f"{one.format(person)} {country}. {two.format(country)}", word))
    return answers(model, asked)
