"""Overlap of solutions and likeness of adapters, held against measured reuse.

**Question.** Does overlap, or likeness that needs no labels, tell which pairs of adapters compose?

**Prediction.** The share of solutions with the shape that the target needs (`shape`) ranks reuse by
the sum best where the base has not seen that shape (`thm:template-vote`), and says little where it
has; the overlap of whole templates ranks alike, but for cases that share the pair or the context.
Likeness of weights and of answers grows with what the adapters share, and so ranks in the same
direction; what is read says less than what is written (`thm:interference-angle`: only the inputs
that occur matter), and none ranks better than the solutions do. Thresholds chosen on one pair of
skills tell more than the base rate on another pair, which was not looked at.

**Chance.** A rank correlation of 0; hits as often as the majority.

**Controls.** The base rate; a pair of skills that was never used to choose a measure or threshold;
all pairs of skills that share nothing.
"""

from dataclasses import dataclass, field

from loratheory.experiments import skill_composition, template_overlap
from loratheory.experiments._experiment import Experiment, Row
from loratheory.experiments.words._cases import MEASURED
from loratheory.experiments.words._problems import Pair
from loratheory.experiments.words._size import Size

REUSED = ("mean", "sum", "ties", "arrow", "gates")


@dataclass(frozen=True)
class Config:
    """One base; its adapters are those of two other experiments.

    Attributes
    ----------
    kind : str
        What the base has seen, of `words._problems.KINDS`.
    seed : int
        Of the base.
    pairs : tuple of pair of str
        Those of `template_overlap`.
    alone : bool
        Whether pairs of adapters that share nothing, of all skills, are asked too.
    size : Size
        Of all.
    """

    kind: str = "problems"
    seed: int = 0
    pairs: tuple[Pair, ...] = MEASURED
    alone: bool = True
    size: Size = field(default_factory=Size)


def cell(config: Config) -> list[Row]:
    """Return one row for each pair of adapters.

    Parameters
    ----------
    config : Config
        What to look at and to reuse.

    Returns
    -------
    list of dict
        `held_out`, 0 for the pair that measures were designed on; what predicts, of
        `words._proxies.PROXIES`; the share of problems that the base and each of `REUSED` solves.
    """
    from loratheory.experiments.words._proxies import proxies
    from loratheory.experiments.words._reuse import marks

    kind, seed, size = config.kind, config.seed, config.size
    overlapping = template_overlap.Config(kind, seed, config.pairs, size)
    parts = [template_overlap.measured(overlapping)]
    if config.alone:
        parts.append(skill_composition.measured(skill_composition.Config(kind, seed, size)))
    told: list[Row] = []
    for here in parts:
        asked, rules = here.asked(config.size.asked), here.acting()
        known = proxies(here, asked)
        known |= {
            name: marks(here.known, asked, rules[name])["stepwise"] for name in ("base", *REUSED)
        }
        for e, case in enumerate(here.cases):
            head: Row = {"kind": config.kind, "seed": config.seed}
            head |= {"first": case.pair[0], "second": case.pair[1], "bridge": case.bridge}
            head |= {"share": case.overlap, "held_out": int({*case.pair} != {*MEASURED[0]})}
            told.append({**head, **{name: round(float(x[e]), 4) for name, x in known.items()}})
    return told


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(pairs=MEASURED[:1], alone=False, size=Size(steps=600, taught=60)),),
        "paper": tuple(
            Config(kind, seed) for kind in ("problems", "single steps") for seed in range(3)
        ),
    },
    minutes={"quick": 0.2, "paper": 4},
)
