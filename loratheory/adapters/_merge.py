"""The merge rules by name, and one adapter from several by one of them, module by module."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.adapters._adapter import Adapter, Aligned, Lazy, aligned
from loratheory.adapters._entrywise import dare, dare_ties, magnitude, ties
from loratheory.adapters._rules import (
    MergeError,
    Options,
    Rule,
    factor_linear,
    factor_mean,
    interpolate,
    iso,
    mean,
    truncated,
    tsv,
    weighted_sum,
)
from loratheory.lowrank import LowRank, finite

Names = frozenset[str]


@dataclass(frozen=True)
class Method:
    """One way to merge adapters.

    Attributes
    ----------
    name : str
        What it is called in `merge`.
    rule : callable
        ``rule(updates, weights, options)`` merges one module.
    formula : str
        One line of text; D are updates, w weights, B and A first and second factors.
    reference : str
        Where it comes from.
    cost : str
        Arithmetic per module; R is the total width, K the number of adapters.
    options : frozenset of str
        What it takes, of ``weights, rank, space, density, ridge, rng``.
    required : frozenset of str
        What it cannot do without. Entrywise rules need `rank` in the full space only.
    gauge_dependent : frozenset of str
        The spaces in which the result depends on how the updates are factored.
    """

    name: str
    rule: Rule
    formula: str
    reference: str
    cost: str
    options: Names = frozenset()
    required: Names = frozenset()
    gauge_dependent: Names = frozenset()

    @property
    def spaces(self) -> tuple[str, ...]:
        """Where it can work; rules that are not entrywise know the full space only."""
        return ("full", "knots", "core") if "space" in self.options else ("full",)

    def needs(self, space: str) -> Names:
        """The options that must be given in this space."""
        dense = "space" in self.options and space == "full"
        return self.required | {"rank"} if dense else self.required


FACTORS = "O((m + n) R)"
CORE = "O((m + n) R^2 + R^3)"
ENTRIES = "full: O(m n (R + K log mn + min(m, n))); knots: (R, n), core: (R, R) for (m, n)"
THINNED = "full: O(m n (R + min(m, n))); knots: (R, n), core: (R, R) for (m, n)"

_WEIGHTS = frozenset({"weights"})
_TRIMMED = frozenset({"weights", "rank", "space", "density"})
_RANDOM = _TRIMMED | {"rng"}
_DENSITY, _DRAWS = frozenset({"density"}), frozenset({"density", "rng"})
_CORE, _FULL = frozenset({"core"}), frozenset({"full"})

_TIES = "Yadav et al. 2023, arXiv 2306.01708"
_DARE = "Yu et al. 2024, arXiv 2311.03099"

_ALL = (
    Method("sum", weighted_sum, "sum_j D_j", "Ilharco et al. 2023, arXiv 2212.04089", FACTORS),
    Method("mean", mean, "(1/K) sum_j D_j", "Wortsman et al. 2022, arXiv 2203.05482", FACTORS),
    Method(
        "cat",
        weighted_sum,
        "sum_j w_j D_j as [w_1 B_1 ... w_K B_K] [A_1; ...; A_K]",
        "PEFT, combination type cat",
        FACTORS,
        _WEIGHTS,
    ),
    Method(
        "svd",
        truncated,
        "best rank-r approximation of sum_j w_j D_j",
        "Eckart and Young 1936; PEFT, combination type svd",
        CORE,
        frozenset({"weights", "rank"}),
        frozenset({"rank"}),
    ),
    Method(
        "task",
        weighted_sum,
        "lambda sum_j w_j D_j, lambda the coefficient: cat by another name",
        "Ilharco et al. 2023, arXiv 2212.04089",
        FACTORS,
        _WEIGHTS,
    ),
    Method(
        "ties",
        ties,
        "sum_A w_j T_j / sum_A |w_j|, T = top entries, A = those whose w T has the sum's sign",
        _TIES,
        ENTRIES,
        _TRIMMED,
        _DENSITY,
        _CORE,
    ),
    Method(
        "dare",
        dare,
        "sum_j w_j M_j * D_j / p, entries of M_j Bernoulli(p), p the density",
        _DARE,
        THINNED,
        _RANDOM,
        _DRAWS,
        _CORE,
    ),
    Method(
        "dare-ties",
        dare_ties,
        "ties without trimming, applied to M_j * D_j / p",
        f"{_DARE}; {_TIES}",
        THINNED,
        _RANDOM,
        _DRAWS,
        _CORE,
    ),
    Method(
        "magnitude",
        magnitude,
        "sum_j w_j T_j, T = top entries",
        f"PEFT, magnitude_prune; {_TIES}",
        ENTRIES,
        _TRIMMED,
        _DENSITY,
        _CORE,
    ),
    Method(
        "iso",
        iso,
        "U V' times the mean of the nonzero singular values of sum_j w_j D_j = U S V'",
        "Iso-C: Marczak et al. 2025, arXiv 2502.04959",
        CORE,
        _WEIGHTS,
    ),
    Method(
        "tsv",
        tsv,
        "polar[U_1 ... U_K] diag(w_j S_j) polar[V_1 ... V_K]', D_j = U_j S_j V_j'",
        "Gargiulo et al. 2025, arXiv 2412.00081",
        CORE,
        frozenset({"weights", "rank"}),
    ),
    Method(
        "interpolate",
        interpolate,
        "(sum_j w_j D_j) (sum_j P_j)^+, P_j the projector on the row space of D_j",
        "thm:interpolating-merge; RegMean 2023, arXiv 2212.09849; WUDI 2025, arXiv 2503.08099",
        CORE,
        frozenset({"weights", "rank", "ridge"}),
    ),
    Method(
        "factor-mean",
        factor_mean,
        "(mean_j B_j) (mean_j A_j): a warning, not a recommendation",
        "averaging adapter files tensor by tensor; see FedEx-LoRA 2025, arXiv 2410.09432",
        FACTORS,
        gauge_dependent=_FULL,
    ),
    Method(
        "factor-linear",
        factor_linear,
        "(sum_j |w_j|^.5 B_j) (sum_j sign(w_j) |w_j|^.5 A_j): a warning, not a recommendation",
        "PEFT, combination type linear",
        FACTORS,
        _WEIGHTS,
        gauge_dependent=_FULL,
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def merge(
    adapters: Sequence[Adapter] | Aligned,
    method: str,
    *,
    weights: Sequence[int | float] | None = None,
    rank: int | None = None,
    coefficient: int | float = 1.0,
    space: str = "full",
    density: int | float | None = None,
    ridge: int | float | None = None,
    rng: np.random.Generator | None = None,
    any_base: bool = False,
) -> Adapter:
    """Return one adapter that merges several.

    Parameters
    ----------
    adapters : list of Adapter, or Aligned
        At least one. A module that some lack counts as zero there (`aligned` says which).
    method : str
        A name in `METHODS`, which says what each computes, costs and takes.
    weights : list of float, optional
        One an adapter, 1 where not given; negative ones subtract.
    rank : int, optional
        Largest rank of a merged module.
    coefficient : float
        Scales the result of any method.
    space : str
        Where entrywise rules look at entries: ``full``, ``knots`` or ``core``.
    density : float, optional
        Share of entries that entrywise rules keep, in (0, 1].
    ridge : float, optional
        Relative ridge of `interpolate`; 0 where not given.
    rng : numpy.random.Generator, optional
        Needed by rules that draw, harmless to others. One number is drawn from it now; each module
        then has a stream of its own, whatever the order in which modules are looked up.
    any_base : bool
        Merge adapters although they name different base models.

    Returns
    -------
    Adapter
        Lazy: a module is loaded from every adapter and merged, in float64, when it is looked up,
        and not kept. What its adapters' configurations agree on is handed on.

    Raises
    ------
    MergeError
        If the method is unknown, or an option is missing, superfluous or out of range.
    AdapterError
        If the adapters do not fit each other.
    """
    chosen = _method(method, space)
    given = {"weights": weights, "rank": rank, "density": density, "ridge": ridge, "rng": rng}
    _check_values(rank, coefficient, density, ridge)
    _check_options(chosen, space, {name for name, value in given.items() if value is not None})
    library = adapters if isinstance(adapters, Aligned) else aligned(adapters, any_base)
    factors = _weights(weights, len(library.adapters))
    seed = 0 if rng is None else int(rng.integers(2**63))
    options = partial(
        Options,
        space=space,
        rank=rank,
        density=1.0 if density is None else density,
        ridge=0.0 if ridge is None else ridge,
        seed=seed,
    )

    def _merged(module: str) -> LowRank:
        pairs = zip(library.updates(module), library.adapters, strict=True)
        updates = [_finite(low, adapter.info.name, module) for low, adapter in pairs]
        merged = chosen.rule(updates, factors, options(module=module))
        return merged if coefficient == 1 else merged * coefficient

    return Adapter(Lazy(tuple(library.shapes), _merged), library.shapes, library.info)


def _method(name: str, space: str) -> Method:
    """Look up the method and see that it knows the space."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}? The methods are" if near else "choose one of"
        message = f"there is no merge method {name!r}: {hint} {', '.join(METHODS)}"
        raise MergeError(message)
    if space not in METHODS[name].spaces:
        known = ", ".join(METHODS[name].spaces)
        message = f"{name} does not work in space {space!r}: choose one of {known}"
        raise MergeError(message)
    return METHODS[name]


def _check_options(method: Method, space: str, given: set[str]) -> None:
    """Refuse options that the method would ignore, and ask for those it needs."""
    for name in sorted(given - method.options - {"rng"}):
        takes = ", ".join(sorted(method.options)) or "no options"
        message = f"{method.name} takes no {name}: leave it out (it takes {takes})"
        raise MergeError(message)
    advice = {
        "rank": "the largest rank of the result, such as rank=16",
        "density": "the share of entries to keep, such as density=0.2",
        "rng": "a source of randomness, such as rng=numpy.random.default_rng(0)",
    }
    for name in sorted(method.needs(space) - given):
        message = f"{method.name} in space {space!r} needs {name}: give {advice[name]}"
        raise MergeError(message)


def _check_values(
    rank: int | None,
    coefficient: int | float,
    density: int | float | None,
    ridge: int | float | None,
) -> None:
    """Refuse numbers out of range."""
    if rank is not None and rank < 1:
        message = f"rank is {rank}: a merged module needs rank 1 or more"
        raise MergeError(message)
    if density is not None and not 0 < density <= 1:
        message = f"density is {density}: give a share of entries above 0 and at most 1"
        raise MergeError(message)
    if ridge is not None and not 0 <= ridge < math.inf:
        message = f"ridge is {ridge}: give a finite number that is not negative, such as 1e-6"
        raise MergeError(message)
    if not math.isfinite(coefficient):
        message = f"coefficient is {coefficient}: give a finite number"
        raise MergeError(message)


def _weights(weights: Sequence[int | float] | None, count: int) -> list[float]:
    """One finite weight an adapter."""
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        message = f"{len(weights)} weights for {count} adapters: give one an adapter"
        raise MergeError(message)
    for weight in weights:
        if not math.isfinite(weight):
            message = f"a weight is {weight}: give finite numbers"
            raise MergeError(message)
    return [float(weight) for weight in weights]


def _finite(low: LowRank, adapter: str, module: str) -> LowRank:
    """The same update, known to be finite: rules widen it where they need to."""
    finite(low.up, f"{adapter}, {module}, first factor")
    finite(low.down, f"{adapter}, {module}, second factor")
    return low
