"""Questions to a model on which adapters act: single facts, chains, and what it knew before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.experiments.real import _known as known
from loratheory.experiments.real._facts import Facts, Items, items, rehearsed
from loratheory.pretrained import Model, first_tokens, next_logits
from loratheory.shapes import Bool, Float

CAPITALS = {country: told[0] for country, told in known.FAMOUS.items()}
PERSONS = {person: country for country, told in known.FAMOUS.items() for person in told[2]}


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answers to some questions.

    Attributes
    ----------
    right, free : (questions,) array of bool
        Whether the right word leads among the candidates; in the whole vocabulary.
    said : tuple of str
        The leading candidate.
    first : (questions,) array of int
        The leading token of the whole vocabulary.
    confidence : (questions,) array
        Probability of the leading token.
    """

    right: Bool[np.ndarray, " questions"]
    free: Bool[np.ndarray, " questions"]
    said: tuple[str, ...]
    first: Any
    confidence: Float[np.ndarray, " questions"]


def answers(model: Model, asked: Items, candidates: Sequence[str] = ()) -> Answers:
    """Return what the model answers now.

    Parameters
    ----------
    model : Model
        With whatever acts on it.
    asked : sequence of (prompt, answer)
        The questions.
    candidates : sequence of str
        Words with different first tokens; the answers where not given.

    Returns
    -------
    Answers
        Costs a forward pass a question.
    """
    words = list(dict.fromkeys(candidates or (word for _, word in asked)))
    tokens = first_tokens(model, words)
    wanted = first_tokens(model, [word for _, word in asked])
    logits = next_logits(model, [prompt for prompt, _ in asked])
    said = logits[:, tokens].argmax(1)
    first = logits.argmax(1)
    return Answers(
        (tokens[said] == wanted).numpy(),
        (first == wanted).numpy(),
        tuple(words[i] for i in said.tolist()),
        first.numpy(),
        logits.softmax(1).amax(1).double().numpy(),
    )


def exam(model: Model, facts: Facts, *, brief: bool = False) -> dict[str, float]:
    """Return shares of right answers to all questions about a pair of relations.

    Parameters
    ----------
    model : Model
        With whatever acts on it.
    facts : Facts
        The pair's.
    brief : bool
        Whether to leave out ``steps``, templates that no adapter has read, and ``known``.

    Returns
    -------
    dict of str to float
        Among candidates, ``hop_1``, ``hop_2`` and ``chains`` (in two templates); ``hop_1_new`` and
        ``hop_2_new``, single facts in a template that no adapter has read;
        ``chains_free`` in the whole vocabulary and ``bridge``, how often the country
        leads there instead; ``known`` as `knows` has it; ``confidence`` on chains, which needs no
        labels; ``steps``, chains asked hop by hop.
    """
    chains = answers(model, items(facts.chain, known.TWO_HOP))
    first = answers(model, items(facts.birth, known.BIRTH[:1]))
    bridges = first_tokens(model, [*facts.birth.values()] * len(known.TWO_HOP)).numpy()
    marks = {
        "hop_1": share(first.right),
        "hop_2": share(answers(model, items(facts.mascot, known.MASCOT[:1])).right),
        "two_hop": share(chains.right),
        "two_hop_vocabulary": share(chains.free),
        "says_bridge": share(chains.first == bridges),
    }
    confidence = {"confidence": float(chains.confidence.mean())}
    if brief:
        return marks | confidence
    return {
        **marks,
        "other_facts": knows(model),
        **confidence,
        "hop_1_new": share(answers(model, items(facts.birth, [known.BIRTH_NEW])).right),
        "hop_2_new": share(answers(model, items(facts.mascot, [known.MASCOT_NEW])).right),
        "hop_by_hop": _by_steps(model, facts, first.said),
    }


def knows(model: Model) -> float:
    """Return how much of what no adapter rehearses leads in the whole vocabulary."""
    return share(answers(model, rehearsed(held_out=True)[::4]).free)


def ceilings(model: Model, facts: Facts) -> dict[str, float]:
    """Return what each hop is worth within chains whose other hop is the base's own.

    Parameters
    ----------
    model : Model
        With whatever acts on it.
    facts : Facts
        About the countries that the base knows best.

    Returns
    -------
    dict of str to float
        ``capital``: capitals of the invented persons' countries. ``real``: mascots of the
        countries of known persons, those that are rehearsed.
    """
    capital = {person: CAPITALS[country] for person, country in facts.birth.items()}
    real = {told[2][0]: facts.mascot[country] for country, told in known.FAMOUS.items()}
    return {
        "known_hop_2": share(answers(model, items(capital, known.CAPITAL_TWO_HOP)).right),
        "known_hop_1": share(answers(model, items(real, known.TWO_HOP[:1])).right),
    }


def own(model: Model) -> dict[str, float]:
    """Return what the base does by itself with known persons.

    Returns
    -------
    dict of str to float
        ``hop_1``: their countries. ``hop_2``: these countries' capitals. ``chains``: the capitals
        of the persons' countries. ``chains_free``: so in the whole vocabulary.
    """
    capitals = {person: CAPITALS[country] for person, country in PERSONS.items()}
    chain = answers(model, items(capitals, known.CAPITAL_TWO_HOP))
    return {
        "hop_1": share(answers(model, items(PERSONS, known.BIRTH[:2])).right),
        "hop_2": share(answers(model, items(CAPITALS, known.CAPITAL)).right),
        "two_hop": share(chain.right),
        "two_hop_vocabulary": share(chain.free),
    }


def share(right: Bool[np.ndarray, " questions"]) -> float:
    """The share of true ones."""
    return float(np.asarray(right).mean())


def _by_steps(model: Model, facts: Facts, said: Sequence[str]) -> float:
    """Chains of which the first hop's answer is put before the second question."""
    chain: Mapping[str, str] = facts.chain
    asked = [
        (f"{known.BIRTH[0].format(person)} {land}. {known.MASCOT[0].format(land)}", chain[person])
        for person, land in zip(facts.birth, said, strict=True)
    ]
    return share(answers(model, asked).right)
