"""Word problems in steps on a language model of 135M parameters, with an adapter for each skill.

**Question.** How far does a small language model reach in word problems, and do adapters of single
skills compose there?

**Prediction.** The base does not know the form unless problems are shown; then it solves one step
about as often as it does the bare sum, so that arithmetic, not reading, is its limit: sums to 9
well, differences less, to 20 hardly, two steps as the product. (Of another seed it was known that
in digits it adds to 9 with .82, subtracts with .36, to 20 with .38 and .07, in words with .15 at
best, and solves .62 of additions to 9 after three shown. Of adapters only losses were seen, which
stay where they are from twenty steps on.) An adapter of a
skill writes the right expression for it, .9 or more, with numbers and owners that it has not seen,
less in other wordings, and computes as the base does. It has met one sign only, and writes this
sign to all problems: alone it solves nothing of the other skill, and no target. Two habits are a
tied vote (`thm:template-vote`), in which the base's own reading of more and fewer decides, so mean
and sum write the right sign in most cases, and lose some of each skill. Step by step nothing more
is lost: the result stands in the text (`thm:clean-up-bridge`), and the target is solved as the
product of what the merge is worth in either skill; `given` is its second factor. An adapter of both
skills' lessons (joint) beats all merges, since it has learned to tell them apart, and the one
trained on the target is best. Arrow and gates see prompts that are alike but for a word, so they do
as mean and sum. At once the target stays near `copy` for all, trained on it or not
(`thm:two-read-region`, `thm:invisible-placement`).

**Chance.** One number in twenty; ``copy``, the best rule that copies the story's number at one
place, has a row.

**Controls.** The base, with problems shown or not; each adapter alone; joint; composed; `copy`; the
right first result given; bare sums. Pairs of numbers and all owners are held out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from loratheory.experiments.bench import Language
from loratheory.experiments.bench import language_words as bench
from loratheory.experiments.bench.language import acting
from loratheory.experiments.bench.rules import Act, rule
from loratheory.experiments.engine import Row, study


class Kind(NamedTuple):
    """A kind of problems: the skills of the steps in order, the size of numbers, the wording."""

    skills: tuple[str, ...]
    size: str = "to 9"
    reworded: bool = False

    @property
    def name(self) -> str:
        """The skills, with "reworded" if no adapter was trained on the wording."""
        return ", ".join(self.skills) + ", reworded" * self.reworded


@dataclass(frozen=True)
class Config(Language):
    """Two skills, and what is asked of a language model about them.

    Attributes
    ----------
    skills : tuple of two str
        The skills of the first and of the second adapter.
    lessons : int
        Problems that an adapter is trained on, half of them with numbers to 9.
    steps : int
        Training steps of an adapter.
    asked : int
        Problems of each kind that are asked.
    sums : int
        If not 0, the base is asked only bare sums, so many of each kind, and no problems.
    full : bool
        Whether an adapter of both lessons (joint) and one of the target (composed) are trained,
        too, and reworded problems are asked.
    dtype : str
        Passed to `load`. A processor that multiplies in bfloat16 takes a quarter of the time in it.
    """

    skills: tuple[str, str] = ("add", "subtract")
    lessons: int = 160
    steps: int = 20
    asked: int = 12
    sums: int = 0
    full: bool = True
    dtype: str = "bfloat16"


def cell(config: Config) -> list[Row]:
    """Return one row for each rule, kind of problem and metric.

    Returns
    -------
    list of dict
        ``rule``; ``asked``, the skills of the steps in order, or a bare sum, which only the base is
        asked; ``size`` of the numbers; ``metric``, one of `bench.language_words.solved`, or
        ``sum``; ``share`` right.
    """
    model, seed = bench.reading_digits(config.base(dtype=config.dtype)), config.seed
    found: list[tuple[str, str, str, str, float]] = []
    if config.sums:
        for name, sums, size, share in bench.sums_right(model, config.sums, seed):
            found.append((name, sums, size, "sum", share))
    else:
        ask = partial(bench.drawn, seed=seed)
        problems = {
            kind: ask(kind.skills, config.asked, size=kind.size, reworded=kind.reworded)
            for kind in kinds(config)
        }
        for kind, each in problems.items():
            found.append(("copy", kind.name, kind.size, "at once", bench.copied(each)))
        adapters = bench.skilled(
            model, config.skills, config.lessons, seed, steps=config.steps, full=config.full
        )
        for name, which, act in arms(config, [*adapters]):
            with acting(model, [adapters[each] for each in which], act):
                for kind, each in problems.items():
                    count = bench.SHOWN if name == "base, shown" else 0
                    shown = ask(kind.skills, count, size=kind.size, training=True)
                    shares = bench.solved(model, each, shown)
                    found += [(name, kind.name, kind.size, *pair) for pair in shares.items()]
    names = ("seed", "rule", "asked", "size", "metric", "share")
    return [dict(zip(names, (seed, *row), strict=True)) for row in found]


def kinds(config: Config) -> tuple[Kind, ...]:
    """Return the kinds of problems that are asked."""
    one, two = config.skills
    small = (Kind((one,)), Kind((two,)), Kind((one, two)))
    more = (Kind((one,), "to 20"), Kind((one,), reworded=True))
    return (*small, *more) if config.full else small


def arms(config: Config, adapters: list[str]) -> Iterator[tuple[str, list[str], Act]]:
    """Yield each rule's name, the names of the adapters that it reuses, and the rule."""
    pair = adapters[:2]
    yield "base", pair, rule("base")
    yield "base, shown", pair, rule("base")
    for name in adapters:
        yield name, [name], rule("sum")
    yield "mean", pair, rule("mean")
    yield "sum", pair, rule("sum")
    if config.full:
        yield "ties", pair, rule("ties", density=0.2, rank=32)
    yield "arrow", pair, rule("arrow")
    yield "gates, z = 2", pair, rule("gates, z = 2")


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(sums=4),),
    paper=(Config(sums=sums, seed=seed) for sums in (0, 16) for seed in range(3)),
    minutes=(1, 36),
)
