"""_overlap: common shares on paper, by total variation, and as the lessons were made."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.tasks.word_problems import (
    ImpossibleError,
    lessons,
    pool,
    shape_share,
    template_overlap,
)

sets = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


def test_overlap_on_paper():
    assert template_overlap("aab", "abbb") == pytest.approx(1 / 4 + 1 / 3)
    assert template_overlap("ab", "cd") == 0
    assert template_overlap("aabb", "ab") == 1


@given(sets, sets)
def test_overlap_is_one_less_the_total_variation(first, second):
    far = sum(
        abs(Fraction(first.count(x), len(first)) - Fraction(second.count(x), len(second)))
        for x in "abcd"
    )
    assert template_overlap(first, second) == pytest.approx(float(1 - far / 2))
    assert template_overlap(first, second) == pytest.approx(template_overlap(second, first))


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 1])
def test_lessons_have_the_overlap_they_were_made_with(overlap):
    rng = np.random.default_rng(3)
    made = lessons("rate", "percent", rng=rng, overlap=overlap, prime=7)
    drawn = [part.drawn(160, rng=rng).templates for part in (made.first, made.second)]
    assert template_overlap(*drawn) == pytest.approx(overlap)


def test_shapes_forget_skills_but_not_how_steps_feed_each_other():
    one = pool(["rate"], steps=1, prime=7).templates
    two = pool(["multiply"], steps=2, prime=7).templates
    asked = pool(["rate", "percent"], steps=2, prime=7, together=["rate", "percent"]).templates
    assert len(asked) == 2
    assert shape_share(one, asked) == 0
    assert shape_share(two, asked) == 1
    assert shape_share([*one, *one, *one, *two], asked) == 1 / 4
    joining = [each for each in pool(["add"], steps=2, prime=7).templates if each.depth == 1]
    assert shape_share([*joining, *two], asked) == 1 / (len(joining) + 1)


@pytest.mark.parametrize("measure", [template_overlap, shape_share])
def test_nothing_has_no_overlap(measure):
    some = pool(["rate"], steps=1, prime=7).templates
    for first, second in (((), some), (some, ())):
        with pytest.raises(ImpossibleError, match="give at least one solution each"):
            measure(first, second)
