"""Shapes are enforced under jaxtyping's hook, and cost nothing without it."""

import subprocess
import sys
from collections.abc import Sequence

import jaxtyping
import numpy as np
import pytest
from beartype import beartype

from loratheory import shapes
from loratheory.lowrank import LowRank


def test_under_the_hook_they_are_jaxtypings_own_and_enforced():
    names = {"Bool", "Float", "Float64", "Int", "Int64", "Shaped"}
    assert all(getattr(shapes, name) is getattr(jaxtyping, name) for name in names)
    with pytest.raises(Exception, match="up"):
        LowRank(np.ones((3, 2), dtype=int), np.ones((2, 4)))


def test_elsewhere_they_forget_the_shape_and_jaxtyping_is_not_loaded():
    code = (
        "import sys, loratheory.adapters, loratheory.theorems, loratheory.shapes as shapes;"
        "assert 'jaxtyping' not in sys.modules; assert shapes.Float[int, 'm n'] is int"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_functions_that_state_a_shape_are_checked_others_and_local_ones_are_left_alone():
    checks = jaxtyping.jaxtyped(typechecker=beartype)

    def _local(x: shapes.Float[np.ndarray, " n"]) -> None:
        """Defined anew at every call."""

    assert checks(_local) is _local
    assert checks(_plain) is _plain
    for stated in (_one, _several):
        checked = checks(stated)
        checked([np.ones(2)] if stated is _several else np.ones(2))
        with pytest.raises(jaxtyping.TypeCheckError):
            checked([np.ones((2, 1))] if stated is _several else np.ones((2, 1)))


def _plain(x: int) -> int:
    return x


def _one(x: shapes.Float[np.ndarray, " n"]) -> None:
    """States a shape."""


def _several(x: Sequence[shapes.Float[np.ndarray, " n"]]) -> None:
    """States one within another type."""
