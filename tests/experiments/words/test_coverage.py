"""_coverage: which base met what, in the shares that are told, and as many two-step problems."""

import numpy as np
import pytest

from loratheory.experiments.words._coverage import SEEN, WEIGHTS, coverage, lessons, sums, weights
from loratheory.experiments.words._problems import CODE, CONTEXT, PAIRS, SKILLS, drawn, single

ROWS = 2 * sum(WEIGHTS)  # so that the shares come out even


def signs(prompts):
    """The words and signs of each row, and of what it is to be told."""
    rows = (CODE.written(row).split() for row in prompts.tokens)
    targets = (CODE.written(row).split() for row in prompts.targets)
    return [
        ({w.partition("/")[0] for w in row}, told) for row, told in zip(rows, targets, strict=True)
    ]


def test_over_six_seeds_every_pair_has_every_weight():
    for pair in PAIRS:
        assert sorted(weights(seed)[pair] for seed in range(6)) == sorted(WEIGHTS)
    for seed in range(6):
        assert sorted(weights(seed).values()) == sorted(WEIGHTS)


def test_a_sum_is_sign_and_numbers_and_no_word():
    here = drawn(single(["divide"]), 30, np.random.default_rng(0))
    rows = sums(here)
    for k, (row, target) in enumerate(zip(rows.tokens, rows.targets, strict=True)):
        sign, x, n = CODE.written(row).split()
        assert (sign, int(x) * pow(int(n), -1, 7) % 7) == ("divide", here.answers[k])
        assert CODE.written(target) == str(here.answers[k])
        assert target.tolist()[:2] == [-1, -1]


@pytest.mark.parametrize("seen", SEEN)
def test_each_base_has_met_what_it_says(seen):
    sets = lessons(seen, 101, ROWS)
    assert len({one.tokens.shape[1] for one in sets}) == 1
    told = [signs(one) for one in sets]
    names = [any(word in "ABCDEFGHIJKL" for word in words) for rows in told for words, _ in rows]
    assert any(names) == (seen != "sums")
    known = set().union(*(words for rows in told for words, _ in rows))
    assert known >= {*CONTEXT, *SKILLS}
    problems = [words for rows in told for words, _ in rows if words & {"?", "?:"}]
    skills = set().union(*problems) & {*SKILLS}
    assert skills == (set() if seen in ("sums", "other words") else {*SKILLS})
    two = [[told for _, told in rows] for rows in told if len(rows[0][1]) == 10]
    assert len(two) == (4 if seen in ("other words", "other pairs", "pairs") else 0)
    assert len(sets) == {"sums": 1, "single steps": 3}.get(seen, 7)
    met = [(words[1], words[6]) for rows in two for words in rows]
    share = {pair: met.count(pair) / max(len(met), 1) for pair in PAIRS}
    assert share == pytest.approx(coverage(seen, 101), abs=1e-9)
    assert (max(share.values()) > 0.3) == (seen == "pairs")


def test_another_seed_draws_other_problems():
    one, two = (lessons("single steps", seed, 30)[0].tokens for seed in (101, 102))
    assert one.shape != two.shape or (one != two).any()
