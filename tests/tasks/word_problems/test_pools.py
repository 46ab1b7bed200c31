"""_pools: the templates asked for, and in whole numbers those that have problems."""

import numpy as np
import pytest

from loratheory.tasks.word_problems import SKILLS, ImpossibleError, Pool, keys, pool, templates


def test_a_pool_has_all_templates_of_its_kind():
    here = pool(["rate", "add"], steps=(2, 1), prime=5, together=["rate"])
    every = {*templates(["rate", "add"], 1), *templates(["rate", "add"], 2)}
    assert {*here.templates} == {each for each in every if "rate" in each.skills}
    assert len(here.templates) == len({*here.templates})
    assert (here.prime, here.wordings) == (5, (0, 1, 2, 3))
    assert pool(["rate"], steps=2, prime=5).templates == templates(["rate"], 2)


def test_whole_numbers_leave_out_what_never_makes_sense():
    every = {*templates(SKILLS, 2)}
    left_out = {str(each) for each in every - {*pool(SKILLS, steps=2).templates}}
    assert left_out == {
        "b = divide(a); c = subtract(b, a)",
        "b = percent(a); c = subtract(b, a)",
        "b = multiply(a); c = subtract(a, b)",
        "b = add(a); c = subtract(a, b)",
        "b = subtract(a); c = subtract(b, a)",
        "c = add(a, b); d = subtract(a, c)",
        "c = subtract(a, b); d = subtract(c, a)",
    }
    assert {*pool(SKILLS, steps=2, prime=7).templates} == every


def test_problems_are_drawn_as_the_pool_says():
    here = Pool(templates(["add", "rate"], 1), 7, (2,))
    rng = np.random.default_rng(0)
    made = here.drawn(40, rng=rng, distinct=True)
    assert made.prime == 7
    assert {*made.wordings[made.told].tolist()} == {2}
    assert len({*keys(made)}) == 40
    assert not {*keys(here.drawn(40, rng=rng, avoid=made))} & {*keys(made)}


def test_a_part_of_a_pool():
    here = pool(["add", "rate"], steps=2, prime=7)
    part, other = (here.sampled(5, rng=np.random.default_rng(k)) for k in (0, 1))
    assert len({*part.templates}) == 5
    assert {*part.templates} < {*here.templates}
    assert part != other
    assert (part.prime, part.wordings) == (here.prime, here.wordings)
    for count in (0, len(here.templates) + 1):
        with pytest.raises(ImpossibleError, match=f"{count} templates are wanted of 12"):
            here.sampled(count, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"skills": ["sing"]}, "unknown skills: 'sing'; choose from add"),
        ({"together": ["sing"]}, "unknown skills: 'sing'"),
        ({"skills": ["percent"], "prime": 5}, "100 is 0 modulo 5"),
        ({"steps": 7}, "steps is 7; ask for a number from 1 to 4"),
        ({"steps": 1, "together": ["rate", "add"]}, "1 steps of add, rate has rate and add togeth"),
    ],
)
def test_bad_requests_are_refused(wanted, says):
    request = {"skills": ["add", "rate"], **wanted}
    with pytest.raises(ImpossibleError) as caught:
        pool(**request)
    assert says in str(caught.value)
