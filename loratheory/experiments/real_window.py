"""Two edits of a language model that composes, merged with one coefficient from 0 to 1.5.

**Question.** Edits that replace old facts can survive a merge one by one and lose the question that
needs both, between ½ and .618 in the exact model. Is there such a window in a language model, where
is it, and do measured strengths say where?

**Prediction.** The base answers two-hop questions about invented persons: two adapters that compose
under a sum (`real_portable`) act on it throughout. Edits change persons' countries and countries'
animals, in four cases. Written after one development seed (101), before any other: (a) Edits taught
beside stand-ins have .75 of the two-hop questions at coefficient 1, single hops .9 or more; plain
edits have .45 at most at any coefficient, single hops all the same, and say nothing of a window:
they are reported apart. (b) Where half of the questions are answered: single hops at .4, for edits
overshoot; two hops over old facts (*overwrite*) at .72, *overwrite both* at .7, *new subject* and
*new facts* at .5. The linear law (`thm:two-read-region`) has ½; .618, ½, ½ and 0, a bridge that
decides (`thm:clean-up-bridge`) ½ in the first three: so the window exists and is wider, its order
(*overwrite* after *new subject* after or with *new facts*) is the law's, and *overwrite both* and
*new facts* are later than any law here says. (c) At the mean of the two the single hops have .8 and
two hops over old facts .25. (d) Forecasts of single questions: margins measured in the question's
own prompt at 0 and 1, joined by a straight line (`thm:averaging-survival`), say at every other
coefficient whether it is answered in .85, with an AUC within case and coefficient of .8, and beat
the lookup table of the other seeds in Brier score. The law of two reads with strengths measured on
single hops does not beat that table: it knows nothing of what happens within two-hop prompts.

**Chance.** One in forty among the animals; in the whole vocabulary none.

**Controls.** Coefficient 0; each edit alone, whose two-hop answers are at chance but for the old
ones; four sentences that no adapter read; the old world's questions, which the edits take away.
"""

from dataclasses import dataclass

from loratheory.bench import Language
from loratheory.experiments.engine import Row, study

SEEDS = range(200, 210)


@dataclass(frozen=True)
class Config(Language):
    """A world of `real_portable`, edited by adapters of one recipe of `bench.portable.RECIPES`."""

    recipe: str = "two stand-ins"


def cell(config: Config) -> list[Row]:
    """Return a row for each kind of question at each coefficient of both edits.

    Returns
    -------
    list of dict
        ``hop`` (``hop 1``, ``hop 2``, ``two hops``, ``old``), the ``case`` of the persons asked
        about (``any`` for countries), whether the sentence was ``read`` in training, the
        ``coefficient``, and the columns of `bench.overwritten.curves`; right is what leads the
        whole vocabulary.
    """
    from loratheory.experiments.bench import overwritten as bench
    from loratheory.experiments.bench import portable
    from loratheory.pretrained import attached

    model = config.base(dtype="bfloat16")
    both = portable.publishers(model, config.seed)
    old = [both.adapter(hop, "two stand-ins") for hop in range(2)]
    made = bench.edits(both.world, config.seed)
    with attached(model, old):
        editors = bench.editors(both, made)
        new = [editors.adapter(hop, config.recipe) for hop in range(2)]
    asked, found = [*made.questions()], {}
    for pair in bench.ways():
        with attached(model, [*old, *new], [1.0, 1.0, *pair]):
            found[pair] = bench.margins(model, asked)
    head: Row = {"seed": config.seed, "recipe": config.recipe}
    return [{**head, **row} for row in bench.curves(made, asked, found)]


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0], recipe="plain"),),  # its base is of `real_portable`
    paper=(
        *(Config(seed=seed) for seed in SEEDS),
        *(Config(seed=seed, recipe="plain") for seed in SEEDS[:5]),  # not admitted: told apart
    ),
    minutes=(4, 85),
)
