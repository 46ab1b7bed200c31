"""Splits share no bridge, lessons keep far from other facts, trials ask what they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    along,
    edit,
    every,
    lessons,
    pairs,
    plain,
    pretraining,
    sampled,
    split,
    stacked,
    trials,
)
from loratheory.tasks.two_hop._data import unedited


def questions(part):
    return {
        (subject, *path)
        for subject, path in zip(part.subjects.tolist(), part.relations.tolist(), strict=True)
    }


def bridges(here, part):
    return {
        (level, entity)
        for subject, *path in questions(part)
        for level, entity in enumerate(walked(here, 0, subject, tuple(path)))
        if 0 < level < here.hops
    }


@settings(max_examples=15)
@given(seeds, st.integers(0, 40), st.integers(1, 3))
def test_coverage_is_exact_and_held_out_bridges_are_unseen(seed, covered, relations):
    here, rng = some(seed, relations=relations)
    parts = split(here, covered / 40, rng=rng)
    assert parts.coverage == pytest.approx(covered / 40, abs=1e-12)
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    assert not questions(parts.trained) & questions(parts.held_out)
    assert questions(parts.trained) | questions(parts.held_out) == questions(every(here))


@settings(max_examples=15)
@given(seeds, st.integers(2, 4), st.sampled_from([20, 40]))
def test_chains_that_meet_in_a_bridge_stay_together(seed, hops, images):
    here, rng = some(seed, hops=hops, images=images)
    try:
        parts = split(here, 0.5, rng=rng)
    except ImpossibleError:  # two maps of twenty values leave few bridges after them
        assert hops > 2
        assert images < 40
        return
    assert 0.45 <= parts.coverage <= 0.5
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    last = bridges(here, parts.held_out) | bridges(here, parts.trained)
    sizes = [
        sum(walked(here, 0, x, (0,) * hops)[hops - 1] == end for x in range(40))
        for level, end in last
        if level == hops - 1
    ]
    assert 0.5 - parts.coverage < max(sizes) / 40  # filled as long as a group fits


def test_linked_chains_cannot_be_split():
    here, rng = some(0, hops=3, relations=4)
    assert split(here, 1, rng=rng).coverage == 1
    assert split(here, 0, rng=rng).coverage == 0
    with pytest.raises(ImpossibleError, match=r"0\.4 is out of reach: 1 groups .* take 0, or a"):
        split(here, 0.4, rng=rng)


def test_a_coverage_that_groups_miss_by_far_is_refused():
    here, rng = some(0, images=2)
    assert split(here, 0.5, rng=rng).coverage == 0.5
    assert split(here, 0.54, rng=rng).coverage == 0.5
    with pytest.raises(ImpossibleError, match=r"0\.6 is out of reach: 2 groups .* take 0\.5"):
        split(here, 0.6, rng=rng)


@settings(max_examples=10)
@given(seeds)
def test_a_base_hears_every_fact_and_the_trained_chains(seed):
    here, rng = some(seed, relations=2)
    parts = split(here, 0.25, rng=rng)
    chains, first, second = pretraining(here, parts)
    assert chains.tokens.tolist() == plain(here, parts.trained).tokens.tolist()
    assert (len(first), len(second)) == (80, 80)
    told = {tuple(row) for row in np.stack([first.tokens[:, 0], first.answer], axis=1).tolist()}
    facts = along(here, every(here, hops=1))
    assert told == {(here.entity(0, x), here.entity(1, y)) for x, y in facts.tolist()}
    assert {part.tokens.shape[1] for part in (chains, first, second)} == {3}
    assert len(pretraining(here, split(here, 0, rng=rng))) == 2


@pytest.mark.parametrize(("identity", "rows"), [("known", 120), ("all", 156)])
def test_identity_prompts_name_the_known_entities_or_all(identity, rows):
    here, rng = some(0)
    *_, last = pretraining(here, split(here, 0.5, rng=rng), identity=identity)
    assert len(last) == rows
    assert last.tokens[:, 0].tolist() == last.answer.tolist()
    assert len(set(last.answer.tolist())) == rows


def test_a_batch_has_a_third_of_each_kind():
    here, rng = some(0)
    sets = pretraining(here, split(here, 0.5, rng=rng))
    batch = sampled(sets, 96, rng=rng)
    lengths = (batch.tokens != 0).sum(axis=1)
    assert lengths.tolist() == [3] * 32 + [2] * 64
    assert (batch.tokens[32:64, 1] == here.relation(0, 0)).all()
    assert (batch.tokens[64:, 1] == here.relation(1, 0)).all()
    assert len(sampled(sets, 97, rng=rng)) == 97
    one, other = (sampled(sets, 9, rng=np.random.default_rng(5)).tokens for _ in range(2))
    assert one.tolist() == other.tolist()
    with pytest.raises(ImpossibleError, match="rows is 2; ask for a number of at least 3"):
        sampled(sets, 2, rng=rng)
    with pytest.raises(ImpossibleError, match="identity is 'some'"):
        pretraining(here, split(here, 0.5, rng=rng), identity="some")


def told_rows(prompts):
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
    assert [told_rows(lesson.told) for lesson in found.hops] == [first, second]
    assert told_rows(found.direct.told) == [(a, two, c) for a, c in zip(x, z, strict=True)]
    assert not np.isin(found.direct.told.targets, y).any()
    assert told_rows(found.joint.told) == first + second
    assert told_rows(found.bridged.told)[:6] == first + second
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


def asked(here, prompts):
    """Level and number of each subject, number of each answer."""
    found = []
    for subject, answer in zip(prompts.tokens[:, 0].tolist(), prompts.answer.tolist(), strict=True):
        start = next(k for k in range(here.hops) if subject in here.level(k))
        end = next(k for k in range(here.hops + 1) if answer in here.level(k))
        found.append((start, subject - here.level(start).start, answer - here.level(end).start))
    return found


@settings(max_examples=10)
@given(seeds)
def test_edited_questions_have_their_new_answers(seed):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng)
    found = trials(made, lessons(made, rng=rng, retained=5, examples=5), rng=rng, count=4)
    chains = made.chains.tolist()
    assert asked(here, found.chains) == [(0, x, z) for x, _, z in chains]
    assert (found.chains.targets[:, :2] == -1).all()
    assert asked(here, found.thought) == [(0, x, z) for x, _, z in chains]
    assert found.thought.tokens[:, 3].tolist() == [here.entity(1, y) for _, y, _ in chains]
    assert [asked(here, part) for part in found.hops] == [
        [(0, x, y) for x, y, _ in chains],
        [(1, y, z) for _, y, z in chains],
    ]
    assert found.chance == 1 / 3


@settings(max_examples=10)
@given(seeds)
def test_unedited_questions_are_true_in_both_worlds_and_were_not_rehearsed(seed):
    here, rng = some(seed)
    one, other = pairs(here, 2, 3, rng=rng)
    studied = lessons(one, rng=rng, retained=15, examples=5, others=[other])
    found = trials(one, studied, rng=rng, count=8, others=[other])
    for hop, part in enumerate(found.other_hops):
        facts = asked(here, part)
        assert len(set(facts)) == 8
        for level, subject, answer in facts:
            assert level == hop
            assert walked(one.after, hop, subject, (0,))[1] == answer
            assert walked(other.after, hop, subject, (0,))[1] == answer
        assert not {s for _, s, _ in facts} & set(studied.rehearsed[hop].subjects.tolist())
    chains = asked(here, found.other_chains)
    assert len(set(chains)) == 8
    for _, subject, answer in chains:
        assert walked(one.after, 0, subject, (0, 0))[2] == answer
        assert walked(other.after, 0, subject, (0, 0))[2] == answer


@settings(max_examples=10)
@given(seeds)
def test_shortcut_questions_are_about_other_subjects_and_want_the_edited_answers(seed):
    here, rng = some(seed, relations=2, images=20)
    made = edit(here, 3, rng=rng, path=(1, 0))
    found = trials(made, lessons(made, rng=rng, retained=5, examples=5), rng=rng, count=4).shortcut
    assert found.answer.tolist() == here.entity(2, made.chains[:, 2]).tolist()
    assert (found.tokens[:, 1:] == [here.relation(0, 1), here.relation(1, 0)]).all()
    for _, subject, answer in asked(here, found):
        before = walked(here, 0, subject, (1, 0))
        assert before == walked(made.after, 0, subject, (1, 0))
        assert before[2] not in made.chains[:, 2].tolist()
        assert subject not in made.chains[:, 0].tolist()
        assert answer in made.chains[:, 2].tolist()


def test_chance_is_the_commonest_answer():
    here, rng = some(0)
    made = edit(here, 4, rng=rng)
    found = trials(made, lessons(made, rng=rng, retained=5, examples=5), rng=rng, count=4)
    assert found.chance == 0.25
    assert replace(found, chains=found.chains[np.array([0, 0, 1])]).chance == 2 / 3


def test_lessons_and_trials_of_several_seeds_stack():
    taught, asked = [], []
    for seed, familiarity in enumerate(["real", "half", "fake"]):
        here, rng = some(seed)
        made = edit(here, 3, rng=rng, familiarity=familiarity)
        taught.append(lessons(made, rng=rng, retained=5, examples=6))
        asked.append(trials(made, taught[-1], rng=rng, count=4))
    assert stacked([one.hops[0].prompts for one in taught]).tokens.shape == (3, 14, 2)
    assert stacked([one.bridged.prompts for one in taught]).tokens.shape == (3, 23, 3)
    for name in vars(asked[0]):
        parts = [getattr(one, name) for one in asked]
        for part in zip(*parts, strict=True) if isinstance(parts[0], tuple) else [parts]:
            assert stacked(part).tokens.shape[0] == 3


@pytest.mark.parametrize(
    ("sizes", "coverage", "message"),
    [
        ({}, 0.001, r"coverage 0.001 .* take 0, or"),
        ({}, 0.999, r"coverage 0.999 .* take 1, or"),
        ({}, -0.1, "ask for a fraction from 0 to 1"),
        ({}, 1.01, "ask for a fraction from 0 to 1"),
        ({}, float("nan"), "ask for a fraction from 0 to 1"),
        ({"hops": 1}, 0.5, "the hops of a world to be split is 1"),
    ],
)
def test_a_coverage_that_cannot_be_is_refused(sizes, coverage, message):
    here, rng = some(0, **sizes)
    with pytest.raises(ImpossibleError, match=message):
        split(here, coverage, rng=rng)


def test_more_than_the_world_has_left_is_refused():
    here, rng = some(0)
    for wanted in ({"retained": 39}, {"examples": 39}, {"retained": -1}):
        with pytest.raises(ImpossibleError, match="ask for fewer"):
            lessons(edit(here, 3, rng=rng), rng=rng, **{"retained": 5, "examples": 5, **wanted})
    here, rng = some(0, entities=12)
    made = edit(here, 3, rng=rng)
    studied = lessons(made, rng=rng, retained=2, examples=2)
    with pytest.raises(ImpossibleError, match="20 unedited questions of 1 hops are wanted of 7"):
        trials(made, studied, rng=rng)
    small, rng = some(0, entities=9)
    made = edit(small, 3, rng=rng)
    studied = lessons(made, rng=rng, retained=0, examples=0)
    others = [edit(small, 2, rng=rng, answers="kept"), edit(small, 2, rng=rng, answers="kept")]
    with pytest.raises(ImpossibleError, match="other chains are left for 3 shortcut questions"):
        trials(made, studied, rng=rng, count=0, others=others)
