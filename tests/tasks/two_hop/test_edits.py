"""Edits are what their words say, lead where walking leads, and are of the case named."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
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
    pairs,
    world,
)

WANTED = [
    {},
    {"familiarity": "half"},
    {"familiarity": "fake"},
    {"bridges": "permuted"},
    {"also": "other"},
    {"also": "old"},
    {"familiarity": "half", "also": "other"},
]


def by_hand():
    """x0 -> y1 becomes x0 -> y2; y2 -> z1 becomes y2 -> z0 (before: y1 -> z0)."""
    before = three()
    maps = before.maps.copy()
    maps[0, 0, 0], maps[1, 0, 2] = 2, 0
    after = World(maps, entities=3, canaries=2)
    none = np.zeros((1, 1), dtype=np.int64)
    facts = (Questions(0, np.array([0]), none), Questions(1, np.array([2]), none))
    return Edit(before, after, Questions(0, np.array([0]), np.zeros((1, 2), dtype=np.int64)), facts)


def test_the_ways_of_one_question_by_hand():
    made = by_hand()
    assert made.routes.tolist() == [[0, 2, 0]]
    assert [nodes.tolist() for nodes in made.reached()] == [[[0]], [[2, 1]], [[0, 0, 1, 0]]]
    ends = {new: made.answers(new).tolist() for new in product((False, True), repeat=2)}
    assert ends == {
        (True, True): [15],  # z0
        (True, False): [16],  # z1, the old answer of the new bridge
        (False, True): [15],
        (False, False): [15],  # z0, the old answer of the old bridge
    }
    assert np.argwhere(made.touched()).tolist() == [[0, 0], [1, 1], [1, 2], [2, 0], [2, 1]]
    assert np.argwhere(made.claimed()).tolist() == [[0, 0], [1, 1], [1, 2], [2, 0]]
    assert np.argwhere(made.edited()).tolist() == [[0, 0, 0], [1, 0, 2]]


def changed(made):
    """The facts that differ, as level, subject, and value after the edit."""
    edits = np.argwhere(made.edited()).tolist()
    assert all(relation == 0 for _, relation, _ in edits)
    return {(hop, node, int(made.after.maps[hop, 0, node])) for hop, _, node in edits}


@pytest.mark.parametrize("wanted", WANTED)
@settings(max_examples=4)
@given(seeds, st.integers(1, 3))
def test_an_edit_is_what_its_words_say(wanted, seed, relations):
    here, rng = some(seed, relations=relations)
    made = edit(here, 4, rng=rng, **wanted)
    routes, old = made.routes, along(here, made.questions)
    familiarity = wanted.get("familiarity", "real")
    known = (routes < here.entities).all(axis=0).tolist()
    assert known == {"real": [1, 1, 1], "half": [0, 1, 1], "fake": [0, 0, 0]}[familiarity]
    assert all(len({*column}) == 4 for column in routes.T.tolist())
    facts = {(hop, r[hop], r[hop + 1]) for r in routes.tolist() for hop in (0, 1)}
    more = changed(made) - facts
    assert facts <= changed(made)
    reached = {*made.reached()[1][:, 1].tolist()} - {-1}  # by old facts
    beside = {node for hop, node, _ in more if hop == 1}
    if wanted.get("also") == "old":
        assert beside == reached - {*routes[:, 1].tolist()}
    elif "also" in wanted:
        assert len(more) == len(reached)
        assert not beside & ({*routes[:, 1].tolist()} | reached)
    else:
        assert not more
    for hop, part in enumerate(made.taught):
        each = {(hop, x, y) for x, y in along(made.after, part).tolist()}
        assert each == {fact for fact in changed(made) if fact[0] == hop}
        assert along(made.after, part)[:4].tolist() == routes[:, hop : hop + 2].tolist()
    if "bridges" in wanted:
        assert sorted(routes[:, 1].tolist()) == sorted(old[:, 1].tolist())
        assert (routes[:, 1] != old[:, 1]).all()
    values = [value for hop, _, value in changed(made) if hop == 1]
    assert len({*values}) == len(values)
    for (x, y, z), passed in zip(routes.tolist(), made.reached()[2].tolist(), strict=True):
        assert z not in passed[1:]  # no old fact leads to the new answer
        ends = {walked(here, 0, x, path)[2] for path in product(range(relations), repeat=2)}
        assert z not in ends | {walked(here, 1, y, (r,))[1] for r in range(relations)}
        if "bridges" not in wanted:
            assert y not in {walked(here, 0, x, (r,))[1] for r in range(relations)}


@settings(max_examples=5)
@given(seeds, st.integers(3, 4), st.sampled_from(["fresh", "permuted"]))
def test_each_branch_reads_each_hop_as_it_says_and_ends_by_itself(seed, hops, bridges):
    here, rng = some(seed, hops=hops, spare=3)
    made = edit(here, 8 if bridges == "permuted" else 3, rng=rng, bridges=bridges)
    levels = made.reached()
    for row, subject in enumerate(made.questions.subjects.tolist()):
        ends = {}
        for branch in range(2**hops):
            passed = [subject]
            for hop in range(hops):
                facts = made.before if branch >> hop & 1 else made.after
                passed.append(walked(facts, hop, passed[-1], (0,))[1])
                assert levels[hop + 1][row, branch % 2 ** (hop + 1)] == passed[-1]
            new = [not branch >> hop & 1 for hop in range(hops)]
            assert made.answers(new)[row] == here.entity(hops, passed[-1])
            assert ends.setdefault(passed[-1], passed) == passed


@pytest.mark.parametrize("wanted", WANTED)
def test_touched_is_all_that_old_and_new_facts_mention(wanted):
    here, rng = some(3)
    made = edit(here, 3, rng=rng, **wanted)
    seen = {(level, int(e)) for level, nodes in enumerate(made.reached()) for e in nodes.flat}
    for hop, node, value in changed(made):
        seen |= {(hop, node), (hop + 1, value), (hop + 1, int(here.maps[hop, 0, node]))}
    found = {tuple(place) for place in np.argwhere(made.touched()).tolist()}
    assert found == {(level, node) for level, node in seen if node >= 0}
    claimed = {tuple(place) for place in np.argwhere(made.claimed()).tolist()}
    new = {(2, value) for hop, _, value in changed(made) if hop == 1}
    assert claimed == {place for place in found if place[0] < 2} | new


def test_a_missing_fact_has_no_answer():
    here, rng = some(0)
    made = edit(here, 3, rng=rng, familiarity="half")
    assert made.answers((False, False)).tolist() == [-1, -1, -1]
    assert (made.answers((True, False)) >= here.level(2).start).all()


@pytest.mark.parametrize("also", ["old", "other"])
def test_what_is_edited_besides_changes_no_question(also):
    one, other = (
        edit(some(7)[0], 4, rng=np.random.default_rng(1), also=more) for more in ("nothing", also)
    )
    assert one.routes.tolist() == other.routes.tolist()
    assert one.taught[0].subjects.tolist() == other.taught[0].subjects.tolist()


@settings(max_examples=5)
@given(seeds, st.integers(1, 8))
def test_pairs_claim_no_entity_together(seed, count):
    here, rng = some(seed, entities=60)
    made = pairs(here, count, 3, rng=rng)
    assert len(made) == count
    assert np.sum([one.claimed() for one in made], axis=0).max() == 1


def test_another_edit_may_claim_what_only_an_old_fact_leads_to():
    here, rng = some(0, entities=30)
    first = edit(here, 7, rng=rng)
    second = edit(here, 7, rng=rng, avoid=[first])
    assert not (first.claimed() & second.claimed()).any()
    assert (first.touched() & second.touched())[2].any()


def test_known_subjects_come_from_the_questions_that_were_named():
    here, rng = some(0, relations=2)
    questions = every(here)  # those by the first relations come first
    made = edit(here, 3, rng=rng, among=questions[np.array([5, 6, 7, 8, 50, 51])])
    assert {*made.questions.subjects.tolist()} <= {5, 6, 7, 8}
    with pytest.raises(ImpossibleError, match="level 0 has 2 free known entities for 3 facts"):
        edit(here, 3, rng=rng, among=questions[np.array([5, 6, 47, 48, 89, 90])])


CASES = [
    ({}, "overwrite", (2, 3, 4)),
    ({"also": "other"}, "overwrite", (2,)),
    ({"also": "old"}, "overwrite both", (2,)),
    ({"bridges": "permuted"}, "overwrite both", (2,)),
    ({"familiarity": "half"}, "new subject", (2, 3)),
    ({"familiarity": "fake"}, "new facts", (2, 3)),
]


def ideal(made, c):
    """Of each question, the weight of each answer in a memory that sums over all ways."""
    weight = np.zeros((len(made.questions), made.before.vocabulary + 1))
    for new in product((True, False), repeat=made.before.hops):
        share = np.prod([c if is_new else 1 - c for is_new in new])
        weight[np.arange(len(weight)), made.answers(new)] += share  # a missing fact's is last
    return weight[:, :-1]


@pytest.mark.parametrize(
    ("wanted", "name", "hops"), [(w, name, hops) for w, name, every in CASES for hops in every]
)
def test_an_ideal_memory_needs_the_coefficient_of_the_case(wanted, name, hops):
    """``c**k + c = 1`` where k old facts compete; 1/2 where both are edited, none where none is."""
    here, rng = some(3, hops=hops)
    made = edit(here, 4, rng=rng, **wanted)
    assert case(made) == (name, wanted.get("familiarity") != "fake")
    old = {"overwrite": hops, "new subject": hops - 1, "overwrite both": 1, "new facts": 0}[name]
    grid = np.arange(1, 1000) / 1000
    least = float(min(grid[grid**old + grid > 1], default=1.0)) if old else 0.001
    for c in (least, min(least + 0.05, 1.0), least - 0.001):
        wins = (ideal(made, c).argmax(axis=1) == made.answers([True] * hops)).all()
        assert c == 0 or wins == (c >= least)


def test_questions_of_two_cases_have_no_case():
    here, rng = some(0)
    one = edit(here, 3, rng=rng)
    maps = one.after.maps.copy()
    maps[0, 0, one.routes[0, 0]] = -1
    before = World(np.where(maps < 0, -1, here.maps), here.entities, here.canaries)
    with pytest.raises(ImpossibleError, match="questions of the cases new subject, overwrite"):
        case(Edit(before, one.after, one.questions, one.taught))


@pytest.mark.parametrize(
    ("sizes", "facts", "wanted", "message"),
    [
        ({}, 0, {}, "facts is 0"),
        ({}, 1, {"bridges": "permuted"}, "facts is 1; ask for a number of at least 2"),
        ({"hops": 4}, 7, {"bridges": "permuted"}, "facts is 7; ask for a number of at least 8"),
        ({}, 3, {"familiarity": "half", "bridges": "permuted"}, "half subjects have no old bridge"),
        ({}, 3, {"familiarity": "new"}, "familiarity is 'new'; choose one of fake, half, real"),
        ({}, 3, {"bridges": "burnt"}, "bridges is 'burnt'"),
        ({}, 3, {"also": "all"}, "also is 'all'"),
        ({"hops": 3}, 3, {"also": "old"}, "the hops of a world to be edited is 3"),
        ({"hops": 1}, 3, {}, "the hops of a world to be edited is 1"),
        ({}, 41, {}, "level 0 has 40 free known entities for 41 facts"),
        ({}, 13, {"familiarity": "fake"}, "level 0 has 12 free spare entities for 13 facts"),
    ],
)
def test_what_cannot_be_edited_is_refused(sizes, facts, wanted, message):
    here, rng = some(0, **sizes)
    with pytest.raises(ImpossibleError, match=message):
        edit(here, facts, rng=rng, **wanted)
    with pytest.raises(ImpossibleError, match="count is 0"):
        pairs(world(0), 0, 3, rng=rng)
