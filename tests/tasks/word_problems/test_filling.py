"""_filling: numbers are uniform over those that make sense, and every other draw is counted."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from loratheory.tasks.word_problems import ImpossibleError, keys, pool, problems, templates
from loratheory.tasks.word_problems._sampling import blank, filled, sensible


def named(said, skills, steps):
    (found,) = [each for each in templates(skills, steps) if str(each) == said]
    return found


def test_all_numbers_that_make_sense_are_equally_likely():
    """Modulo 3: a ÷ n has 3 · 2 of them; 0.4 percent of draws lie outside six deviations."""
    rows = 6000
    made = problems([named("b = divide(a)", ["divide"], 1)], rows, rng=np.random.default_rng(0),
                    prime=3)  # fmt: skip
    counts = Counter((row[0][0], row[1][0]) for row in made.numbers.tolist())
    assert {*counts} == {(a, n) for a in range(3) for n in (1, 2)}
    assert max(abs(count - rows / 6) for count in counts.values()) < 6 * (rows / 6) ** 0.5
    share = made.excluded["division by zero modulo the prime"] / rows
    assert list(made.excluded) == ["division by zero modulo the prime"]
    assert abs(share - 1 / 2) < 0.1  # one draw of three is lost


def test_a_later_draw_is_as_good_as_the_first():
    """A ÷ n ÷ m in whole numbers: few draws do, and those are uniform over n and m given a."""
    made = problems([named("b = divide(a); c = divide(b)", ["divide"], 2)], 3000,
                    rng=np.random.default_rng(1))  # fmt: skip
    a, n, m = made.numbers[:, [0, 1, 2], 0].T
    assert (a % (n * m) == 0).all()
    every = [(x, p, q) for x in range(2, 121) for p in range(2, 10) for q in range(2, 10)
             if x % (p * q) == 0]  # fmt: skip
    counts = Counter(zip(n.tolist(), m.tolist(), strict=True))
    for p, q in [(2, 2), (3, 4), (9, 9)]:
        wanted = 3000 * sum(each[1:] == (p, q) for each in every) / len(every)
        assert abs(counts[p, q] - wanted) < 6 * wanted**0.5 + 1
    tried = 3000 + sum(made.excluded.values())
    assert abs(3000 / tried - len(every) / (119 * 64)) < 0.02


def test_only_open_quantities_change():
    rng = np.random.default_rng(2)
    made = pool(["add", "rate"], steps=2, prime=11).drawn(40, rng=rng)
    first = np.zeros(made.skills.shape, dtype=bool)
    first[:, 0] = True
    new = filled(made, first, rng=rng)
    assert (new.numbers[:, 1:] == made.numbers[:, 1:]).all()
    assert (new.numbers[:, 0] != made.numbers[:, 0]).any()
    assert (new.values[:, 0] == new.numbers[:, 0, 0]).all()


def test_what_is_said_is_what_the_form_takes():
    made = pool(["add", "rate", "compare"], steps=2).drawn(60, rng=np.random.default_rng(3))
    for row, template in enumerate(made.templates):
        for k, (skill, inputs) in enumerate(template.nodes):
            said = sum(n >= 0 for n in made.numbers[row, k].tolist())
            assert said == (1 if not skill else {6: 2}.get(skill, 2 - len(inputs)))


def test_distinct_means_distinct_and_avoided_means_avoided():
    rng = np.random.default_rng(4)
    here = pool(["rate", "percent"], steps=1, prime=7)
    one = here.drawn(40, rng=rng, distinct=True)
    other = here.drawn(200, rng=rng, avoid=one)
    assert len(set(keys(one))) == 40
    assert not set(keys(one)) & set(keys(other))
    assert len(set(keys(other))) < 200
    assert one.excluded["the same as another"] > 0
    assert "the same as another" not in here.drawn(5, rng=rng).excluded
    assert all(here.drawn(2, rng=rng, distinct=True).excluded.values())


def test_more_than_there_are_is_refused():
    here = pool(["multiply"], steps=1, prime=3)  # 3 quantities, 2 factors
    rng = np.random.default_rng(5)
    assert len({*keys(here.drawn(6, rng=rng, distinct=True))}) == 6
    with pytest.raises(ImpossibleError) as caught:
        here.drawn(7, rng=rng, distinct=True)
    assert "found no new numbers for 1 of 7 problems" in str(caught.value)
    assert "the template b = multiply(a); ask for fewer, for a larger prime" in str(caught.value)


def test_templates_without_sense_are_told_from_those_with():
    every = [
        named("b = divide(a); c = subtract(b, a)", ["divide", "subtract"], 2),
        named("b = divide(a); c = subtract(a, b)", ["divide", "subtract"], 2),
    ]
    rng = np.random.default_rng(6)
    made = blank(every, np.array([0, 1, 0]), prime=0, wordings=[0], rng=rng)
    assert sensible(made, rng=rng).tolist() == [False, True, False]
    with pytest.raises(ImpossibleError, match="found no numbers for 2 of 2 problems"):
        problems(every[:1], 2, rng=rng)
    whole = replace(made, prime=7)
    assert sensible(whole, rng=rng).all()
