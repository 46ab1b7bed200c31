"""A skill with word problems of each of two authors: does the merge solve problems of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from loratheory.evaluate.fact_sets import Items, invented
from paper.studies._shared import Language
from paper.studies._shared.run import Row
from paper.studies.lm_strangers.draw import chance

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Model
    from loratheory.pretrained.train import Training

THINGS = ("apples", "books", "coins", "pens", "cups", "stones", "cards", "keys")
LARGEST = 9  # of a result, so that every answer is a digit
Step = tuple[str, Callable[[int], Sequence[int]], Callable[[int, int], int]]
# The sentence, the numbers that it may have after a count, and the count that it leaves.
STEPS: Mapping[str, Step] = {
    "addition": ("{name} finds {b} more.", lambda a: range(1, LARGEST - a + 1), lambda a, b: a + b),
    "subtraction": ("{name} loses {b} of them.", lambda a: range(1, a + 1), lambda a, b: a - b),
    "doubling": (
        "Then the number doubles.",
        lambda a: [0] * (2 * a <= LARGEST),
        lambda a, _: 2 * a,
    ),
    "losing all but one": ("{name} keeps just one.", lambda a: [0] * (a > 1), lambda _, __: 1),
}
SKILLS, STAND_INS = ("addition", "subtraction"), ("doubling", "losing all but one")
COUNT, TRAINING_STEPS = 160, 150
HALF = "stand-ins at half of the steps"
TOGETHER = "one adapter of both skills"
NAMES = {"hop 1 alone": "addition alone", "hop 2 alone": "subtraction alone"}


@dataclass(frozen=True)
class Config(Language):
    """How both authors train."""

    method: str = "standard"


def cell(config: Config) -> list[Row]:
    """Return a row for each use of the two adapters.

    Returns
    -------
    list of dict
        The config; the ``rule``; shares of whole answers to problems that need both skills, in
        either order (``both``), one skill (``first``, ``second``), with names, things and numbers
        drawn anew; the same when the text may go on after the digit (``both_open`` and so on); the
        share of the most frequent answers in each order to problems of both (``constant``). With
        stand-ins at half of the steps, further rows: an adapter and a stand-in on problems of both.
    """
    from paper.studies._shared.language import coefficients, depth
    from paper.studies.lm_strangers.pairs import uses

    model, [first, second] = config.base(dtype="bfloat16"), SKILLS
    act_by_rule = uses(depth(model))
    if config.method == TOGETHER:
        adapters = [_train_on_both(model, config)]
        act_by_rule = {TOGETHER: coefficients(1.0)}
    else:
        others = {} if config.method == "standard" else _train_stand_ins(model, config)
        adapters = [_train(model, skill, others, config) for skill in SKILLS]
    both = _both_orders(SKILLS, config.seed, 9)
    questions = {
        "both": both,
        "first": problems((first,), config.seed, 9),
        "second": problems((second,), config.seed, 9),
    }
    constant = _best_constant(both)
    own: Row = {"seed": config.seed, "base": model.name.split()[0], "method": config.method}
    rows = list[Row]()
    for rule, act in act_by_rule.items():
        with act(model, adapters):
            shares = _measure(model, questions)
        rows.append({**own, "rule": NAMES.get(rule, rule), "constant": constant, **shares})
    if config.method == HALF:
        for (skill, adapter), other in product(zip(SKILLS, adapters, strict=True), others):
            with coefficients(1.0)(model, [adapter, others[other]]):
                shares = _measure(model, {"both": _both_orders((skill, other), config.seed, 9)})
            blank = dict.fromkeys(rows[0], nan)
            rows.append({**blank, **own, "rule": f"{skill} with {other}", **shares})
    return rows


def measure_own_stand_ins(config: Config) -> list[Row]:
    """Return a row for each author, stand-in, and use of the two, on problems of both skills.

    Returns
    -------
    list of dict
        The config; the skills of author and stand-in, and who acts (``rule``); shares of whole
        answers to problems of both skills in either order (``both``, ``both_open``); the share of
        the most frequent answers in each order (``constant``).
    """
    from paper.studies._shared.language import coefficients

    model, rows = config.base(dtype="float32"), list[Row]()
    others = _train_stand_ins(model, config)
    for skill in SKILLS:
        adapter = _train(model, skill, others, config)
        for other in others:
            both = _both_orders((skill, other), config.seed, 9)
            weights = {
                f"{skill} with {other}": (1.0, 1.0),
                f"{skill} alone, problems with {other}": (1.0, 0.0),
                f"{other} alone, problems with {skill}": (0.0, 1.0),
            }
            for rule, weight in weights.items():
                with coefficients(*weight)(model, [adapter, others[other]]):
                    shares = _measure(model, {"both": both})
                own: Row = {"seed": config.seed, "base": model.name.split()[0]}
                own |= {"method": config.method, "rule": rule, "constant": _best_constant(both)}
                rows.append({**own, **shares})
    return rows


def _best_constant(both: Items) -> float:
    """Return the accuracy of the best constant answer in each order, which has half of them."""
    half = len(both) // 2
    return sum(chance(part) for part in (both[:half], both[half:])) / 2


def _measure(model: "Model", questions: Mapping[str, Items]) -> Row:
    """Return the shares of answers that are right, and of those that are if the text may go on."""
    from loratheory.pretrained.generate import measure_answers

    shares = Row()
    for name, pairs in questions.items():
        shares[name] = measure_answers(model, name, pairs).part
        shares[f"{name}_open"] = measure_answers(model, name, pairs, ended=False).part
    return shares


def problems(chosen: Sequence[str], seed: int, stream: int) -> Items:
    """Return word problems in which these steps follow each other, with their answers."""
    rng = np.random.default_rng([seed, 60, stream, *map([*STEPS].index, chosen)])
    names, found = invented(seed + stream, 40), list[tuple[str, str]]()
    while len(found) < COUNT // 2:
        name, thing = str(rng.choice(names)), str(rng.choice(THINGS))
        count = int(rng.integers(1, LARGEST + 1))
        text = f"{name} has {count} {thing}."
        for skill in chosen:
            sentence, allowed, leaves = STEPS[skill]
            numbers = allowed(count)
            if not len(numbers):
                break
            b = int(rng.choice(numbers))
            text += " " + sentence.format(name=name, b=b)
            count = leaves(count, b)
        else:
            found.append((f"{text} The number of {thing} that {name} has now is", str(count)))
    return found


def _train_stand_ins(model: "Model", config: Config) -> dict[str, "Adapter"]:
    """Return adapters of other skills, by skill."""
    from loratheory.pretrained.train import train_once

    brief = replace(_settings(model), steps=TRAINING_STEPS // 2)
    own = {other: problems((other,), config.seed, 1) for other in STAND_INS}
    seed = (config.seed, 61)
    return {name: train_once(model, own[name], seed=seed, training=brief) for name in STAND_INS}


def _train(
    model: "Model", skill: str, others: Mapping[str, "Adapter"], config: Config
) -> "Adapter":
    """Return the adapter of a skill; the others are active in turn.

    While one acts, problems of both its skill and the author's are shown.
    """
    from loratheory.pretrained.train import StandIn, train_once

    how, stand_ins = _settings(model), list[StandIn]()
    examples = [*problems((skill,), config.seed, 3), *problems((skill,), config.seed, 4)]
    for other, made_up in others.items():
        own = problems((other,), config.seed, 1)
        stand_ins.append(StandIn(made_up, [*_both_orders((skill, other), config.seed, 2), *own]))
    if config.method == HALF:
        # At every second step the one that acts was not trained and changes nothing.
        silent = train_once(model, examples, seed=(0,), training=replace(how, rate=0.0, steps=1))
        stand_ins = [one for acts in stand_ins for one in (acts, StandIn(silent, ()))]
        how = replace(how, steps=2 * TRAINING_STEPS)
    return train_once(model, examples, seed=(config.seed, 62), training=how, stand_ins=stand_ins)


def _train_on_both(model: "Model", config: Config) -> "Adapter":
    """Return one adapter that is trained on problems of one skill and of both, for reference."""
    from loratheory.pretrained.train import train_once

    examples = list[tuple[str, str]]()
    for stream in (3, 4):
        examples += _both_orders(SKILLS, config.seed, stream)
        for skill in SKILLS:
            examples += problems((skill,), config.seed, stream)
    how = replace(_settings(model), steps=2 * TRAINING_STEPS)
    return train_once(model, examples, seed=(config.seed, 63), training=how)


def _both_orders(skills: tuple[str, str], seed: int, stream: int) -> list[tuple[str, str]]:
    """Return problems that need two skills, in either order."""
    return [*problems(skills, seed, stream), *problems(skills[::-1], seed, stream)]


def _settings(model: "Model") -> "Training":
    """Return how an adapter is trained: on whole answers and the end of the text."""
    from loratheory.pretrained.train import Training, fit_rate

    return Training(
        rate=fit_rate(model), last_rate=0.1, steps=TRAINING_STEPS, enough=0.0, whole=True
    )
