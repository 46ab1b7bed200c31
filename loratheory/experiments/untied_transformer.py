"""Four untied layers with full attention: the questions that were asked of a looped block.

**Question.** In a transformer of four layers of its own that learned two-hop questions by itself,
at which merge coefficient, under which rule and after which pretraining do adapters of single hops
answer the two-hop question, and what do they take from each other and from all else?

**Prediction.** (a) After 1000 steps the mean keeps .6 or more of the facts, though most are weaker
than `thm:averaging-survival` demands (strength 1): edits are not straight. Two-hop questions come
later than the .618 of `thm:two-read-region` and with no sharp edge: at ½ at most .1 of those of
adapters trained in all layers and .35 of those trained each in its half (hop 1 below, hop 2 above);
no coefficient brings the former above .5, and the sum brings the latter to .4 or more. As a
probability `predicted` does worse than a lookup table of averages by condition; but within a
condition `reach` tells which question is answered, with an AUC of .6 or more. Both facts being
right in the same merge is no forecast of the question: it errs by .4 or more at the sum. (b) No
rule in one pass is better than the sum by more than .1; block gates at two deviations are worse,
DARE leaves nothing, and a split by halves gains nothing where adapters were trained in all layers,
for it costs facts; the wrong order has .1 or less. Hop by hop the sum has .9 or more, and mean and
sum as much as both facts survive. (c) After 250 steps, and at coverage ½, where bases themselves
answer less than .35 of their unasked questions, no rule in one pass reaches .25, while the sum hop
by hop still has .8. (d) In the sum the other adapter takes at most .1 of an adapter's facts, at
most .2 of unedited facts beyond what an adapter alone takes, and .1 to .4 of unedited two-hop
questions; noise of its norm takes as much or more. Sizes were chosen on base seed 101.

**Chance.** One answer always given is right once in as many as there are two-hop questions.

**Controls.** The base; each adapter alone, and beside noise of the other's norm; the wrong order;
coefficient 0; unedited facts and questions. Forecasts stand beside the lookup table, learnt on the
other bases, and beside the product of single hops (`hop_1` times `hop_2`).
"""

from dataclasses import dataclass

from loratheory.experiments.bench import Untied
from loratheory.experiments.bench import transformers as bench
from loratheory.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.engine import Row, study

LAYERS: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "all": (),
    "halves": (((0, 1),), ((2, 3),)),
}
"""For each hop's adapter, the layers in which it is trained; ``()``: all of them."""
RULES: tuple[str, ...] = (
    *("base", "hop 1 alone", "hop 2 alone", "ties", "dare", "knots", "arrow", "norm, soft"),
    *("norm, z", "gates", "gates, z = 2", "block gates, z = 0", "block gates, z = 2"),
    "sum, second pass",
)
SPLIT = {"layer split": ("below", "above"), "reversed layer split": ("above", "below")}


@dataclass(frozen=True)
class Config(Untied):
    """A base at several stages and its adapters; coefficients go to 1.5 in `steps` steps."""

    steps: int = 15


def cell(config: Config) -> list[Row]:
    """Return a row per stage, layers, way of reuse, edit set and question.

    The columns are those of `bench.by_question`. The rule ``sum`` has each coefficient of the grid;
    ``sum, hop by hop`` has ½ and 1.
    """
    table: list[Row] = []
    for stage, where, library in bench.grown_libraries(config, LAYERS):
        head = {"coverage": config.coverage, "stage": stage, "layers": where}
        table += bench.by_question(library, head, ways(library, config.steps))
    return table


def ways(library: "bench.Taught", steps: int) -> "list[bench.Way]":
    """Return the ways of using one pair of adapters, with the adapters of controls."""
    first, second = library.adapters
    grid = [1.5 * step / steps for step in range(steps + 1)]
    density = {"density": 0.3, "rank": library.bases.config.width}
    options = dict.fromkeys(("ties", "dare", "knots"), density)
    middle = library.bases.config.depth // 2
    noise = {"hop 1 beside noise": (first, bench.alike(second, 1))}
    noise |= {"hop 2 beside noise": (bench.alike(first), second)}
    turns = (("mean, hop by hop", 0.5), ("sum, hop by hop", 1.0))
    return [
        *(bench.Way("sum", c, coefficients(c), theory=True) for c in grid),
        *(bench.Way("sum, hop by hop", c, rule(name), theory=True) for name, c in turns),
        *(bench.Way(name, 1.0, rule(name, **options.get(name, {}))) for name in RULES),
        *(bench.Way(name, 1.0, layer_split(middle, *halves)) for name, halves in SPLIT.items()),
        *(bench.Way(name, 1.0, bench.of(*both)) for name, both in noise.items()),
    ]


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(coverage=0.5, stages=(1000,), sets=2),),
    paper=(
        *(Config(seed) for seed in range(8)),
        *(Config(seed, coverage=0.5, stages=(1000,)) for seed in range(8)),
    ),
    minutes=(0.5, 9),
)
