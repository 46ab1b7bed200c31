"""Which rule that sees no data composes where the mean and Arrow fail, and how close to an oracle.

**Question.** Can adapters trained on single hops answer two-hop questions without labels, data of
their tasks or training, and leave everything else as it was?

**Prediction.** Mean, TIES and Arrow keep a coefficient below the golden ratio at one read at least
(`thm:two-read-region`, `thm:routing-reach`) and stay at .3 or below with four pairs; the sum is
drowned by interference (`thm:random-interference`), its unedited chains below .5. Switches compose
at least as often as the right adapter alone would, less misses and false alarms at the two reads
(`thm:shelf-capacity`): `predicted` is that bound from measured rates. Block gates at two deviations
reach .8 with up to eight pairs and keep unedited chains at .95; the interpolating merge does not
compose, since most of each key leaks past its adapter (`thm:interpolation-price`). All choices
were made on base seeds 101 and 102.

**Chance.** One over the number of edited facts of a pair.

**Controls.** The base; either adapter alone; unedited facts and chains; chains of other subjects.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from loratheory.experiments._experiment import Experiment, Row

MLP = ("mlp.in", "mlp.out")
ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")


@dataclass(frozen=True)
class Config:
    """Some bases, some edits.

    Attributes
    ----------
    facts, pairs : int
        Edited facts per hop of a pair, and pairs that act at once.
    answers : str
        ``fresh`` or ``permuted`` new values.
    rank : int
        Of each adapter.
    modules : tuple of str
        Where the adapters sit.
    recipe : str
        Of the bases: ``usual``, ``long`` (1,500 steps), ``rare`` (coverage .25).
    seeds : tuple of int
        Base seeds, treated together.
    sets : int
        Repetitions on each base.
    """

    facts: int = 5
    pairs: int = 2
    answers: str = "fresh"
    rank: int = 8
    modules: tuple[str, ...] = MLP
    recipe: str = "usual"
    seeds: tuple[int, ...] = (0, 1)
    sets: int = 2


RECIPES: dict[str, dict[str, Any]] = {
    "usual": {},
    "long": {"steps": 1500},
    "rare": {"coverage": 0.25},
}


def rules(modules: tuple[str, ...]) -> dict[str, Any]:
    """The ways of reuse by name; block gates only where adapters sit in MLPs."""
    from loratheory.adapters import (
        Router,
        arrow_scores,
        calibrate,
        calibrate_z,
        response_scores,
        standardised,
    )
    from loratheory.experiments.reuse import _rules as r
    from loratheory.experiments.reuse._block import block_gates

    found = {
        "base": partial(r.everywhere, None),
        "A→B alone": r.alone(0),
        "B→C alone": r.alone(1),
        "mean": r.mean,
        "half the sum": r.summed(0.5),
        "sum": r.summed(),
        "TIES": r.merged("ties", density=0.3, rank=128),
        "KnOTS": r.merged("ties", density=0.3, space="knots"),
        "interpolating": r.merged("interpolate", ridge=0.1),
        "Arrow": r.routed(lambda u, _: Router(arrow_scores(u))),
        "SpectR": r.routed(lambda u, _: Router(response_scores(u), top_k=len(u))),
        "top-1 by z-score": r.routed(lambda u, x: Router(standardised(response_scores(u), x))),
        "gates, budget .3": r.routed(lambda u, x: calibrate(u, x, budget=0.3)),
        "gates, z = 2": r.routed(lambda u, x: calibrate_z(u, x, z=2)),
        "oracle of depth": r.oracle,
    }
    if set(modules) <= set(MLP):
        found["block gates, rate .04"] = block_gates(0.04, "rate")
        found["block gates, z = 2"] = block_gates(2.0)
        found["block gates, z = 3"] = block_gates(3.0)
    return found


def cell(config: Config) -> list[Row]:
    """Return one row a base, repetition and rule.

    Parameters
    ----------
    config : Config
        Which bases and which edits.

    Returns
    -------
    list of dict
        The config's fields, `seed`, `set`, `rule`; accuracies as `marks` gives them;
        `false_alarms` and `misses` summed over the reads, `predicted` the least accuracy that
        follows, `leak` of the keys: nan where they do not apply.
    """
    from loratheory.experiments.reuse._bases import Setting, bases
    from loratheory.experiments.reuse._detection import detection, leak
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._shelves import Teaching, shelf

    teaching = Teaching(
        facts=config.facts,
        pairs=config.pairs,
        sets=config.sets,
        bridges=config.answers,
        rank=config.rank,
        modules=config.modules,
    )
    made = shelf(bases(Setting(**RECIPES[config.recipe]), config.seeds), teaching)
    inside = set(config.modules) <= set(MLP)
    leaks = leak(made) if inside else None
    table = rules(config.modules)
    reach = marks(made, table["oracle of depth"](made))["chains"]
    found: list[Row] = []
    for name, rule in table.items():
        acting = rule(made)
        right = marks(made, acting)
        rates = detection(made, acting[0]) if inside and hasattr(acting[0], "on") else None
        for e, (seed, number) in enumerate(made.replicas):
            wrong = (
                [
                    sum(float(x[e]) for k, x in rates.items() if k.startswith(part))
                    for part in ("m", "f")
                ]
                if rates
                else [float("nan")] * 2
            )
            found.append(
                {
                    "facts": config.facts,
                    "pairs": config.pairs,
                    "answers": config.answers,
                    "rank": config.rank,
                    "place": "MLP" if inside else "attention",
                    "recipe": config.recipe,
                    "seed": seed,
                    "set": number,
                    "rule": name,
                    **{kind: float(value[e]) for kind, value in right.items()},
                    "misses": wrong[0],
                    "false_alarms": wrong[1],
                    "predicted": float(reach[e]) - sum(wrong),
                    "leak": float("nan") if leaks is None else float(leaks[e]),
                }
            )
    return found


_SIZES = ((3, 1), (5, 1), (10, 1), (20, 1), (5, 2), (10, 2), (3, 4), (5, 4), (10, 3), (4, 8))
_WAYS: tuple[dict[str, Any], ...] = (
    {"answers": "permuted"},
    {"rank": 2},
    {"rank": 32},
    {"recipe": "long"},
    {"recipe": "rare"},
    {"modules": ATTENTION},
)
_CROWDS = tuple((seed, seed + 1) for seed in range(0, 8, 2))

EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(sets=1), Config(facts=10, pairs=1, sets=1)),
        "paper": tuple(
            Config(seeds=seeds, **way)
            for way in (*({"facts": n, "pairs": k} for n, k in _SIZES), *_WAYS)
            for seeds in _CROWDS
        ),
    },
    minutes={"quick": 0.6, "paper": 30},
)
