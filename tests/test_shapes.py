"""Shapes are enforced under jaxtyping's hook, and cost nothing without it."""

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest

from loratheory import shapes
from loratheory.lowrank import LowRank


def test_under_the_hook_they_are_jaxtypings_own_and_enforced():
    names = [
        name for name in vars(shapes) if name[0].isupper() and name not in ("Any", "TYPE_CHECKING")
    ]
    assert set(names) == {"Bool", "Float", "Float64", "Int", "Int64", "Shaped"}
    assert all(getattr(shapes, name) is getattr(jaxtyping, name) for name in names)
    with pytest.raises(Exception, match="up"):
        LowRank(np.ones((3, 2), dtype=int), np.ones((2, 4)))


def test_elsewhere_they_forget_the_shape_and_jaxtyping_is_not_loaded():
    code = (
        "import sys, loratheory.adapters, loratheory.theorems, loratheory.shapes as shapes;"
        "assert 'jaxtyping' not in sys.modules; assert shapes.Float[int, 'm n'] is int"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
