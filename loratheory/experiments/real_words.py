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
from typing import TYPE_CHECKING, Any, NamedTuple

from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.bench.language import Way

SHOWN = 3


class Kind(NamedTuple):
    """A kind of problems: the skills of its steps in turn, its numbers, its wording."""

    skills: tuple[str, ...]
    size: str = "to 9"
    anew: bool = False

    @property
    def name(self) -> str:
        """The skills, and whether no adapter reads the wording."""
        return ", ".join(self.skills) + ", reworded" * self.anew


@dataclass(frozen=True)
class Config:
    """Two skills, and what is asked of a language model about them.

    Attributes
    ----------
    seed : int
        Of problems and training.
    skills : tuple of two str
        Of the first and of the second adapter.
    lessons : int
        Problems that an adapter is trained on, half of them with numbers to 9.
    steps : int
        Of training.
    asked : int
        Problems of each kind that are asked.
    sums : int
        Bare sums of each kind that the base is asked, and nothing else; 0 for problems instead.
    full : bool
        Whether there are adapters of both skills' lessons (joint) and of the target (composed), and
        problems put otherwise.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device, dtype : str
        As in `load`. A processor that multiplies in bfloat16 needs a quarter of the time with it.
    """

    seed: int = 0
    skills: tuple[str, str] = ("add", "subtract")
    lessons: int = 160
    steps: int = 20
    asked: int = 12
    sums: int = 0
    full: bool = True
    model: str = ""
    device: str = "cpu"
    dtype: str = "bfloat16"


def cell(config: Config) -> list[Row]:
    """Return one row for each way, kind of problem and mark.

    Parameters
    ----------
    config : Config
        What to teach to which model.

    Returns
    -------
    list of dict
        ``way``; ``asked``, skills of the steps in turn, or a bare sum, of which only the base is
        asked; ``size`` of the numbers; ``mark``, of `solved`, or ``sum``; ``share`` right.
    """
    from loratheory.experiments.real._digits import reading_digits
    from loratheory.experiments.real._skilled import lesson
    from loratheory.experiments.real._solved import copied, solved
    from loratheory.experiments.real._stepwise import ANEW, TAUGHT, drawn
    from loratheory.experiments.real._sums import every
    from loratheory.pretrained import load

    base = load(config.model or None, device=config.device, dtype=config.dtype)
    model, seed = reading_digits(base), config.seed
    if config.sums:
        return [
            {
                "seed": seed,
                "rule": way,
                "asked": name,
                "size": size,
                "metric": "sum",
                "share": share,
            }
            for way, name, size, share in every(model, config.sums, seed)
        ]
    asked = {
        kind: drawn(
            kind.skills,
            config.asked,
            seed,
            lesson=False,
            size=kind.size,
            wordings=ANEW if kind.anew else TAUGHT,
        )
        for kind in kinds(config)
    }
    found = [("copy", k.name, k.size, "at once", copied(told)) for k, told in asked.items()]
    for way, use, library in _ways(model, config):
        with use(model, library):
            for kind, problems in asked.items():
                shown = lesson(kind.skills, 2 * SHOWN, seed) if way == "base, shown" else []
                marks = solved(model, problems, shown[kind.size != "to 9" :: 2])
                found += [(way, kind.name, kind.size, mark, x) for mark, x in marks.items()]
    return [
        {"seed": seed, "rule": way, "asked": name, "size": size, "metric": mark, "share": share}
        for way, name, size, mark, share in found
    ]


def kinds(config: Config) -> tuple[Kind, ...]:
    """Return the kinds of problems that are asked."""
    one, two = config.skills
    small = (Kind((one,)), Kind((two,)), Kind((one, two)))
    return (*small, Kind((one,), "to 20"), Kind((one,), anew=True)) if config.full else small


def _ways(model: Any, config: Config) -> "Iterator[tuple[str, Way, list[Any]]]":
    """Every way of using adapters by its name, and the adapters that it is given."""
    from loratheory.experiments.bench.language import way
    from loratheory.experiments.bench.rules import rule
    from loratheory.experiments.real._skilled import skilled
    from loratheory.experiments.real._tried import MERGED

    told = (model, config.skills, config.lessons, config.seed)
    made = skilled(*told, steps=config.steps, full=config.full)
    pair = [made[f"{skill} alone"] for skill in config.skills]
    yield "base", way(rule("base")), pair
    yield "base, shown", way(rule("base")), pair
    for name, adapter in made.items():
        yield name, way(rule("sum")), [adapter]
    yield "mean", way(rule("mean")), pair
    yield "sum", way(rule("sum")), pair
    if config.full:
        yield "ties", MERGED["ties"], pair
    yield "arrow", way(rule("arrow")), pair
    yield "gates, z = 2", way(rule("gates, z = 2")), pair


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="pretrained",
    profiles={
        "quick": (Config(sums=4),),
        "paper": tuple(Config(seed, sums=sums) for sums in (0, 16) for seed in range(3)),
    },
    minutes={"quick": 1, "paper": 36},
)
