"""Every pair of a library of 24 adapters on a language model, and what tells beforehand.

**Question.** Which adapters can be merged, what do they lose, and can that be told without labels,
from weights alone, or from a few of their own prompts?

**Prediction.** Eight kinds of task, three adapters each, two learning rates crossed with kinds; the
same again with lessons of silence: texts drawn from the base with the base's own next word. Kept is
P(right merged | right alone); an adapter loses if it keeps less than .9. Written after a trial with
eleven other adapters and prompts, and after seeing, on a development seed, some of these alone and
one pair and one triple with an adapter that leaks most. One measure is primary: the KL
divergence from the adapter alone to the merge, mean over four of its own prompts, without answers
(``kl_few``). One rule for coefficients: the smallest worst divergence on twelve. (a) Of pairs of
plain adapters the sum keeps .82 on average and .33 of adapters lose; the mean .88 and .22. (b) The
primary measure tells who loses with an AUC of .93 under the sum and .95 under the mean, whole
adapters or kinds held out; its rank correlation with what is kept is -.75 and -.4; where one of a
pair loses .1 more than the other, it names it in .9. (c) Weights alone (median and worst
cross-talk, cosine, overlap of what is read, ratio of norms) have an AUC of .75 at most pooled and
.6 at most where both learning rates are the same, and cross-talk tells no more than the norms'
ratio, to .03. (d) Without a pass of the merge: the partner's leak on ordinary text .72, partner's
over own divergence from the base on own prompts .82, its responses there .8, the divergence to both
adapters' added logits .85. (e) What an adapter leaks and what the others keep beside it under the
sum have a rank correlation of -.7. (f) Silence lowers the leak to a third, and the losers under the
sum from .33 to .15; the mean gains nothing. (g) An interval for what is kept, learnt from the
primary measure on other kinds, covers .9. (h) Of merges none keeps .02 more than the best
coefficient of the sum, on average; a coefficient each keeps .05 more of the worse adapter. (i)
Prompt gates keep .97, but .75 where sentences are shared (births, lexicons, orders, styles); map
gates .85. (j) Births added to births lose .3 more than to others. (k) Of triples the mean keeps
.85, of sixes .5; prompt gates .95 of sixes.

**Chance.** In the whole vocabulary none; half of what is kept where two answers are possible, if
only the form of the answer survives.

**Controls.** The base; each adapter alone; the same pairs under other coefficients; a constant, a
lookup of kinds, norms with learning rates; strata of equal rates; adapters taught silence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from loratheory.experiments.bench import Language
from loratheory.experiments.engine import Row, study

if TYPE_CHECKING:
    from loratheory.pretrained import Way

SIZE, SEED = 24, 300
COSTLY = ("one coefficient", "a coefficient each", "knots-ties", "tsv", "interpolate", "chebyshev")
GATES = ("map gates", "block gates", "prompt gates")


@dataclass(frozen=True)
class Stage:
    """What is asked of groups of adapters: how many act at once, how many groups, in what ways.

    `ways` are names of `loratheory.pretrained.WAYS`, or numbers, with which all are added. A cell
    asks `each` of the groups; those of less than all are drawn.
    """

    size: int
    groups: int
    each: int
    ways: tuple[str | float, ...]

    @property
    def cells(self) -> int:
        """How many cells it takes."""
        return -(-self.groups // self.each)

    def group(self, number: int, seed: int) -> tuple[int, ...]:
        """Return the adapters of a group, in order."""
        every = [*combinations(range(SIZE), self.size)]
        rng = np.random.default_rng([seed, 15, self.size])
        return every[int(rng.permutation(len(every))[number])]


STAGES: Mapping[str, Stage] = {
    "alone": Stage(1, SIZE, 1, ()),
    "beside": Stage(1, SIZE, 2, ()),
    "pairs": Stage(2, 276, 23, ("mean", "sum")),
    "other coefficients": Stage(2, 276, 23, (0.7, 1.4)),
    "ways": Stage(2, 60, 2, (*COSTLY, *GATES)),
    "triples": Stage(3, 100, 10, ("mean", 0.5, 0.7, "sum")),
    "ways of triples": Stage(3, 20, 1, ("one coefficient", "a coefficient each", "prompt gates")),
    "sixes": Stage(6, 30, 3, ("mean", 0.5, "sum", "prompt gates")),
}
"""The first two ask adapters alone, and of each two what tells beforehand. In pairs the mean is .5
of each. Seconds of one core: an adapter is taught in 5 to 45, a pair passes in .8, a triple in 1.2,
six in 2.5; searches take 3 for one coefficient and 8 for two, merges 3.5, gates 2 to 5."""
KEPT = ("right", "kept", "kl_few", "kl", "agreement")
ALONE = ("base", "leak", "norm", "rate")
BESIDE = ("own_kl", "partner_kl", "mixed_kl", "mixed", "heard", "ordinary")
WEIGHTS = ("crosstalk", "worst", "cosine", "overlap")


@dataclass(frozen=True)
class Config(Language):
    """A part of a stage of `STAGES`; adapters are taught with lessons of silence, or without."""

    silence: bool = False
    stage: str = "alone"
    part: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row for each adapter of each group of this part, and each way.

    Returns
    -------
    list of dict
        ``lessons``, ``plain`` or ``silence``; ``stage``; the ``way``; the ``group``; its
        ``coefficient`` for this adapter; the ``adapter`` and its ``partners``; then columns of
        `bench.collection.Collection.acted`, of `taught` and of `beside`, NaN where not asked; all
        to three digits.
    """
    from loratheory.experiments.bench.collection import collection
    from loratheory.experiments.bench.tasks import NAMES

    found = collection(config.model, config.device, config.seed, taught_silence=config.silence)
    stage, rows = STAGES[config.stage], list[Row]()

    def _row(
        way: str, group: int, c: float, adapter: int, partners: Sequence[int], **some: float
    ) -> None:
        rows.append(
            {
                "lessons": "silence" if config.silence else "plain",
                "stage": config.stage,
                "way": way,
                "group": group,
                "coefficient": c,
                "adapter": NAMES[adapter],
                "partners": ", ".join(NAMES[j] for j in partners) or "none",
                **dict.fromkeys((*KEPT, *ALONE, *BESIDE, *WEIGHTS), nan),
                **{name: float(f"{value:.3g}") for name, value in some.items()},
            }
        )

    for number in range(stage.groups)[config.part * stage.each :][: stage.each]:
        if config.stage == "alone":
            _row("alone", number, 1.0, number, (), **found.taught(number))
        elif config.stage == "beside":
            for j, told in enumerate(found.beside(number)):
                if j != number:
                    _row("none", number, 0.0, number, (j,), **told)
        else:
            group = stage.group(number, config.seed)
            for name, way in ways(stage):
                numbers, kept = found.acted(group, way)
                each = numbers * (len(group) if len(numbers) == 1 else 1)
                for i, c, one in zip(group, each, kept, strict=True):
                    _row(name, number, c, i, [j for j in group if j != i], **one)
    return rows


def ways(stage: Stage) -> Iterator[tuple[str, "Way"]]:
    """Yield a stage's ways by name."""
    from loratheory.pretrained import WAYS, Way

    for way in stage.ways:
        if isinstance(way, str):
            yield way, WAYS[way]
        else:
            yield f"{way} each", Way(f"{way} each", "cat", free="", share=partial(_always, way))


def _always(coefficient: float, _: int) -> float:
    return coefficient


def configs() -> Iterator[Config]:
    """Yield all cells, those first that are of use by themselves."""
    order = [
        *((False, name) for name in ("alone", "pairs", "beside")),
        *((True, name) for name in ("alone", "pairs", "beside")),
        *((False, name) for name in ("ways", "triples", "other coefficients", "sixes")),
        (False, "ways of triples"),
        *((True, name) for name in ("triples", "sixes", "other coefficients", "ways")),
    ]
    for silence, name in order:
        for part in range(STAGES[name].cells):
            yield Config(silence, name, part, seed=SEED)


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEED),),
    paper=configs(),
    minutes=(1, 170),
)
