"""_prompts: what a row asks survives padding, joining and stacking."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.tasks.two_hop import ImpossibleError, Prompts, joined, stacked


def drawn(rng, rows, length, kind="some"):
    tokens = rng.integers(1, 50, size=(rows, length))
    targets = np.where(rng.random((rows, length)) < 0.5, -1, rng.integers(50, size=(rows, length)))
    return Prompts(tokens, targets, rng.integers(length, size=rows), kind)


@settings(max_examples=25)
@given(seeds)
def test_the_answer_is_the_last_target(seed):
    prompts = drawn(np.random.default_rng(seed), 6, 4)
    for row, position, answer in zip(
        prompts.targets.tolist(), prompts.position, prompts.answer, strict=True
    ):
        wanted = [(place, token) for place, token in enumerate(row) if token != -1]
        assert (position, answer) == (wanted[-1] if wanted else (-1, -1))


@settings(max_examples=25)
@given(seeds)
def test_padding_and_joining_change_neither_answers_nor_questions(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 3, 2, "one"), drawn(rng, 4, 5, "other")
    both = joined([one, other, one])
    assert both.kind == "one+other"
    assert both.tokens.shape == (10, 5)
    assert both.answer.tolist() == [*one.answer, *other.answer, *one.answer]
    assert both.position.tolist() == [*one.position, *other.position, *one.position]
    assert both.asked.tolist() == [*one.asked, *other.asked, *one.asked]
    assert both.tokens[:3, :2].tolist() == one.tokens.tolist()
    assert (both.tokens[:3, 2:] == 0).all()
    assert (both.targets[:3, 2:] == -1).all()
    assert joined([one], "named").kind == "named"


@settings(max_examples=25)
@given(seeds)
def test_only_the_answer_is_left_at_the_end(seed):
    prompts = drawn(np.random.default_rng(seed), 6, 4)
    final = prompts.final()
    assert final.answer.tolist() == prompts.answer.tolist()
    assert (final.targets != -1).sum(axis=1).tolist() == [p >= 0 for p in prompts.position]


@settings(max_examples=25)
@given(seeds)
def test_a_stack_holds_its_parts(seed):
    rng = np.random.default_rng(seed)
    parts = [drawn(rng, 4, 3) for _ in range(3)]
    whole = stacked(parts)
    assert len(whole) == 4
    rows = np.array([2, 0])
    for number, part in enumerate(parts):
        for name in ("tokens", "targets", "asked", "position", "answer"):
            assert getattr(whole, name)[number].tolist() == getattr(part, name).tolist()
            assert getattr(whole[rows], name)[number].tolist() == getattr(part, name)[rows].tolist()
        assert whole.final().targets[number].tolist() == part.final().targets.tolist()
        assert whole.padded(5).tokens[number].tolist() == part.padded(5).tokens.tolist()
    twice = joined([whole, whole])
    assert twice.tokens.shape == (3, 8, 3)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ImpossibleError, match=r"shapes \(3, 2\), \(4, 2\) do not stack"):
        stacked([drawn(rng, 4, 2), drawn(rng, 3, 2)])
    with pytest.raises(ImpossibleError, match="3 tokens cannot be padded to 2"):
        drawn(rng, 4, 3).padded(2)
    for together in (joined, stacked):
        with pytest.raises(ImpossibleError, match="no prompts"):
            together([])


@pytest.mark.parametrize("name", ["tokens", "targets", "asked"])
def test_prompts_cannot_be_overwritten(name):
    array = getattr(drawn(np.random.default_rng(0), 2, 2), name)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0
