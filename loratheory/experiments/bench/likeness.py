"""Measures that may foretell, without labels, whether two adapters compose."""

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from loratheory.adapters import (
    Adapter,
    Aligned,
    aligned,
    frobenius_cosine,
    read_likeness,
    response_likeness,
    write_likeness,
)
from loratheory.experiments.bench.problems import CODE, padded
from loratheory.experiments.bench.reliability import MEASURES
from loratheory.experiments.bench.words import Trained, likeliest
from loratheory.shapes import Float
from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.word_problems import Problems, shape_share, stepwise, template_overlap
from loratheory.toy.transformer import Site, adapters_of, logits


def likeness(models: Trained, asked: list[Problems]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return measures that may foretell reuse, per case, from the target's prompts without answers.

    `overlap` is that of the two sets of training solutions (see `template_overlap`); `shape` the
    share of an adapter's solutions whose shape the target needs, the smaller of both. `read` and
    `write` are the likeness of the weights, `cosine` that of the updates as vectors of entries,
    `response` that of the outputs on the base's activations, as means over modules weighted by the
    product of both norms. `subspace` is the overlap of the spaces that both read and write, the
    mean of all squared cosines of principal angles. `agreement` is how often both adapters give the
    same next token where the question ends.
    """
    prompts = stacked(padded([stepwise(CODE, one) for one in asked]))
    skills, inputs = (models.first, models.second), _activations(models, prompts)
    table: list[tuple[float, ...]] = []
    each = zip(models.cases, adapters_of(models.first), adapters_of(models.second), strict=True)
    for e, (case, one, two) in enumerate(each):
        rng = np.random.default_rng([models.seed, 17])
        sets = [lesson.drawn(192, rng).templates for lesson in case.lessons]
        shape = min(shape_share(solutions, asked[e].templates) for solutions in sets)
        alike = _of_weights(one, two, {name: x[e] for name, x in inputs.items()})
        table.append((template_overlap(*sets), shape, *alike))
    ends = prompts.asked[..., None]
    first, second = (
        np.take_along_axis(likeliest(models.bases, prompts.tokens, adapter), ends, axis=-1)
        for adapter in skills
    )
    agreement = np.mean(first == second, axis=(1, 2))
    return dict(zip(MEASURES, (*np.transpose(table), agreement), strict=True))


def _of_weights(one: Adapter, two: Adapter, inputs: dict[str, Tensor]) -> list[float]:
    """Return how alike two adapters are by `read`, `write`, `cosine`, `subspace` and `response`.

    Each is a mean over modules; the responses are those to these inputs.
    """
    weights = weight_likeness(aligned([one, two], any_base=True))
    norms = [one[name].norm * two[name].norm for name in one]
    vectors = [frobenius_cosine(one[name], two[name]) for name in one]
    spaces = [
        float((a.T @ b).square().sum()) / a.shape[1]
        for name in one
        for a, b in (
            (one[name].row_space(), two[name].row_space()),
            (one[name].column_space(), two[name].column_space()),
        )
    ]
    answers = [response_likeness(one[name], two[name], inputs[name]) for name in one]
    return [
        *(pairs[0, 1] for pairs in weights.values()),
        np.average(vectors, weights=norms),
        np.mean(spaces),
        np.average(answers, weights=norms),
    ]


def _activations(models: Trained, prompts: Prompts) -> dict[str, Tensor]:
    """Return what the base feeds each map where the questions end, ``(E, B, n)`` by name."""
    inputs: dict[str, Tensor] = {}
    rows, length = prompts.tokens.shape[1:]
    ends = torch.tensor(prompts.asked + np.arange(rows) * length)[..., None]

    def _record(site: Site, x: Tensor) -> None:
        inputs[site.name] = x.take_along_dim(ends, dim=1)

    with torch.inference_mode():
        logits(models.bases.config, models.bases.weights, torch.tensor(prompts.tokens), _record)
    return inputs


LIKENESS = {"read": read_likeness, "write": write_likeness}


def weight_likeness(library: Aligned) -> dict[str, dict[tuple[int, int], float]]:
    """Return how alike each pair of adapters is in what they ``read`` and in what they ``write``.

    The value of a pair ``(i, j)`` is the mean over modules, each weighted by the product of the two
    updates' norms; 0 if no module is shared.
    """
    total: dict[tuple[int, int], float] = {}
    sums: dict[str, dict[tuple[int, int], float]] = {name: {} for name in LIKENESS}
    for name in library.shapes:
        updates = library.updates(name)
        sizes = [low.norm for low in updates]
        for i, j in combinations(range(len(updates)), 2):
            weight = sizes[i] * sizes[j]
            total[i, j] = total.get((i, j), 0.0) + weight
            for kind, measure in LIKENESS.items():
                value = measure(updates[i], updates[j]) if weight else 0.0
                sums[kind][i, j] = sums[kind].get((i, j), 0.0) + weight * value
    return {
        kind: {pair: value / (total[pair] or 1.0) for pair, value in values.items()}
        for kind, values in sums.items()
    }
