"""_draws: each kind of edit is what its words say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some

from loratheory.tasks.two_hop import ImpossibleError, along, edit, matched, pairs


@settings(max_examples=20)
@given(seeds, st.sampled_from(["real", "half", "fake"]))
def test_familiarity_is_of_subjects_then_of_all(seed, familiarity):
    here, rng = some(seed)
    chains = edit(here, 4, rng=rng, familiarity=familiarity).chains
    known = (chains < here.entities).all(axis=0).tolist()
    assert known == {"real": [1, 1, 1], "half": [0, 1, 1], "fake": [0, 0, 0]}[familiarity]
    if familiarity != "real":
        assert (chains[:, 0] >= here.entities).all()
    for column in chains.T:
        assert len(set(column.tolist())) == 4


@settings(max_examples=20)
@given(seeds)
def test_an_edit_changes_just_the_facts_that_it_teaches(seed):
    here, rng = some(seed, relations=2)
    made = edit(here, 4, rng=rng, path=(1, 0))
    wanted = [(0, 1, int(x)) for x in made.chains[:, 0]]
    wanted += [(1, 0, int(y)) for y in made.chains[:, 1]]
    assert sorted(map(tuple, np.argwhere(made.edited()).tolist())) == sorted(wanted)
    for hop, facts in enumerate(made.taught):
        assert along(made.after, facts).tolist() == made.chains[:, hop : hop + 2].tolist()


@settings(max_examples=20)
@given(seeds)
def test_matched_edits_differ_in_the_old_bridges_alone(seed):
    here, rng = some(seed)
    one, other = matched(here, 4, rng=rng)
    assert one.chains.tolist() == other.chains.tolist()
    assert one.taught[0].subjects.tolist() == other.taught[0].subjects.tolist()
    old = set(along(here, one.questions)[:, 1].tolist())
    beside = [set(made.taught[1].subjects[4:].tolist()) for made in (one, other)]
    assert len(beside[0]) == len(beside[1]) == 4
    assert not beside[0] & old
    assert beside[1] == old
    for made in (one, other):
        new = along(made.after, made.taught[1])[:, 1].tolist()
        assert len(set(new)) == 8
        assert not set(new) & set(along(here, made.questions)[:, 2].tolist())


@settings(max_examples=10)
@given(seeds, st.integers(1, 8))
def test_pairs_have_no_entity_of_their_data_in_common(seed, count):
    here, rng = some(seed, entities=60)
    made = pairs(here, count, 3, rng=rng)
    assert len(made) == count
    for level in range(3):
        used = [e for one in made for e in one.chains[:, level].tolist()]
        assert len(set(used)) == 3 * count
    for one in made:
        for other in made:
            old = along(here, other.questions)
            if one is not other:
                assert not set(one.chains[:, 1].tolist()) & set(old[:, 1].tolist())
    more = pairs(here, 1, 3, rng=rng, avoid=made)
    assert len(more) == 1
    assert not set(more[0].chains[:, 0].tolist()) & {x for e in made for x in e.chains[:, 0]}


@pytest.mark.parametrize(("bridges", "answers"), [("kept", "fresh"), ("fresh", "kept")])
def test_one_hop_can_keep_its_facts(bridges, answers):
    here, rng = some(0, hops=3)
    made = edit(here, 3, rng=rng, bridges=bridges, answers=answers)
    inner, last = (3 if change == "fresh" else 0 for change in (bridges, answers))
    assert made.edited().sum(axis=(1, 2)).tolist() == [inner, inner, last]
    assert [len(facts) for facts in made.taught] == [3, 3, 3]


def test_a_seed_determines_the_edit():
    here, _ = some(0)
    one, same, other = (
        edit(here, 4, rng=np.random.default_rng(seed)).chains.tolist() for seed in (1, 1, 2)
    )
    assert one == same != other


def test_longer_chains_are_edited_at_every_hop():
    here, rng = some(0, hops=4)
    made = edit(here, 3, rng=rng)
    assert made.edited().sum(axis=(1, 2)).tolist() == [3, 3, 3, 3]
    with pytest.raises(ImpossibleError, match="edited beside the chains is 4"):
        edit(here, 3, rng=rng, also="old")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"familiarity": "unreal"}, "familiarity is 'unreal'; choose one of fake, half, real"),
        ({"bridges": "new"}, "bridges is 'new'"),
        ({"answers": "new"}, "answers is 'new'"),
        ({"also": "all"}, "also is 'all'"),
        ({"path": (0, 1)}, r"path \(0, 1\) is not a relation for each of 2 hops"),
        ({"path": (0,)}, "give 2 numbers below 1"),
    ],
)
def test_unknown_wishes_are_refused(wanted, message):
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match=message):
        edit(here, 2, rng=rng, **wanted)


def test_more_edits_than_entities_are_refused():
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match="edit fewer facts"):
        edit(here, 41, rng=rng)
    with pytest.raises(ImpossibleError, match="facts is 0"):
        edit(here, 0, rng=rng)
    with pytest.raises(ImpossibleError, match="count is 0"):
        pairs(here, 0, 2, rng=rng)
    with pytest.raises(ImpossibleError, match="edit fewer facts"):
        pairs(here, 9, 5, rng=rng)
