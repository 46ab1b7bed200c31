"""Numbers are uniform over those that make sense; ten thousand problems and no error."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sums import read, run

from loratheory.tasks.word_problems import (
    SKILLS,
    ImpossibleError,
    distracted,
    keys,
    pool,
    problems,
    programs,
    reordered,
    stories,
    templates,
)
from loratheory.tasks.word_problems._sampling import (
    blank,
    filled,
    sensible,
)


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


def drawn(**wanted):
    request = {"templates": templates(["add"], 1), "rows": 5, **wanted}
    return problems(**request, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: drawn(rows=0), "the number of problems is 0"),
        (lambda: drawn(wordings=[]), "wordings are []; name some of 0, 1, 2, 3"),
        (lambda: drawn(wordings=[4]), "wordings are [4]; name some of"),
        (lambda: drawn(prime=4), "numbers modulo 4 are asked for"),
        (lambda: drawn(templates=()), "there are no templates to draw 5 problems of; name more"),
        (lambda: pool(["sing"]), "unknown skills: 'sing'; choose from add"),
        (lambda: pool(["add"], together=["sing"]), "unknown skills: 'sing'"),
        (lambda: pool(["percent"], prime=5), "100 is 0 modulo 5"),
        (lambda: pool(["add"], steps=7), "steps is 7; ask for a number from 1 to 4"),
        (
            lambda: pool(["add", "rate"], steps=1, together=["rate", "add"]),
            "1 steps of add, rate has rate and add togeth",
        ),
    ],
)
def test_bad_requests_are_refused(make, says):
    with pytest.raises(ImpossibleError) as caught:
        make()
    assert says in str(caught.value)
