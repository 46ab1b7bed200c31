"""Evaluate libraries of one to eight pairs of adapters under every combination method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.shapes import Float
from loratheory.toy.transformer import ATTENTION, MLP
from paper.studies._shared.answers import answer_margins
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import Active, rule
from paper.studies._shared.rows import compared
from paper.studies._shared.run import Row, part, study
from paper.studies._shared.training import EditLibrary

RULES: tuple[str, ...] = ("base", "mean", "half the sum", "sum", "ties", "knots")
RULES += ("interpolating", "arrow", "norm, soft", "norm, z", "per-matrix gating")
RULES += ("per-matrix gating, z = 2", "per-block gating, z = 2", "per-block gating, z = 3")
RULES += ("oracle placement", "sum, two-step prompting")
RULES += ("sum, second pass",)


@dataclass(frozen=True)
class Config(Small):
    """A library of `pairs` pairs of adapters of a `rank`, one adapter per hop and pair.

    Adapters change the `modules` ``mlp`` or ``attention``.
    """

    pairs: int = 2
    rank: int = 8
    modules: str = "mlp"


def cell(config: Config) -> list[Row]:
    """Return a row per base, repetition and rule.

    The columns are the fields that configs vary; accuracies; and the columns of `detection`, which
    are NaN for methods without a route and for attention.
    """
    modules = {"mlp": MLP, "attention": ATTENTION}[config.modules]
    library = config.library(modules=modules, pairs=config.pairs, rank=config.rank)

    def _rates(active: Sequence[Active]) -> dict[str, Any]:
        if config.modules == "mlp" and active[0].route is not None:
            return detection(library, active)
        return {"misses": float("nan"), "false_alarms": float("nan")}

    options: dict[str, dict[str, Any]] = {"interpolating": {"ridge": 0.1}}
    options["ties"] = {"density": 0.3, "rank": config.width}
    conditions = [(name, rule(name, **options.get(name, {})), _rates) for name in RULES]
    varied = ("facts", "pairs", "rank", "modules", "coverage")
    return compared(library, {name: getattr(config, name) for name in varied}, conditions)


def detection(library: EditLibrary, active: Sequence[Active]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return the errors of a route at the reads of edited questions.

    The j-th read of ``x r1 r2`` happens in loop ``j`` at the token ``r_j``, where only the pair's
    adapter of hop ``j`` should be on. ``misses`` is 1 minus the weight of the right adapter,
    ``false_alarms`` the weight of all other adapters; both are summed over a question's reads and
    averaged over questions and pairs. The bases need one layer per loop and as many loops as hops.
    """
    hops, misses, alarms = library.bases.setting.hops, [], []
    for pair, method in enumerate(active):
        prompts = library.questions(pair)
        # The pass records the weights in `on`.
        answer_margins(library.bases, prompts, method)
        for site, seen in method.on.items():
            if site.module != "mlp.in":
                continue
            at_read = seen.unflatten(1, prompts[0].tokens.shape)[:, :, site.loop + 1].double()
            right = at_read[..., pair * hops + site.loop]
            misses.append((1 - right).mean(dim=1).numpy())
            alarms.append((at_read.sum(dim=-1) - right).mean(dim=1).numpy())
    found = {"misses": misses, "false_alarms": alarms}
    return {name: np.sum(each, axis=0) / len(active) for name, each in found.items()}


_SETTINGS: tuple[dict[str, Any], ...] = (
    *({"facts": n, "pairs": k} for n, k in ((5, 1), (20, 1), (5, 2), (3, 4), (5, 4), (4, 8))),
    {"rank": 2},
    {"coverage": 0.25},
    {"modules": "attention"},
)
STUDY = study(
    __name__,
    part(
        "small_libraries",
        cell,
        (Config(sets=1), Config(pairs=1, facts=10, sets=1)),
        on_all_bases(Config(**one) for one in _SETTINGS),
    ),
    minutes=(1, 25),
)
