"""_pairwise: every entry equals the measure of that pair; one module in memory at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import seeds

from loratheory.adapters import (
    Adapter,
    Lazy,
    crosstalk,
    crosstalk_bound,
    frobenius_cosine,
    interference,
    pairwise,
)
from loratheory.lowrank import LowRank, column_space, gaussian, largest_cosine, row_space, spectral

FIELDS = ["crosstalk", "bound", "row_cosine", "column_cosine", "frobenius_cosine"]


@settings(max_examples=20)
@given(seeds)
def test_every_entry_is_the_measure_of_its_pair(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 6, 7, int(r), 10.0 ** int(e)) for r, e in rng.integers(0, 4, (3, 2))]
    updates[0] = LowRank(np.hstack([updates[0].up] * 2), np.vstack([updates[0].down] * 2))
    table = interference(updates)
    for i, reader in enumerate(updates):
        for j, other in enumerate(updates):
            room = 1e-11 * (1 + spectral(other))
            for found, expected in [
                (table.crosstalk, crosstalk(reader, other)),
                (table.bound, crosstalk_bound(reader, other)),
                (table.row_cosine, largest_cosine(row_space(reader), row_space(other))),
                (table.column_cosine, largest_cosine(column_space(reader), column_space(other))),
                (table.frobenius_cosine, frobenius_cosine(reader, other)),
            ]:
                assert found[i, j] == pytest.approx(expected, rel=1e-9, abs=room)


def test_the_diagonal_is_the_adapter_with_itself_and_absence_is_zero():
    low = gaussian(np.random.default_rng(0), 5, 4, 2)
    table = interference([low, None, 0 * low])
    top = spectral(low)
    for field, expected in zip(FIELDS, [top, top, 1, 1, 1], strict=True):
        matrix = getattr(table, field)
        assert matrix[0, 0] == pytest.approx(expected)
        matrix[0, 0] = 0
        assert not matrix.any()


def test_modules_come_one_at_a_time_and_a_missing_one_counts_as_zero():
    rng = np.random.default_rng(1)
    loaded = []

    def make(name):
        loaded.append(name)
        return gaussian(rng, 5, 4, 2)

    lazy = Adapter(Lazy(("a", "b"), make), {"a": (5, 4), "b": (5, 4)})
    other = Adapter.of({"b": gaussian(rng, 5, 4, 1), "c": gaussian(rng, 6, 3, 1)})
    pairs = pairwise([lazy, other])
    name, table = next(pairs)
    assert name == "a"
    assert set(loaded) == {"a"}
    assert table.crosstalk[0, 0] > 0
    assert table.crosstalk[0, 1] == table.crosstalk[1, 0] == table.crosstalk[1, 1] == 0
    rest = dict(pairs)
    assert list(rest) == ["b", "c"]
    assert rest["b"].row_cosine[0, 1] > 0
    assert set(loaded) == {"a", "b"}


def test_torch_adapters_give_the_same_tables():
    rng = np.random.default_rng(2)
    updates = [gaussian(rng, 6, 7, 2) for _ in range(3)]
    there = interference([low.map(torch.asarray) for low in updates])
    for field in FIELDS:
        assert np.allclose(getattr(there, field), getattr(interference(updates), field))


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(3)
    first, second = gaussian(rng, 5, 4, 2), gaussian(rng, 4, 5, 2)
    with pytest.raises(ValueError, match="empty library"):
        interference([])
    with pytest.raises(ValueError, match="empty library"):
        next(pairwise([]))
    with pytest.raises(ValueError, match=r"shapes \[\(4, 5\), \(5, 4\)\] do not compare"):
        interference([first, second])
    with pytest.raises(ValueError, match=r"q has shapes \[\(4, 5\), \(5, 4\)\]: give"):
        next(pairwise([Adapter.of({"q": first}), Adapter.of({"q": second})]))
