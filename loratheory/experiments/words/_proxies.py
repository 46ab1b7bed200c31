"""What can be known of two adapters without a label: likeness of weights, answers, behaviour."""

import numpy as np
import torch

from loratheory.adapters import Adapter, read_likeness, response_likeness, write_likeness
from loratheory.experiments.reuse._bases import tensor
from loratheory.experiments.words._problems import CODE, FORMS
from loratheory.experiments.words._reuse import padded
from loratheory.experiments.words._taught import Taught
from loratheory.lowrank import frobenius
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, stacked
from loratheory.tasks.word_problems import Problems, shape_share, template_overlap
from loratheory.toy.transformer import Adapt, Lora, Site, adapters_of, logits

PROXIES = ("overlap", "shape", "read", "write", "response", "agreement")
"""The first two need the solutions; two the adapters; two also the base and prompts."""


def proxies(here: Taught, asked: list[Problems]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return what predicts reuse, case by case.

    Parameters
    ----------
    here : Taught
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
    both = list(zip(adapters_of(here.first), adapters_of(here.second), strict=True))
    seen = _activations(here, prompts)
    table: dict[str, list[float]] = {name: [] for name in PROXIES}
    for e, (case, (one, two)) in enumerate(zip(here.cases, both, strict=True)):
        rng = np.random.default_rng([here.seed, 17])
        sets = [lesson.drawn(192, rng).templates for lesson in case.lessons]
        found = _likeness(one, two, {name: x[e] for name, x in seen.items()})
        found["overlap"] = template_overlap(*sets)
        found["shape"] = min(shape_share(each, asked[e].templates) for each in sets)
        for name, value in found.items():
            table[name].append(value)
    table["agreement"] = _agreement(here, prompts).tolist()
    return {name: np.array(column) for name, column in table.items()}


def _likeness(one: Adapter, two: Adapter, seen: dict[str, torch.Tensor]) -> dict[str, float]:
    """Means over modules, each weighted by the product of its two norms."""
    size = {name: frobenius(one[name]) * frobenius(two[name]) for name in one}
    each = {
        name: (
            read_likeness(one[name], two[name]),
            write_likeness(one[name], two[name]),
            response_likeness(one[name], two[name], seen[name]),
        )
        for name in size
    }
    total = sum(size.values())
    means = (sum(size[name] * each[name][k] for name in size) / total for k in range(3))
    return dict(zip(("read", "write", "response"), means, strict=True))


def _activations(here: Taught, prompts: Prompts) -> dict[str, torch.Tensor]:
    """What the base feeds each map where the questions end, ``(E, B, n)``."""
    seen: dict[str, torch.Tensor] = {}
    rows, length = prompts.tokens.shape[1:]
    ends = tensor(prompts.asked + np.arange(rows) * length)[..., None]

    def _record(site: Site, x: torch.Tensor) -> None:
        seen[site.name] = x.take_along_dim(ends, dim=1)

    with torch.inference_mode():
        logits(here.known.config, here.known.weights, tensor(prompts.tokens), _record)
    return seen


def _agreement(here: Taught, prompts: Prompts) -> Float[np.ndarray, " E"]:
    def _next(adapt: Adapt | Lora) -> np.ndarray:
        with torch.inference_mode():
            found = logits(here.known.config, here.known.weights, tensor(prompts.tokens), adapt)
        likeliest: np.ndarray = found.argmax(-1).numpy()
        return np.take_along_axis(likeliest, prompts.asked[..., None], axis=-1)[..., 0]

    return np.mean(_next(here.first) == _next(here.second), axis=1)
