"""The audit's distances are the dense ones, and its floors are floors."""

import numpy as np
import pytest

from loratheory.adapters import Adapter, aligned, merge
from loratheory.diagnosis import audit, audited
from loratheory.lowrank import gaussian


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("shape", [(6, 5), (14, 15)])
def test_distances_are_dense_and_respect_their_floors(k, width, shape):
    rng = np.random.default_rng([k, width])
    updates = [gaussian(rng, *shape, 2) for _ in range(k)]
    weights, merged = rng.normal(size=k).tolist(), gaussian(rng, *shape, width)
    found = audit("q", merged, updates, weights)
    target = sum(w * u.dense() for w, u in zip(weights, updates, strict=True))
    each = [((merged.dense() - u.dense()) ** 2).sum() for u in updates]
    sigma = np.linalg.svd(target, compute_uv=False)
    assert found.energy == pytest.approx((target**2).sum())
    assert found.to_sum == pytest.approx(((merged.dense() - target) ** 2).sum())
    assert found.to_adapters == pytest.approx(np.mean(each))
    room = 1e-12 * (1 + found.energy + found.to_adapters)
    assert found.sum_floor == pytest.approx((sigma[width:] ** 2).sum(), abs=room)
    assert found.to_sum >= found.sum_floor - room
    assert found.to_adapters >= found.adapters_floor - room


@pytest.mark.parametrize("rule", ["sum", "mean", "svd"])
def test_wide_merges_are_as_near_as_dense_arithmetic_says(rule):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 30, 40, 2) for _ in range(2)]
    adapters = [Adapter.of({"q": low}) for low in updates]
    merged = merge(adapters, rule, **({"rank": 3} if rule == "svd" else {}))["q"]
    weights = [0.5, 0.5] if rule == "mean" else [1.0, 1.0]
    found = audit("q", merged, updates, weights)
    target = sum(w * low.dense() for w, low in zip(weights, updates, strict=True))
    sigma = np.linalg.svd(target, compute_uv=False)
    room = 1e-12 * found.energy
    assert found.to_sum == pytest.approx(((merged.dense() - target) ** 2).sum(), abs=room)
    assert found.sum_floor == pytest.approx((sigma[merged.width :] ** 2).sum(), abs=room)
    mean = sum(low.dense() for low in updates) / 2
    spread = np.mean([((low.dense() - mean) ** 2).sum() for low in updates])
    tail = (np.linalg.svd(mean, compute_uv=False)[merged.width :] ** 2).sum()
    assert found.adapters_floor == pytest.approx(spread + tail)
    each = [((merged.dense() - low.dense()) ** 2).sum() for low in updates]
    assert found.to_adapters == pytest.approx(np.mean(each))


def test_auditing_changes_nothing_and_happens_at_look_up():
    rng = np.random.default_rng(0)
    one = Adapter.of({"q": gaussian(rng, 6, 5, 2), "v": gaussian(rng, 4, 5, 2)})
    two = Adapter.of({"q": gaussian(rng, 6, 5, 2)})
    library, audits = aligned([one, two]), []
    mean = merge([one, two], "mean")
    watched = audited(mean, library, [0.5, 0.5], audits.append)
    assert not audits
    np.testing.assert_array_equal(watched["v"].dense(), mean["v"].dense())
    assert [a.module for a in audits] == ["v"]
    assert audits[0].to_sum == pytest.approx(0, abs=1e-20)
    assert audits[0].to_adapters == pytest.approx((one["v"].dense() ** 2).sum() / 4)
    assert list(watched) == ["q", "v"]
