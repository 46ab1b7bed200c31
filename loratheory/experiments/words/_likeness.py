"""What says without a label how two adapters compose: likeness of weights, answers, behaviour."""

import numpy as np
import torch

from loratheory.adapters import Adapter, read_likeness, response_likeness, write_likeness
from loratheory.experiments.bench.bases import tensor
from loratheory.experiments.words._models import Trained, padded
from loratheory.experiments.words._problems import CODE, FORMS
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, stacked
from loratheory.tasks.word_problems import Problems, shape_share, template_overlap
from loratheory.toy.transformer import Adapt, Lora, Site, adapters_of, logits

PROXIES = ("overlap", "shape", "read", "write", "response", "agreement")
"""The first two need the solutions; two the adapters; two also the base and prompts."""


def proxies(models: Trained, asked: list[Problems]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return what predicts reuse, case by case.

    Parameters
    ----------
    models : Trained
        Two adapters a case.
    asked : list of Problems
        Prompts of the target, of which no answer is read.

    Returns
    -------
    dict of str to (E,) array
        `overlap` of the training solutions, and the `shape` share of them that the target needs,
        the smaller of both adapters; `read` and `write` likeness of weights, means over modules
        weighted by the energies; `response` likeness on the base's activations on the prompts,
        likewise; `agreement`, how often both adapters say the same next token where the question
        ends.
    """
    form = FORMS["stepwise"][0]
    prompts = stacked(padded([form(CODE, one) for one in asked]))
    both = zip(adapters_of(models.first), adapters_of(models.second), strict=True)
    inputs = _activations(models, prompts)
    table: dict[str, list[float]] = {name: [] for name in PROXIES}
    for e, (case, (one, two)) in enumerate(zip(models.cases, both, strict=True)):
        rng = np.random.default_rng([models.seed, 17])
        sets = [lesson.drawn(192, rng).templates for lesson in case.lessons]
        likeness = _likeness(one, two, {name: x[e] for name, x in inputs.items()})
        likeness["overlap"] = template_overlap(*sets)
        likeness["shape"] = min(shape_share(each, asked[e].templates) for each in sets)
        for name, value in likeness.items():
            table[name].append(value)
    table["agreement"] = _agreement(models, prompts).tolist()
    return {name: np.array(column) for name, column in table.items()}


def _likeness(one: Adapter, two: Adapter, inputs: dict[str, torch.Tensor]) -> dict[str, float]:
    """Means over modules, each weighted by the product of its two norms."""
    size = {name: one[name].norm * two[name].norm for name in one}
    each = {
        name: (
            read_likeness(one[name], two[name]),
            write_likeness(one[name], two[name]),
            response_likeness(one[name], two[name], inputs[name]),
        )
        for name in size
    }
    total = sum(size.values())
    means = (sum(size[name] * each[name][k] for name in size) / total for k in range(3))
    return dict(zip(("read", "write", "response"), means, strict=True))


def _activations(models: Trained, prompts: Prompts) -> dict[str, torch.Tensor]:
    """What the base feeds each map where the questions end, ``(E, B, n)``."""
    inputs: dict[str, torch.Tensor] = {}
    rows, length = prompts.tokens.shape[1:]
    ends = tensor(prompts.asked + np.arange(rows) * length)[..., None]

    def _record(site: Site, x: torch.Tensor) -> None:
        inputs[site.name] = x.take_along_dim(ends, dim=1)

    with torch.inference_mode():
        logits(models.bases.config, models.bases.weights, tensor(prompts.tokens), _record)
    return inputs


def _agreement(models: Trained, prompts: Prompts) -> Float[np.ndarray, " E"]:
    def _next(adapt: Adapt | Lora) -> np.ndarray:
        with torch.inference_mode():
            scores = logits(
                models.bases.config, models.bases.weights, tensor(prompts.tokens), adapt
            )
        likeliest: np.ndarray = scores.argmax(-1).numpy()
        return np.take_along_axis(likeliest, prompts.asked[..., None], axis=-1)[..., 0]

    return np.mean(_next(models.first) == _next(models.second), axis=1)
