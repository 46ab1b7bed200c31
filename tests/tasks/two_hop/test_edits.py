"""_edits: where old and new facts lead, by walking them one by one."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import Edit, Questions, World, edit


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
