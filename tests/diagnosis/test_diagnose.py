"""Sentences about a library of adapters: each rests on a theorem and holds the right number."""

import numpy as np
import pytest

from loratheory.adapters import Adapter, Info
from loratheory.diagnosis import DiagnosisError, diagnose, kept_beside
from loratheory.lowrank import LowRank, gaussian, with_spectrum


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
    kept, counts = zip(*map(kept_beside, (0.0, 0.5, 0.51, 99.0)), strict=True)
    assert counts == (92, 92, 322, 161)
    assert kept[0] == kept[1] > kept[2] > kept[3]
