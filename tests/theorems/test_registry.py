"""What every theorem owes, whatever it says."""

import pkgutil
from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import seeds

from loratheory import theorems
from loratheory.theorems import moved, verify
from loratheory.theorems._verify import refuted_by

each = pytest.mark.parametrize("theorem", theorems.ALL, ids=lambda t: t.label)
DEVICE = array_api_strict.Device("device1")
BACKENDS = {
    "torch": torch.asarray,
    "strict": lambda array: array_api_strict.asarray(array, device=DEVICE),
}


def test_index_is_complete():
    """Each module of each chapter is listed once, and no chapter is left out."""
    chapters = {m.name for m in pkgutil.iter_modules(theorems.__path__) if m.ispkg}
    assert chapters == set(theorems.CHAPTERS)
    for chapter, results in theorems.CHAPTERS.items():
        there = [f"{theorems.__path__[0]}/{chapter}"]
        modules = [m.name for m in pkgutil.iter_modules(there) if m.name[0] != "_"]
        assert sorted(results) == sorted(modules)
        for result in results:
            assert getattr(theorems, result).THEOREM.chapter == chapter


def test_labels_are_unique():
    assert len({t.label for t in theorems.ALL}) == len(theorems.ALL)


@each
def test_uses_resolve_to_earlier_theorems(theorem):
    """Earlier in the index: so there is no cycle."""
    earlier = [t.label for t in theorems.ALL[: theorems.ALL.index(theorem)]]
    assert set(theorem.uses) <= set(earlier)


@each
def test_docstring_states_and_proves(theorem):
    assert "**Statement.**" in theorem.document
    assert theorem.status != "proved" or "**Proof.**" in theorem.document


@each
def test_it_behaves_as_its_status_says(theorem):
    report = verify(theorem, cases=60, seed=1)
    assert report.ok, report.trouble


@each
@given(seed=seeds)
def test_every_draw_is_within_the_hypotheses(theorem, seed):
    """Fresh draws beside the fixed ones of `verify`: construction and rival are both judged."""
    rng = np.random.default_rng(seed)
    case = theorem.draw(rng, 6)
    refuted = theorem.status == "refuted"
    if theorem.attain:
        verdict = theorem.check(case, theorem.attain(case))
        assert verdict.holds != refuted
        assert verdict.tight or refuted
    if theorem.rival and not refuted:
        assert theorem.check(case, theorem.rival(case, rng)).holds


@each
@pytest.mark.parametrize("backend", BACKENDS)
def test_verdicts_are_the_same_everywhere(theorem, backend):
    """The same code on another library, on a device that arrays cannot leave unnoticed."""
    rng = np.random.default_rng(0)
    case = theorem.draw(rng, 6)
    there = moved(case, BACKENDS[backend])
    witness = theorem.attain(case) if theorem.attain else theorem.rival(case, rng)
    here = theorem.check(case, witness)
    afar = theorem.check(there, moved(witness, BACKENDS[backend]))
    assert afar.bound == pytest.approx(here.bound, rel=1e-9, abs=here.room)
    assert afar.value == pytest.approx(here.value, rel=1e-9, abs=here.room)
    if theorem.attain:
        assert theorem.check(there, theorem.attain(there)).tight or theorem.status == "refuted"


@each
def test_every_hypothesis_that_can_break_has_a_control(theorem):
    broken = {control.breaks for control in theorem.controls}
    assert broken <= {a.text for a in theorem.assumptions}
    assert theorem.controls or theorem.status == "refuted"


@pytest.mark.parametrize(
    ("theorem", "control"),
    [(t, c) for t in theorems.ALL for c in t.controls],
    ids=lambda x: getattr(x, "name", getattr(x, "label", "")),
)
def test_controls_are_refused_and_break_the_conclusion(theorem, control):
    assert refuted_by(theorem, control) == ""


@each
def test_a_stronger_claim_is_rejected(theorem):
    """0.1 % beyond the bound must not pass where the construction meets it."""
    if theorem.attain is None or theorem.status == "refuted":
        return
    rng = np.random.default_rng(2)
    sign = {"lower": 1, "upper": -1, "equal": 1}[theorem.sense]
    seen = 0
    for _ in range(40):
        case = theorem.draw(rng, 8)
        bound = theorem.bound(case)
        if 1e-3 * abs(bound) <= 4 * theorem.judge(case, theorem.attain(case)).room:
            continue
        stronger = bound + sign * 1e-3 * abs(bound)
        claim = replace(theorem, bound=lambda _, stronger=stronger: stronger)
        verdict = claim.judge(case, theorem.attain(case))
        assert not verdict.holds
        assert not verdict.tight
        seen += 1
    assert seen
