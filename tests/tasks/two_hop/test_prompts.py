"""Rows by hand in a world of three entities, and laws of all forms in larger ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Prompts,
    Questions,
    distracted,
    every,
    identities,
    inverted,
    joined,
    marked,
    plain,
    relations_first,
    stacked,
    thought,
)

X1 = Questions(0, np.array([1]), np.zeros((1, 2), dtype=np.int64))


def drawn(rng, rows, length, kind="some"):
    tokens = rng.integers(1, 50, size=(rows, length))
    targets = np.where(rng.random((rows, length)) < 0.5, -1, rng.integers(50, size=(rows, length)))
    return Prompts(tokens, targets, rng.integers(length, size=rows), kind)


@settings(max_examples=25)
@given(seeds)
def test_the_answer_is_the_last_target_and_alone_in_the_end(seed):
    prompts = drawn(np.random.default_rng(seed), 6, 4)
    rows = zip(prompts.targets.tolist(), prompts.position, prompts.answer, strict=True)
    for row, position, answer in rows:
        wanted = [(place, token) for place, token in enumerate(row) if token != -1]
        assert (position, answer) == (wanted[-1] if wanted else (-1, -1))
    final = prompts.final()
    assert final.answer.tolist() == prompts.answer.tolist()
    assert (final.targets != -1).sum(axis=1).tolist() == [p >= 0 for p in prompts.position]


@settings(max_examples=25)
@given(seeds)
def test_padding_and_joining_change_neither_answers_nor_questions(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 3, 2, "one"), drawn(rng, 4, 5, "other")
    both = joined([one, other, one])
    assert both.kind == "one+other"
    assert both.tokens.shape == (10, 5)
    for name in ("answer", "position", "asked"):
        parts = (getattr(part, name) for part in (one, other, one))
        assert getattr(both, name).tolist() == np.concatenate([*parts]).tolist()
    assert both.tokens[:3, :2].tolist() == one.tokens.tolist()
    assert (both.tokens[:3, 2:] == 0).all()
    assert (both.targets[:3, 2:] == -1).all()
    assert joined([one], "named").kind == "named"


@settings(max_examples=25)
@given(seeds)
def test_a_stack_holds_its_parts(seed):
    rng = np.random.default_rng(seed)
    parts = [drawn(rng, 4, 3) for _ in range(3)]
    stack, rows = stacked(parts), np.array([2, 0])
    assert len(stack) == 4
    for number, part in enumerate(parts):
        for name in ("tokens", "targets", "asked", "position", "answer"):
            assert getattr(stack, name)[number].tolist() == getattr(part, name).tolist()
            assert getattr(stack[rows], name)[number].tolist() == getattr(part, name)[rows].tolist()
        assert stack.final().targets[number].tolist() == part.final().targets.tolist()
        assert stack.padded(5).tokens[number].tolist() == part.padded(5).tokens.tolist()
    assert joined([stack, stack]).tokens.shape == (3, 8, 3)
    for name in ("tokens", "targets", "asked"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(parts[0], name)[0] = 0


def row(prompts):
    return prompts.tokens[0].tolist(), prompts.targets[0].tolist(), int(prompts.asked[0])


def test_forms_of_one_question_by_hand():
    here = three()  # x1 is 10, its bridge y2 is 14, its answer z1 is 16
    assert row(plain(here, X1)) == ([10, 5, 6], [-1, 14, 16], 2)
    assert row(thought(here, X1)) == ([10, 5, 6, 14], [-1, -1, 14, 16], 2)
    assert row(thought(here, X1, marked=True)) == ([10, 5, 6, 2, 14], [-1, -1, -1, 14, 16], 3)
    assert row(relations_first(here, X1)) == ([6, 5, 10], [-1, -1, 16], 2)
    assert row(inverted(here, X1)) == ([16, 8, 7], [-1, 14, 10], 2)
    same = identities(here, 1, np.array([2, 0]))
    assert same.tokens.tolist() == [[14, 1], [12, 1]]
    assert same.targets.tolist() == [[-1, 14], [-1, 12]]
    assert same.asked.tolist() == [1, 1]


def test_single_facts_by_hand():
    here = three()
    first, second = every(here, hops=1), every(here, start=1)
    assert plain(here, first).tokens.tolist() == [[9, 5], [10, 5], [11, 5]]
    assert plain(here, first).answer.tolist() == [13, 14, 12]
    assert plain(here, second).tokens.tolist() == [[12, 6], [13, 6], [14, 6]]
    assert plain(here, second).answer.tolist() == [17, 15, 16]
    kinds = [form(here, first).kind for form in (plain, thought, relations_first, inverted)]
    assert kinds == ["single", "thought", "relations first", "inverted"]
    assert plain(here, every(here)).kind == "chain"


@settings(max_examples=15)
@given(seeds)
def test_all_forms_ask_for_the_end_of_the_path(seed):
    here, rng = some(seed, hops=4, relations=2, entities=8)
    questions = every(here, start=1)[rng.integers(8 * 8, size=9)]
    asked = zip(questions.subjects.tolist(), questions.relations.tolist(), strict=True)
    ways = [walked(here, 1, subject, tuple(path)) for subject, path in asked]
    ends = here.entity(4, np.array([way[-1] for way in ways])).tolist()
    for form in (plain, thought, relations_first):
        assert form(here, questions).answer.tolist() == ends
    starts = here.entity(1, questions.subjects).tolist()
    assert inverted(here, questions).answer.tolist() == starts
    assert inverted(here, questions).tokens[:, 0].tolist() == ends
    steps = thought(here, questions)
    passed = [[here.entity(k, e) for k, e in enumerate(way[1:], 2)] for way in ways]
    assert steps.targets[:, 3:].tolist() == passed
    assert steps.tokens[:, 4:].tolist() == [way[:-1] for way in passed]
    assert plain(here, questions).targets[:, 1:].tolist() == passed


@settings(max_examples=20)
@given(seeds)
def test_a_distractor_is_another_subject_and_changes_no_answer(seed):
    here, rng = some(seed, relations=3)
    for form in (plain, thought):
        prompts = form(here, every(here))[rng.integers(360, size=12)]
        made = distracted(here, prompts, rng=rng)
        assert made.tokens[:, 2:].tolist() == prompts.tokens.tolist()
        assert made.targets[:, 2:].tolist() == prompts.targets.tolist()
        assert (made.targets[:, :2] == -1).all()
        assert made.asked.tolist() == (prompts.asked + 2).tolist()
        assert (made.tokens[:, 0] != prompts.tokens[:, 0]).all()
        assert set(made.tokens[:, 0].tolist()) <= set(prompts.tokens[:, 0].tolist())
        assert set(made.tokens[:, 1].tolist()) <= set(here.relation(0, np.arange(3)).tolist())


def test_a_canary_is_read_and_never_wanted():
    here = three()
    prompts = plain(here, every(here))
    made = marked(here, prompts, 1)
    assert made.tokens.tolist() == [*prompts.tokens.tolist(), [4, 0, 0]]
    assert made.targets.tolist() == [*prompts.targets.tolist(), [-1, -1, -1]]
    assert (made.asked[-1], made.position[-1], made.answer[-1]) == (0, -1, -1)
    assert len(prompts) == 3


def test_what_cannot_be_asked_or_put_together_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ImpossibleError, match=r"shapes \(3, 2\), \(4, 2\) do not stack"):
        stacked([drawn(rng, 4, 2), drawn(rng, 3, 2)])
    with pytest.raises(ImpossibleError, match="3 tokens cannot be padded to 2"):
        drawn(rng, 4, 3).padded(2)
    for together in (joined, stacked):
        with pytest.raises(ImpossibleError, match="no prompts"):
            together([])
    here, _ = some(0)
    unknown = Questions(0, np.array([3, 41]), np.zeros((2, 2), dtype=np.int64))
    for form in (plain, thought, relations_first, inverted):
        with pytest.raises(ImpossibleError, match="entity 41 of level 0 has no such fact"):
            form(here, unknown)
    here, _ = some(0, images=20)
    with pytest.raises(ImpossibleError, match="relation 0 of hop 0 sends two entities to one"):
        inverted(here, every(here))
    one = plain(here, every(here))[np.array([0, 0])]
    with pytest.raises(ImpossibleError, match="2 prompts about one subject"):
        distracted(here, one, rng=rng)
