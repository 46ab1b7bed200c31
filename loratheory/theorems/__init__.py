"""The theorems in chapters, one module each; `CHAPTERS` is their index."""

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
"""Each result once, in the order of the paper's appendix: what one uses stands before it."""

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
"""Every claim that has a verdict of its own: each theorem and lemma, and after it its clauses."""

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
"""Stated on factors: their cases may be as wide as a real layer, and no dense matrix is formed."""


def theorem(label: str) -> Theorem[Any, Any]:
    """Return a theorem, lemma or clause by its label.

    Parameters
    ----------
    label : str
        With or without ``thm:``, for example ``merge-floor``.

    Returns
    -------
    Theorem
        One of `ALL`.

    Raises
    ------
    KeyError
        If there is none of this label.

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
    """Find the module that states a result: ``from loratheory.theorems import merge_floor``."""
    if name in _HOMES:
        return _HOMES[name]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """What the package offers, so that a notebook finds the results by Tab."""
    return sorted({*globals(), *_HOMES})
