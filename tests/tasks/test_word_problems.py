"""Word problems against fractions, searches and readers that know nothing of graphs."""

import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from sums import read, result, run, worked

from loratheory.tasks import ImpossibleError, LeakError, word_problems
from loratheory.tasks.word_problems import (
    LARGEST,
    SKILLS,
    SPLITS,
    Alphabet,
    Template,
    answered,
    apply_skills,
    canonical,
    code,
    contents,
    distract,
    export,
    keys,
    pool,
    problems,
    programs,
    propose,
    split,
    stepwise,
    stories,
    templates,
    together,
)

FEW = ("add", "subtract", "compare", "rate")


def reordered(here, rng):
    """The same problems told in a random order."""
    luck = np.where(here.present, rng.random(here.order.shape), 2.0)
    return replace(here, order=luck.argsort(axis=1, kind="stable"))


def idle(here):
    return (here.present & ~here.needed).sum(axis=1)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(skills, steps, rows, rng, prime=0, **how):
    """Problems of all templates with these skills."""
    return problems(pool(skills, steps=steps, prime=prime), rows, rng=rng, prime=prime, **how)


def stepped(skill, x, y, z, prime):
    columns = [np.array(column) for column in (x, y, z)]
    return apply_skills(np.full(len(x), code(skill)), *columns, prime)


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("prime", [3, 7, 13])
def test_steps_modulo_a_prime_are_what_a_search_finds(skill, prime):
    grid = np.indices((prime,) * 3).reshape(3, -1)
    found, fine = stepped(skill, *grid, prime)
    read_numbers = {"divide": [1], "percent": [1], "multiply": [1], "rate": [1, 2]}.get(skill, [])
    assert (fine == (grid[read_numbers] != 0).all(axis=0)).all()
    for k in np.flatnonzero(fine)[:: 1 + prime // 4].tolist():
        assert found[k] == result(skill, grid[:, k].tolist(), prime)


@pytest.mark.parametrize("skill", SKILLS)
def test_steps_in_whole_numbers_are_exact_or_faulty(skill):
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(1, 150, size=(3, 600))
    found, fine = stepped(skill, x, y, z, 0)
    for a, b, c, value, good in zip(x, y, z, found, fine, strict=True):
        a, b, c = (Fraction(int(k)) for k in (a, b, c))
        exact = {
            "add": a + b,
            "subtract": a - b,
            "multiply": a * b,
            "divide": a / b,
            "compare": max(a, b) - min(a, b),
            "rate": a / b * c,
            "percent": a * b / 100,
        }[skill]
        part = a / b if skill in ("divide", "rate") else exact
        right = exact > 0 and part.denominator == 1 and exact <= LARGEST
        if skill == "rate":
            right = right and Fraction(c, b).denominator == b
        assert good == right
        if right:
            assert value == exact


def test_proposals_stay_in_their_ranges_and_reach_their_ends():
    rng = np.random.default_rng(1)
    ranges = {
        0: range(2, 121),
        "add": range(1, 21),
        "subtract": range(1, 21),
        "multiply": range(2, 10),
        "divide": range(2, 10),
        "rate": range(2, 10),
        "percent": range(5, 100, 5),
    }
    for skill, wanted in ranges.items():
        skills = np.full(1500, code(skill) if skill else 0)
        first, second = propose(skills, 0, rng=rng).T
        assert set(first.tolist()) == {*wanted}
        if skill == "rate":
            assert set(second.tolist()) == {*range(1, 10)}
            assert (first != second).all()
    assert set(propose(np.zeros(500, dtype=np.int64), 7, rng=rng).ravel().tolist()) == {*range(7)}


ADD, SUB, MUL, CMP, RATE = map(code, ("add", "subtract", "multiply", "compare", "rate"))


def test_symmetries_are_found_by_hand():
    mirrored = [(0, ()), (0, ()), (MUL, (0,)), (MUL, (1,)), (ADD, (2, 3))]
    template, orders = canonical(tuple(mirrored), 4)
    assert template.nodes == ((0, ()), (MUL, (0,)), (0, ()), (MUL, (2,)), (ADD, (1, 3)))
    assert sorted(orders) == [(0, 2, 1, 3, 4), (1, 3, 0, 2, 4)]
    ordered = [*mirrored[:4], (SUB, (2, 3))]
    assert canonical(tuple(ordered), 4)[1] == ((0, 2, 1, 3, 4),)
    assert canonical(tuple(mirrored), 2) == (Template(((0, ()), (MUL, (0,)))), ((0, 2),))
    one = canonical(((0, ()), (0, ()), (RATE, (0,)), (ADD, (1, 2))), 3)
    other = canonical(((0, ()), (RATE, (0,)), (0, ()), (ADD, (1, 2))), 3)
    assert one[0] == other[0]
    assert one[0].nodes == ((0, ()), (0, ()), (RATE, (1,)), (ADD, (0, 2)))


def test_what_a_template_says_of_itself():
    template = Template(((0, ()), (RATE, (0,)), (0, ()), (SUB, (2,)), (ADD, (1, 3)), (RATE, (4,))))
    assert str(template) == "b = rate(a); d = subtract(c); e = add(b, d); f = rate(e)"
    assert (template.steps, template.depth) == (4, 3)
    assert template.skills == {"rate", "subtract", "add"}
    assert template.pairs == {("add", "rate"), ("add", "subtract"), ("subtract", "rate")}


def test_numbers_of_templates_by_hand():
    assert [len(templates(SKILLS, steps)) for steps in (1, 2)] == [9, 130]
    assert [len(templates(("rate", "percent"), steps)) for steps in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert [str(t) for t in templates(("compare",), 1)] == ["c = compare(a, b)"]
    # compare twice: the second takes the first and a new quantity, or one that the first took
    assert [str(t) for t in templates(("compare",), 2)] == [
        "d = compare(b, c); e = compare(a, d)",
        "c = compare(a, b); d = compare(a, c)",
    ]


def named(text, skills, steps):
    (found,) = [each for each in templates(tuple(skills), steps) if str(each) == text]
    return found


def mixed(seed, rows=12, prime=7):
    few = ("add", "compare", "rate")
    made = drawn(few, (1, 2, 3), rows, rng(seed), prime)
    return reordered(distract(made, 2, rng=rng(seed)), rng(seed))


def test_mirror_images_are_the_same_and_only_they():
    """a·x + b·y: the summands may change places, the numbers in them may not."""
    template = named("b = multiply(a); d = multiply(c); e = add(b, d)", ["add", "multiply"], 3)
    made = problems([template], 400, rng=rng(), prime=3)
    said = [
        tuple(sorted([(row[0][0], row[1][0]), (row[2][0], row[3][0])]))
        for row in made.numbers.tolist()
    ]
    pairs = set(zip(said, keys(made), strict=True))
    assert len(pairs) == len(set(said)) == len(set(keys(made)))
    assert len(pairs) == 21  # of six pairs (x, a): two, or one twice
    assert {code for code, _ in keys(made)} == {template.code}


def test_all_numbers_that_make_sense_are_equally_likely():
    """Modulo 3: a ÷ n has 3 · 2 of them, each drawn a sixth of the time."""
    rows = 6000
    made = problems([named("b = divide(a)", ["divide"], 1)], rows, rng=rng(), prime=3)
    counts = Counter((row[0][0], row[1][0]) for row in made.numbers.tolist())
    assert {*counts} == {(a, n) for a in range(3) for n in (1, 2)}
    assert max(abs(count - rows / 6) for count in counts.values()) < 6 * (rows / 6) ** 0.5


def test_distinct_means_distinct_and_avoided_means_avoided():
    one = drawn(["rate", "percent"], 1, 40, rng(4), 7, distinct=True)
    other = drawn(["rate", "percent"], 1, 200, rng(4), 7, avoid=one)
    assert len(set(keys(one))) == 40
    assert not set(keys(one)) & set(keys(other))
    assert len(set(keys(other))) < 200
    # 3 quantities, 2 factors
    assert len({*keys(drawn(["multiply"], 1, 6, rng(5), 3, distinct=True))}) == 6
    with pytest.raises(ImpossibleError):
        drawn(["multiply"], 1, 7, rng(5), 3, distinct=True)


def test_a_thousand_problems_without_an_error():
    """All skills, up to two distractors, half of them told in a random order.

    The English and the programs are solved by routes that know nothing of the graphs; a count that
    is negative or no whole number anywhere, or a sentence that can be read in two ways, is an
    error too.
    """
    longest = drawn(("add", "compare", "rate", "percent"), 3, 400, rng())
    short = reordered(drawn(SKILLS, (1, 2), 600, rng()), rng())
    for part in (short, distract(longest, 2, rng=rng())):
        columns = (stories(part), programs(part), part.answers.tolist())
        for story, program, answer in zip(*columns, strict=True):
            assert read(story.problem) == run(program) == answer == int(story.answer)
            assert not re.search(r"\b1 (more |fewer )?\w+s\b", f"{story.problem} {story.solution}")
        assert (part.values[part.present] > 0).all()


def test_a_pool_has_all_templates_that_have_problems():
    here = pool(["rate", "add"], steps=(2, 1), prime=5)
    # sorted as skills are: "add" comes first
    assert here == templates(("add", "rate"), 1) + templates(("add", "rate"), 2)
    every = {*templates(SKILLS, 2)}
    assert {*pool(SKILLS, steps=2, prime=7)} == every
    for each in every:
        assert problems([each], 1, rng=rng(), prime=7).templates == (each,)
    assert {str(each) for each in every - {*pool(SKILLS, steps=2)}} == {
        "b = divide(a); c = subtract(b, a)",
        "b = percent(a); c = subtract(b, a)",
        "b = multiply(a); c = subtract(a, b)",
        "b = add(a); c = subtract(a, b)",
        "b = subtract(a); c = subtract(b, a)",
        "c = add(a, b); d = subtract(a, c)",
        "c = subtract(a, b); d = subtract(c, a)",
    }


def test_all_is_as_it_was_apart():
    parts = [drawn(["rate", "add"], k, 9, rng()) for k in (3, 1, 2)]
    both = together(parts)
    for said in (keys, stories, programs, lambda each: each.answers.tolist()):
        assert said(both) == [each for part in parts for each in said(part)]
    assert idle(both).max() == 0
    assert (np.sort(both.order, axis=1) == np.arange(both.order.shape[1])).all()
    for empty in (both.inputs, both.numbers, both.values, both.names):
        assert (empty[~both.present] == -1).all()


@pytest.mark.parametrize(("prime", "count"), [(0, 0), (0, 2), (0, 5), (7, 2)])
def test_distractors_change_nothing_that_is_asked(prime, count):
    rng = np.random.default_rng(0)
    here = drawn(FEW, (1, 2), 60, rng, prime)
    made = distract(here, count, rng=rng, skills=FEW, wordings=[3, 1])
    assert idle(made).tolist() == [count] * len(here)
    assert keys(made) == keys(here)
    assert (made.answers == here.answers).all()
    assert programs(made) == programs(here)
    if not prime:
        assert [read(s.problem) for s in stories(made)] == here.answers.tolist()
        assert [s.solution for s in stories(made)] == [s.solution for s in stories(here)]
    place, unused = made.order.argsort(axis=1), made.present & ~made.needed
    assert {*made.wordings[unused].tolist()} == ({1, 3} if count else set())
    ends = set()
    for row in range(len(made)):
        shown = [k for k in made.order[row].tolist() if made.present[row, k]]
        assert made.order[row, : len(shown)].tolist() == shown
        kept = [k for k in shown if made.needed[row, k]]
        assert kept == [k for k in here.order[row].tolist() if here.present[row, k]]
        for k in shown:  # causes first, distractors anywhere after them
            assert all(place[row, j] < place[row, k] for j in made.inputs[row, k] if j >= 0)
        ends |= {shown[0] not in kept, 2 + (shown[-1] not in kept)}
        names = made.names[row][made.present[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}
    assert ends == ({0, 1, 2, 3} if count else {0, 2})


def test_half_of_the_distractors_are_steps_of_the_skills_named():
    rng = np.random.default_rng(1)
    here = drawn(FEW, (1, 2), 200, rng)
    every = {0, 1, 2, 3, 4, 6, 7}
    for skills, codes in ((("add", "rate"), {0, 1, 6}), (["compare"], {0}), (None, every)):
        made = distract(here, 1, rng=rng, skills=skills)
        unused = made.skills[made.present & ~made.needed]
        assert {*unused.tolist()} == codes
        assert len(codes) == 1 or 0.3 < (unused == 0).mean() < 0.7
        places = made.order.argsort(axis=1)
        behind = places[:, -1] - places[np.arange(len(made)), made.inputs[:, -1, 0]]
        assert len(codes) == 1 or {1, 2, 3} <= {*behind[made.skills[:, -1] > 0].tolist()}
        assert (made.inputs[made.skills == 0] == -1).all()


def test_a_story_by_hand():
    template = named("b = add(a); c = compare(a, b)", ("add", "compare"), 2)
    here = problems([template], 1, rng=np.random.default_rng(0))
    made = type(here)(
        **{
            **vars(here),
            "numbers": np.array([[[5, -1], [1, -1], [-1, -1]]]),
            "values": np.array([[5, 6, 1]]),
            "names": np.array([[2, 0, 1]]),
            "wordings": np.array([[2, 1, 3]]),
            "asking": np.array([3]),
            "order": np.array([[1, 0, 2]]),
            "scenes": np.array([10]),
        }
    )
    (story,) = stories(made)
    assert story.problem == (
        "Cliff Farm keeps 1 fewer goose than Ash Farm. The number of geese that Cliff Farm keeps is"
        " 5. Compare Cliff Farm with Ash Farm: the one with more geese is ahead by as many as Brook"
        " Farm keeps. Work out how many geese Brook Farm keeps."
    )
    assert story.solution == (
        "Ash Farm keeps 5 + 1 = 6 geese. Brook Farm keeps 6 − 5 = 1 goose. The answer is 1."
    )
    assert story.answer == "1"


@settings(max_examples=6)
@given(seeds, st.sampled_from([3, 7, 13]))
def test_rows_say_what_is_right(seed, prime):
    here, code = mixed(seed, prime=prime), Alphabet(prime)
    plain, long = answered(code, here), stepwise(code, here)
    assert (long.kind, plain.kind) == ("stepwise", "answer")  # names of kept weights
    length = (long.tokens > 0).sum(axis=1)
    assert ((np.arange(long.tokens.shape[1]) < length[:, None]) == (long.tokens > 0)).all()
    assert (long.position == length - 1).all()
    for row in range(len(here)):
        asked = int(long.asked[row])
        answer, lines = worked(code.written(long.tokens[row][: asked + 1]), prime)
        assert answer == here.answers[row]
        assert code.written(long.targets[row]).split() == lines
        assert code.written(long.tokens[row][asked + 1 :]).split() == lines[:-1]
        assert (long.targets[row, :asked] == -1).all()
        assert long.answer[row] == plain.answer[row] == code.number(answer)
        question = code.written(long.tokens[row][: asked + 1]).replace("?:", "?")
        assert code.written(plain.tokens[row]) == question
        assert plain.asked[row] == asked == plain.position[row]
        assert (plain.targets[row] >= 0).sum() == 1


def test_a_row_by_hand():
    template = named("b = rate(a); c = add(a, b)", ("add", "rate"), 2)
    here = problems([template], 1, rng=np.random.default_rng(0), prime=7)
    numbers = np.array([[[3, -1], [2, 5], [-1, -1]]])
    values = np.array([[3, 3 * 4 % 7 * 5 % 7, 0]])  # 1/2 is 4
    values[0, 2] = (3 + values[0, 1]) % 7
    names, words = np.array([[0, 1, 2]]), np.array([[3, 0, 2]])
    made = type(here)(
        **{**vars(here), "numbers": numbers, "values": values, "names": names, "wordings": words}
    )
    rows = stepwise(Alphabet(7), made)
    assert made.solution.tolist() == [[1, 2, -1]]
    assert Alphabet(7, canaries=2).vocabulary == 3 + 2 + 7 * (4 + 1) + 7 + 12
    question = "A 3 B rate/0 A 2 5 add/2 A B C ?: C"
    assert Alphabet(7).written(rows.tokens[0]) == f"{question} B rate 3 2 5 4 C add 3 4"
    assert Alphabet(7).written(rows.targets[0]) == "B rate 3 2 5 4 C add 3 4 0"
    assert rows.asked.tolist() == [12]
    assert Alphabet(7).written(answered(Alphabet(7), made).tokens[0]) == question.replace(":", "")


HERE = pool(("add", "rate", "percent"), steps=(1, 2, 3), prime=13)
SMALL = pool(["add", "rate"], steps=(1, 2), prime=13)


@pytest.mark.parametrize(
    ("by", "pair", "out"),
    [
        ("pair", ("rate", "percent"), lambda t: {"rate", "percent"} <= t.skills),
        ("pair", ("percent", "rate"), lambda t: {"rate", "percent"} <= t.skills),
        ("depth", (), lambda t: t.depth == 3),
    ],
)
def test_what_is_held_out_is_what_the_words_say(by, pair, out):
    made, pairs = split(HERE, by, 200, pair=pair, rng=rng(), prime=13)
    assert all(map(out, made["test"].templates))
    assert not any(map(out, made["train"].templates))
    assert pairs == ({("rate", "percent")} if pair else set())
    for name in ("train", "test"):
        assert {*made[name].asking.tolist()} == {0, 1, 2, 3}


@pytest.mark.parametrize("by", SPLITS)
@pytest.mark.parametrize("distractors", [0, 2])
def test_sets_are_distinct_and_a_fifth_is_held_out_at_random(by, distractors):
    few = ("add", "rate")
    how = {"prime": 13, "distractors": distractors, "skills": few}
    made = [split(SMALL, by, 61, rng=rng(seed), **how) for seed in range(4)]
    held_out = {(*sorted({*each["test"].templates}),) for each, _ in made}
    assert (len(held_out) > 1) == (by in ("template", "wording"))
    sets, pairs = made[0]
    train, test = sets["train"], sets["test"]
    assert ([*sets], len(train), len(test)) == (["train", "test"], 49, 12)
    assert len({*keys(train), *keys(test)}) == 61
    assert pairs == ({few} if by == "pair" else set())
    words = [
        {*part.wordings[part.present].tolist(), *part.asking.tolist()} for part in (train, test)
    ]
    if by == "wording":
        assert sorted([*words[0], *words[1]]) == [0, 1, 2, 3]
        assert len(words[1]) == 1
    else:
        assert not {*train.templates} & {*test.templates}
        assert words == [{0, 1, 2, 3}] * 2
    if by == "template":
        assert len({*test.templates}) <= round(len(SMALL) / 5)
        assert {*train.templates, *test.templates} == {*SMALL}
    for part in (train, test):
        assert idle(part).tolist() == [distractors] * len(part)
        assert {*part.skills[part.present & ~part.needed].tolist()} <= {0, 1, 6}


def test_what_a_set_contains_by_hand():
    wide = named("b = add(a); d = add(c); e = add(b, d)", ("add",), 3)
    assert contents(problems([wide], 2, rng=rng(), prime=7))["depths"] == {2}
    both = templates(("rate", "percent"), 2)
    made = replace(problems(both, 9, rng=rng(), wordings=[0]), asking=np.ones(9, dtype=np.int64))
    found = contents(made)
    assert found["pairs"] == {("rate", "percent")}
    assert (found["depths"], found["wordings"]) == ({2}, {0, 1})  # that of a question counts
    assert found["templates"] == {template.code for template in made.templates}
    assert found["problems"] == {*keys(made)}


@pytest.mark.parametrize("prime", [0, 7])
def test_rows_hold_words_or_tokens_programs_and_structure(tmp_path, prime):
    parts = {"train": mixed(0, 8, prime), "test": mixed(1, 5, prime)}
    export(tmp_path / "out", parts, about="Made for a test.")
    for name, here in parts.items():
        lines = (tmp_path / "out" / f"{name}.jsonl").read_text("utf-8").splitlines()
        rows = [*map(json.loads, lines)]
        assert f"| {name} | {len(here)} |" in (tmp_path / "out" / "README.md").read_text("utf-8")
        assert len(rows) == len(here)
        for number, row in enumerate(rows):
            if prime:
                answer, lines = worked(row["problem"], prime)
                long = stepwise(Alphabet(prime), here)
                end = long.position[number] + 1
                assert row["solution"].split() == lines
                assert row["tokens"] == long.tokens[number][:end].tolist()
                assert row["targets"] == long.targets[number][:end].tolist()
                assert row["asked"] == long.asked[number]
                assert {*row["entities"]} <= {*"ABCDEFGHIJKL"}
            else:
                answer = read(row["problem"])
                assert (row["problem"], row["solution"], row["answer"]) == stories(here)[number]
                assert all(owner.lower() in row["problem"].lower() for owner in row["entities"])
            assert str(answer) == str(run(row["program"])) == row["answer"]
            assert row["program"] == programs(here)[number]
            template = here.templates[number]
            assert (row["template"], row["graph"]) == (template.code, str(template))
            assert row["skills"] == "+".join(sorted(template.skills))
            assert (row["steps"], row["depth"]) == (template.steps, template.depth)
            assert row["distractors"] == 2
            order = [k for k in here.order[number] if here.present[number, k]]
            assert row["wordings"][:-1] == here.wordings[number, order].tolist()
            assert row["wordings"][-1] == here.asking[number]
            assert len(row["entities"]) == len(order)


@pytest.mark.parametrize(
    "make",
    [
        lambda: problems([named("b = divide(a); c = subtract(b, a)", SKILLS, 2)], 5, rng=rng()),
        *(lambda bad=bad: pool(bad[0], steps=bad[1], prime=bad[2]) for bad in (
            (["sing"], 1, 0), ([], 1, 7), (["percent"], 1, 5), (["add"], 7, 0), (["add"], (), 0),
            (["add"], 1, 4),
        )),
        *(lambda bad=bad: split(HERE, bad[0], 9, pair=bad[1], rng=rng(), prime=13) for bad in (
            ("pair", ("add", "divide")), ("pair", ("add", "add")), ("pair", ("add", "swim")),
            ("luck", ()),
        )),
        *(lambda by=by: split(pool(["rate"], prime=7), by, 9, rng=rng(), prime=7)
          for by in ("depth", "pair")),
        *(lambda bad=bad: distract(drawn(["rate"], 2, 3, rng(), 7), bad, rng=rng())
          for bad in (10, -1)),
        lambda: stories(drawn(["add"], 2, 2, rng(), 7)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ImpossibleError):
        make()


def test_a_leak_between_the_parts_of_a_split_is_found(monkeypatch):
    monkeypatch.setattr(word_problems, "problems", lambda *_, **__: drawn(["add"], 1, 9, rng(), 13))
    with pytest.raises(LeakError, match="problems"):
        split(SMALL, "template", 20, rng=rng(1), prime=13)
