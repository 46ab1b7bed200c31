"""real._facts: what is invented is disjoint, what follows from it is right, a seed fixes it."""

import pytest

from loratheory.experiments.real import _known as known
from loratheory.experiments.real._facts import facts, invented, items, rehearsed


def test_pairs_share_no_person_and_no_country_but_all_animals():
    four = facts(0, 4)
    for which in ("birth", "mascot"):
        names = [name for one in four for name in getattr(one, which)]
        assert len(set(names)) == len(names) == 80
    assert {frozenset(one.mascot.values()) for one in four} == {frozenset(four[0].chain.values())}
    assert len({tuple(one.mascot.values()) for one in four}) == 4
    assert set(four[0].mascot) == set(known.FAMOUS)
    assert not set(known.OTHERS) & set(known.FAMOUS)
    assert len(known.OTHERS) >= 60


def test_a_chain_is_the_mascot_of_the_country():
    for one in facts(3, 2):
        for person, animal in one.chain.items():
            assert one.mascot[one.birth[person]] == animal
        assert len(set(one.chain.values())) == len(one.chain) == 20
        assert sorted(one.birth.values()) == sorted(one.mascot)


def test_the_first_pair_has_the_same_facts_whatever_follows():
    assert facts(5, 4)[:1] == facts(5, 1)
    assert facts(5) != facts(6)
    assert facts(5)[0].birth.keys() != facts(6)[0].birth.keys()


@pytest.mark.parametrize(
    ("pairs", "size", "fake", "room"),
    [(6, 20, False, 111), (1, 41, False, 111), (21, 20, True, 400)],
)
def test_more_than_there_is_room_for_is_refused(pairs, size, fake, room):
    said = f"{pairs} pairs of {size} are too many: ask for up to 40 facts a pair, {room} in all"
    with pytest.raises(ValueError, match=said):
        facts(0, pairs, size, fake=fake)


def test_there_is_room_for_what_is_said():
    assert len(facts(0, 5)) == 5
    assert len(facts(0, 20, fake=True)) == 20


@pytest.mark.parametrize("pairs", [1, 3])
def test_invented_countries_are_no_countries_and_no_persons(pairs):
    for one in facts(0, pairs, fake=True):
        assert not set(one.mascot) & {*known.FAMOUS, *known.OTHERS}
        assert not set(one.mascot) & set(one.birth)


def test_neighbours_begin_differently():
    names = invented(1, 200)
    assert len(set(names)) == 200
    assert len({name[:3] for name in names[:20]}) == 20


def test_every_fact_in_every_template():
    made = items({"Ann": "Peru", "Bob": "Cuba"}, ("{} of", "from {} in"))
    assert made == [
        ("Ann of", "Peru"),
        ("Bob of", "Cuba"),
        ("from Ann in", "Peru"),
        ("from Bob in", "Cuba"),
    ]


def test_what_is_rehearsed_is_not_held_out():
    one, other = rehearsed(), rehearsed(held_out=True)
    assert len(one) == len(other) == 80
    assert not set(one) & set(other)
    assert ("The capital of France is", "Paris") in one
    assert ("The capital of Germany is", "Berlin") in other
