"""Libraries on a language model in which any first hop may be needed beside any second hop."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from loratheory.evaluate.fact_adapters import Crossings, crossings
from paper.studies._shared import Language
from paper.studies._shared.language import Act, coefficients, depth, layer_split, rule
from paper.studies._shared.measures import ordinary
from paper.studies._shared.run import Row, grid, part, study
from paper.studies.lm_all_pairs import all_pairs as bench

SEEDS = range(200, 210)
PLAIN, BESIDE = "standard, early-stopped", "two stand-ins"
SILENT = f"{BESIDE}, self-distillation"
ABOVE = "second hops above"


@dataclass(frozen=True)
class Config(Language):
    """A library of a seed's world.

    Attributes
    ----------
    recipe : str
        How adapters are taught, by a name in `fact_adapters.RECIPES`; or `ABOVE`, first hops
        beside stand-ins and second hops plainly in the highest third of the layers.
    authors : int
        How many there are of each hop.
    rules : str
        Which rules are asked: the ``usual`` ones, hop-wise routing where all second hops are
        ``tried``, subject routing, for which all subjects are ``named``, these asked each hop
        ``apart``, those where each hop is ``placed`` in layers of its own, or some ``more``.
    """

    recipe: str = BESIDE
    authors: int = 6
    rules: str = "usual"


def cell(config: Config) -> list[Row]:
    """Return a row for each rule.

    Returns
    -------
    list of dict
        The ``recipe``, the ``rule`` and the number of ``authors``; in the whole vocabulary
        shares of right answers to two-hop questions (``two_hop_vocabulary``), single facts
        (``hop_1``, ``hop_2``), all in sentences that no adapter read, and a hundred ``unrelated``
        prompts; ``drift`` as in `measures.measured`; the columns of `all_pairs.chosen`, NaN for
        rules without weights by token or prompt; and as ``chance`` the share of two-hop questions
        that a constant answer gets.
    """
    model = config.base(dtype="bfloat16")
    made = crossings(config.seed, config.authors)
    library, rows = made.adapters(model, config.recipe), list[Row]()
    # Before any adapter acts: drift is measured from here.
    base = ordinary(model)
    animals = pd.Series(made.everything.two_hop)
    # A constant answer gets the commonest animal right.
    chance = float(animals.value_counts(normalize=True).max())
    for name, act, asked in rules(config, made, depth(model) // 2):
        row: Row = {"seed": config.seed, "recipe": config.recipe, "rule": name}
        row["authors"] = config.authors
        row |= bench.exam(model, made, library, act, base, asked=asked)
        rows.append({**row, "chance": chance})
    return rows


def rules(config: Config, made: Crossings, middle: int) -> Iterator[tuple[str, Act, str]]:
    """Yield the name of a method, the method, and how `exam` asks."""
    whole = coefficients(1.0)
    if config.rules == "usual":
        yield "base", rule("base"), "together"
        yield "oracle pair", whole, "told"
        for name in ("sum", "mean", "arrow", "norm, z", "per-matrix gating, z = 2"):
            yield name, rule(name), "together"
        yield "hop-wise routing", bench.hop_gates("response"), "together"
    elif config.rules == "tried":
        yield "hop-wise routing, tried", bench.hop_gates("divergence"), "together"
    elif config.rules == "named":
        yield "subject routing", bench.subject_gates(made), "together"
    elif config.rules == "apart":
        yield "subject routing, two-step prompting", bench.subject_gates(made), "two-step prompting"
    elif config.rules == "placed":
        yield "sum, layer split", layer_split(middle), "together"
        yield "oracle pair, layer split", layer_split(middle), "told"
    else:
        merges = ("ties", "knots")
        for name in (*merges, "arrow, peft", "norm", "norm, soft", "per-block gating, z = 2"):
            yield name, rule(name), "together"
        yield "retrieval", bench.gate_groups(bench.one_alone), "together"
        yield "prompt-level gating", bench.gate_groups(bench.one_of_each_hop), "together"


def configs() -> Iterator[Config]:
    """Yield the configs of all cells, in the order of the table."""
    first = SEEDS[:1]
    yield from grid(Config, seed=SEEDS)
    yield from grid(Config, seed=first, recipe=[SILENT])
    yield from grid(Config, seed=SEEDS[:3], rules=["tried"])
    yield from grid(Config, seed=first, recipe=[SILENT], rules=["tried"])
    yield from grid(Config, rules=("named", "apart"), seed=SEEDS)
    yield from grid(Config, rules=("more", "placed"), seed=SEEDS[:3])
    yield from grid(Config, seed=first, recipe=[PLAIN], rules=("usual", "tried", "named", "apart"))
    yield from grid(Config, seed=SEEDS[:3], recipe=[ABOVE], rules=("usual", "named"))


STUDY = study(
    __name__,
    part("lm_all_pairs", cell, [Config(PLAIN, 2, seed=SEEDS[0])], configs()),
    minutes=(3, 520),
)
