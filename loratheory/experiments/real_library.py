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
.85, of sixes .5; prompt gates .95 of sixes. Written when all pairs had run, and one set of six on
the leaderboard: (l) Added with .7 each, pairs keep .02 more than under mean and sum, with 1.4 each
.1 less than under the sum. (m) Of sixes the sum keeps .35 and half of it .5; adapters taught
silence .7 both times, and .5 under the mean. (n) Of triples a coefficient each keeps .8, one for
all .7, prompt gates .97. (o) TIES of full matrices, of rank 16, keeps what it does in the axes of
KnOTS, to .03. (p) On texts that an adapter itself writes, a word of ordinary sentences being
given, the divergence tells who loses with an AUC of .8 under the sum and .7 under the mean: an
adapter writes little of what it was taught.

**Chance.** In the whole vocabulary none; half of what is kept where two answers are possible, if
only the form of the answer survives.

**Controls.** The base; each adapter alone; the same pairs under other coefficients; a constant, a
lookup of kinds, norms with learning rates; strata of equal rates; adapters taught silence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from loratheory.bench import Language
from loratheory.bench.collection import SIZE, Stage, collection
from loratheory.bench.tasks import NAMES
from loratheory.experiments.engine import Row, study

SEED = 300
COSTLY = ("one coefficient", "a coefficient each", "knots-ties", "tsv", "interpolate", "chebyshev")
GATES = ("map gates", "block gates", "prompt gates")


STAGES: Mapping[str, Stage] = {
    "alone": Stage(1, SIZE, 1, ()),
    "beside": Stage(1, SIZE, 2, ()),
    "pairs": Stage(2, 276, 23, ("mean", "sum")),
    "generated": Stage(2, 92, 23, ("mean", "sum"), generated=True),
    "other coefficients": Stage(2, 276, 23, (0.7, 1.4)),
    "ways": Stage(2, 40, 2, (*COSTLY, *GATES)),
    "full ties": Stage(2, 10, 2, ("full ties",)),
    "triples": Stage(3, 100, 10, ("mean", 0.5, 0.7, "sum")),
    "ways of triples": Stage(3, 12, 1, ("one coefficient", "a coefficient each", "prompt gates")),
    "sixes": Stage(6, 30, 3, ("mean", 0.5, "sum", "prompt gates")),
}
"""The first two stages measure adapters alone, and what may foretell reuse of each two. The mean of
a pair is its sum with coefficient .5. Of 60 groups drawn for "ways" the first 40 are run.
Seconds of one core: training an adapter takes 5 to 45; a pass .8 for a pair, 1.2 for three, 2.5 for
six; a search 3 for one coefficient and 8 for two; a merge 3.5; gates 2 to 5."""
KEPT = ("right", "kept", "kl_few", "kl", "agreement")
ALONE = ("base", "leak", "norm", "rate")
BESIDE = ("own_kl", "partner_kl", "mixed_kl", "mixed", "heard", "ordinary")
WEIGHTS = ("crosstalk", "worst", "cosine", "overlap")


@dataclass(frozen=True)
class Config(Language):
    """One part of a stage in `STAGES`, with adapters whose lessons include silence or do not."""

    silence: bool = False
    stage: str = "alone"
    part: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row for each adapter of each group of this part, and each way of reuse.

    Returns
    -------
    list of dict
        ``lessons`` (``plain`` or ``silence``), ``stage``, ``way``, ``group``; ``coefficient``, that
        of this adapter under the way; ``adapter`` and its ``partners``; then the columns of
        `bench.collection.Collection.acted` (in the stage ``generated`` `acted_on_generated`),
        `taught` and `beside`, NaN where not measured. Numbers are rounded to three digits.
    """
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
            for name, way in stage.acts():
                act = found.acted_on_generated if stage.generated else found.acted
                numbers, kept = act(group, way)
                each = numbers * (len(group) if len(numbers) == 1 else 1)
                for i, c, one in zip(group, each, kept, strict=True):
                    _row(name, number, c, i, [j for j in group if j != i], **one)
    return rows


RUN = (
    *((False, name) for name in ("alone", "pairs", "beside")),
    *((True, name) for name in ("alone", "pairs", "beside")),
    *((False, name) for name in ("ways", "triples", "sixes", "generated")),
    (True, "sixes"),
    *((False, name) for name in ("ways of triples", "full ties")),
)
"""The stages that have been run, with lessons of silence or without: all but the pairs under other
coefficients."""


def configs() -> Iterator[Config]:
    """Yield the configs of all cells, in the order of the stages in `RUN`."""
    for silence, name in RUN:
        for part in range(STAGES[name].cells):
            yield Config(silence, name, part, seed=SEED)


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEED),),
    paper=configs(),
    minutes=(1, 310),
)
