"""The merge rules by name, and `merge`, which makes one adapter of several, module by module."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.adapters import _rules
from loratheory.adapters._adapter import Adapter, Aligned, Lazy, Whole, aligned
from loratheory.adapters._entrywise import SPACES, added, drop, elected, entrywise, trim
from loratheory.adapters._moments import Roots, roots
from loratheory.adapters._rules import MergeError, Options, Rule
from loratheory.lowrank import LowRank, finite, total


@dataclass(frozen=True)
class Method:
    """One way to merge adapters: ``rule(updates, weights, options)`` merges one module.

    In `formula`, D are updates, w weights, B and A the factors `up` and `down`. `cost` counts
    arithmetic operations for each module, with R the total width and K the number of adapters.
    """

    name: str
    rule: Rule
    formula: str
    reference: str
    cost: str
    options: frozenset[str] = frozenset()
    """Which arguments it takes of ``weights, rank, space, density, ridge, moments, rng``."""
    required: frozenset[str] = frozenset()
    """Those that must be given. Entrywise rules also need `rank`, but only in the full space."""
    gauge_dependent: frozenset[str] = frozenset()
    """The spaces in which the result depends on how the updates are factored."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces in which it can merge; only entrywise rules have more than ``full``."""
        return tuple(SPACES) if "space" in self.options else ("full",)

    def needs(self, space: str) -> frozenset[str]:
        """Return the arguments that must be given in this space."""
        dense = "space" in self.options and space == "full"
        return self.required | {"rank"} if dense else self.required


def _summed(updates: Sequence[LowRank], weights: Sequence[float], _: Options) -> LowRank:
    """The weighted sum, whose width is the sum of the widths unless no (m, n) matrix needs it."""
    return total([*updates], weights)


def _mean(updates: Sequence[LowRank], weights: Sequence[float], _: Options) -> LowRank:
    """The update nearest to all in mean squared distance (``thm:merge-floor``)."""
    return total([*updates], weights) / len(updates)


_FACTORS = "O((m + n) R)"
_CORE = "O((m + n) R^2 + R^3)"
_DENSE = (
    "full: O(m n (R + K + s)), s some multiples of the rank; knots: (R, n), core: (R, R) for (m, n)"
)
_ILHARCO = "Ilharco et al. 2023, arXiv 2212.04089"
_TIES, _DARE = "Yadav et al. 2023, arXiv 2306.01708", "Yu et al. 2024, arXiv 2311.03099"
_ENTRIES = {"options": "weights rank space density", "required": "density", "gauge": "core"}
_DRAWS = {"options": "weights rank space density rng", "required": "density rng", "gauge": "core"}


def _row(
    name: str,
    rule: Rule,
    formula: str,
    reference: str,
    cost: str,
    options: str = "",
    required: str = "",
    gauge: str = "",
) -> Method:
    """A method whose sets are given as words."""
    sets = (frozenset(words.split()) for words in (options, required, gauge))
    return Method(name, rule, formula, reference, cost, *sets)


_TABLE = (
    _row("sum", _summed, "sum_j D_j", _ILHARCO, _FACTORS),
    _row("mean", _mean, "(1/K) sum_j D_j", "Wortsman et al. 2022, arXiv 2203.05482", _FACTORS),
    _row(
        "chebyshev",
        _rules.chebyshev,
        "sum_j w_j D_j, w >= 0 of sum 1 with max_j |sum_i w_i D_i - D_j| least: for the worst task",
        "thm:minimax-merge; smallest enclosing ball: Elzinga and Hearn 1972",
        "O((m + n) R^2 + K^4)",
    ),
    _row(
        "cat",
        _summed,
        "sum_j w_j D_j as [w_1 B_1 ... w_K B_K] [A_1; ...; A_K]",
        "PEFT, combination type cat",
        _FACTORS,
        "weights",
    ),
    _row(
        "svd",
        _rules.truncated,
        "best rank-r approximation of sum_j w_j D_j",
        "Eckart and Young 1936; PEFT, combination type svd",
        _CORE,
        "weights rank",
        "rank",
    ),
    _row(
        "task",
        _summed,
        "lambda sum_j w_j D_j, lambda the coefficient: cat by another name",
        _ILHARCO,
        _FACTORS,
        "weights",
    ),
    _row(
        "ties",
        entrywise(trim, elected),
        "sum_A w_j T_j / sum_A |w_j|, T = top entries, A = those whose w T has the sum's sign",
        _TIES,
        _DENSE,
        **_ENTRIES,
    ),
    _row(
        "dare",
        entrywise(drop, added),
        "sum_j w_j M_j * D_j / p, entries of M_j Bernoulli(p), p the density",
        _DARE,
        _DENSE,
        **_DRAWS,
    ),
    _row(
        "dare-ties",
        entrywise(drop, elected),
        "ties without trimming, applied to M_j * D_j / p",
        f"{_DARE}; {_TIES}",
        _DENSE,
        **_DRAWS,
    ),
    _row(
        "magnitude",
        entrywise(trim, added),
        "sum_j w_j T_j, T = top entries",
        f"PEFT, magnitude_prune; {_TIES}",
        _DENSE,
        **_ENTRIES,
    ),
    _row(
        "iso",
        _rules.iso,
        "U V' times the mean of the nonzero singular values of sum_j w_j D_j = U S V'",
        "Iso-C: Marczak et al. 2025, arXiv 2502.04959",
        _CORE,
        "weights",
    ),
    _row(
        "tsv",
        _rules.tsv,
        "polar[U_1 ... U_K] diag(w_j S_j) polar[V_1 ... V_K]', D_j = U_j S_j V_j'",
        "Gargiulo et al. 2025, arXiv 2412.00081",
        _CORE,
        "weights rank",
    ),
    _row(
        "interpolate",
        _rules.interpolate,
        "(sum_j w_j D_j) (sum_j P_j)^+, P_j the projector on the row space of D_j",
        "thm:interpolating-merge; RegMean 2023, arXiv 2212.09849; WUDI 2025, arXiv 2503.08099",
        _CORE,
        "weights rank ridge",
    ),
    _row(
        "regmean",
        _rules.regmean,
        "(sum_j w_j D_j M_j) (sum_j M_j)^+, M_j the second moment of adapter j's inputs",
        "Jin et al. 2023, arXiv 2212.09849; thm:fisher-floor",
        "O(n^2 K min(k, n) + (m + n) R^2), k rows of a moment's root",
        "weights rank ridge moments",
        "moments",
    ),
    _row(
        "factor-mean",
        _rules.factor_mean,
        "(mean_j B_j) (mean_j A_j): a warning, not a recommendation",
        "averaging adapter files tensor by tensor; see FedEx-LoRA 2025, arXiv 2410.09432",
        _FACTORS,
        gauge="full",
    ),
    _row(
        "factor-linear",
        _rules.factor_linear,
        "(sum_j |w_j|^.5 B_j) (sum_j sign(w_j) |w_j|^.5 A_j): a warning, not a recommendation",
        "PEFT, combination type linear",
        _FACTORS,
        "weights",
        gauge="full",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _TABLE}


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
    moments: Sequence[Roots] | None = None,
    rng: np.random.Generator | None = None,
    any_base: bool = False,
    others: str = "refuse",
) -> Adapter:
    """Return one adapter that is a merge of several.

    Parameters
    ----------
    adapters : list of Adapter, or Aligned
        At least one. An adapter that lacks a module counts as zero there.
    method : str
        A name in `METHODS`, which holds each method's formula, cost and options.
    weights : list of float, optional
        One for each adapter, by default 1; negative weights subtract.
    rank : int, optional
        Largest rank of a merged module.
    coefficient : float
        Multiplies the result of any method.
    space : str
        Coordinates in which entrywise rules act: ``full``, ``knots`` or ``core`` (Core Space).
    density : float, optional
        Share of entries that entrywise rules keep, in (0, 1].
    ridge : float, optional
        Ridge of `interpolate` and `regmean`, relative to the matrix it is added to; 0 by default.
    moments : list of mappings, optional
        For `regmean`: one mapping for each adapter, or one for all, from a module to a (k, n) array
        whose ``root.T @ root`` is the second moment of the module's inputs
        (`loratheory.pretrained.moments` computes them, `read_moments` reads them).
    rng : numpy.random.Generator, optional
        Required by rules that draw at random, ignored by others. One number is drawn from it at
        once; the result does not depend on the order in which modules are looked up.
    any_base : bool
        Merge adapters although they name different base models.
    others : str
        What to do with tensors that replace those of the base (`Info.others`), which no rule can
        merge: take those of the ``first`` adapter that has them, take their ``mean`` over the
        adapters that have them, or ``refuse``.

    Returns
    -------
    Adapter
        Lazy: at each look-up the module is loaded from every adapter and merged in float64; it is
        not cached. Its configuration has the keys on which all adapters agree.

    Raises
    ------
    MergeError
        If the method is unknown, or an argument is missing, not taken by it, or out of range.
    AdapterError
        If the adapters do not fit each other.

    Examples
    --------
    >>> persons, mascots = lt.read("tests/data/persons"), lt.read("tests/data/mascots")
    >>> merged = merge([persons, mascots], "svd", weights=[0.7, 0.3], rank=6)
    >>> len(merged), merged["model.layers.10.self_attn.q_proj"].rank
    (90, 6)
    """
    chosen = _method(method, space)
    given: dict[str, Any] = {"weights": weights, "rank": rank, "density": density}
    given |= {"ridge": ridge, "moments": moments, "rng": rng}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in {**given, "coefficient": coefficient}.items():
        if name in _RANGES and not _RANGES[name][0](value):
            message = f"{name} is {value}: {_RANGES[name][1]}"
            raise MergeError(message)
    _check_options(chosen, space, set(given))
    library = adapters if isinstance(adapters, Aligned) else aligned(adapters, any_base)
    factors = _weights(weights, len(library.adapters))
    seen = roots(moments, library) if moments is not None else lambda _: ()
    options = Options(
        space=space,
        rank=rank,
        density=1.0 if density is None else density,
        ridge=0.0 if ridge is None else ridge,
        seed=0 if rng is None else int(rng.integers(2**63)),
    )

    def _merged(module: str) -> LowRank:
        updates = library.updates(module)
        for low, adapter in zip(updates, library.adapters, strict=True):
            finite(low.up, f"{adapter.info.name}, {module}, first factor")
            finite(low.down, f"{adapter.info.name}, {module}, second factor")
        local = replace(options, module=module, moments=seen(module))
        low = chosen.rule(updates, factors, local)
        return low if coefficient == 1 else low * coefficient

    info = replace(library.info, others=_others(library.adapters, others))
    return Adapter(Lazy(tuple(library.shapes), _merged), library.shapes, info)


def _others(adapters: Sequence[Adapter], choice: str) -> dict[str, Whole]:
    """What the merge puts in place of the base's own tensors."""
    if choice not in ("first", "mean", "refuse"):
        message = f"others is {choice!r}: choose one of first, mean, refuse"
        raise MergeError(message)
    found: dict[str, list[Whole]] = {}
    for adapter in adapters:
        for name, whole in adapter.info.others.items():
            found.setdefault(name, []).append(whole)
    if found and choice == "refuse":
        named = ", ".join([*found][:3]) + ", …" * (len(found) > 3)
        message = (
            f"no rule merges what takes the place of the base's own tensors ({named}): choose "
            "others='first' or 'mean' (--others)"
        )
        raise MergeError(message)
    return {name: _one_of(name, wholes, choice) for name, wholes in found.items()}


def _one_of(name: str, wholes: list[Whole], choice: str) -> Whole:
    if choice == "first":
        return wholes[0]
    if len({(whole.kind, whole.shape) for whole in wholes}) > 1:
        shapes = ", ".join(str(whole.shape) for whole in wholes)
        message = f"{name} has the shapes {shapes}, which have no mean: choose others='first'"
        raise MergeError(message)

    def _load() -> Any:
        return sum(np.asarray(whole.load(), np.float64) for whole in wholes) / len(wholes)

    return replace(wholes[0], load=_load)


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rank": (lambda rank: rank >= 1, "a merged module needs rank 1 or more"),
    "coefficient": (math.isfinite, "give a finite number"),
    "density": (lambda share: 0 < share <= 1, "give a share of entries above 0 and at most 1"),
    "ridge": (
        lambda ridge: 0 <= ridge < math.inf,
        "give a finite number that is not negative, such as 1e-6",
    ),
}
_ADVICE = {
    "moments": "second moments of the inputs, as loratheory moments collects them",
    "rank": "the largest rank of the result, such as rank=16",
    "density": "the share of entries to keep, such as density=0.2",
    "rng": "a source of randomness, such as rng=numpy.random.default_rng(0)",
}


def _method(name: str, space: str) -> Method:
    """Look up the method and see that it knows the space."""
    if name not in METHODS:
        import difflib  # here, since few need it

        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}? The methods are" if near else "choose one of"
        message = f"there is no merge method {name!r}: {hint} {', '.join(METHODS)}"
        raise MergeError(message)
    if space not in METHODS[name].spaces:
        spaces = ", ".join(METHODS[name].spaces)
        message = f"{name} does not work in space {space!r}: choose one of {spaces}"
        raise MergeError(message)
    return METHODS[name]


def _check_options(method: Method, space: str, given: set[str]) -> None:
    """Refuse options that the method would ignore, and ask for those it needs."""
    for name in sorted(given - method.options - {"rng"}):
        takes = ", ".join(sorted(method.options)) or "no options"
        instead = ", or add with weights by cat" if name == "weights" else ""
        message = f"{method.name} takes no {name}: leave it out{instead} (it takes {takes})"
        raise MergeError(message)
    for name in sorted(method.needs(space) - given):
        message = f"{method.name} in space {space!r} needs {name}: give {_ADVICE[name]}"
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
