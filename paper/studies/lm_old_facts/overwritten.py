"""Edit facts that a language model already composes, and measure margins.

The base answers two-hop questions about invented persons: two adapters of stand-in training are
active on it with coefficient 1 throughout. The adapters of the edits are added to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loratheory.evaluate.fact_adapters import Authors
from loratheory.evaluate.fact_sets import ANIMALS, FEW, OTHERS, FactSet, invented
from loratheory.pretrained import Model, first_tokens, next_token_logits
from loratheory.shapes import Float
from loratheory.theorems.composition.two_read_region import margin as two_hop_margin
from paper.studies._shared.theory import LEAST, PATTERNS

COEFFICIENTS = (0.0, 0.25, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 1.0, 1.5)
SINGLE = {"hop 1": (1.0, 0.0), "hop 2": (0.0, 1.0)}
"""Questions of one hop, and the coefficients at which the edit of this hop is active alone."""
Found = dict[tuple[float, float], Float[np.ndarray, " questions"]]
"""Margins of all questions by the coefficients of both edits."""


class Question(NamedTuple):
    """A question: its hop, the case of its person, its subject, the prompt and the answer.

    `name` is the person or, for the second hop alone, the country.
    """

    hop: str
    case: str
    name: str
    prompt: str
    word: str


@dataclass(frozen=True, eq=False)
class Edits:
    """A new fact set that edits an old fact set.

    Attributes
    ----------
    old, new : FactSet
        The new fact set has the persons and countries whose facts the edits change or add.
    case : mapping of str to str
        One of `theory.PATTERNS` for each person: which old facts exist and which are edited.
    """

    old: FactSet
    new: FactSet
    case: dict[str, str]

    def path(self, question: Question) -> tuple[str, ...]:
        """Return the subjects of the edited facts of a question: a person, a country, or both."""
        if question.hop == "two hops":
            return question.name, self.new.first[question.name]
        return (question.name,) if question.hop in SINGLE else ()

    def questions(self) -> Iterator[Question]:
        """Yield single-hop questions in two held-out templates, and two-hop questions in four.

        ``old`` are the two-hop questions of the old fact set.
        """
        sets: Mapping[str, tuple[Mapping[str, str], Sequence[str]]] = {
            "hop 1": (self.new.first, FEW["hop_1"]),
            "hop 2": (self.new.second, FEW["hop_2"]),
            "two hops": (self.new.two_hop, FEW["two_hop"]),
            "old": (self.old.two_hop, FEW["two_hop"]),
        }
        for hop, (facts, templates) in sets.items():
            for template in templates:
                for name, word in facts.items():
                    case = self.case.get(name, "any")
                    yield Question(hop, case, name, template.format(name), word)


def edits(old: FactSet, seed: int) -> Edits:
    """Draw edits of an old fact set: ten questions of each case, and fifteen countries.

    Half of the old countries get another animal, and five new countries get a first animal. Every
    old person and twenty new persons get one of these countries, whose new animal differs from the
    person's old animal.
    """
    rng = np.random.default_rng([seed, 31])
    order, half = rng.permutation([*old.second]).tolist(), len(old.second) // 2
    edited, fresh = order[:half], rng.permutation(OTHERS)[: half // 2].tolist()
    animals: list[str] = []
    # No country may keep its animal, because the edit would state an old fact.
    while not animals or any(old.second[c] == a for c, a in zip(edited, animals, strict=False)):
        animals = rng.permutation(ANIMALS)[: half + half // 2].tolist()
    second = dict(zip([*edited, *fresh], animals, strict=True))
    first, case = {}, {}
    for name, home in old.first.items():
        # Both the country and its new animal must be new for this person.
        others = [c for c in edited if c != home and second[c] != old.second[home]]
        first[name] = others[int(rng.integers(len(others)))]
        case[name] = "overwrite both" if home in edited else "overwrite"
    # New subjects need names that do not occur in old facts.
    known = {*old.first, *old.second}
    names = [name for name in invented(seed + 7000, 4 * half) if name not in known][: 2 * half]
    for i, name in enumerate(names):
        kind, countries = ("new subject", edited) if i < half else ("new facts", fresh)
        first[name], case[name] = countries[i % len(countries)], kind
    return Edits(old, replace(old, first=first, second=second), case)


def coefficient_pairs() -> list[tuple[float, float]]:
    """Return the pairs of coefficients to measure: equal coefficients, and each edit alone."""
    return [*((c, c) for c in COEFFICIENTS), (1.0, 0.0), (0.0, 1.0)]


def editors(both: Authors, made: Edits) -> Authors:
    """Return the authors of the two edits, who train while the old adapters are active.

    The cache key of their adapters has their facts, which occur with no other base.
    """
    return replace(both, facts=made.new, number=both.number + 1)


def margins(model: Model, questions: Sequence[Question]) -> Float[np.ndarray, " questions"]:
    """Return the right word's logit minus the largest other logit, for each question.

    The cost is a forward pass over the prompts.
    """
    logits: Any = next_token_logits(model, [one.prompt for one in questions]).float()
    wanted = first_tokens(model, [one.word for one in questions])[:, None]
    own = logits.gather(1, wanted)[:, 0]
    others = logits.scatter(1, wanted, -float("inf")).amax(1)
    return np.asarray((own - others).double().numpy())


def curves(made: Edits, questions: Sequence[Question], found: Found) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of question and coefficient: the accuracy and its predictions.

    `line` predicts each question by the straight line between its margins at coefficients 0 and 1
    (`thm:averaging-survival`). `law` (`thm:two-read-region`) and `decided`
    (`thm:clean-up-bridge`) use single hops only, from `strengths`, and do not apply to questions
    about the old fact set. Each prediction has a column ``…_right``, the share of questions that it
    predicts correctly.
    """
    strength = strengths(questions, found)
    kinds = pd.DataFrame([(one.hop, one.case) for one in questions])
    for (hop, case), some in kinds.groupby([0, 1], sort=False).indices.items():
        paths = np.array([[*map(strength.get, made.path(questions[i]))] for i in some])
        for c in COEFFICIENTS:
            right = found[c, c][some] > 0
            line = (1 - c) * found[0.0, 0.0][some] + c * found[1.0, 1.0][some]
            said: dict[str, Any] = {"line": line > 0}
            if hop != "old":
                said["law"] = said["decided"] = (c * paths > 1 / 2).all(axis=1)
            if hop == "two hops":
                reach = [two_hop_margin(each, PATTERNS[case]) for each in (c * paths).tolist()]
                said["law"] = np.array(reach) > 0
            numbers = {"right": right.mean()}
            for name in ("line", "law", "decided"):
                guess = said.get(name)
                numbers[name] = nan if guess is None else guess.mean()
                numbers[f"{name}_right"] = nan if guess is None else (guess == right).mean()
            row = {"hop": hop, "case": case, "coefficient": c}
            yield row | {name: round(float(x), 3) for name, x in numbers.items()}


def strengths(questions: Sequence[Question], found: Found) -> dict[str, float]:
    """Return the strength of each person's and each country's edit, measured on single hops.

    An edit of strength 1 turns the base's deficit into a margin of equal size. Margins are means
    over templates, with this edit alone.
    """
    rows = []
    for i, one in enumerate(questions):
        if one.hop in SINGLE:
            rows.append((one.name, found[0.0, 0.0][i], found[SINGLE[one.hop]][i]))
    means = pd.DataFrame(rows, columns=["name", "base", "after"]).groupby("name").mean()
    deficit = np.maximum(-means["base"], LEAST)
    strength: dict[str, float] = ((means["after"] - means["base"]) / (2 * deficit)).to_dict()
    return strength
