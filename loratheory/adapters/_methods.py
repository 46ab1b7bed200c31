"""The merge rules by name, each with its formula, reference, cost and the options it takes."""

from dataclasses import dataclass

from loratheory.adapters._entrywise import dare, dare_ties, magnitude, ties
from loratheory.adapters._exact import mean, truncated, weighted_sum
from loratheory.adapters._factorwise import factor_linear, factor_mean
from loratheory.adapters._interpolate import interpolate
from loratheory.adapters._options import Rule
from loratheory.adapters._spectral import iso, tsv

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
