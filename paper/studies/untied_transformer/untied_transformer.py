"""Four untied layers with full attention: the questions that were asked of a looped block."""

from dataclasses import dataclass

from paper.studies._shared.configs import Untied
from paper.studies._shared.library import coefficients, layer_split, of, rule
from paper.studies._shared.rows import grown_libraries
from paper.studies._shared.run import Row, part
from paper.studies._shared.training import Taught, alike
from paper.studies.untied_transformer.questions import Way, by_question

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

    The columns are those of `by_question`. The rule ``sum`` has each coefficient of the grid;
    ``sum, hop by hop`` has ½ and 1.
    """
    table: list[Row] = []
    for stage, where, library in grown_libraries(config, LAYERS):
        head = {"coverage": config.coverage, "stage": stage, "layers": where}
        table += by_question(library, head, ways(library, config.steps))
    return table


def ways(library: Taught, steps: int) -> list[Way]:
    """Return the ways of using one pair of adapters, with the adapters of controls."""
    first, second = library.adapters
    grid = [1.5 * step / steps for step in range(steps + 1)]
    density = {"density": 0.3, "rank": library.bases.config.width}
    options = dict.fromkeys(("ties", "dare", "knots"), density)
    middle = library.bases.config.depth // 2
    noise = {"hop 1 beside noise": (first, alike(second, 1))}
    noise |= {"hop 2 beside noise": (alike(first), second)}
    turns = (("mean, hop by hop", 0.5), ("sum, hop by hop", 1.0))
    return [
        *(Way("sum", c, coefficients(c), theory=True) for c in grid),
        *(Way("sum, hop by hop", c, rule(name), theory=True) for name, c in turns),
        *(Way(name, 1.0, rule(name, **options.get(name, {}))) for name in RULES),
        *(Way(name, 1.0, layer_split(middle, *halves)) for name, halves in SPLIT.items()),
        *(Way(name, 1.0, of(*both)) for name, both in noise.items()),
    ]


PART = part(
    "untied_transformer",
    cell,
    (Config(coverage=0.5, stages=(1000,), sets=2),),
    (
        *(Config(seed) for seed in range(8)),
        *(Config(seed, coverage=0.5, stages=(1000,)) for seed in range(8)),
    ),
)
