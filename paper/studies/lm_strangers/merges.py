"""More ways to merge or route the adapters of both authors, some chosen on the test questions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paper.studies._shared import measures
from paper.studies._shared.language import Method, coefficients, depth, layer_split, rule
from paper.studies._shared.run import Row
from paper.studies.lm_strangers.draw import draw
from paper.studies.lm_strangers.pairs import describe, mean_answers, train

if TYPE_CHECKING:
    from paper.studies.lm_strangers.pairs import Config

RULES = ("ties", "knots", "interpolating", "arrow", "arrow, peft")
GATING = ("per-matrix gating, z = 2", "per-block gating, z = 2")
GRID = (0.5, 0.7, 1.0, 1.4)  # coefficients of each adapter
SPLITS = (3, 4, 5, 6, 7)  # tenths of the layers


def measure_merges(config: "Config") -> list[Row]:
    """Return a row for each way of using the two adapters.

    Returns
    -------
    list of dict
        The config; the ``rule``, the coefficients ``first`` and ``second``, and the first ``layer``
        of hop 2 in a split, else -1; top-1 accuracies (``two_hop``, ``hop_1``, ``hop_2``), means
        over held-out templates; ``drift`` in nats per token.
    """
    from loratheory.pretrained import kl_to_base

    model = config.base(dtype="bfloat16")
    facts, rows = draw(config.pair, config.level, config.seed), list[Row]()
    adapters = [train(model, facts, config, hop)[0] for hop in range(2)]
    generic = measures.generic_log_probs(model)
    for name, first, second, layer, method in _uses(depth(model)):
        row = {**describe(config, model), "rule": name, "first": first, "second": second}
        with method(model, adapters):
            row |= {"layer": layer, **mean_answers(model, facts)}
            row["drift"] = kl_to_base(generic, measures.generic_log_probs(model))
        rows.append(row)
    return rows


def _uses(layers: int) -> Iterator[tuple[str, float, float, int, Method]]:
    """Yield names, coefficients and layers of the ways to use two adapters, and the ways."""
    for name in (*RULES, *GATING):
        yield name, 1.0, 1.0, -1, rule(name)
    for tenths in SPLITS:
        layer = tenths * layers // 10
        yield "layer split", 1.0, 1.0, layer, layer_split(layer)
    for first in GRID:
        for second in GRID:
            yield "coefficients", first, second, -1, coefficients(first, second)
