"""What weights tell, by dense arithmetic: a module, a library in sentences, a merge audited."""

import numpy as np
import pytest

from loratheory.adapters import Adapter, Info, aligned, merge
from loratheory.audit import audit, audit_on_lookup
from loratheory.diagnosis import (
    DiagnosisError,
    diagnose,
    distinct,
    examine_module,
    expect_retention,
    kind_of,
    layer_of,
    spectra,
)
from loratheory.lowrank import LowRank, gaussian, orthonormal, with_spectrum

# One module of a library: every number against its dense definition.


@pytest.mark.parametrize("seed", range(6))
def test_cross_talk_is_the_largest_foreign_answer_to_a_unit_key(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 6, 8, 2) for _ in range(3)]
    found = examine_module("q", updates)
    frames = [np.linalg.qr(u.down.T)[0] for u in updates]
    answers = {
        (i, j): np.linalg.norm(updates[j].dense() @ frames[i], 2)
        / np.linalg.norm(updates[i].dense(), 2)
        for i in range(3)
        for j in range(3)
        if i != j
    }
    assert found.crosstalk == pytest.approx(max(answers.values()))
    assert answers[found.pair] == pytest.approx(found.crosstalk)
    i, j = found.pair
    cosine = np.linalg.norm(frames[i].T @ frames[j], 2)
    ratio = np.linalg.norm(updates[j].dense(), 2) / np.linalg.norm(updates[i].dense(), 2)
    assert found.row_cosine == pytest.approx(cosine)
    assert found.ceiling == pytest.approx(cosine * ratio)
    assert found.crosstalk <= found.ceiling + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_floors_descend_to_the_disagreement(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 9, 8, 2) for _ in range(3)]
    dense = np.stack([u.dense() for u in updates])
    energy, sigma = (dense**2).sum() / 3, np.linalg.svd(dense.mean(axis=0), compute_uv=False)
    floors = examine_module("q", updates).floors
    assert [rank for rank, _ in floors] == [1, 2, 4, 6]
    for rank, floor in floors:
        expected = (dense.var(axis=0).sum() + (sigma[rank:] ** 2).sum()) / energy
        assert floor == pytest.approx(expected)


def test_equal_adapters_agree_and_orthogonal_ones_do_not_meet():
    rng = np.random.default_rng(0)
    low, frame = with_spectrum(rng, 8, 8, [3.0, 1.0]), orthonormal(rng, 8, 4)
    same, turned = (examine_module("q", [low, LowRank(low.up, c * low.down)]) for c in (1, -1))
    assert same.floors[-1][1] == pytest.approx(0, abs=1e-14)
    assert same.row_cosine == same.prototype_cosine == pytest.approx(1)
    assert turned.prototype_cosine == pytest.approx(1)
    apart = examine_module("q", [LowRank(low.up, frame[:, s].T) for s in np.split(np.arange(4), 2)])
    assert apart.crosstalk == pytest.approx(0, abs=1e-14)
    assert apart.floors[-1][1] == pytest.approx(0.5)


def test_arrow_numbers_are_those_of_the_spectrum():
    rng = np.random.default_rng(1)
    found = examine_module("q", [with_spectrum(rng, 9, 8, [2.0, 1.0]), gaussian(rng, 9, 8, 1)])
    assert found.ranks == (2, 1)
    assert found.arrow_gap == pytest.approx((0.5, 1.0))
    assert found.arrow_blind == pytest.approx((0.2, 0.0))
    assert found.gauge_gap is None


def test_the_gauge_gap_is_the_distance_of_two_dense_factor_means():
    rng = np.random.default_rng(6)
    updates = [gaussian(rng, 40, 30, 3, scale) for scale in (1.0, 5.0, 2.0)]
    stored, balanced = (
        sum(low.up for low in forms) @ sum(low.down for low in forms)
        for forms in (updates, [low.balanced() for low in updates])
    )
    size = max(np.linalg.norm(stored), np.linalg.norm(balanced))
    gap = np.linalg.norm(stored - balanced) / size
    assert examine_module("q", updates).gauge_gap == pytest.approx(gap)


# What `inspect` says of a module is what a dense decomposition says.


@pytest.mark.parametrize("shape", [(6, 5, 2), (2, 6, 6), (3, 1, 1), (4, 4, 0)])
def test_a_module_is_described_by_its_singular_values(shape):
    low = gaussian(np.random.default_rng(0), *shape)
    (found,) = spectra(Adapter.of({"layers.3.q": low}))
    dense = np.linalg.svd(low.dense(), compute_uv=False)[: min(shape)]
    np.testing.assert_allclose(found.sigma, dense, atol=1e-12)
    described = (found.outputs, found.inputs, found.width, found.rank)
    assert described == (*shape, np.linalg.matrix_rank(low.dense()))
    assert found.module == "layers.3.q"
    assert found.energy == pytest.approx((low.dense() ** 2).sum())
    assert found.spectral == low.spectral_norm
    assert (found.stable_rank, found.effective_rank) == (low.stable_rank, low.effective_rank)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("model.layers.12.self_attn.q_proj", 12, "model.layers.*.self_attn.q_proj"),
        ("transformer.h.0.attn.c_attn", 0, "transformer.h.*.attn.c_attn"),
        ("model.layers.3.mlp.experts.7.w1", 3, "model.layers.*.mlp.experts.*.w1"),
        ("lm_head", None, "lm_head"),
        (f"layers.{'9' * 5000}.q", None, "layers.*.q"),
        ("block2.conv1x1", None, "block2.conv1x1"),
    ],
)
def test_names_tell_layer_and_kind(name, layer, kind):
    assert layer_of(name) == layer
    assert kind_of(name) == kind


def library(count=2, sigma=(3.0, 1.0), seed=0):
    rng = np.random.default_rng(seed)
    return [
        Adapter.of(
            {f"layers.{n}.q": with_spectrum(rng, 40, 50, sigma).balanced() for n in range(2)},
            Info(name=f"adapter {number}"),
        )
        for number in range(count)
    ]


def text(diagnosis, label, kind="measured"):
    return " ".join(f.text for f in diagnosis.findings if (f.label, f.kind) == (label, kind))


def test_thresholds_are_those_of_the_theorems():
    found = diagnose(*library(3))
    assert " 2 times" in text(found, "thm:averaging-survival", "needed")
    assert "(8 times" in text(found, "thm:averaging-survival", "needed")
    assert f" {3 * (5**0.5 - 1) / 2:.4g}," in text(found, "thm:two-read-region", "needed")


def test_only_a_gauge_that_shows_is_named():
    assert not text(diagnose(*library()), "thm:factor-mean-residual")
    turned = []
    for one in library(1):
        low = {name: LowRank(2 * one[name].up, one[name].down / 2) for name in one}
        turned.append(Adapter.of(low, one.info))
    assert text(diagnose(*turned, *library(1, seed=1)), "thm:factor-mean-residual")
    assert text(diagnose(*library(1), *library(1, sigma=(1.0,))), "thm:factor-mean-residual")


def test_flat_spectra_are_counted_only_where_they_are():
    assert "4 of 4" not in text(diagnose(*library()), "thm:arrow-blind-spot")
    flat = diagnose(*library(sigma=(1.0, 0.99)), *library(1, sigma=(1.0,)))
    assert "4 of 4" in text(flat, "thm:arrow-blind-spot")


def test_the_worst_module_is_named():
    rng = np.random.default_rng(1)
    same = gaussian(rng, 40, 50, 2)
    pair = [Adapter.of({"quiet": gaussian(rng, 40, 50, 2), "large": same}) for _ in range(2)]
    assert "module large, bound 100%" in text(diagnose(*pair), "thm:interference-angle")


def test_adapters_that_share_no_module_have_a_note_each_and_no_cross_talk():
    rng = np.random.default_rng(1)
    found = diagnose(*(Adapter.of({name: gaussian(rng, 9, 8, 2)}) for name in "qv"))
    assert "%" not in text(found, "thm:interference-angle")
    assert len(found.notes) == 2


def test_one_folder_twice_is_fine_and_one_alone_is_refused():
    one = library(1)[0]
    twice = diagnose(one, one)
    assert twice.adapters == ("adapter 0 (1)", "adapter 0 (2)")
    assert " 0% of their mean energy" in text(twice, "thm:merge-floor")
    with pytest.raises(DiagnosisError, match="at least two"):
        diagnose(one)


def test_arrow_and_floor_count_only_what_adapters_change():
    rng = np.random.default_rng(5)
    blind, sharp = with_spectrum(rng, 40, 50, [1.0, 1.0]), with_spectrum(rng, 40, 50, [1.0])
    one = Adapter.of({"a": blind, "b": blind}, Info(name="one"))
    two = Adapter.of({"b": sharp, **{f"c{n}": sharp for n in range(9)}}, Info(name="two"))
    found = diagnose(one, two)
    assert "50% of the energy of one" in text(found, "thm:arrow-blind-spot")
    energy = sum(np.sum(low.dense() ** 2) for a in (one, two) for low in a.values()) / 2
    apart = beyond = 0.0
    for name in {*one, *two}:
        pair = [a[name].dense() if name in a else np.zeros((40, 50)) for a in (one, two)]
        apart += np.sum((pair[0] - pair[1]) ** 2) / 4
        beyond += np.sum(np.linalg.svd(sum(pair) / 2, compute_uv=False)[2:] ** 2)
    shares = f" {100 * apart / energy:.3g}% of their mean energy at any rank, and "
    shares += f"{100 * (apart + beyond) / energy:.3g}% at rank 2."
    assert shares in text(found, "thm:merge-floor")


def test_partners_of_more_drift_left_less():
    kept, counts = zip(*map(expect_retention, (0.0, 0.5, 0.51, 99.0, np.nan)), strict=True)
    assert counts == (92, 92, 322, 161, 161)
    assert kept[0] == kept[1] > kept[2] > kept[3] == kept[4]


def test_names_are_never_equal():
    assert distinct(["x/a", "y/b"]) == ("a", "b")
    assert len({*distinct(["a", "a", "a (1)"])}) == 3


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
