"""Evaluate libraries on a language model where any hop-1 adapter may need any hop-2 adapter."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from loratheory.evaluate.fact_adapters import AllPairsFacts, draw_all_pairs
from paper.studies._shared import Language
from paper.studies._shared.language import Method, coefficients, depth, layer_split, rule
from paper.studies._shared.measures import generic_log_probs
from paper.studies._shared.run import Row, grid, part, study
from paper.studies.lm_all_pairs import all_pairs as bench

SEEDS = range(200, 210)
EARLY, STAND_INS = "standard, early-stopped", "two stand-ins"
DISTILLED = f"{STAND_INS}, self-distillation"
LATE = "second hops above"


@dataclass(frozen=True)
class Config(Language):
    """A library of a seed's fact set.

    Attributes
    ----------
    recipe : str
        The training condition, a name in `fact_adapters.CONDITIONS`; or `LATE`, stand-in training
        for hop 1 and late-layer training for hop 2.
    authors : int
        The number of authors of each hop.
    rules : str
        The methods to evaluate: ``usual``; ``tried``, hop-wise routing that tries all hop-2
        adapters; ``named``, subject routing; ``apart``, subject routing with two-step prompting;
        ``placed``, layer splits; or ``more``.
    """

    recipe: str = STAND_INS
    authors: int = 6
    rules: str = "usual"


def cell(config: Config) -> list[Row]:
    """Return a row for each method.

    Returns
    -------
    list of dict
        The ``recipe``, the ``rule`` and the number of ``authors``; top-1 accuracies in held-out
        templates on two-hop questions (``two_hop_vocabulary``), single facts (``hop_1``,
        ``hop_2``) and a hundred ``unrelated`` prompts; ``drift`` as in `measures.measured`; the
        columns of `all_pairs.route_shares`, NaN for methods without a route; and ``chance``, the
        two-hop accuracy of a constant answer.
    """
    model = config.base(dtype="bfloat16")
    made = draw_all_pairs(config.seed, config.authors)
    library, rows = made.adapters(model, config.recipe), list[Row]()
    # Drift is measured from the base, before any adapter is active.
    base = generic_log_probs(model)
    animals = pd.Series(made.all_facts.two_hop)
    # The best constant answer is the most frequent animal.
    chance = float(animals.value_counts(normalize=True).max())
    for name, method, how in rules(config, made, depth(model) // 2):
        row: Row = {"seed": config.seed, "recipe": config.recipe, "rule": name}
        row["authors"] = config.authors
        row |= bench.evaluate(model, made, library, method, base, how=how)
        rows.append({**row, "chance": chance})
    return rows


def rules(config: Config, made: AllPairsFacts, middle: int) -> Iterator[tuple[str, Method, str]]:
    """Yield the name of a method, the method, and the argument `how` of `evaluate`."""
    whole = coefficients(1.0)
    if config.rules == "usual":
        yield "base", rule("base"), "together"
        yield "oracle pair", whole, "oracle"
        for name in ("sum", "mean", "arrow", "norm, z", "per-matrix gating, z = 2"):
            yield name, rule(name), "together"
        yield "hop-wise routing", bench.hop_routing("response"), "together"
    elif config.rules == "tried":
        yield "hop-wise routing, tried", bench.hop_routing("divergence"), "together"
    elif config.rules == "named":
        yield "subject routing", bench.subject_routing(made), "together"
    elif config.rules == "apart":
        how = "two-step prompting"
        yield f"subject routing, {how}", bench.subject_routing(made), how
    elif config.rules == "placed":
        yield "sum, layer split", layer_split(middle), "together"
        yield "oracle pair, layer split", layer_split(middle), "oracle"
    else:
        merges = ("ties", "knots")
        for name in (*merges, "arrow, peft", "norm", "norm, soft", "per-block gating, z = 2"):
            yield name, rule(name), "together"
        yield "retrieval", bench.gate_groups(bench.single_adapters), "together"
        yield "prompt-level gating", bench.gate_groups(bench.hop_pairs), "together"


def configs() -> Iterator[Config]:
    """Yield the configs of all cells, in the order of the table."""
    first = SEEDS[:1]
    yield from grid(Config, seed=SEEDS)
    yield from grid(Config, seed=first, recipe=[DISTILLED])
    yield from grid(Config, seed=SEEDS[:3], rules=["tried"])
    yield from grid(Config, seed=first, recipe=[DISTILLED], rules=["tried"])
    yield from grid(Config, rules=("named", "apart"), seed=SEEDS)
    yield from grid(Config, rules=("more", "placed"), seed=SEEDS[:3])
    yield from grid(Config, seed=first, recipe=[EARLY], rules=("usual", "tried", "named", "apart"))
    yield from grid(Config, seed=SEEDS[:3], recipe=[LATE], rules=("usual", "named"))


STUDY = study(
    __name__,
    part("lm_all_pairs", cell, [Config(EARLY, 2, seed=SEEDS[0])], configs()),
    minutes=(3, 520),
)
