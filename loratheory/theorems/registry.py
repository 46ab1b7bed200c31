"""The names of all results: which module states each, in which chapter, and in which order.

Only names are held here. A module is loaded when one of its results is looked up, so that checking
one theorem loads one module and what that uses.
"""

from importlib import import_module
from typing import Any

from loratheory.theorems._theorem import Theorem

CHAPTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "expressiveness": {
        "rank_floor": (
            "rank-floor",
            "edit-budget",
            "batch-edit",
            "least-change-edit",
            "merge-floor",
            "covariance-floor",
            "factor-asymmetry",
            "quantised-floor",
        ),
        "depth_budget": ("depth-budget",),
        "attention_budget": ("attention-budget", "half-the-width", "score-change-rank"),
        "attention_reach": ("attention-reach",),
        "relu_budget": ("relu-budget",),
        "relu_necessity": ("relu-necessity", "kinks-do-not-help"),
        "attention_bottleneck": ("attention-bottleneck",),
        "argmax_margin": ("argmax-margin", "argmax-rank"),
        "frozen_features": ("frozen-features",),
    },
    "editing": {
        "superposition_floor": ("superposition-floor", "response-energy"),
        "hebbian_memory": ("hebbian-memory", "merged-memory"),
        "carried_edit": ("carried-edit", "edits-that-survive"),
        "counting_ceiling": ("counting-ceiling",),
    },
    "merging": {
        "factor_mean_residual": ("factor-mean-residual",),
        "rank_subadditivity": ("rank-subadditivity",),
        "averaging_survival": ("averaging-survival",),
        "intruder_threshold": ("intruder-threshold",),
        "interpolating_merge": ("interpolating-merge", "interpolating-composition"),
        "merge_collapse": ("merge-collapse",),
        "interpolation_price": ("interpolation-price",),
        "data_free_floor": ("data-free-floor",),
        "fisher_floor": ("fisher-floor", "other-curvature"),
        "minimax_merge": ("minimax-merge",),
    },
    "routing": {
        "gate_detection": ("gate-detection",),
        "arrow_blind_spot": ("arrow-blind-spot", "arrow-margin"),
        "single_read_no_go": ("single-read-no-go", "unselective-success"),
        "arrow_law": ("arrow-law",),
        "router_limit": ("router-limit", "no-better-router"),
        "soft_routing": ("soft-routing", "hard-routing"),
        "router_information": ("router-information", "scattered-inputs"),
        "threshold_samples": ("threshold-samples",),
    },
    "libraries": {
        "interference_angle": ("interference-angle",),
        "packing_floor": ("packing-floor", "coefficient-packing"),
        "random_interference": ("random-interference",),
        "sum_capacity": ("sum-capacity",),
        "sequential_forgetting": ("sequential-forgetting", "foreign-answers", "squared-error"),
        "library_capacity": ("library-capacity",),
    },
    "composition": {
        "two_read_region": ("two-read-region",),
        "perturbed_region": ("perturbed-region",),
        "composition_order": ("composition-order",),
        "composition_merge": ("composition-merge",),
        "clean_up_bridge": ("clean-up-bridge",),
        "template_vote": ("template-vote",),
        "invisible_placement": ("invisible-placement",),
        "spread_region": ("spread-region", "alike-spread", "even-edits"),
        "least_norm_placement": ("least-norm-placement",),
        "free_placement": ("free-placement", "partner-lessons"),
        "stand_in_ceiling": ("stand-in-ceiling", "disagreeing-stand-ins", "stand-in-loss"),
        "bridge_transfer": ("bridge-transfer", "transfer-error"),
        "routing_reach": ("routing-reach",),
    },
}
"""For each chapter its modules, and for each module its results: what a result uses comes first."""

_HOMES = {
    f"thm:{name}": f"loratheory.theorems.{chapter}.{module}"
    for chapter, modules in CHAPTERS.items()
    for module, names in modules.items()
    for name in names
}

LABELS = tuple(_HOMES)
"""The labels of all theorems, lemmas and clauses, in the order of the paper's appendix."""

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
    """Return a theorem, lemma or clause by its label, and load its module.

    Parameters
    ----------
    label : str
        The label, with or without ``thm:``, for example ``merge-floor``.

    Returns
    -------
    Theorem
        The result with this label.

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
    if name not in _HOMES:
        message = f"there is no theorem {label!r}: `loratheory theorems` lists all"
        raise KeyError(message)
    module = import_module(_HOMES[name])
    for result in (module.THEOREM, *getattr(module, "CLAUSES", ())):
        if result.label == name:
            return result
    message = f"{module.__name__} does not state {name}: correct CHAPTERS of the registry"
    raise LookupError(message)


def load_theorems() -> tuple[Theorem[Any, Any], ...]:
    """Return all theorems, lemmas and clauses in order; this loads every module of every chapter.

    Examples
    --------
    >>> [one.label for one in load_theorems()[:2]]
    ['thm:rank-floor', 'thm:edit-budget']
    """
    return tuple(map(theorem, LABELS))
