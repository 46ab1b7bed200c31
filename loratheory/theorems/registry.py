"""The names of all results: which module states each, in which chapter, and in which order.

Only names are held here. A module is loaded when one of its results is looked up, so that checking
one theorem loads one module and what that uses.
"""

import inspect
from importlib import import_module
from typing import Any

from loratheory.arguments import require_type, suggest
from loratheory.theorems._theorem import Theorem, Verdict

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
        "corner_law": "corner-law",
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
        "cut_law": "cut-law any-answer bits-through-a-cut",
        "promise_law": "promise-law",
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


class UnknownTheoremError(ValueError):
    """No theorem has this label; the message names similar ones."""


def complete_label(label: str) -> str:
    """Return the full label, ``thm:merge-floor`` for ``merge-floor`` or ``merge_floor``."""
    name = label.removeprefix("thm:").replace("_", "-")
    known = {one.removeprefix("thm:"): one for one in LABELS}
    if name not in known:
        hint = suggest(name, known, "`loratheory theorems` lists all")
        message = f"there is no theorem {label!r}; {hint}"
        raise UnknownTheoremError(message)
    return known[name]


def theorem(label: str) -> Theorem[Any, Any]:
    """Return a theorem, lemma or clause by its label, and load its module.

    Parameters
    ----------
    label : str
        The label, such as ``merge-floor``, with or without ``thm:``; underscores do for hyphens.

    Returns
    -------
    Theorem
        The result with this label.

    Raises
    ------
    UnknownTheoremError
        If no theorem, lemma or clause has this label.

    Examples
    --------
    >>> theorem("merge-floor")
    <thm:merge-floor, proved>
    """
    name = complete_label(label)
    module = import_module(_HOMES[name])
    # a family shares one module
    for result in (module.THEOREM, *getattr(module, "CLAUSES", ())):
        if result.label == name:
            return result
    message = f"{module.__name__} does not state {name}: correct CHAPTERS of the registry"
    raise LookupError(message)


def check(theorem: str | Theorem[Any, Any], case: Any, witness: Any) -> Verdict:
    """Compare what one witness achieves in one case with the bound of a theorem.

    Parameters
    ----------
    theorem : str or Theorem
        A theorem, or its label.
    case : Case
        What the theorem is about: an instance of a class in the theorem's module.
    witness : LowRank, tuple, …
        What tries to beat the bound, such as a merged update; the theorem's `measure` takes it.

    Returns
    -------
    Verdict
        Bound, value and slack; no error is raised where the bound is violated.

    Raises
    ------
    AssumptionError
        If a hypothesis of the theorem does not hold: the theorem then claims nothing.

    Examples
    --------
    >>> from loratheory.theorems.expressiveness.rank_floor import Tasks
    >>> one, two = from_dense(np.diag([1.0, 0.0])), from_dense(np.diag([0.0, 1.0]))
    >>> check("merge-floor", Tasks((one, two), rank=2), (one + two) / 2)
    <thm:merge-floor holds and is tight: bound 0.5, value 0.5>
    """
    found = find_theorem(theorem)
    declared = inspect.signature(found.measure).parameters.values()
    for name, value, one in zip(("case", "witness"), (case, witness), declared, strict=True):
        require_type(found.label, "", name, one.annotation, value)
    return found.check(case, witness)


def find_theorem(given: str | Theorem[Any, Any]) -> Theorem[Any, Any]:
    """Return a theorem that is given as it is, or by its label."""
    return given if isinstance(given, Theorem) else theorem(given)


def load_theorems() -> tuple[Theorem[Any, Any], ...]:
    """Return all theorems, lemmas and clauses in order; this loads every module of every chapter.

    Examples
    --------
    >>> [one.label for one in load_theorems()[:2]]
    ['thm:rank-floor', 'thm:edit-budget']
    """
    return tuple(map(theorem, LABELS))
