"""Theorem by question: what each of them owes, whatever it says."""

import pkgutil
from importlib import import_module
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import seeds
from theorems.owed import ATTACKS, EXAMPLES, ROADS, SYMMETRIES

from loratheory import theorems
from loratheory.theorems import CHAPTERS, LABELS, load_theorems, sensitivity, verify
from loratheory.theorems._verify import convert_arrays, examine_control

for path in sorted(Path(__file__).parent.glob("test_*.py")):  # they register what is owed
    if "from theorems.owed import" in path.read_text() and path.name != Path(__file__).name:
        import_module(f"theorems.{path.stem}")

ALL = load_theorems()
each = pytest.mark.parametrize("theorem", ALL, ids=lambda t: t.label)
attacked = pytest.mark.parametrize(
    "theorem", [t for t in ALL if t.adversary], ids=lambda t: t.label
)
DEVICE = array_api_strict.Device("device1")
BACKENDS = {
    "torch": torch.asarray,
    "strict": lambda array: array_api_strict.asarray(array, device=DEVICE),
}


# In the index, once?


def test_the_index_is_complete():
    """Each module of each chapter is listed once with all that it states."""
    chapters = {m.name for m in pkgutil.iter_modules(theorems.__path__) if m.ispkg}
    assert chapters == {*CHAPTERS}
    stated = []
    for chapter, results in CHAPTERS.items():
        there = [f"{theorems.__path__[0]}/{chapter}"]
        modules = [m.name for m in pkgutil.iter_modules(there) if m.name[0] != "_"]
        assert sorted(results) == sorted(modules)
        for result in results:
            module = import_module(f"loratheory.theorems.{chapter}.{result}")
            claims = (module.THEOREM, *getattr(module, "CLAUSES", ()))
            assert {claim.chapter for claim in claims} == {chapter}
            stated += [claim.label for claim in claims]
    assert sorted(stated) == sorted(LABELS)
    assert len({*LABELS}) == len(LABELS)


@each
def test_uses_resolve_to_earlier_theorems_and_the_docstring_states_and_proves(theorem):
    """Earlier in the index: so there is no cycle."""
    earlier = [t.label for t in ALL[: ALL.index(theorem)]]
    assert set(theorem.uses) <= set(earlier)
    assert "**Statement.**" in theorem.document
    assert theorem.status != "proved" or theorem.part_of or "**Proof.**" in theorem.document


# Right on paper?


@pytest.mark.parametrize("owed", EXAMPLES.values(), ids=str)
def test_hand_examples(owed):
    for case, expected, *witnesses in owed.function():
        owed.agrees(case, expected, *witnesses)


@each
def test_every_theorem_has_a_hand_example(theorem):
    """Or a clause of it that has the same bound."""
    assert theorem.bound in [owed.theorem.bound for owed in EXAMPLES.values()]


# By another road, and in the limits?


@pytest.mark.parametrize("owed", ROADS.values(), ids=str)
@settings(max_examples=8)
@given(seed=seeds)
def test_other_roads(owed, seed):
    rng = np.random.default_rng(seed)
    for case, expected, *witnesses in owed.draw(rng):
        owed.agrees(case, expected, *witnesses)


@attacked
@settings(max_examples=2)
@given(seed=seeds)
def test_an_adversary_that_shares_no_code_never_beats_the_bound(theorem, seed):
    rng = np.random.default_rng(seed)
    case = theorem.draw(rng, 6)
    assert theorem.check(case, theorem.adversary(case, rng)).holds


@pytest.mark.parametrize("owed", ATTACKS.values(), ids=str)
def test_the_adversary_is_strong_enough_to_arrive_where_it_can(owed):
    for case, expected in owed.function():
        rngs = [np.random.default_rng(start) for start in range(owed.starts)]
        values = [owed.theorem.measure(case, owed.theorem.adversary(case, rng)) for rng in rngs]
        best = max(values) if owed.theorem.sense == "upper" else min(values)
        assert best == pytest.approx(expected, rel=owed.rel, abs=owed.room)


ARRIVED = {owed.theorem.label for owed in ATTACKS.values()}
ELUSIVE = {  # what these adversaries seek they find by luck alone, or never
    *("thm:attained-budget", "thm:attention-reach", "thm:relu-necessity", "thm:routing-reach"),
}


@pytest.mark.parametrize(
    "theorem",
    [t for t in ALL if t.adversary and t.label not in ARRIVED | ELUSIVE],
    ids=lambda t: t.label,
)
def test_all_other_adversaries_come_to_the_bound_on_every_draw(theorem):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        case = theorem.draw(rng, 6)
        near = pytest.approx(theorem.bound(case), rel=0.01, abs=1e-6 * theorem.scale(case))
        assert theorem.measure(case, theorem.adversary(case, rng)) == near


# Natural?


@pytest.mark.parametrize("owed", SYMMETRIES.values(), ids=str)
@settings(max_examples=8)
@given(seed=seeds)
def test_symmetries(owed, seed):
    rng = np.random.default_rng(seed)
    case = owed.theorem.draw(rng, owed.size)
    bound, rounding = owed.theorem.bound(case), owed.room * owed.size_of(case)
    for other, factor, *witnesses in owed.function(case, rng):
        wanted = factor * bound
        found = owed.theorem.bound(other)
        assert found == pytest.approx(wanted, rel=owed.rel, abs=rounding * abs(factor))
        owed.agrees(other, found, *witnesses)


@each
def test_every_theorem_has_a_symmetry(theorem):
    assert theorem.bound in [owed.theorem.bound for owed in SYMMETRIES.values()]


# Sound, sound where it is hard, and tight?


@each
def test_it_behaves_as_its_status_says(theorem):
    report = verify(theorem, cases=30, seed=1)
    assert report.ok, report.trouble


@each
def test_a_law_changed_by_a_tenth_is_noticed_or_it_says_why_not(theorem):
    """Its constant and its exponent, made stronger or weaker; no reason where all is."""
    if theorem.status == "refuted":
        with pytest.raises(ValueError, match="refuted by one example"):
            sensitivity(theorem)
        return
    noticed = sensitivity(theorem, cases=60, seed=1)
    if noticed.missed and not noticed.reason:
        noticed = sensitivity(theorem)  # some that are sampled need a default run
    stronger, weaker = noticed.constant_up, noticed.constant_down
    if theorem.sense == "upper":
        stronger, weaker = weaker, stronger
    assert stronger is not None
    assert bool(noticed.reason) == noticed.missed
    assert not theorem.unseen or noticed.missed
    assert theorem.unseen or max(stronger, weaker) <= 0.1


# Is each hypothesis needed?


@each
def test_every_hypothesis_has_a_control_or_says_why_nothing_breaks_it(theorem):
    """Not those of a refuted claim: its conclusion breaks although all of them are kept."""
    broken = [control.breaks for control in theorem.controls]
    unbroken = [one.text for one in theorem.assumptions if one.unbroken]
    if theorem.status == "refuted":
        assert not broken + unbroken
    else:
        assert {*broken, *unbroken} == {one.text for one in theorem.assumptions} != set()
        assert not {*broken} & {*unbroken}


@pytest.mark.parametrize(
    ("theorem", "control"),
    [(t, c) for t in ALL for c in t.controls],
    ids=lambda x: getattr(x, "name", getattr(x, "label", "")),
)
def test_controls_are_refused_and_break_the_conclusion(theorem, control):
    assert examine_control(theorem, control) == ""


# On any array library?


@each
@pytest.mark.parametrize("backend", BACKENDS)
def test_verdicts_are_the_same_everywhere(theorem, backend):
    """The same code on another library, on a device that arrays cannot leave unnoticed."""
    rng = np.random.default_rng(0)
    case = theorem.draw(rng, 6)
    there = convert_arrays(case, BACKENDS[backend])
    witness = theorem.attain(case) if theorem.attain else theorem.rival(case, rng)
    here = theorem.check(case, witness)
    afar = theorem.check(there, convert_arrays(witness, BACKENDS[backend]))
    assert afar.bound == pytest.approx(here.bound, rel=1e-9, abs=here.room)
    assert afar.value == pytest.approx(here.value, rel=1e-9, abs=here.room)
    if theorem.attain:
        assert theorem.check(there, theorem.attain(there)).tight or theorem.status == "refuted"
