"""_keys: the same problem told otherwise has the same key, another has another."""

import numpy as np
from hypothesis import given, settings
from strategies import seeds

from loratheory.tasks.word_problems import (
    distracted,
    keys,
    pool,
    problems,
    renamed,
    reordered,
    reworded,
    templates,
)


@settings(max_examples=15)
@given(seeds)
def test_telling_it_otherwise_changes_no_key(seed):
    rng = np.random.default_rng(seed)
    made = pool(("add", "compare", "rate"), steps=(1, 2, 3), prime=7).drawn(20, rng=rng)
    for change in (renamed, reordered, reworded):
        assert keys(change(made, rng=rng)) == keys(made)
    assert keys(distracted(made, 2, rng=rng)) == keys(made)


def test_mirror_images_are_the_same_and_only_they():
    """a·x + b·y: the summands may change places, the numbers in them may not."""
    (template,) = [
        t for t in templates(["add", "multiply"], 3)
        if str(t) == "b = multiply(a); d = multiply(c); e = add(b, d)"
    ]  # fmt: skip
    made = problems([template], 400, rng=np.random.default_rng(0), prime=3)
    said = [
        tuple(sorted([(row[0][0], row[1][0]), (row[2][0], row[3][0])]))
        for row in made.numbers.tolist()
    ]
    pairs = set(zip(said, keys(made), strict=True))
    assert len(pairs) == len(set(said)) == len(set(keys(made)))
    assert len(pairs) == 21  # of six pairs (x, a): two, or one twice


def test_templates_keep_their_keys_apart():
    made = pool(["rate", "percent"], steps=1, prime=3).drawn(200, rng=np.random.default_rng(0))
    found = {}
    for key, template in zip(keys(made), made.templates, strict=True):
        assert found.setdefault(key, template) == template
    assert {code for code, _ in found} == {t.code for t in made.templates}


def test_no_problems_have_no_keys():
    made = pool(["rate"], steps=1, prime=3).drawn(2, rng=np.random.default_rng(0))
    assert keys(made[np.array([], dtype=np.int64)]) == []
