"""_sampling: ten thousand problems and no error; templates, names and wordings as asked for."""

from collections import Counter

import numpy as np
import pytest
from sums import read, run

from loratheory.tasks.word_problems import (
    SKILLS,
    ImpossibleError,
    distracted,
    pool,
    problems,
    programs,
    reordered,
    stories,
    templates,
)


def test_ten_thousand_problems_without_an_error():
    """All skills, up to two distractors, half of them told in a random order.

    The English and the programs are solved by routes that know nothing of the graphs; a count that
    is negative or no whole number anywhere, or a sentence that can be read in two ways, is an
    error too.
    """
    rng = np.random.default_rng(0)
    longest = pool(("add", "compare", "rate", "percent"), steps=3).drawn(4000, rng=rng)
    made = [pool(SKILLS, steps=(1, 2)).drawn(6000, rng=rng), distracted(longest, 2, rng=rng)]
    made[0] = reordered(made[0], rng=rng)
    wrong = 0
    for part in made:
        for story, program, answer in zip(
            stories(part), programs(part), part.answers.tolist(), strict=True
        ):
            wrong += not (read(story.problem) == run(program) == answer == int(story.answer))
        assert (part.values[part.told] > 0).all()
    assert wrong == 0
    lost = made[0].excluded
    assert {"not a whole number", "nothing or less is left"} <= {*lost}
    assert all(lost.values())


def test_each_template_comes_equally_often_in_random_places():
    every = templates(["add", "rate"], 2)
    made = problems(every, 5 * len(every) + 3, rng=np.random.default_rng(1), prime=5)
    counts = Counter(made.templates)
    assert {*counts} == {*every}
    assert {*counts.values()} == {5, 6}
    assert len({*made.templates[: len(every)]}) < len(every)
    few = problems(every, 4, rng=np.random.default_rng(1), prime=5)
    assert len({*few.templates}) == 4


def test_names_differ_and_all_that_may_vary_varies():
    made = pool(["add", "rate"], steps=(1, 3), prime=5).drawn(400, rng=np.random.default_rng(2))
    for row in range(len(made)):
        names = made.names[row][made.told[row]].tolist()
        assert len({*names}) == len(names)
    assert {*made.names[made.told].tolist()} == {*range(12)}
    assert {*made.scenes.tolist()} == {*range(12)}
    assert {*made.wordings[made.told].tolist()} == {*range(4)}
    two = problems(templates(["add"], 1), 50, rng=np.random.default_rng(2), wordings=[3, 1])
    assert {*two.wordings[two.told].tolist()} == {*two.asking.tolist()} == {1, 3}


def test_a_seed_determines_all():
    here = pool(["add", "percent"], steps=2)
    one, same, other = (here.drawn(9, rng=np.random.default_rng(k)) for k in (3, 3, 4))
    assert stories(one) == stories(same) != stories(other)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"rows": 0}, "the number of problems is 0"),
        ({"wordings": []}, "wordings are []; name some of 0, 1, 2, 3"),
        ({"wordings": [4]}, "wordings are [4]; name some of"),
        ({"prime": 4}, "numbers modulo 4 are asked for"),
        ({"templates": ()}, "there are no templates to draw 5 problems of; name more skills"),
    ],
)
def test_bad_requests_are_refused(wanted, says):
    request = {"templates": templates(["add"], 1), "rows": 5, **wanted}
    with pytest.raises(ImpossibleError) as caught:
        problems(**request, rng=np.random.default_rng(0))
    assert says in str(caught.value)
