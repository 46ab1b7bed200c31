"""Sentences: each rests on a theorem of the registry and says the right number."""

import numpy as np
import pytest

from loratheory import theorems
from loratheory.adapters import Adapter, Info
from loratheory.diagnosis import DiagnosisError, diagnose
from loratheory.lowrank import LowRank, balanced, gaussian, with_spectrum


def shelf(count=2, sigma=(3.0, 1.0), seed=0):
    rng = np.random.default_rng(seed)
    return [
        Adapter.of(
            {f"layers.{n}.q": balanced(with_spectrum(rng, 40, 50, sigma)) for n in range(2)},
            Info(name=f"adapter {number}"),
        )
        for number in range(count)
    ]


def text(diagnosis, label, kind="measured"):
    return " ".join(f.text for f in diagnosis.findings if (f.label, f.kind) == (label, kind))


def test_every_label_is_in_the_registry_and_every_kind_occurs():
    found = diagnose(*shelf(3)).findings
    assert {f.label for f in found} <= {t.label for t in theorems.ALL}
    assert {f.kind for f in found} == {"measured", "needed", "unknown"}


def test_thresholds_are_those_of_the_theorems():
    found = diagnose(*shelf(3))
    survival = text(found, "thm:averaging-survival", "needed")
    assert "exceeds 2 times the deficit" in survival
    assert "(8 times where factors are averaged" in survival
    region = text(found, "thm:two-read-region", "needed")
    assert f"iff it exceeds {3 * (5**0.5 - 1) / 2:.4g} if the old bridge" in region
    assert "1.5 if it was (overwrite both)" in region


def test_only_a_gauge_that_shows_is_called_ill_defined():
    assert not text(diagnose(*shelf()), "thm:factor-mean-residual")
    turned = [
        Adapter.of({n: LowRank(2 * a[n].up, a[n].down / 2) for n in a}, a.info) for a in shelf(1)
    ]
    assert "ill-defined" in text(diagnose(*turned, *shelf(1, seed=1)), "thm:factor-mean-residual")
    mixed = diagnose(*shelf(1), *shelf(1, sigma=(1.0,), seed=1))
    assert "ranks differ" in text(mixed, "thm:factor-mean-residual")


def test_flat_spectra_are_named_only_where_they_are():
    assert "poorly determined" not in text(diagnose(*shelf()), "thm:arrow-blind-spot")
    flat = diagnose(*shelf(sigma=(1.0, 0.99)))
    assert "4 of 4 Arrow prototypes" in text(flat, "thm:arrow-blind-spot")


def test_the_worst_module_is_named():
    rng = np.random.default_rng(1)
    same = gaussian(rng, 40, 50, 2)
    loud = [
        Adapter.of({"quiet": gaussian(rng, 40, 50, 2), "loud": same}, Info(name=str(number)))
        for number in range(2)
    ]
    assert "worst module, loud (bound 100 %)" in text(diagnose(*loud), "thm:interference-angle")


def test_adapters_that_share_no_module_do_not_disturb_each_other():
    rng = np.random.default_rng(1)
    apart = [Adapter.of({name: gaussian(rng, 9, 8, 2)}) for name in "qv"]
    found = diagnose(*apart)
    assert "No module is changed by two" in text(found, "thm:interference-angle")
    assert len(found.notes) == 2


def test_one_folder_twice_is_fine_and_one_alone_is_refused():
    one = shelf(1)[0]
    assert diagnose(one, one).adapters == ("adapter 0 (1)", "adapter 0 (2)")
    assert "(thm:merge-floor)" in str(diagnose(one, one))
    with pytest.raises(DiagnosisError, match="at least two"):
        diagnose(one)


def test_arrow_and_floor_count_only_what_adapters_change():
    rng = np.random.default_rng(5)
    blind, sharp = with_spectrum(rng, 40, 50, [1.0, 1.0]), with_spectrum(rng, 40, 50, [1.0])
    one = Adapter.of({"a": blind, "b": blind}, Info(name="one"))
    two = Adapter.of({"b": sharp, **{f"c{n}": sharp for n in range(9)}}, Info(name="two"))
    found = diagnose(one, two)
    assert "50 % of the energy of one (median" in text(found, "thm:arrow-blind-spot")
    energy = sum(np.sum(low.dense() ** 2) for a in (one, two) for low in a.values()) / 2
    apart = 0.0
    for name in {*one, *two}:
        pair = [a[name].dense() if name in a else np.zeros((40, 50)) for a in (one, two)]
        apart += np.sum((pair[0] - pair[1]) ** 2) / 4
    assert f"is at least {100 * apart / energy:.3g} %" in text(found, "thm:merge-floor")


def test_rounding_is_not_a_distance():
    one = shelf(1)[0]
    assert "is at least 0 % of their mean energy" in text(diagnose(one, one), "thm:merge-floor")
