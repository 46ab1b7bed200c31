"""Sentences about a library of adapters, and what its adapters have in common."""

import json
from itertools import combinations

import numpy as np
import pytest

from loratheory import theorems
from loratheory.adapters import Adapter, Info, aligned
from loratheory.diagnosis import (
    DiagnosisError,
    Record,
    SolutionsError,
    _findings,
    diagnose,
    kept_beside,
    solution_overlaps,
    solution_templates,
    template_findings,
)
from loratheory.diagnosis._diagnose import weight_likeness
from loratheory.lowrank import LowRank, gaussian, with_spectrum

# Templates from files, refusals that say what to give, likeness by dense matrices.


def written(path, *lines):
    path.write_text("\n".join(lines))
    return path


def test_templates_are_read_and_their_overlaps_taken_pair_by_pair(tmp_path):
    sets = [
        solution_templates(
            written(tmp_path / f"{n}.jsonl", *(json.dumps({"template": t, "x": 1}) for t in texts))
        )
        for n, texts in enumerate(("aab", "bbc", "cc"))
    ]
    assert sets[0] == ["a", "a", "b"]
    assert solution_overlaps(sets) == pytest.approx({(0, 1): 1 / 3, (0, 2): 0, (1, 2): 1 / 3})


@pytest.mark.parametrize("line", ['{"graph": "a"}', "[]", "no json", '{"template": 3}', '"text"'])
def test_a_line_without_a_template_is_named(tmp_path, line):
    file = written(tmp_path / "a.jsonl", '{"template": "a"}', line)
    with pytest.raises(SolutionsError, match=r"line 2 of .*a.jsonl has no template: give"):
        solution_templates(file)


def test_nothing_and_nowhere_are_refused(tmp_path):
    with pytest.raises(SolutionsError, match="is empty: give at least one"):
        solution_templates(written(tmp_path / "a.jsonl", "", " "))
    with pytest.raises(SolutionsError, match="cannot be read"):
        solution_templates(tmp_path / "none.jsonl")


def test_likeness_is_the_weighted_mean_of_cosines():
    rng = np.random.default_rng(0)
    library = [
        Adapter.of({n: size * gaussian(rng, 6, 5, 2) for n, size in sizes.items()})
        for sizes in ({"a": 1, "b": 3}, {"a": 2, "b": 1}, {"a": 1})
    ]
    found = weight_likeness(aligned(library))
    dense = [{n: one[n].dense() for n in one} for one in library]
    for i, j in combinations(range(3), 2):
        both = [n for n in dense[i] if n in dense[j]]
        weights = [np.linalg.norm(dense[i][n]) * np.linalg.norm(dense[j][n]) for n in both]
        for kind, gram in (("read", lambda d: d.T @ d), ("write", lambda d: d @ d.T)):
            each = []
            for n in both:
                p, q = gram(dense[i][n]), gram(dense[j][n])
                each.append((p * q).sum() / np.linalg.norm(p) / np.linalg.norm(q))
            assert found[kind][i, j] == pytest.approx(np.average(each, weights=weights))


# Sentences: each rests on a theorem of the registry and says the right number.


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


def test_every_label_is_in_the_registry_and_every_kind_occurs():
    found = diagnose(*library(3)).findings
    assert {f.label for f in found} <= {t.label for t in theorems.ALL}
    assert {f.kind for f in found} == {"measured", "needed", "unknown"}


def test_thresholds_are_those_of_the_theorems():
    found = diagnose(*library(3))
    survival = text(found, "thm:averaging-survival", "needed")
    assert "exceeds 2 times the deficit" in survival
    assert "(8 times where factors are averaged" in survival
    region = text(found, "thm:two-read-region", "needed")
    assert f"iff it exceeds {3 * (5**0.5 - 1) / 2:.4g} if the old bridge" in region
    assert "1.5 if it was (overwrite both)" in region


def test_only_a_gauge_that_shows_is_called_ill_defined():
    assert not text(diagnose(*library()), "thm:factor-mean-residual")
    turned = [
        Adapter.of({n: LowRank(2 * a[n].up, a[n].down / 2) for n in a}, a.info) for a in library(1)
    ]
    assert "ill-defined" in text(diagnose(*turned, *library(1, seed=1)), "thm:factor-mean-residual")
    mixed = diagnose(*library(1), *library(1, sigma=(1.0,), seed=1))
    assert "ranks differ" in text(mixed, "thm:factor-mean-residual")


def test_flat_spectra_are_named_only_where_they_are():
    assert "poorly determined" not in text(diagnose(*library()), "thm:arrow-blind-spot")
    flat = diagnose(*library(sigma=(1.0, 0.99)))
    assert "4 of 4 Arrow prototypes" in text(flat, "thm:arrow-blind-spot")


def test_the_worst_module_is_named():
    rng = np.random.default_rng(1)
    same = gaussian(rng, 40, 50, 2)
    large = [
        Adapter.of({"quiet": gaussian(rng, 40, 50, 2), "large": same}, Info(name=str(number)))
        for number in range(2)
    ]
    assert "worst module, large (bound 100 %)" in text(diagnose(*large), "thm:interference-angle")


def test_adapters_that_share_no_module_do_not_disturb_each_other():
    rng = np.random.default_rng(1)
    apart = [Adapter.of({name: gaussian(rng, 9, 8, 2)}) for name in "qv"]
    found = diagnose(*apart)
    assert "No module is changed by two" in text(found, "thm:interference-angle")
    assert len(found.notes) == 2


def test_one_folder_twice_is_fine_and_one_alone_is_refused():
    one = library(1)[0]
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
    one = library(1)[0]
    assert "is at least 0 % of their mean energy" in text(diagnose(one, one), "thm:merge-floor")


# A sentence a pair with its measure, and one record a measure.


GOOD = Record(0.25, (7, 8), (1, 9), 0.53, 0.98, 10, 6, 11)


def test_a_record_is_told_in_counts():
    assert str(GOOD) == (
        "In our experiments 7 of 8 pairs from 25 % on composed (interval 53 to 98 %), below it "
        "1 of 9; with a threshold from other skills and bases the measure was right 10 times of "
        "11, the more frequent outcome 6 times (small transformers, arithmetic modulo 7; to "
        "compose meant to solve half of the problems)."
    )
    none = Record(0.9, (0, 0), (1, 9), 0.0, 1.0, 10, 6, 11)
    assert "In our experiments no pair reached 90 %, below it 1 of 9;" in str(none)


def test_each_pair_has_a_sentence_and_each_measure_one_record(monkeypatch):
    monkeypatch.setattr(_findings, "records", lambda: {"overlap": GOOD})
    pairs = {(0, 1): 0.5, (0, 2): 0.0, (1, 2): 0.125}
    found = template_findings(["x", "y", "z"], {"overlap": pairs, "read": {(0, 1): 0.1}})
    assert [one.kind for one in found] == ["shared"] * 4
    assert [str(GOOD) in one.text for one in found] == [False, False, True, False]
    assert found[0].text.startswith("x and y: 50 % of their solution templates are in both")
    assert found[2].text.startswith("y and z: 12.5 % of")
    assert found[3].text.startswith("x and y: 10 % is the likeness of what they read")
    assert {one.label for one in found} == {"thm:template-vote"}


def test_the_stored_records_are_whole():
    records = _findings.records()
    assert {"overlap", "read", "write", "agreement"} <= {*records}
    for one in records.values():
        assert one.above[1] + one.below[1] >= one.held_out >= max(one.right, one.majority)
        assert 0 <= one.low <= one.high <= 1
        if one.above[1]:
            assert one.low <= one.above[0] / one.above[1] <= one.high


@pytest.mark.parametrize(
    ("leak", "low", "high"),
    [(0.0, 0.0, 0.5), (0.5, 0.0, 0.5), (0.51, 0.5, 1.0), (3.9, 2.0, 4.0), (4.1, 4.0, 15.7),
     (99.0, 4.0, 15.7)],
)  # fmt: skip
def test_what_to_expect_of_a_leak_is_what_others_kept_beside_such(leak, low, high):
    found = kept_beside(leak)
    assert (found["low"], found["high"]) == (low, high)
    assert kept_beside(0.0)["kept"] > found["kept"] or leak <= 0.5
    assert found["kept"] >= kept_beside(99.0)["kept"]
    assert kept_beside(leak, "mean")["count"] == found["count"]
