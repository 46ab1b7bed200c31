"""Libraries on a language model in which any first hop may be needed beside any second hop."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paper.studies._shared import Language
from paper.studies._shared.rules import Act, layer_split, rule
from paper.studies._shared.run import Row, part, study

if TYPE_CHECKING:
    from loratheory.evaluate.fact_adapters import Crossings

SEEDS = range(200, 210)
PLAIN, BESIDE, SILENT = "plain", "two stand-ins", "two stand-ins, silent"
ABOVE = "second hops above"


@dataclass(frozen=True)
class Config(Language):
    """A library of a seed's world.

    Attributes
    ----------
    recipe : str
        How adapters are taught, by a name in `fact_adapters.RECIPES`; or `ABOVE`, first hops
        beside stand-ins and second hops plainly in the highest third of the layers.
    publishers : int
        How many there are of each hop.
    rules : str
        Which rules are asked: the ``usual`` ones, hop gates where all second hops are ``tried``,
        subject gates, for which all subjects are ``named``, these asked each hop ``apart``, those
        where each hop is ``placed`` in layers or tokens of its own, or some ``more``.
    """

    recipe: str = BESIDE
    publishers: int = 6
    rules: str = "usual"


def cell(config: Config) -> list[Row]:
    """Return a row for each rule.

    Returns
    -------
    list of dict
        The ``recipe``, the ``rule`` and the number of ``publishers``; in the whole vocabulary
        shares of right answers to two-hop questions (``two_hop_vocabulary``), single facts
        (``hop_1``, ``hop_2``), all in sentences that no adapter read, and a hundred ``unrelated``
        prompts; ``two_hop`` among the animals; ``text`` and ``leak`` as in
        `fact_adapters.measured`; the columns of `all_pairs.chosen`, NaN for rules without
        weights by token or prompt; and as ``chance`` the share of two-hop questions that a
        constant answer gets.
    """
    from loratheory.evaluate.fact_adapters import crossings
    from paper.studies._shared import all_pairs as bench
    from paper.studies._shared.measures import ordinary

    model = config.base(dtype="bfloat16")
    made = crossings(config.seed, config.publishers)
    library, rows = made.adapters(model, config.recipe), list[Row]()
    base, _ = ordinary(model)
    for name, act, asked in rules(config, made, model.network.config.num_hidden_layers // 2):
        row: Row = {"seed": config.seed, "recipe": config.recipe, "rule": name}
        row["publishers"] = config.publishers
        if asked.endswith("by position"):
            row |= bench.by_position(model, made, library, told=asked.startswith("told"))
        else:
            row |= bench.exam(model, made, library, act, base, asked=asked)
        rows.append({**row, "chance": bench.constant(made)})
    return rows


def rules(config: Config, made: "Crossings", middle: int) -> Iterator[tuple[str, Act, str]]:
    """Yield the name of a rule, the rule, and how `all_pairs.exam` asks, or `by_position`."""
    from paper.studies._shared.all_pairs import (
        best_of_each_hop,
        hop_gates,
        retrieval,
        subject_gates,
    )

    if config.rules == "usual":
        yield "base", rule("base"), "together"
        yield "right pair", rule("sum"), "told"
        for name in ("sum", "mean", "arrow", "norm, z", "gates, z = 2"):
            yield name, rule(name), "together"
        yield "sum, hop by hop", rule("sum"), "hop by hop"
        yield "hop gates", hop_gates("response"), "together"
    elif config.rules == "tried":
        yield "hop gates, tried", hop_gates("divergence"), "together"
    elif config.rules == "named":
        yield "subject gates", subject_gates(made), "together"
    elif config.rules == "apart":
        yield "subject gates, hop by hop", subject_gates(made), "hop by hop"
    elif config.rules == "placed":
        yield "sum, layer split", layer_split(middle), "together"
        yield "right pair, layer split", layer_split(middle), "told"
        yield "sum, by position", rule("sum"), "by position"
        yield "right pair, by position", rule("sum"), "told, by position"
    else:
        for name in ("ties", "knots", "arrow, peft", "norm", "norm, soft", "block gates, z = 2"):
            yield name, rule(name), "together"
        yield "retrieval", retrieval, "together"
        yield "prompt gates", best_of_each_hop, "together"


STUDY = study(
    __name__,
    part(
        "lm_all_pairs",
        cell,
        (Config(PLAIN, 2, seed=SEEDS[0]),),
        (
            *(Config(seed=seed) for seed in SEEDS),
            Config(PLAIN, 2, seed=SEEDS[0]),
            Config(SILENT, seed=SEEDS[0]),
            *(Config(rules="tried", seed=seed) for seed in SEEDS[:3]),
            Config(SILENT, rules="tried", seed=SEEDS[0]),
            *(Config(rules=rules, seed=seed) for rules in ("named", "apart") for seed in SEEDS),
            *(Config(rules=rules, seed=seed) for rules in ("more", "placed") for seed in SEEDS[:3]),
            *(
                Config(PLAIN, rules=rules, seed=SEEDS[0])
                for rules in ("usual", "tried", "named", "apart")
            ),
            *(
                Config(ABOVE, rules=rules, seed=seed)
                for seed in SEEDS[:3]
                for rules in ("usual", "named")
            ),
        ),
    ),
    minutes=(3, 520),
)
