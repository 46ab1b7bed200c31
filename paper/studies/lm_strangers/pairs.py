"""Adapters of two authors who share more or less, by how both were trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paper.studies._shared import Language
from paper.studies._shared.language import Method, coefficients, depth, layer_split
from paper.studies._shared.run import Row
from paper.studies.lm_strangers.draw import LEVELS, FactSet, chance, draw

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Model

BASES = ("", "gemma-3-270m")
STANDARD: Mapping[str, Any] = {"stand_ins": 0, "steps": 90}
FRESH: Mapping[str, Any] = {"stand_ins": None, "steps": 180}
LONG: Mapping[str, Any] = {**STANDARD, "steps": 180}
WHOLE: Mapping[str, Any] = {**FRESH, "whole": True}
WITH_TEXTS: Mapping[str, Any] = {"self_distillation": 96}
MANY_TEXTS: Mapping[str, Any] = {"self_distillation": 384}
# Arguments of `train_for_composition`, for the hop-1 and the hop-2 author; `late` stands for the
# top third of the layers.
METHODS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "standard": (STANDARD, STANDARD),
    "standard, 180 steps": (LONG, LONG),
    "late layers": (STANDARD, {**STANDARD, "late": True}),
    "two stand-ins": ({**STANDARD, "stand_ins": 2},) * 2,
    "six stand-ins": ({**STANDARD, "stand_ins": 6},) * 2,
    "two stand-ins, 180 steps": ({**FRESH, "stand_ins": 2},) * 2,
    "fresh stand-ins": (FRESH, FRESH),
    "fresh stand-ins, self-distillation": ({**FRESH, **WITH_TEXTS},) * 2,
    "fresh stand-ins, self-distillation, 384 texts": ({**FRESH, **MANY_TEXTS},) * 2,
    "standard, 180 steps, self-distillation": ({**LONG, **WITH_TEXTS},) * 2,
    "standard, 180 steps, self-distillation, 384 texts": ({**LONG, **MANY_TEXTS},) * 2,
    "fresh stand-ins, whole answers": (WHOLE, WHOLE),
    "fresh stand-ins, whole answers, self-distillation": ({**WHOLE, **WITH_TEXTS},) * 2,
    "fresh stand-ins, whole answers, self-distillation, 384 texts": ({**WHOLE, **MANY_TEXTS},) * 2,
    "fresh stand-ins, hop 1": (FRESH, STANDARD),
    "fresh stand-ins, hop 1, 384 texts": ({**FRESH, **MANY_TEXTS}, STANDARD),
    "fresh stand-ins, hop 2": (STANDARD, FRESH),
    "fresh stand-ins, late layers": (FRESH, {**STANDARD, "late": True}),
}
HELD_OUT = "two-hop, with the held-out stand-in"


@dataclass(frozen=True)
class Config(Language):
    """A pair of relations, a level and a method; the rate is a multiple of `rule_rate`."""

    pair: str = "birth, mascot"
    level: str = "S0"
    method: str = "two stand-ins"
    rate: float = 1.0


def cell(config: Config, dtype: str = "bfloat16") -> list[Row]:
    """Return a row for each use of the two adapters and each held-out template.

    Returns
    -------
    list of dict
        The config; the ``rule`` and the number of the ``template``; top-1 accuracies of questions
        and facts (``two_hop``, ``hop_1``, ``hop_2``, ``known``), and of two-hop questions about
        bridges that one author or both have no two-hop examples about (``uncovered``, else NaN);
        ``constant``, the accuracy of the best constant answer; ``drift``; and what each author
        measured with a held-out stand-in (``promise_1``, ``promise_2``).
    """
    from loratheory.pretrained import kl_to_base
    from paper.studies._shared import measures

    model = config.base(dtype=dtype)
    facts = draw(config.pair, config.level, config.seed)
    adapters, promises = list["Adapter"](), Row()
    for hop in range(2):
        adapter, promise = train(model, facts, config, hop)
        adapters.append(adapter)
        promises[f"promise_{hop + 1}"] = promise
    constant = chance(facts.questions["two_hop"])
    generic, rows = measures.generic_log_probs(model), list[Row]()
    for rule, act in uses(depth(model)).items():
        with act(model, adapters):
            found = answer_questions(model, facts)
            known = measures.accuracy(model, facts.questions["known"])
            drift = kl_to_base(generic, measures.generic_log_probs(model))
        for template, shares in enumerate(found):
            more = {"known": known, "drift": drift, "constant": constant, **promises}
            head = {**describe(config, model), "rule": rule, "template": template}
            rows.append({**head, **shares, **more})
    return rows


def cell_in_float32(config: Config) -> list[Row]:
    """Return the same with a base in float32, a third of the time without products in bfloat16."""
    return cell(config, "float32")


def describe(config: Config, model: "Model") -> Row:
    """Return the columns that say what was trained."""
    names = ("pair", "level", "method", "rate")
    about: Row = {"seed": config.seed, "base": model.name.split()[0]}
    return about | {name: getattr(config, name) for name in names}


def train(model: "Model", facts: FactSet, config: Config, hop: int) -> tuple["Adapter", float]:
    """Return one author's adapter, and what the author measured with a held-out stand-in."""
    from loratheory.pretrained import train_for_composition
    from paper.studies.lm_strangers.other_trainer import train_with_peft
    from paper.studies.lm_strangers.rivals import RIVALS, train_rival

    # Each author has a seed of its own.
    rate, seed = config.rate * rule_rate(model), 2 * config.seed + hop
    if config.method in RIVALS:
        return train_rival(model, facts.plans[hop], config.method, rate=rate, seed=seed), nan
    # As most tables were measured: by first tokens, without texts of the base.
    how: dict[str, Any] = {"whole": False, "self_distillation": 0, **METHODS[config.method][hop]}
    if how.pop("late", False):
        layers = depth(model)
        how["layers"] = (layers - layers // 3, layers)
    # The hop-2 author has settings of its own, or another trainer, which knows no stand-ins.
    apart = LEVELS[config.level] if hop == 1 else frozenset()
    if "trainer" in apart:
        examples = [*facts.plans[hop].examples, *facts.further[hop]]
        return train_with_peft(model, examples, rate=rate, seed=seed), nan
    if "settings" in apart:
        how |= {"steps": 2 * how["steps"], "rank": 32}
        rate /= 2
    if "many" in apart:
        how["steps"] *= 3
    author = train_for_composition(
        model, facts.plans[hop], rate=rate, seed=seed, augmented=facts.further[hop], **how
    )
    return author.adapter, next(x.part for x in author.shares if x.what == HELD_OUT)


def rule_rate(model: "Model") -> float:
    """Return the rate of the rule that part `rates` tests, which knows nothing of depth."""
    from loratheory.pretrained.train import measure_gain

    return float(f"{3.8e-4 * measure_gain(model):.1e}")


def uses(layers: int) -> dict[str, Method]:
    """Return how the two adapters are used, by name."""
    return {
        "base": coefficients(0.0),
        "hop 1 alone": coefficients(1.0, 0.0),
        "hop 2 alone": coefficients(0.0, 1.0),
        "sum": coefficients(1.0),
        "mean": coefficients(0.5),
        "layer split": layer_split(layers // 2),
    }


def answer_questions(model: "Model", facts: FactSet) -> list[Row]:
    """Return the shares of right answers of the adapters now active, by held-out template."""
    from loratheory.evaluate.answers import answers

    right, templates = {}, len(facts.questions["two_hop"]) // len(facts.covered)
    for name in ("two_hop", "hop_1", "hop_2"):
        each = answers(model, facts.questions[name]).vocabulary_right
        right[name] = np.reshape(each, (templates, -1))
    partly = facts.covered < 2
    rows = list[Row]()
    for number, two_hop in enumerate(right["two_hop"]):
        row: Row = {name: float(shares[number].mean()) for name, shares in right.items()}
        row["uncovered"] = float(two_hop[partly].mean()) if partly.any() else nan
        rows.append(row)
    return rows


def mean_answers(model: "Model", facts: FactSet) -> Row:
    """Return the shares of right answers of the adapters now active, means over templates."""
    found = pd.DataFrame(answer_questions(model, facts))
    return {name: float(found[name].mean()) for name in ("two_hop", "hop_1", "hop_2")}
