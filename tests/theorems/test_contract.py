"""The judge and `verify`: what holds, what is refused, what is seen to be wrong."""

import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import toy

from loratheory.lowrank import LowRank
from loratheory.theorems import (
    LABELS,
    SAFETY,
    Assumption,
    AssumptionError,
    Control,
    sensitivity,
    theorem,
    verify,
    verify_all,
)
from loratheory.theorems._verify import convert_arrays, examine_control

MOST = {"verify": 30, "merge": 45}  # modules of the package that a command may load
HONEST = toy(
    rival=lambda _, rng: float(rng.uniform(1, 9)),
    controls=(Control("a negative witness", "a positive witness", lambda: (1.0, -1.0)),),
)


@pytest.mark.parametrize(
    ("sense", "value", "holds", "tight"),
    [
        ("lower", 2.0, True, False),
        ("lower", 0.5, False, False),
        ("lower", 1.0, True, True),
        ("upper", 0.5, True, False),
        ("upper", 2.0, False, False),
        ("equal", 1.0, True, True),
        ("equal", 1.1, False, False),
        ("equal", 0.9, False, False),
        ("lower", math.nan, False, False),
    ],
)
def test_each_sense_forbids_its_own_side(sense, value, holds, tight):
    verdict = toy(sense).judge(1.0, value)
    assert (verdict.holds, verdict.tight) == (holds, tight)


@given(st.floats(1e-12, 1e12))
def test_room_grows_with_the_data_and_its_condition(scale):
    plain = toy().judge(scale, 1.0)
    assert plain.room == pytest.approx(SAFETY * scale)
    assert pytest.approx(9.1e-13, rel=0.01) == SAFETY
    hard = toy(condition=lambda _: 100.0, noise=lambda _: 0.25).judge(scale, 1.0)
    assert hard.room == pytest.approx(100 * SAFETY * scale + 0.25)
    assert hard.condition == 100


def test_a_failed_hypothesis_is_refused_by_name_but_a_broken_bound_is_a_finding():
    with pytest.raises(AssumptionError, match="thm:toy says nothing here: it needs a positive"):
        toy().check(1.0, -3.0)
    assert not toy().check(1.0, 0.1).holds
    assert not toy().judge(1.0, -3.0).holds


def test_an_honest_theorem_passes():
    report = verify(HONEST, cases=50)
    assert report.ok
    assert (report.holds, report.tight, report.controls, report.trouble) == (True, True, 1, "")
    assert report.cases >= 50
    assert report.worst_slack == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bound": lambda _: 1.01}, "construction of draw 0"),
        ({"attain": lambda _: 1.5}, "construction of draw 0"),
        ({"rival": lambda _, __: 0.5}, "rival of draw 0"),
        ({"adversary": lambda _, __: 0.5}, "adversary of draw 0"),
        ({"rival": lambda _, __: -1.0}, "needs a positive witness"),
        ({"attain": lambda _: -1.0}, "needs a positive witness"),
        ({"measure": lambda _, __: np.nan}, "construction of draw 0"),
        ({"assumptions": ()}, "is not refused"),
        ({"status": "refuted"}, "construction of draw 0"),
        ({"status": "refuted", "measure": lambda _, __: np.nan}, "construction of draw 0"),
    ],
)
def test_what_is_wrong_is_seen_and_reproducible(change, says):
    report = verify(replace(HONEST, **change), cases=20)
    assert not report.ok
    assert says in report.trouble


@pytest.mark.parametrize(
    ("control", "says"),
    [
        (Control("x", "a positive witness", lambda: (1.0, 2.0)), "is not refused"),
        (Control("x", "another", lambda: (1.0, -2.0)), "for another reason"),
        (Control("x", "a positive witness", lambda: (1.0, -2.0)), ""),
        (Control("x", "a positive witness", lambda: (1.0, -2.0), fails="tight"), ""),
    ],
)
def test_controls_must_be_refused_for_their_own_reason(control, says):
    assert says in examine_control(HONEST, control)
    assert bool(examine_control(HONEST, control)) == bool(says)


@pytest.mark.parametrize(
    ("value", "says"),
    [(2.0, ""), (1.0, "does not break the conclusion"), (0.5, "breaks a bound that should stand")],
)
def test_without_a_hypothesis_to_attain_the_bound_it_stands_and_is_not_met(value, says):
    even = Assumption("an even case (to attain the bound)", lambda case, _: case % 2 == 0)
    law = replace(toy(), assumptions=(*toy().assumptions, even))
    found = examine_control(law, Control("x", even.text, lambda: (3.0, value), "tight"))
    assert law.check(3.0, 2.0).holds
    assert says in found
    assert bool(says) == bool(found)
    assert "not refused" in examine_control(law, Control("x", even.text, lambda: (2.0, 2.0)))


def test_controls_must_break_the_conclusion():
    harmless = replace(HONEST, measure=lambda _, w: abs(w) + 1)
    assert "does not break" in examine_control(harmless, HONEST.controls[0])


def test_where_every_witness_is_refused_no_change_of_the_law_is_noticed():
    refused = replace(HONEST, attain=lambda _: -1.0, rival=None)
    assert sensitivity(refused, cases=5).constant_up is None


def test_a_law_is_as_sensitive_as_its_least_sensitive_branch():
    """All witnesses are 1, where the law says 1 in half of the cases and 4 in the others."""
    law = replace(toy("upper"), attain=None, rival=lambda *_: 1.0)
    law = replace(law, draw=lambda rng, _: rng.choice([1.0, 4.0]), bound=lambda case: case)
    found = sensitivity(replace(law, branch=lambda case: f"branch {case:.0f}"), cases=40)
    assert (found.branch, found.constant_down) == ("branch 4", None)
    assert sensitivity(law, cases=40).constant_down == 0.001


def test_a_refuted_claim_is_one_whose_counterexample_breaks_it():
    claim = replace(HONEST, status="refuted", attain=lambda _: 0.5)
    report = verify(claim, cases=20)
    assert report.ok
    assert report.tight is None


def test_no_case_checks_nothing():
    with pytest.raises(ValueError, match="which checks nothing"):
        verify(HONEST, cases=0)


def test_reports_depend_on_seed_and_label_alone():
    one, two = (verify(theorem(LABELS[0]), cases=40, seed=3) for _ in range(2))
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)
    assert verify(theorem(LABELS[0]), cases=40, seed=4).worst_slack != one.worst_slack


def test_reports_do_not_depend_on_the_number_of_workers():
    labels = list(LABELS[:2])
    alone, together = (
        [replace(r, seconds=0.0) for r in verify_all(labels, cases=5, workers=workers)]
        for workers in (1, 2)
    )
    assert alone == together
    assert [report.label for report in alone] == labels


def test_arrays_move_wherever_they_are():
    low = LowRank(np.ones((2, 1)), np.ones((1, 2)))
    nested = convert_arrays((np.ones(2), low, 3, "x"), torch.asarray)
    assert isinstance(nested[0], torch.Tensor)
    assert isinstance(nested[1].up, torch.Tensor)
    assert nested[2:] == (3, "x")
    assert convert_arrays(low, None) is low


FACTORED = (  # theorems that are computed from factors alone
    "merge-floor edit-budget factor-mean-residual interference-angle gate-detection "
    "interpolation-price covariance-floor superposition-floor"
)


@pytest.mark.parametrize("label", FACTORED.split())
def test_theorems_on_factors_never_form_a_wide_matrix(label):
    """A dense 4096 by 4096 matrix would take 128 MiB."""
    tracemalloc.start()
    report = verify(theorem(label), cases=2, size=4096)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.ok, report.trouble
    assert peak < 120 * 2**20


COUNT = """
import sys
from loratheory.cli import app
try:
    app(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print(sum(name.split(".")[0] == "loratheory" for name in sys.modules))
print(*(name for name in sys.modules if name.startswith("loratheory.theorems.")))
"""


def loaded(*words):
    """How many modules of the package a command loads, and which of the theorems."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *map(str, words)], capture_output=True, text=True, check=True
    )
    *_, count, names = done.stdout.splitlines()
    return int(count), [name for name in names.split() if name.count(".") == 3]


def test_verify_loads_one_theorem_and_merge_none(tmp_path):
    count, stated = loaded("verify", "merge-floor", "--cases", 5)
    assert stated == ["loratheory.theorems.expressiveness.rank_floor"]
    assert count <= MOST["verify"]
    persons = Path(__file__).parents[1] / "data" / "persons"
    count, stated = loaded("merge", persons, persons, "-o", tmp_path / "merged")
    assert not stated
    assert count <= MOST["merge"]
