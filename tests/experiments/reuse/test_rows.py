"""Rows of marks: one a replica, columns in the order given."""

import numpy as np
import pytest
from reused import cache as cache
from reused import taught

from loratheory.experiments.reuse._rows import rows


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return taught()


def test_every_replica_has_a_row_with_its_own_numbers(shelf):
    marks = {"chains": np.arange(4.0), "hop_1": np.ones(4)}
    found = rows(shelf, {"rule": "sum"}, marks, claimed="works", predicted=np.arange(4) / 2, one=1)
    assert list(found[0]) == [
        "rule",
        "seed",
        "set",
        "chains",
        "hop_1",
        "claimed",
        "predicted",
        "one",
    ]
    assert [(row["seed"], row["set"]) for row in found] == [(101, 0), (101, 1), (102, 0), (102, 1)]
    assert [row["chains"] for row in found] == [0, 1, 2, 3]
    assert [row["predicted"] for row in found] == [0, 0.5, 1, 1.5]
    assert {(row["rule"], row["claimed"], row["one"]) for row in found} == {("sum", "works", 1)}
    assert all(isinstance(row["chains"], float) for row in found)
