"""_votes: the closed form is the theorem's own bound, and crosses zero where it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.experiments.words._votes import lead, share_needed
from loratheory.theorems.composition.template_vote import Case, bound, overlap_needed


@given(st.floats(0, 1), st.floats(0.05, 1.5), st.booleans(), st.integers(1, 4))
def test_the_lead_is_the_theorems(share, coefficient, habit, adapters):
    habits = np.array([[1.0], [0.0]] if habit else [[0.0], [1.0]])
    each = np.array([[share], [1 - share]])
    case = Case(np.eye(1), habits, (each,) * adapters, (coefficient,) * adapters)
    assert lead(share, coefficient, habit=habit, adapters=adapters) == pytest.approx(bound(case))


@given(st.floats(0.3, 1.5), st.booleans())
def test_at_the_share_needed_nobody_leads(coefficient, habit):
    share = share_needed(coefficient, habit=habit)
    assert lead(share, coefficient, habit=habit) == pytest.approx(0, abs=1e-12)
    if not habit:
        assert share == pytest.approx(overlap_needed(2, coefficient))
