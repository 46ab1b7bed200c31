"""The table of operator laws: every cell pinned, and proved in both directions another way."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.adapters import LAWS, MERGE_METHODS, Adapter, LawCase, laws, merge
from loratheory.lowrank import LowRank, total

#                        exact linear idempotent gauge permutation zero-weight sign scale low-rank
EXPECTED = {
    ("sum", "full"): "++-++..++",
    ("mean", "full"): "+++++..++",
    ("chebyshev", "full"): "--+++..++",
    ("cat", "full"): "+++++++++",
    ("svd", "full"): "--+++++++",
    ("task", "full"): "+++++++++",
    ("ties", "full"): "---+++++-",
    ("ties", "knots"): "---++-+++",
    ("ties", "core"): "----+-+++",
    ("dare", "full"): "-+-+-+++-",
    ("dare", "knots"): "---+--+++",
    ("dare", "core"): "------+++",
    ("dare-ties", "full"): "---+-+++-",
    ("dare-ties", "knots"): "---+--+++",
    ("dare-ties", "core"): "------+++",
    ("magnitude", "full"): "---+++++-",
    ("magnitude", "knots"): "---++-+++",
    ("magnitude", "core"): "----+-+++",
    ("iso", "full"): "---++++++",
    ("tsv", "full"): "--+++-+++",
    ("interpolate", "full"): "--+++-+++",
    ("regmean", "full"): "-++++-+++",
    ("factor-mean", "full"): "--+-+..++",
    ("factor-linear", "full"): "----++-++",
}

TABLE = {(row.method, row.space): row.cells for row in laws()}


def merged(name, space, updates, weights=None, seed=0, order=(0, 1, 2)):
    """Through the public door, with settings of its own: one module, dense."""
    method = MERGE_METHODS[name]
    options = {}
    if "weights" in method.options:
        options["weights"] = weights
    if name == "svd":
        options["rank"] = 2
    elif "rank" in method.needs(space):
        options["rank"] = min(updates[0].shape)
    if "density" in method.options:
        options["density"] = 0.5
    if name == "regmean":
        roots = np.random.default_rng(9).standard_normal((3, 12, updates[0].shape[1]))
        options["moments"] = [{"m": roots[i]} for i in order]
    adapters = [Adapter.of({"m": low}) for low in updates]
    rng = np.random.default_rng(seed)
    return merge(adapters, name, space=space, rng=rng, **options)["m"].dense()


def factored(dense):
    """Balanced factors of the numerical rank, from a dense SVD."""
    left, sigma, right = np.linalg.svd(dense)
    keep = int(np.sum(sigma > 1e-10 * sigma[0]))
    return LowRank(left[:, :keep] * sigma[:keep] ** 0.5, sigma[:keep, None] ** 0.5 * right[:keep])


def sides(name, space, law, seed):
    """Both sides of a law for random updates, written anew from its definition."""
    rng = np.random.default_rng(seed)
    (m, n), r, k = (11, 10), 2, 3
    xs, ys = (
        [LowRank(rng.standard_normal((m, r)), rng.standard_normal((r, n))) for _ in range(k)]
        for _ in range(2)
    )
    takes = "weights" in MERGE_METHODS[name].options
    w = [0.9, -0.8, 1.7] if takes else [1.0] * k

    def f(updates, weights=w, order=(0, 1, 2)):
        return merged(name, space, updates, weights, seed, order)

    if law == "exact":
        target = np.tensordot(w, np.stack([x.dense() for x in xs]), 1)
        return f(xs), target / k if name in ("mean", "factor-mean") else target
    if law == "linear":
        mixed = [factored(2 * x.dense() - 3 * y.dense()) for x, y in zip(xs, ys, strict=True)]
        return f(mixed), 2 * f(xs) - 3 * f(ys)
    if law == "idempotent":
        copies = [xs[0]] * k
        found = [f(copies, [v] * k) for v in (1.0, 1 / k)]
        one = xs[0].dense()
        return min(found, key=lambda x: np.linalg.norm(x - one)), one
    if law == "gauge":
        turns = [rng.standard_normal((r, r)) for _ in xs]
        moved = [
            LowRank(x.up @ g, np.linalg.inv(g) @ x.down) for x, g in zip(xs, turns, strict=True)
        ]
        return f(moved), f(xs)
    if law == "permutation":
        order = [1, 2, 0]
        return f([xs[i] for i in order], [w[i] for i in order], order), f(xs)
    if law == "zero weight":
        return f(xs, [w[0], w[1], 0.0]), f(xs[:2], w[:2], (0, 1))
    if law == "sign":
        return f(xs, [w[0], -w[1], w[2]]), f([xs[0], -xs[1], xs[2]])
    if law == "scale":
        return f([-1e4 * x for x in xs]), -1e4 * f(xs)
    left, sigma, right = np.linalg.svd(f(xs), full_matrices=False)
    return f(xs), left[:, : r * k] * sigma[: r * k] @ right[: r * k]


def gap(name, space, law, seed):
    one, other = sides(name, space, law, seed)
    return np.linalg.norm(one - other) / max(np.linalg.norm(one), np.linalg.norm(other))


def test_the_table_is_the_one_we_know():
    signs = {True: "+", False: "-", None: "."}
    found = {
        place: "".join(signs[cell.holds] for cell in cells.values())
        for place, cells in TABLE.items()
    }
    assert found == EXPECTED


@pytest.mark.parametrize(("name", "space"), EXPECTED)
def test_every_cell_is_proved(name, space):
    """Claimed: holds on other draws, sizes and weights. Denied: its counterexample breaks it."""
    for law, cell in TABLE[name, space].items():
        if cell.holds is None:
            assert cell.reason == f"{name} takes no weights"
        elif cell.holds:
            assert cell.gap <= 1e-9
            assert gap(name, space, law, 100) < 1e-9
        else:
            kept = LAWS[law](LawCase(MERGE_METHODS[name], space, cell.seed))
            assert kept == cell.gap > 1e-3
            assert max(gap(name, space, law, seed) for seed in range(2)) > 1e-3


def test_gauge_dependence_is_as_the_methods_declare():
    declared = {
        (name, space) for name, method in MERGE_METHODS.items() for space in method.gauge_dependent
    }
    assert declared == {place for place, cells in TABLE.items() if not cells["gauge"].holds}


def test_laws_that_every_rule_obeys_are_broken_by_rules_made_for_it():
    def unsigned(updates, weights, _):
        return total(list(updates), [abs(weight) for weight in weights])

    def equal_norms(updates, weights, _):
        return total([low / low.norm for low in updates], weights)

    for rule, broken in ((unsigned, "sign"), (equal_norms, "scale")):
        case = LawCase(replace(MERGE_METHODS["cat"], rule=rule), "full", 0)
        kept = {law for law in ("sign", "scale", "permutation") if LAWS[law](case) < 1e-9}
        assert kept == {"sign", "scale", "permutation"} - {broken}
