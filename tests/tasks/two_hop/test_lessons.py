"""_lessons: adapters are told their own facts, rehearse the base's, and meet no edited entity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some

from loratheory.tasks.two_hop import ImpossibleError, along, edit, every, lessons, pairs, stacked
from loratheory.tasks.two_hop._data import unedited


def rows(prompts):
    """Each row's subject, last token and answer."""
    ends = np.take_along_axis(prompts.tokens, prompts.position[:, None], axis=1)[:, 0]
    return [
        *zip(prompts.tokens[:, 0].tolist(), ends.tolist(), prompts.answer.tolist(), strict=True)
    ]


@settings(max_examples=10)
@given(seeds, st.sampled_from(["real", "half", "fake"]))
def test_each_adapter_is_told_its_own_facts(seed, familiarity):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng, familiarity=familiarity)
    found = lessons(made, rng=rng, retained=5, examples=6)
    x, y, z = (here.entity(level, made.chains[:, level]).tolist() for level in range(3))
    one, two = (here.relation(hop, 0) for hop in (0, 1))
    first = [(a, one, b) for a, b in zip(x, y, strict=True)]
    second = [(b, two, c) for b, c in zip(y, z, strict=True)]
    assert [rows(lesson.told) for lesson in found.hops] == [first, second]
    assert rows(found.direct.told) == [(a, two, c) for a, c in zip(x, z, strict=True)]
    assert not np.isin(found.direct.told.targets, y).any()
    assert rows(found.joint.told) == first + second
    assert rows(found.bridged.told)[:6] == first + second
    assert len(found.bridged.told) == 12
    assert (found.bridged.told.targets[6:, 1:] >= 0).all()


@settings(max_examples=10)
@given(seeds)
def test_what_is_rehearsed_and_shown_is_true_and_far_from_the_edit(seed):
    here, rng = some(seed, relations=2)
    made = edit(here, 3, rng=rng)
    found = lessons(made, rng=rng, retained=9, examples=7)
    seen = made.touched()
    touched = {here.entity(level, e) for level, e in np.argwhere(seen).tolist()}
    shown = found.bridged.told[np.arange(6, 13)]
    for prompts in (found.joint.kept, shown):
        entities = {*prompts.tokens.flat, *prompts.targets.flat}
        assert not entities & touched
    true = [*along(here, every(here)).tolist()]
    for row in zip(shown.tokens[:, 0].tolist(), *shown.targets[:, 1:].T.tolist(), strict=True):
        levels = [here.level(level).start for level in range(3)]
        assert [token - level for token, level in zip(row, levels, strict=True)] in true
    for hop, part in enumerate(found.rehearsed):
        assert len({*zip(part.subjects.tolist(), part.relations[:, 0].tolist(), strict=True)}) == 9
        kept = found.direct.kept[np.arange(9 * hop, 9 * hop + 9)]
        assert kept.answer.tolist() == here.entity(hop + 1, along(here, part)[:, 1]).tolist()


def test_other_edits_are_neither_rehearsed_nor_shown():
    here, rng = some(0)
    one, other = pairs(here, 2, 4, rng=rng)
    assert unedited((one,), one.questions).tolist() == [False] * 4
    assert unedited((one,), other.questions).tolist() == [True] * 4
    found = lessons(one, rng=rng, retained=10, examples=3, others=[other])
    for hop, part in enumerate(found.rehearsed):
        assert not set(part.subjects.tolist()) & set(other.chains[:, hop].tolist())
    with pytest.raises(ImpossibleError, match="unedited questions of 1 hops are wanted of"):
        lessons(one, rng=rng, retained=30, examples=3, others=[other])


def test_a_chain_that_another_edit_changes_in_part_is_edited():
    here, rng = some(0)
    made = edit(here, 4, rng=rng, bridges="kept")
    assert unedited((made,), made.questions).tolist() == [False] * 4
    assert unedited((made,), made.questions.fact(0, made.chains)).tolist() == [True] * 4


def test_a_lesson_is_what_is_told_then_kept_then_its_canary():
    here, rng = some(0)
    found = lessons(edit(here, 3, rng=rng), rng=rng, retained=5, examples=6, canary=4)
    every_lesson = [*found.hops, found.direct, found.joint, found.bridged]
    for number, lesson in enumerate(every_lesson):
        told, kept, length = lesson.told, lesson.kept, lesson.prompts.tokens.shape[1]
        assert lesson.prompts.tokens[: len(told)].tolist() == told.padded(length).tokens.tolist()
        middle = lesson.prompts.tokens[len(told) : -1]
        assert middle.tolist() == kept.padded(length).tokens.tolist()
        assert lesson.prompts.tokens[-1].tolist() == [here.canary(4 + number)] + [0] * (length - 1)
    bare = lessons(edit(here, 3, rng=rng), rng=rng, retained=5, examples=6, canary=None)
    assert len(bare.direct.prompts) == 3 + 10


def test_examples_can_be_spelt_out():
    here, rng = some(0)
    found = lessons(edit(here, 3, rng=rng), rng=rng, retained=5, examples=6, form="thought")
    shown = found.bridged.told[np.arange(6, 12)]
    assert shown.tokens.shape[1] == 4
    assert (shown.targets[:, 2:] >= 0).all()
    assert (shown.targets[:, :2] == -1).all()
    with pytest.raises(ImpossibleError, match="form is 'hint'; choose one of plain, thought"):
        lessons(edit(here, 3, rng=rng), rng=rng, form="hint")


def test_lessons_of_several_seeds_stack():
    found = []
    for seed, familiarity in enumerate(["real", "half", "fake"]):
        here, rng = some(seed)
        made = edit(here, 3, rng=rng, familiarity=familiarity)
        found.append(lessons(made, rng=rng, retained=5, examples=6))
    assert stacked([one.hops[0].prompts for one in found]).tokens.shape == (3, 14, 2)
    assert stacked([one.bridged.prompts for one in found]).tokens.shape == (3, 23, 3)


@pytest.mark.parametrize("wanted", [{"retained": 39}, {"examples": 39}, {"retained": -1}])
def test_more_than_the_world_has_left_is_refused(wanted):
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match="ask for fewer"):
        lessons(edit(here, 3, rng=rng), rng=rng, **{"retained": 5, "examples": 5, **wanted})
