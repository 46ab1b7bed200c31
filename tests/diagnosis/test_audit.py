"""The audit's distances are the dense ones, and its floors are floors."""

import numpy as np
import pytest

from loratheory.adapters import Adapter, aligned, merge
from loratheory.audit import audit, audit_on_lookup
from loratheory.lowrank import gaussian

CASES = [
    (k, width, shape) for k in (1, 2, 4) for width in (1, 4, 5) for shape in ((6, 5), (14, 15))
]
CASES += [(2, rule, (30, 40)) for rule in ("sum", "mean", "svd")]


@pytest.mark.parametrize(("k", "what", "shape"), CASES)
def test_distances_are_dense_and_respect_their_floors(k, what, shape):
    """Of any matrix of some width, and of what rules make."""
    rng = np.random.default_rng([k, len(str(what))])
    updates = [gaussian(rng, *shape, 2) for _ in range(k)]
    weights = {"sum": [1.0] * k, "mean": [1 / k] * k}.get(what, rng.normal(size=k).tolist())
    if isinstance(what, str):
        options = {"rank": 3, "weights": weights} if what == "svd" else {}
        merged = merge([Adapter.of({"q": low}) for low in updates], what, **options)["q"]
    else:
        merged = gaussian(rng, *shape, what)
    found, dense = audit("q", merged, updates, weights), np.stack([u.dense() for u in updates])
    target, mean = np.tensordot(weights, dense, 1), dense.mean(axis=0)
    tails = [
        (np.linalg.svd(x, compute_uv=False)[merged.width :] ** 2).sum() for x in (target, mean)
    ]
    each = ((merged.dense() - dense) ** 2).sum(axis=(1, 2))
    room = 1e-12 * (1 + found.energy + found.to_adapters)
    assert found.energy == pytest.approx((target**2).sum())
    assert found.to_sum == pytest.approx(((merged.dense() - target) ** 2).sum(), abs=room)
    assert found.to_adapters == pytest.approx(each.mean())
    assert found.sum_floor == pytest.approx(tails[0], abs=room)
    assert found.adapters_floor == pytest.approx(dense.var(axis=0).sum() + tails[1], abs=room)
    assert found.to_sum >= found.sum_floor - room
    assert found.to_adapters >= found.adapters_floor - room


def test_auditing_changes_nothing_and_happens_at_look_up():
    rng = np.random.default_rng(0)
    one = Adapter.of({"q": gaussian(rng, 6, 5, 2), "v": gaussian(rng, 4, 5, 2)})
    two = Adapter.of({"q": gaussian(rng, 6, 5, 2)})
    library, audits = aligned([one, two]), []
    mean = merge([one, two], "mean")
    watched = audit_on_lookup(mean, library, [0.5, 0.5], audits.append)
    assert not audits
    np.testing.assert_array_equal(watched["v"].dense(), mean["v"].dense())
    assert [a.module for a in audits] == ["v"]
    assert audits[0].to_sum == pytest.approx(0, abs=1e-15)
    assert audits[0].to_adapters == pytest.approx((one["v"].dense() ** 2).sum() / 4)
    assert list(watched) == ["q", "v"]
