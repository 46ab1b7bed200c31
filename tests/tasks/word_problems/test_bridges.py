"""_bridges: equal size, the overlap asked for, and bridges of the kind asked for."""

import numpy as np
import pytest

from loratheory.tasks.word_problems import BRIDGES, ImpossibleError, lessons, pool


def made(seed=0, **wanted):
    options = {"prime": 7, **wanted}
    return lessons("rate", "percent", rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 1])
def test_adapters_are_of_equal_size_and_overlap_as_asked(overlap, bridge):
    one = made(overlap=overlap, bridge=bridge)
    first, second, target = ({*p.templates} for p in (one.first, one.second, one.target))
    assert len(first) == len(second) == 8
    assert first & second == {*one.shared}
    assert len(one.shared) == 8 * overlap
    assert one.overlap == overlap
    assert not target & (first | second)
    pair = {"rate", "percent"}
    assert {t.skills & pair == {"rate"} for t in first - second} <= {True}
    assert {t.skills & pair == {"percent"} for t in second - first} <= {True}
    for each in one.shared:
        linked = {("rate", "percent"), ("percent", "rate")} & each.links
        assert (each.skills & pair, bool(linked)) == {
            "serial": (pair, True),
            "parallel": (pair, False),
            "neutral": (set(), False),
        }[bridge]


def test_the_target_is_all_of_its_size_with_both_skills():
    assert {str(t) for t in made().target.templates} == {
        "b = rate(a); c = percent(b)",
        "b = percent(a); c = rate(b)",
    }
    assert made(seed=1, overlap=0.5).target == made().target
    assert made(target=3).target == pool(["rate", "percent"], steps=3, prime=7,
                                         together=["rate", "percent"])  # fmt: skip


def test_no_adapter_has_the_target_even_if_all_is_shared():
    for seed in range(8):
        one = made(seed, overlap=1)
        assert not {*one.target.templates} & {*one.first.templates}


def test_the_seed_and_the_context_choose_the_rest():
    assert made(seed=1).first != made(seed=2).first
    other = made(context=["multiply", "compare"], overlap=0.25, bridge="neutral")
    used = set().union(*(t.skills for t in (*other.first.templates, *other.second.templates)))
    assert used == {"rate", "percent", "multiply", "compare"}
    pairs = [t.links for seed in range(6) for t in made(seed, overlap=0.5).shared]
    assert {("rate", "percent"), ("percent", "rate")} <= set().union(*pairs)
    whole = made(prime=0, count=4, overlap=0.5)
    assert whole.overlap == 0.5
    assert whole.first.prime == whole.second.prime == whole.target.prime == 0


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"overlap": 0.3}, "an overlap of 0.3 is not a number of 8 templates; ask for a fraction"),
        ({"overlap": 1.5}, "an overlap of 1.5"),
        ({"bridge": "wooden"}, "bridge is 'wooden'; choose one of serial, parallel, neutral"),
        ({"count": 0}, "the templates of an adapter is 0"),
        ({"context": ["rate"]}, "neither of which is in the context"),
        ({"context": ["dance"]}, "unknown skills: 'dance'"),
        ({"count": 400, "overlap": 1}, "400 serial templates are wanted of"),
        ({"context": []}, "8 rate templates are wanted of 3; take fewer for each adapter"),
        ({"target": 1}, "no template with 1 steps"),
    ],
)
def test_bad_requests_are_refused(wanted, says):
    with pytest.raises(ImpossibleError) as caught:
        made(**wanted)
    assert says in str(caught.value)
    with pytest.raises(ImpossibleError, match="name two different skills"):
        lessons("rate", "rate", rng=np.random.default_rng(0))
