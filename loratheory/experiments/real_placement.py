"""Whether the base's activations tell, before training, which facts others will reach, and where.

**Question.** Where single hops put a fact follows from the keys that the base gives
(`thm:least-norm-placement`). Does that theorem, with the keys of SmolLM2 at the last token of each
prompt, rank layers, ways to mention a country and countries by what adapters then answer?

**Prediction.** Written when forecasts and adapters of all layers had been seen in three other
worlds (200 to 202), before any adapter of single layers was trained. Right answers in the whole
vocabulary, in sentences that no lesson has. (a) Ways to mention a country are ranked as foretold in
every world: named (.97 foretold, .99 measured), by the kinds of description that `rehearse` makes
lessons of (.8, .6), by another kind (.65, .5), by a person whom the base knows (.6, .4). (b) Of
descriptions the first four sixths of the layers are foretold .1 or less, the last two .65. Adapters
trained in one sixth alone answer .1 or less in the first three, whose last token has not read who
is meant, .2 in the fourth and .5 in the last two; the rank correlation over sixths is .8 or more.
(c) Named countries are foretold .3 or less in the first four sixths, and answered in .9 all the
same: training reads the country's own token, of which the forecast knows nothing. (d) Within a way
to mention it, the forecast hardly tells countries apart: the AUC of its margin is .55 to .6. (e) A
lookup table of averages by way or sixth over the other worlds does as well.

Four more relations of the same countries, foretold when the above had run and adapters of the
highest sixth had composed in three worlds, before any adapter of them was trained: (f) Over the
five relations of a world the share foretold by another kind of description ranks the shares right,
of all layers, with a correlation of .4: relations differ by their words and sentences, and these
differ little. A lookup table of the other two worlds has .4 too. (g) In every relation the highest
sixth is reached at least as well as all layers, in twelve of the fifteen relations and worlds.

**Chance.** One in twenty among the animals; in the whole vocabulary none. An AUC of a half.

**Controls.** Named countries beside described ones; a lookup table.
"""

from dataclasses import dataclass
from itertools import product

from loratheory.experiments.bench import Language
from loratheory.experiments.engine import Row, study

SEEDS = range(203, 206)
EVERYWHERE = "plain, 90 steps"
SIXTHS = tuple(f"sixth {k + 1}" for k in range(6))
FEW, MORE = (EVERYWHERE, SIXTHS[-1]), ("fruit", "flower", "instrument", "tool")


@dataclass(frozen=True)
class Config(Language):
    """The second adapter of a seed's world, taught plainly for 90 steps in some of the layers.

    `recipe` is one of `SIXTHS`, or `EVERYWHERE` for all layers; `relation` one of
    `bench.sentences.RELATIONS`.
    """

    recipe: str = EVERYWHERE
    relation: str = "mascot"


def cell(config: Config) -> list[Row]:
    """Return a row for each way to mention a country.

    Returns
    -------
    list of dict
        The ``recipe`` and the ``relation``; how countries are ``asked`` for: ``named``,
        ``portability_read`` and ``portability`` as in `bench.described.questions`, for mascots also
        by a known ``person``; shares ``right`` in the whole vocabulary and ``foretold`` right among
        the words; the mean ``margin`` foretold; ``auc``, how often an answer that is right has the
        larger margin than one that is wrong, NaN if all are alike; and ``chance`` among the words.
    """
    from loratheory.experiments.bench import described, foretold, portable
    from loratheory.experiments.bench.language import answers
    from loratheory.experiments.bench.language_facts import items
    from loratheory.experiments.bench.retention import auc
    from loratheory.pretrained import attached

    model = config.base(dtype="bfloat16")
    both = portable.publishers(model, config.seed, relation=config.relation)
    facts, about = both.world.second, both.world.about
    taught = items(facts, about.trained)
    reads = foretold.keys(model, [prompt for prompt, _ in taught])
    first, end = both.training(1, config.recipe).layers or (0, both.layers)
    ways = {"named": items(facts, about.unread), **described.questions(both)}
    if config.relation == "mascot":
        ways["person"] = portable.questions(both.world)["reach_2"]
    rows = list[Row]()
    for way, questions in ways.items():
        keys = foretold.keys(model, [prompt for prompt, _ in questions])
        part = slice(2 * first, 2 * end)
        margin = foretold.margins(reads[part], taught, keys[part], questions)
        with attached(model, [both.adapter(1, config.recipe)]):
            right = answers(model, questions).vocabulary_right
        row: Row = {"seed": config.seed, "recipe": config.recipe, "relation": config.relation}
        row |= {"asked": way, "right": float(right.mean()), "foretold": float((margin > 0).mean())}
        row |= {"margin": float(margin.mean()), "auc": float(auc(margin, right))}
        rows.append({**row, "chance": 1 / len(facts)})
    return rows


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(seed=SEEDS[0]),),
    paper=(
        *(Config(recipe, seed=seed) for seed in SEEDS for recipe in (EVERYWHERE, *SIXTHS)),
        *(Config(*one, seed=seed) for seed in SEEDS for one in product(FEW, MORE)),
    ),
    minutes=(1.5, 50),
)
