"""_trials: each control asks what it says, and unedited questions are unedited and unseen."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, walked

from loratheory.tasks.two_hop import ImpossibleError, edit, lessons, pairs, stacked, trials


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
    repeated = type(found)(
        found.chains[np.array([0, 0, 1])], *[getattr(found, name) for name in FIELDS[1:]]
    )
    assert repeated.chance == 2 / 3


FIELDS = ("chains", "thought", "hops", "other_hops", "other_chains", "shortcut")


def test_trials_of_several_seeds_stack():
    found = []
    for seed, familiarity in enumerate(["real", "half", "fake"]):
        here, rng = some(seed)
        made = edit(here, 3, rng=rng, familiarity=familiarity)
        studied = lessons(made, rng=rng, retained=5, examples=6)
        found.append(trials(made, studied, rng=rng, count=4))
    for name in FIELDS:
        parts = [getattr(one, name) for one in found]
        for part in zip(*parts, strict=True) if isinstance(parts[0], tuple) else [parts]:
            assert stacked(part).tokens.shape[0] == 3


def test_what_the_world_cannot_ask_is_refused():
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
