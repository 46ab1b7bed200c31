"""Stored witnesses: complete, right in the package, and right in exact arithmetic."""

import tomllib
from copy import deepcopy
from fractions import Fraction

import pytest
from theorems import exact

from loratheory.theorems import list_witnesses, load_theorems, load_witness

CONSTRUCTED = [theorem for theorem in load_theorems() if theorem.attain]
IRRATIONAL = "thm:router-information"  # its bound is a logarithm
rational = pytest.mark.parametrize("label", [t.label for t in CONSTRUCTED if t.label != IRRATIONAL])


def test_every_construction_has_a_stored_witness():
    assert [*list_witnesses()] == [theorem.label for theorem in CONSTRUCTED]


@pytest.mark.parametrize("theorem", CONSTRUCTED, ids=lambda t: t.label)
def test_a_stored_witness_meets_the_bound_of_its_case(theorem):
    stored = load_witness(theorem)
    verdict = theorem.check(stored.case, stored.witness)
    assert (verdict.bound, verdict.value) == pytest.approx((stored.bound, stored.value), abs=1e-12)
    assert verdict.tight if theorem.status != "refuted" else not verdict.holds


def judge(label, stored):
    """Whether bound and value are exactly as stored, and no hypothesis is broken."""
    check = getattr(exact, label.removeprefix("thm:").replace("-", "_"))
    try:
        found = check(exact.exact(stored["case"]), exact.exact(stored["witness"]))
    except (AssertionError, ZeroDivisionError, IndexError, KeyError):
        return False
    return found == (Fraction(stored["bound"]), Fraction(stored["value"]))


@rational
def test_a_stored_witness_is_right_in_exact_arithmetic(label):
    assert judge(label, tomllib.loads(list_witnesses()[label]))


def changed(given):
    """Copies of nested lists and tables with one number increased in each."""
    if isinstance(given, list | dict):
        for key in given if isinstance(given, dict) else range(len(given)):
            for one in changed(given[key]):
                copy = deepcopy(given)
                copy[key] = one
                yield copy
    elif isinstance(exact.exact(given), Fraction):
        yield str(1 + exact.exact(given))


@rational
def test_some_changed_entry_is_caught(label):
    stored = tomllib.loads(list_witnesses()[label])
    part = "case" if isinstance(stored["witness"], str) else "witness"
    caught = [not judge(label, {**stored, part: one}) for one in changed(stored[part])]
    assert any(caught)
