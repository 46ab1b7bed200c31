"""Edits are what their words say, lead where walking leads, and are of the case named."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import (
    Edit,
    ImpossibleError,
    Questions,
    World,
    along,
    case,
    edit,
    every,
    ideal,
    matched,
    pairs,
    threshold,
)
from loratheory.tasks.two_hop._world import together
from loratheory.toy import Hop, chain


def by_hand():
    """x0 -> y1 becomes x0 -> y2; y2 -> z1 becomes y2 -> z0 (before: y1 -> z0)."""
    before = three()
    maps = before.maps.copy()
    maps[0, 0, 0], maps[1, 0, 2] = 2, 0
    after = World(maps, entities=3, canaries=2)
    none = np.zeros((1, 1), dtype=np.int64)
    facts = (Questions(0, np.array([0]), none), Questions(1, np.array([2]), none))
    return Edit(before, after, Questions(0, np.array([0]), np.zeros((1, 2), dtype=np.int64)), facts)


def test_the_ways_of_one_chain_by_hand():
    made = by_hand()
    assert made.chains.tolist() == [[0, 2, 0]]
    assert [nodes.tolist() for nodes in made.reached()] == [[[0]], [[2, 1]], [[0, 0, 1, 0]]]
    ends = {new: made.answers(new).tolist() for new in product((False, True), repeat=2)}
    assert ends == {
        (True, True): [15],  # z0
        (True, False): [16],  # z1, the old answer of the new bridge
        (False, True): [15],
        (False, False): [15],  # z0, the old answer of the old bridge
    }
    assert made.touched().tolist() == [
        [True, False, False],
        [False, True, True],
        [True, True, False],
    ]
    assert made.claimed()[:2].tolist() == made.touched()[:2].tolist()
    assert made.claimed()[2].tolist() == [True, False, False]
    assert np.argwhere(made.edited()).tolist() == [[0, 0, 0], [1, 0, 2]]


@settings(max_examples=15)
@given(seeds)
def test_each_branch_reads_each_hop_as_it_says(seed):
    here, rng = some(seed, hops=3, relations=2)
    made = edit(here, 4, rng=rng, path=(1, 0, 1))
    levels = made.reached()
    for row, subject in enumerate(made.questions.subjects.tolist()):
        for branch in range(8):
            node = subject
            for hop, relation in enumerate((1, 0, 1)):
                world = made.before if branch >> hop & 1 else made.after
                node = walked(world, hop, node, (relation,))[1]
                assert levels[hop + 1][row, branch % 2 ** (hop + 1)] == node
            new = [not branch >> hop & 1 for hop in range(3)]
            assert made.answers(new)[row] == here.entity(3, node)


@settings(max_examples=15)
@given(seeds)
def test_touched_is_all_that_old_and_new_facts_mention(seed):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng, also="other")
    seen = {(level, int(e)) for level, nodes in enumerate(made.reached()) for e in nodes.flat}
    for facts in made.taught:
        for subject in facts.subjects.tolist():
            seen.add((facts.start, subject))
            for world in (made.before, made.after):
                seen.add((facts.start + 1, walked(world, facts.start, subject, (0,))[1]))
    assert {tuple(place) for place in np.argwhere(made.touched()).tolist()} == seen
    assert (made.edited().sum(axis=(1, 2)) == [3, 6]).all()


def test_a_missing_fact_has_no_answer_and_touches_nothing():
    here, rng = some(0)
    made = edit(here, 3, rng=rng, familiarity="half")
    assert made.answers((False, False)).tolist() == [-1, -1, -1]
    assert (made.answers((True, False)) >= here.level(2).start).all()
    assert not made.touched()[:, -1].any() or made.touched()[0, -1]


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


@settings(max_examples=20)
@given(seeds, st.integers(2, 3), st.integers(1, 3), st.sampled_from([None, 20]))
def test_ways_that_differ_end_in_different_entities(seed, hops, relations, images):
    here, rng = some(seed, hops=hops, relations=relations, images=images)
    try:
        made = edit(here, 3, rng=rng, path=(relations - 1,) * hops)
    except ImpossibleError:
        assume(images is None)  # few images over three hops may leave no free entity
        raise
    levels = made.reached()
    for nodes in levels:
        assert len(np.unique(nodes)) == nodes.size - sum_of_merged(nodes)
    ends = levels[-1]
    for row in ends.tolist():
        assert row[0] not in row[1:]


def sum_of_merged(nodes):
    """How many columns repeat an entity that the same chain has already: unedited side ways."""
    return sum(len(row) - len(set(row)) for row in nodes.tolist())


@settings(max_examples=15)
@given(seeds, st.integers(2, 4))
def test_a_fresh_value_is_none_that_the_base_told_of_the_chain(seed, relations):
    here, rng = some(seed, relations=relations)
    made = edit(here, 3, rng=rng)
    for x, y, z in made.chains.tolist():
        told_y = {walked(here, 0, x, (r,))[1] for r in range(relations)}
        told_z = {walked(here, 1, y, (r,))[1] for r in range(relations)}
        paths = [(r, s) for r in range(relations) for s in range(relations)]
        told_z |= {walked(here, 0, x, path)[2] for path in paths}
        assert y not in told_y
        assert z not in told_z


@settings(max_examples=15)
@given(seeds)
def test_fresh_values_are_such_as_pretraining_told(seed):
    here, rng = some(seed, images=15, relations=2)
    made = edit(here, 3, rng=rng, path=(1, 0))
    assert set(made.chains[:, 1].tolist()) <= set(here.maps[0, 1, :40].tolist())
    assert set(made.chains[:, 2].tolist()) <= set(here.maps[1, 0, :40].tolist())


@settings(max_examples=15)
@given(seeds, st.integers(4, 9))
def test_permuted_values_are_the_old_ones_moved(seed, facts):
    here, rng = some(seed)
    made = edit(here, facts, rng=rng, bridges="permuted", answers="permuted")
    old = along(here, made.questions)
    for level in (1, 2):
        assert sorted(made.chains[:, level].tolist()) == sorted(old[:, level].tolist())
        assert (made.chains[:, level] != old[:, level]).all()
    for row in made.reached()[2].tolist():
        assert len(set(row)) == 4


def test_kept_facts_are_the_old_ones():
    here, rng = some(0)
    made = edit(here, 3, rng=rng, bridges="kept", answers="kept")
    assert made.chains.tolist() == along(here, made.questions).tolist()
    assert not made.edited().any()
    assert [len(facts) for facts in made.taught] == [3, 3]


def test_known_subjects_come_from_the_chains_that_were_named():
    here, rng = some(0, relations=2)
    chains = every(here)  # the path (0, 0) comes first
    made = edit(here, 3, rng=rng, among=chains[np.array([5, 6, 7, 8, 50, 51])])
    assert set(made.questions.subjects.tolist()) <= {5, 6, 7, 8}
    with pytest.raises(ImpossibleError, match="level 0 has 2 free known entities for 3 facts"):
        edit(here, 3, rng=rng, among=chains[np.array([5, 6, 47, 48, 89, 90])])


def test_another_edit_may_claim_what_only_an_old_fact_leads_to():
    here, rng = some(0, entities=30)
    first = edit(here, 7, rng=rng)
    second = edit(here, 7, rng=rng, avoid=[first])
    assert not (first.claimed() & second.claimed()).any()
    assert (first.touched() & second.touched())[2].any()


GOLDEN = (5**0.5 - 1) / 2
CASES = [
    ({}, "overwrite", GOLDEN, True),
    ({"answers": "permuted"}, "overwrite", GOLDEN, True),
    ({"also": "other"}, "overwrite", GOLDEN, True),
    ({"also": "old"}, "overwrite both", 0.5, True),
    ({"bridges": "permuted", "answers": "permuted"}, "overwrite both", 0.5, True),
    ({"bridges": "permuted"}, "overwrite both", 0.5, True),
    ({"familiarity": "half"}, "new subject", 0.5, True),
    ({"familiarity": "half", "answers": "kept"}, "new facts", 0, True),
    ({"familiarity": "fake"}, "new facts", 0, False),
    ({"answers": "kept"}, "one", 0.5, True),
    ({"bridges": "kept"}, "one", 0.5, True),
    ({"bridges": "kept", "answers": "kept"}, "none", 0, True),
]


@pytest.mark.parametrize(("wanted", "name", "least", "familiar"), CASES)
def test_each_kind_of_edit_is_of_its_case(wanted, name, least, familiar):
    here, rng = some(3)
    found = case(edit(here, 4, rng=rng, **wanted))
    assert found == (name, pytest.approx(least, abs=1e-9), familiar)


@settings(max_examples=4)
@given(seeds)
def test_matched_edits_overwrite_and_overwrite_both(seed):
    here, rng = some(seed)
    assert [case(made).name for made in matched(here, 3, rng=rng)] == [
        "overwrite",
        "overwrite both",
    ]


@pytest.mark.parametrize("hops", [2, 3, 4])
@pytest.mark.parametrize("pattern", ["overwrite", "new subject", "new facts"])
def test_thresholds_solve_the_equation_of_their_chain(hops, pattern):
    here, rng = some(1, hops=hops)
    familiarity = {"overwrite": "real", "new subject": "half", "new facts": "fake"}[pattern]
    found = case(edit(here, 2, rng=rng, familiarity=familiarity))
    old = {"overwrite": hops, "new subject": hops - 1, "new facts": 0}[
        pattern
    ]  # how many old facts compete
    c = found.threshold
    assert found.name == pattern
    assert c**old + c == pytest.approx(1, abs=1e-9)


def test_one_hop_survives_from_one_half_on():
    here, rng = some(1, hops=1)
    assert case(edit(here, 2, rng=rng)) == ("one", pytest.approx(0.5), True)


@settings(max_examples=20)
@given(seeds)
def test_an_ideal_memory_sums_over_ways(seed):
    here, rng = some(seed, hops=3)
    wanted = [{}, {"familiarity": "half"}, {"answers": "kept"}, {"bridges": "kept"}]
    made = edit(here, 3, rng=rng, **wanted[seed % 4])
    coefficients = rng.uniform(0, 1.5, size=3).tolist()
    weight = np.zeros((3, here.size))
    for new in product((True, False), repeat=3):
        share = np.prod(
            [c if is_new else 1 - c for c, is_new in zip(coefficients, new, strict=True)]
        )
        for row, token in enumerate(made.answers(new).tolist()):
            if token >= 0:
                weight[row, token - here.level(3).start] += share
    assert ideal(made, coefficients) == pytest.approx(weight, abs=1e-12)


def built(made: Edit, rng: np.random.Generator):
    """The edit's world as two memories with random keys, and the keys of its subjects."""
    size, d = made.before.size, made.before.size + 4
    keys, bridges, values = (rng.standard_normal((d, size)) for _ in range(3))
    reads = []
    for hop, (key, frame) in enumerate(((keys, values), (bridges, np.eye(size)))):
        old, new = (
            np.where(world.maps[hop, 0] < 0, 0, frame[:, world.maps[hop, 0]])
            for world in (made.before, made.after)
        )
        reads.append(Hop(key, old, new))
    return chain(reads, (values,)), keys[:, made.questions.subjects]


@pytest.mark.parametrize("wanted", [wanted for wanted, *_ in CASES])
def test_memories_built_from_the_facts_answer_as_predicted(wanted):
    here, rng = some(5, entities=24, spare=6)
    made = edit(here, 4, rng=rng, **wanted)
    model, subjects = built(made, rng)
    least = threshold(made)
    for c in (0.2, max(least - 1e-6, 0.1), least + 1e-6, 0.7, 1.0):
        logits = model.output(subjects, (c, c)).T
        assert logits == pytest.approx(ideal(made, (c, c)), abs=1e-6)
        answered = bool((logits.argmax(axis=1) == made.chains[:, -1]).all())
        assert answered == (c > least)


def test_chains_of_two_cases_have_no_case():
    here, rng = some(0)
    one, other = pairs(here, 2, 3, rng=rng)
    maps = np.where(other.edited(), other.after.maps, one.after.maps).copy()
    maps[1, 0, one.chains[0, 1]] = here.maps[1, 0, one.chains[0, 1]]  # this fact stays
    after = type(here)(maps, here.entities, here.canaries)
    mixed = Edit(here, after, together(one.questions, other.questions), one.taught)
    with pytest.raises(ImpossibleError, match="chains of the cases one, overwrite"):
        case(mixed)
    assert threshold(mixed) == pytest.approx(GOLDEN, abs=1e-9)  # the last chain to be won


def test_a_target_that_never_wins_has_threshold_one():
    here, rng = some(0)
    made = edit(here, 3, rng=rng)
    never = Edit(here, here, made.questions, made.taught)  # nothing changed, so all is kept
    assert threshold(never) == 0
    assert case(never).name == "none"


def test_longer_chains_are_edited_at_every_hop_and_a_seed_determines_them():
    here, _ = some(0, hops=4)
    one, same, other = (edit(here, 3, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.edited().sum(axis=(1, 2)).tolist() == [3, 3, 3, 3]
    assert one.chains.tolist() == same.chains.tolist() != other.chains.tolist()


PERMUTED = {"bridges": "permuted", "answers": "permuted"}


@pytest.mark.parametrize(
    ("facts", "wanted", "sizes", "message"),
    [
        (2, {"familiarity": "unreal"}, {}, "familiarity is 'unreal'; choose one of fake, half"),
        (2, {"bridges": "new"}, {}, "bridges is 'new'"),
        (2, {"answers": "new"}, {}, "answers is 'new'"),
        (2, {"also": "all"}, {}, "also is 'all'"),
        (2, {"path": (0, 1)}, {}, r"path \(0, 1\) is not a relation for each of 2 hops"),
        (2, {"path": (0,)}, {}, "give 2 numbers below 1"),
        (3, {"also": "old"}, {"hops": 4}, "edited beside the chains is 4"),
        (41, {}, {}, "edit fewer facts"),
        (0, {}, {}, "facts is 0"),
        (1, {"bridges": "permuted"}, {}, "1 facts cannot be permuted by 1; permute 2 facts or mo"),
        (2, PERMUTED, {}, "2 facts cannot be permuted by 2"),
        (3, PERMUTED, {}, "permuting 3 facts .* permute 4 facts or more"),
        (3, {"familiarity": "half", "bridges": "kept"}, {}, "hop 0 has no old facts that could be"),
        (4, {}, {"entities": 8}, "level 2 has . free known entities for 4 facts"),
        (3, {"familiarity": "fake"}, {"spare": 2}, "level 0 has 2 free spare entities for 3 facts"),
    ],
)
def test_impossible_edits_are_refused(facts, wanted, sizes, message):
    here, rng = some(0, **sizes)
    with pytest.raises(ImpossibleError, match=message):
        edit(here, facts, rng=rng, **wanted)


def test_more_pairs_than_entities_and_other_coefficients_than_hops_are_refused():
    here, rng = some(0)
    for count, message in ((0, "count is 0"), (9, "edit fewer facts")):
        with pytest.raises(ImpossibleError, match=message):
            pairs(here, count, 5, rng=rng)
    with pytest.raises(ImpossibleError, match="1 coefficients are given for 2 hops"):
        ideal(edit(here, 3, rng=rng), (1.0,))
