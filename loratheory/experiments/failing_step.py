"""Solutions as they are written, and where the first wrong word stands.

**Question.** At which step do solutions of a merge fail?

**Prediction.** Bases here have met these skills in single steps alone, which begin with what is
asked for: so the base alone fails at the very first word, the name. Adapters that have used their
own skill in two steps begin with what can be computed first (`thm:template-vote`), so that merges
get past that word more often than the base; what they write as skill and numbers is copied from
what was told and mostly right. They fail at results, which two adapters disturb, and at the second
step, for the adapter of the first has never seen its result taken on by another skill. What was
trained on the task fails nowhere.

**Chance.** A name is right once or twice in three, a result once in seven, a whole solution hardly
ever.

**Controls.** The base; each adapter alone; an adapter trained on the task itself (composed). The
examples are the first problem of each outcome, whichever it is.
"""

from itertools import zip_longest

from loratheory.experiments.engine import Experiment, Row
from loratheory.experiments.words._problems import SEEN
from loratheory.experiments.words._settings import QUICK, SMALL, Covered

ASKED = ("base", "first alone", "second alone", "mean", "sum", "gates", "composed")
RIGHT = "right"
OUTCOMES = (
    *(f"first {part}" for part in ("name", "skill", "numbers", "result")),
    *(f"second {part}" for part in ("name", "skill", "numbers", "result")),
    RIGHT,
)
"""What the first wrong word of a solution is, step by step; or none is."""
_PLACES = [OUTCOMES[k] for k in (0, 1, 2, 2, 3, 4, 5, 6, 6, 7)]
Config = Covered


def outcome(solution: str, written: str) -> str:
    """Return which of `OUTCOMES` a solution has, of two steps, when this is written instead."""
    words = zip_longest(solution.split(), written.split())
    wrong = (place for place, (due, word) in enumerate(words) if due != word)
    return next((_PLACES[place] for place in wrong), RIGHT)


def cell(config: Covered) -> list[Row]:
    """Return one row for each pair of skills, rule and outcome.

    Parameters
    ----------
    config : Covered
        What to reuse: the adapters of `skill_coverage`.

    Returns
    -------
    list of dict
        `rate`, the share of problems with this outcome; then the first of them: its `question`, the
        `solution` and what was `written`; a dash for each that is not there.
    """
    from loratheory.experiments.words._models import solutions

    models = config.trained()
    table: list[Row] = []
    for e, asked in enumerate(models.targets(config.size.asked)):
        one, acting = models.cases[e].pair, models.only(e).acting()
        for rule in ASKED:
            head: Row = {"seen": config.seen, "rule": rule, "first": one[0], "second": one[1]}
            texts = solutions(models.bases, asked, acting[rule])
            ends = [outcome(solution, written) for _, solution, written in texts]
            for end in OUTCOMES:
                first = texts[ends.index(end)] if end in ends else ["–"] * 3
                first = [text if " " in text else "–" for text in first]  # a word is no solution
                row: Row = {**head, "seed": config.seed, "outcome": end}
                row["rate"] = round(ends.count(end) / len(ends), 4)
                table.append(
                    row | dict(zip(("question", "solution", "written"), first, strict=True))
                )
    return table


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="torch",
    profiles={
        "quick": (Covered(SEEN[0], size=QUICK),),
        "small": tuple(Covered(SEEN[0], k, QUICK) for k in SMALL),
        "paper": tuple(Covered(SEEN[3], seed) for seed in range(3)),
    },
    minutes={"quick": 0.1, "small": 0.5, "paper": 0.5},
)
