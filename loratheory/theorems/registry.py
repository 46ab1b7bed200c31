"""The names of all results: which module states each, in which chapter, and in which order.

Only names are held here. A module is loaded when one of its results is looked up, so that checking
one theorem loads one module and what that uses.
"""

from importlib import import_module
from typing import Any

from loratheory.theorems._theorem import Theorem

CHAPTERS: dict[str, dict[str, str]] = {
    "expressiveness": {
        "rank_floor": "rank-floor edit-budget merge-floor covariance-floor fisher-floor",
        "depth_budget": "depth-budget",
        "attention_budget": "attention-budget attained-budget score-change-rank attention-reach",
        "relu_budget": "relu-budget relu-necessity",
        "argmax_margin": "argmax-margin argmax-rank",
    },
    "editing": {
        "superposition_floor": "superposition-floor",
        "hebbian_memory": "hebbian-memory merged-memory",
    },
    "merging": {
        "factor_mean_residual": "factor-mean-residual",
        "rank_subadditivity": "rank-subadditivity",
        "averaging_survival": "averaging-survival",
        "intruder_threshold": "intruder-threshold",
        "interpolating_merge": "interpolating-merge interpolation-price",
        "data_free_floor": "data-free-floor",
        "minimax_merge": "minimax-merge",
    },
    "routing": {
        "gates": "gate-detection threshold-samples library-capacity",
        "arrow": "arrow-blind-spot arrow-margin arrow-law",
        "single_read_no_go": "single-read-no-go unselective-success",
        "router_limit": "router-limit soft-routing router-information",
    },
    "libraries": {
        "interference": "interference-angle packing-floor random-interference",
        "sequential_forgetting": "sequential-forgetting",
    },
    "composition": {
        "two_read_region": "two-read-region perturbed-region composition-order spread-region",
        "clean_up_bridge": "clean-up-bridge",
        "template_vote": "template-vote",
        "placement": "least-norm-placement free-placement partner-examples invisible-placement",
        "stand_in_ceiling": "stand-in-ceiling disagreeing-stand-ins",
        "bridge_transfer": "bridge-transfer",
        "routing_reach": "routing-reach",
    },
}
"""By chapter the modules, and by module the names of its results; what one uses comes first."""

_HOMES: dict[str, str] = {}  # from a label to the module that states it
for _chapter, _modules in CHAPTERS.items():
    for _module, _names in _modules.items():
        for _name in _names.split():
            _HOMES[f"thm:{_name}"] = f"loratheory.theorems.{_chapter}.{_module}"

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
    # a family shares one module
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
