"""Word problems against fractions, searches and readers that know nothing of arrays."""

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
from sums import read, result, worked

from loratheory.tasks import ImpossibleError
from loratheory.tasks.word_problems import (
    LARGEST,
    SAID,
    SKILLS,
    SPLITS,
    Alphabet,
    answered,
    apply_skills,
    distract,
    export,
    keys,
    list_pairs,
    pool,
    problems,
    propose,
    split,
    stepwise,
    stories,
    together,
)

FEW = ("add", "multiply", "percent")


def idle(here):
    return (here.present & ~here.needed).sum(axis=1)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(skills, steps, rows, rng, prime=0, **how):
    """Problems of all templates with these skills."""
    return problems(pool(skills, steps=steps, prime=prime), rows, rng=rng, prime=prime, **how)


def mixed(seed, rows=12, prime=7):
    """Problems of one to three steps with two distractors, told in a random order."""
    made = distract(drawn(SKILLS, (1, 2, 3), rows, rng(seed), prime), 2, rng=rng(seed))
    luck = np.where(made.present, rng(seed).random(made.order.shape), 2.0)
    return replace(made, order=luck.argsort(axis=1, kind="stable"))


def stepped(skill, x, y, prime):
    return apply_skills(np.full(len(x), SKILLS[skill]), np.array(x), np.array(y), prime)


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("prime", [3, 7, 13])
def test_steps_modulo_a_prime_are_what_a_search_finds(skill, prime):
    x, y = np.indices((prime,) * 2).reshape(2, -1)
    found, fine = stepped(skill, x, y, prime)
    assert (fine == ((y != 0) | (skill in ("add", "subtract")))).all()
    for k in np.flatnonzero(fine):
        assert found[k] == result(skill, int(x[k]), int(y[k]), prime)


@pytest.mark.parametrize("skill", SKILLS)
def test_steps_in_whole_numbers_are_exact_or_faulty(skill):
    x, y = rng().integers(1, 150, size=(2, 600))
    for a, b, value, good in zip(x.tolist(), y.tolist(), *stepped(skill, x, y, 0), strict=True):
        exact = {
            "add": a + b,
            "subtract": a - b,
            "multiply": a * b,
            "divide": Fraction(a, b),
            "percent": Fraction(a * b, 100),
        }[skill]
        assert good == (exact > 0 and Fraction(exact).denominator == 1 and exact <= LARGEST)
        assert not good or value == exact


def test_proposals_stay_in_their_ranges_and_reach_their_ends():
    for code, said in SAID.items():
        assert {*propose(np.full(1500, code), 0, rng=rng()).tolist()} == {*said}
    assert {*propose(np.zeros(500, dtype=np.int64), 7, rng=rng()).tolist()} == {*range(7)}


def test_templates_are_all_sequences_of_skills_in_their_order():
    assert [len(pool(SKILLS, steps=k)) for k in (1, 2, 3)] == [5, 25, 125]
    both = (("add",), ("percent",), ("add", "add"), ("add", "percent"))
    here = pool(["percent", "add"], steps=(2, 1), prime=7)
    assert here == (*both, ("percent", "add"), ("percent", "percent"))
    assert list_pairs(("percent", "add", "percent")) == {("add", "percent")}
    assert list_pairs(("add", "add")) == set()


def test_all_numbers_that_make_sense_are_equally_likely():
    """Modulo 3: a ÷ n has 3 · 2 of them, each drawn a sixth of the time."""
    rows = 6000
    made = problems([("divide",)], rows, rng=rng(), prime=3)
    counts = Counter(map(tuple, made.numbers.tolist()))
    assert {*counts} == {(a, n) for a in range(3) for n in (1, 2)}
    assert max(abs(count - rows / 6) for count in counts.values()) < 6 * (rows / 6) ** 0.5


def test_seen_problems_are_not_drawn_again():
    seen = set()
    one = drawn(["multiply", "percent"], 1, 40, rng(4), 7, seen=seen)
    assert seen == {*keys(one)}
    other = drawn(["multiply", "percent"], 1, 30, rng(4), 7, seen=seen)
    assert len(seen) == len({*keys(one), *keys(other)}) == 70
    # Three quantities, two factors.
    assert len({*keys(drawn(["multiply"], 1, 6, rng(5), 3, seen=set()))}) == 6
    with pytest.raises(ImpossibleError):
        drawn(["multiply"], 1, 7, rng(5), 3, seen=set())


def test_five_hundred_problems_without_an_error():
    """The English is solved by a route that knows nothing of arrays.

    A count that is negative or no whole number anywhere, or a sentence that can be read in two
    ways, is an error too.
    """
    every = mixed(0, 500, 0)
    for story, answer in zip(stories(every), every.answers.tolist(), strict=True):
        assert read(story.problem) == answer == int(story.answer)
        assert story.solution.endswith(f"The answer is {answer}.")
        assert not re.search(r"\b1 (more |fewer )?\w+s\b", f"{story.problem} {story.solution}")
    assert (every.values[every.present] > 0).all()
    wordings = Counter(every.wordings[every.skills == SKILLS["percent"]].tolist())
    assert {*wordings} == {0, 1, 2, 3}


def test_all_is_as_it_was_apart():
    parts = [drawn(["divide", "add"], k, 9, rng()) for k in ((1, 2, 3), 1, 2)]
    both = together(parts)
    for said in (keys, stories, lambda each: each.answers.tolist()):
        assert said(both) == [each for part in parts for each in said(part)]
    assert idle(both).max() == 0
    assert (np.sort(both.order, axis=1) == np.arange(both.order.shape[1])).all()
    for empty in (both.inputs, both.numbers, both.values, both.names, both.wordings):
        assert (empty[~both.present] == -1).all()


@pytest.mark.parametrize(("prime", "count"), [(0, 0), (0, 2), (0, 5), (7, 2)])
def test_distractors_change_nothing_that_is_asked(prime, count):
    rng = np.random.default_rng(0)
    here = drawn(FEW, (1, 2), 60, rng, prime)
    made = distract(here, count, rng=rng, skills=FEW, wordings=[3, 1])
    assert idle(made).tolist() == [count] * len(here)
    assert keys(made) == keys(here)
    assert (made.answers == here.answers).all()
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
            assert made.inputs[row, k] < 0 or place[row, made.inputs[row, k]] < place[row, k]
        ends |= {shown[0] not in kept, 2 + (shown[-1] not in kept)}
        names = made.names[row][made.present[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}
    assert ends == ({0, 1, 2, 3} if count else {0, 2})


def test_half_of_the_distractors_are_steps_of_the_skills_named():
    rng = np.random.default_rng(1)
    here = drawn(FEW, (1, 2), 200, rng)
    for skills in (("add", "divide"), tuple(SKILLS)):
        made = distract(here, 1, rng=rng, skills=skills)
        unused = made.skills[made.present & ~made.needed]
        assert {*unused.tolist()} == {0, *map(SKILLS.get, skills)}
        assert 0.3 < (unused == 0).mean() < 0.7
        places = made.order.argsort(axis=1)
        behind = places[:, -1] - places[np.arange(len(made)), made.inputs[:, -1]]
        assert {1, 2, 3} <= {*behind[made.skills[:, -1] > 0].tolist()}
        assert (made.inputs[made.skills == 0] == -1).all()


def by_hand(prime, **columns):
    """One problem of two steps with these columns."""
    here = problems([("divide", "subtract")], 1, rng=rng(), prime=prime)
    return replace(here, **{name: np.array([column]) for name, column in columns.items()})


def test_a_story_by_hand():
    made = by_hand(
        0,
        numbers=[6, 3, 1],
        values=[6, 2, 1],
        names=[2, 0, 1],
        wordings=[2, 0, 1],
        asking=3,
        order=[1, 0, 2],
        scenes=10,
    )
    (story,) = stories(made)
    assert story.problem == (
        "Ash Farm keeps a third as many geese as Cliff Farm. The number of geese that Cliff Farm"
        " keeps is 6. Ash Farm keeps 1 more goose than Brook Farm. Work out how many geese Brook"
        " Farm keeps."
    )
    assert story.solution == (
        "Ash Farm keeps 6 ÷ 3 = 2 geese. Brook Farm keeps 2 − 1 = 1 goose. The answer is 1."
    )
    assert story.answer == "1"


def test_a_row_by_hand():
    # Modulo 7, 3 ÷ 2 is 5.
    made = by_hand(7, numbers=[3, 2, 6], values=[3, 5, 6], names=[0, 1, 2], wordings=[3, 0, 2])
    code, question = Alphabet(7), "A 3 B divide/0 A 2 subtract/2 B 6 C ?: C"
    rows = stepwise(code, made)
    assert code.vocabulary == 3 + 7 * (4 + 1) + 7 + 12
    assert code.written(rows.tokens[0]) == f"{question} B divide 3 2 5 C subtract 5 6"
    assert code.written(rows.targets[0]) == "B divide 3 2 5 C subtract 5 6 6"
    assert rows.asked.tolist() == [11]
    assert rows.tokens[0, :4].tolist() == [45, 41, 46, 3 + 3 * 4]  # codes stay with stored tables
    assert code.written(answered(code, made).tokens[0]) == question.replace(":", "")


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
        assert code.written(plain.answer[row : row + 1]) == lines[-1] == str(answer)
        question = code.written(long.tokens[row][: asked + 1]).replace("?:", "?")
        assert code.written(plain.tokens[row]) == question
        assert plain.asked[row] == asked == plain.position[row]
        assert (plain.targets[row] >= 0).sum() == 1


HERE = pool(FEW, steps=(1, 2, 3), prime=13)


@pytest.mark.parametrize("by", SPLITS)
@pytest.mark.parametrize("distractors", [0, 2])
def test_sets_are_distinct_and_what_is_held_out_is_what_the_words_say(by, distractors):
    how = {"prime": 13, "distractors": distractors, "skills": ("add",)}
    made = [split(HERE, by, 101, rng=rng(seed), **how) for seed in range(4)]
    if by != "depth":  # what is held out is drawn
        asking = {(*each["test"].templates, *each["test"].asking.tolist()) for each, _ in made}
        assert len(asking) == 4
    sets, pairs = made[0]
    train, test = sets["train"], sets["test"]
    assert ([*sets], len(train), len(test)) == (["train", "test"], 81, 20)
    assert len({*keys(train), *keys(test)}) == 101
    words = []
    for part in (train, test):
        words.append({*part.wordings[part.present].tolist(), *part.asking.tolist()})
        assert idle(part).tolist() == [distractors] * len(part)
        assert {*part.skills[part.present & ~part.needed].tolist()} <= {0, 1}
    assert len(pairs) == (by == "pair")
    if by == "wording":
        assert sorted([*words[0], *words[1]]) == [0, 1, 2, 3]
        assert len(words[1]) == 1
        return
    assert words == [{0, 1, 2, 3}] * 2
    assert not {*train.templates} & {*test.templates}
    for name, part in sets.items():
        if by == "depth":
            assert {len(each) == 3 for each in part.templates} == {name == "test"}
        if by == "pair":
            assert {bool(list_pairs(each) & pairs) for each in part.templates} == {name == "test"}
    if by == "template":
        assert len({*test.templates}) <= round(len(HERE) / 5)


def test_a_named_pair_is_held_out_in_either_order():
    for pair in (("multiply", "percent"), ("percent", "multiply")):
        made, pairs = split(HERE, "pair", 100, pair=pair, rng=rng(), prime=13)
        assert pairs == {("multiply", "percent")}
        assert all({*pair} <= {*each} for each in made["test"].templates)
        assert not any({*pair} <= {*each} for each in made["train"].templates)


@pytest.mark.parametrize("prime", [0, 7])
def test_files_hold_words_or_tokens_and_structure(tmp_path, prime):
    parts = {"train": mixed(0, 8, prime), "test": mixed(1, 5, prime)}
    export(tmp_path / "out", parts, about="Made for a test.")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    for name, here in parts.items():
        lines = (tmp_path / "out" / f"{name}.jsonl").read_text("utf-8").splitlines()
        assert f"| {name} | {len(here)} |" in card
        assert len(lines) == len(here)
        for number, row in enumerate(map(json.loads, lines)):
            if prime:
                answer, solution = worked(row["problem"], prime)
                long = stepwise(Alphabet(prime), here)
                end = long.position[number] + 1
                assert row["solution"].split() == solution
                assert row["tokens"] == long.tokens[number][:end].tolist()
                assert row["targets"] == long.targets[number][:end].tolist()
                assert row["asked"] == long.asked[number]
            else:
                answer = read(row["problem"])
                assert (row["problem"], row["solution"], row["answer"]) == stories(here)[number]
            assert str(answer) == row["answer"]
            assert row["template"] == ", ".join(here.templates[number])
            assert (row["steps"], row["distractors"]) == (len(here.templates[number]), 2)


@pytest.mark.parametrize(
    "make",
    [
        *(lambda bad=bad: pool(bad[0], steps=bad[1], prime=bad[2]) for bad in (
            (["sing"], 1, 0), ([], 1, 7), (["add"], 5, 0), (["add"], 0, 0), (["add"], 1, 5),
        )),
        *(lambda bad=bad: split(HERE, bad[0], 9, pair=bad[1], rng=rng(), prime=13) for bad in (
            ("pair", ("add", "divide")), ("pair", ("add", "add")), ("pair", ("add", "swim")),
            ("luck", ()),
        )),
        *(lambda by=by: split(pool(["divide"], prime=7), by, 9, rng=rng(), prime=7)
          for by in ("depth", "pair", "template")),
        *(lambda bad=bad: distract(drawn(["divide"], 2, 3, rng(), 7), bad, rng=rng())
          for bad in (10, -1)),
        lambda: stories(drawn(["add"], 2, 2, rng(), 7)),
        lambda: split(HERE, "template", 1, rng=rng()),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ImpossibleError):
        make()
