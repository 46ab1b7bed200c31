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

from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.bench.problems import SEEN, Covered, profiles
from loratheory.experiments.engine import Row, study

ASKED = ("base", "first alone", "second alone", "mean", "sum", "gates", "composed")
RIGHT = "right"
PARTS = ("name", "skill", "numbers", "numbers", "result")
_PLACES = tuple(f"{step} {part}" for step in ("first", "second") for part in PARTS)
OUTCOMES = (*dict.fromkeys(_PLACES), RIGHT)
"""Outcomes of a solution: the place of its first wrong word, step by step, or that all is right."""
NOTHING = "–"


def outcome(solution: str, written: str) -> str:
    """Return which of `OUTCOMES` applies when `written` stands for a `solution` of two steps."""
    words = zip_longest(solution.split(), written.split())
    wrong = (place for place, (due, word) in enumerate(words) if due != word)
    return next((_PLACES[place] for place in wrong), RIGHT)


def cell(config: Covered) -> list[Row]:
    """Return a row per pair of skills, rule and outcome, with the adapters of `skill_coverage`.

    `rate` is the share of problems with this outcome. The first such problem is given by its
    `question`, its right `solution` and what was `written`; each is a dash if there is none.
    """
    models, table = config.trained(), list[Row]()
    for e, asked in enumerate(models.targets(config.size.asked)):
        (first, second), acting = models.cases[e].pair, models.only(e).acting()
        for rule in ASKED:
            texts = bench.solutions(models.bases, asked, acting[rule])
            ends = [outcome(solution, written) for _, solution, written in texts]
            for end in OUTCOMES:
                shown = texts[ends.index(end)] if end in ends else [NOTHING] * 3
                row: Row = {"seen": config.seen, "rule": rule, "first": first, "second": second}
                row |= {"seed": config.seed, "outcome": end}
                row["rate"] = round(ends.count(end) / len(ends), 4)
                for name, text in zip(("question", "solution", "written"), shown, strict=True):
                    row[name] = text if " " in text else NOTHING  # a word is no solution
                table.append(row)
    return table


EXPERIMENT = study(
    cell,
    needs="torch",
    **profiles(Covered(seen=SEEN[0]), [Covered(seen=SEEN[3], seed=k) for k in range(3)]),
    minutes=(0.1, 0.5, 0.5),
)
