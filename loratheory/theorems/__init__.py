"""The theorems, a module each, in a package for each chapter; `CHAPTERS` lists them in order.

`verify` checks one on random cases, and `CALCULATORS` evaluate some for plain numbers.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

from loratheory.theorems._calculators import CALCULATORS as CALCULATORS
from loratheory.theorems._calculators import CalculatorError as CalculatorError
from loratheory.theorems._cited import CITED as CITED
from loratheory.theorems._cited import Cited as Cited
from loratheory.theorems._paper import appendix as appendix
from loratheory.theorems._paper import chapter as chapter
from loratheory.theorems._paper import latex as latex
from loratheory.theorems._paper import linked as linked
from loratheory.theorems._paper import parts as parts
from loratheory.theorems._theorem import SAFETY as SAFETY
from loratheory.theorems._theorem import Assumption as Assumption
from loratheory.theorems._theorem import AssumptionError as AssumptionError
from loratheory.theorems._theorem import Control as Control
from loratheory.theorems._theorem import Theorem as Theorem
from loratheory.theorems._theorem import Verdict as Verdict
from loratheory.theorems._verify import Report as Report
from loratheory.theorems._verify import Sensitivity as Sensitivity
from loratheory.theorems._verify import moved as moved
from loratheory.theorems._verify import sensitivity as sensitivity
from loratheory.theorems._verify import verify as verify
from loratheory.theorems._verify import verify_all as verify_all

CHAPTERS: dict[str, tuple[str, ...]] = {
    "expressiveness": (
        "rank_floor",
        "depth_budget",
        "attention_budget",
        "attention_reach",
        "relu_budget",
        "relu_necessity",
        "softmax_bottleneck",
        "attention_bottleneck",
        "argmax_margin",
        "frozen_features",
        "rank_threshold",
        "rank_stabilised_scale",
        "two_learning_rates",
    ),
    "editing": (
        "superposition_floor",
        "hebbian_memory",
        "carried_edit",
        "counting_ceiling",
    ),
    "merging": (
        "factor_mean_residual",
        "rank_subadditivity",
        "averaging_survival",
        "dare_variance",
        "ties_disjoint",
        "iso_flattening",
        "intruder_threshold",
        "interpolating_merge",
        "merge_collapse",
        "interpolation_price",
        "data_free_floor",
        "fisher_floor",
        "minimax_merge",
        "loss_interaction",
    ),
    "routing": (
        "gate_detection",
        "arrow_blind_spot",
        "single_read_no_go",
        "arrow_law",
        "router_limit",
        "soft_routing",
        "router_information",
        "threshold_samples",
    ),
    "libraries": (
        "interference_angle",
        "packing_floor",
        "random_interference",
        "sum_capacity",
        "sequential_forgetting",
        "coefficient_floor",
        "library_capacity",
    ),
    "composition": (
        "two_read_region",
        "perturbed_region",
        "residual_region",
        "coefficient_ladder",
        "composition_order",
        "composition_merge",
        "clean_up_bridge",
        "template_vote",
        "invisible_placement",
        "spread_region",
        "least_norm_placement",
        "free_placement",
        "stand_in_ceiling",
        "bridge_transfer",
        "routing_reach",
        "context_composition",
    ),
}
"""Modules by chapter, in the order of the paper's appendix: a result stands after what it uses."""

_MODULES: dict[str, ModuleType] = {
    name: import_module(f"{__name__}.{chapter}.{name}")
    for chapter, names in CHAPTERS.items()
    for name in names
}

ALL: tuple[Theorem[Any, Any], ...] = tuple(
    result
    for module in _MODULES.values()
    for result in (module.THEOREM, *getattr(module, "CLAUSES", ()))
)
"""Every claim that is checked by itself: each theorem or lemma, followed by its clauses."""

_HOMES = {
    result.label.removeprefix("thm:").replace("-", "_"): module
    for module in _MODULES.values()
    for result in (module.THEOREM, *getattr(module, "CLAUSES", ()))
}

FACTORED = (
    "thm:merge-floor",
    "thm:edit-budget",
    "thm:factor-mean-residual",
    "thm:interference-angle",
    "thm:gate-detection",
    "thm:interpolation-price",
    "thm:covariance-floor",
    "thm:superposition-floor",
)
"""Theorems that are computed from factors alone, with no dense m×n matrix formed.

Their cases may therefore be as wide as a layer of a language model.
"""


def theorem(label: str) -> Theorem[Any, Any]:
    """Return a theorem, lemma or clause by its label.

    Parameters
    ----------
    label : str
        The label, with or without ``thm:``, for example ``merge-floor``.

    Returns
    -------
    Theorem
        The member of `ALL` with this label.

    Raises
    ------
    KeyError
        If no theorem, lemma or clause has this label.

    Examples
    --------
    >>> theorem("merge-floor")
    <thm:merge-floor, proved>
    """
    name = f"thm:{label.removeprefix('thm:')}"
    for result in ALL:
        if result.label == name:
            return result
    message = f"there is no theorem {label!r}: `loratheory theorems` lists all"
    raise KeyError(message)


def __getattr__(name: str) -> ModuleType:
    """Return the module that states a result, as ``from loratheory.theorems import merge_floor``.

    A clause is found in its theorem's module: ``merge_floor`` is ``expressiveness.rank_floor``.
    """
    if name in _HOMES:
        return _HOMES[name]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """List the names of this package and of all results, for completion by Tab in a notebook."""
    return sorted({*globals(), *_HOMES})
