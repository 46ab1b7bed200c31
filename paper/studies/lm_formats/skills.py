"""A skill with word problems of each of two authors: does the merge solve problems of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from loratheory.evaluate.fact_sets import Items, invented
from paper.studies._shared import Language
from paper.studies._shared.run import Row

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
        share of the most frequent answer to problems of both (``constant``).
    """
    from loratheory.pretrained.generate import measure_answers
    from paper.studies._shared.language import coefficients, depth
    from paper.studies.lm_strangers.pairs import uses

    model, [first, second] = config.base(dtype="bfloat16"), SKILLS
    act_by_rule = uses(depth(model))
    if config.method == TOGETHER:
        adapters = [_train_on_both(model, config)]
        act_by_rule = {TOGETHER: coefficients(1.0)}
    else:
        adapters = [_train(model, skill, config) for skill in SKILLS]
    both = _both_orders(SKILLS, config.seed, 9)
    questions = {
        "both": both,
        "first": problems((first,), config.seed, 9),
        "second": problems((second,), config.seed, 9),
    }
    answers = [answer for _, answer in both]
    constant = max(map(answers.count, answers)) / len(answers)
    rows = list[Row]()
    for rule, act in act_by_rule.items():
        row: Row = {"seed": config.seed, "base": model.name.split()[0], "method": config.method}
        row |= {"rule": NAMES.get(rule, rule), "constant": constant}
        with act(model, adapters):
            for name, pairs in questions.items():
                row[name] = measure_answers(model, name, pairs).part
                row[f"{name}_open"] = measure_answers(model, name, pairs, ended=False).part
        rows.append(row)
    return rows


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


def _train(model: "Model", skill: str, config: Config) -> "Adapter":
    """Return the adapter of a skill; with stand-ins, two of other skills are active in turn.

    While a stand-in acts, problems of both its skill and the author's are shown.
    """
    from loratheory.pretrained.train import StandIn, train_once

    how = _settings(model)
    stand_ins = list[StandIn]()
    if config.method == "stand-ins":
        for other in STAND_INS:
            own = problems((other,), config.seed, 1)
            brief = replace(how, steps=TRAINING_STEPS // 2)
            made_up = train_once(model, own, seed=(config.seed, 61), training=brief)
            shown = [*_both_orders((skill, other), config.seed, 2), *own]
            stand_ins.append(StandIn(made_up, shown))
    examples = [*problems((skill,), config.seed, 3), *problems((skill,), config.seed, 4)]
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
