"""Tables come back as they were written, means have their intervals, replays know what differs."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.experiments import TableError, csv_text, table
from loratheory.experiments.engine import Replay, blocks, bootstrap_mean, replayed, unpacked
from loratheory.experiments.engine._table import GRAIN, over_bases, packed


def written(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_numbers_keep_nine_decimals_and_columns_are_numbers_or_words(tmp_path):
    text = csv_text([{"x": 1 / 3, "y": -1e-17}, {"x": 12, "y": 0.5}])
    assert text == "x,y\n0.333333333,0\n12,0.5\n"
    rows = table(written(tmp_path, "a,b,rule\n1,-2.5,mean\n3e2,0,sum of 2\n"))
    assert rows.to_dict("records") == [
        {"a": 1.0, "b": -2.5, "rule": "mean"},
        {"a": 300.0, "b": 0.0, "rule": "sum of 2"},
    ]


words = st.text(st.characters(codec="ascii", categories=("L", "P")), min_size=1).filter(
    lambda text: text.lower().strip("+-") not in ("nan", "inf", "infinity")
)
numbers = st.integers(-(10**6), 10**6) | st.floats(-1e5, 1e5)


@given(st.lists(st.tuples(words, numbers), min_size=1, max_size=5))
def test_what_goes_in_comes_back(tmp_path_factory, cells):
    rows = [{"rule": word, "value": number} for word, number in cells]
    back = table(written(tmp_path_factory.mktemp("t"), csv_text(rows)))
    assert list(back) == ["rule", "value"]
    assert back["rule"].tolist() == [word for word, _ in cells]
    assert back["value"].tolist() == pytest.approx([n for _, n in cells], abs=1e-9)


UNWRITABLE = [
    ([], "at least one row"),
    ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "row 2 has columns b, a; row 1 has a, b"),
    *(
        ([{"a": cell} for cell in cells], "column a: all cells must be numbers")
        for cells in ((1, "x"), ("x", "2"), ("nan",), ("x", ""))
    ),
]
UNREADABLE = {
    "": "holds 0 lines",
    "a,b\n": "holds 1 lines",
    "a,b\n1,2\n3\n": "line 3: 1 cells under 2 columns",
    "a,b\n1,2,3\n": "line 2: 3 cells under 2 columns",
    "a,b\n1,2\n1,x\n": "line 3, column b: 'x' is not a number",
    "a,b\n1,x\n1,2\n": "line 2, column b: 'x' is not a number",
    "a,b\n1,\n": "line 2, column b: '' is empty",
    "a,b\n1,x\n1,\n": "line 3, column b: '' is empty",
}


@pytest.mark.parametrize(("rows", "message"), UNWRITABLE)
def test_rows_that_would_not_come_back_are_refused(rows, message):
    with pytest.raises(TableError, match=message):
        csv_text(rows)


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_bad_table_is_refused_by_place(tmp_path, text):
    with pytest.raises(TableError, match=UNREADABLE[text]):
        table(written(tmp_path, text))
    with pytest.raises(TableError, match=r"there is no table .*nope.csv: name one"):
        table(tmp_path / "nope.csv")


def test_large_tables_pack_into_the_same_bytes_and_come_back(tmp_path, monkeypatch):
    text = csv_text([{"row": f"row {n}", "third": n / 3} for n in range(5000)])
    name, data = packed(text)
    assert (name, len(data) < len(text) / 2) == ("table.csv.gz", True)
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert packed(text) == (name, data)
    assert packed("third\n0.3\n") == ("table.csv", b"third\n0.3\n")
    (tmp_path / name).write_bytes(data)
    assert unpacked(tmp_path / "table.csv") == unpacked(tmp_path / name) == text.encode()
    assert table(tmp_path / "table.csv").equals(table(tmp_path / name))
    assert unpacked(tmp_path / "other.csv") is None


# intervals by a second route: all redrawn samples one by one


def test_redrawn_means_are_those_of_all_samples_one_by_one():
    """Three bases, two sets: 27 times 4 samples, each as likely as the other."""
    values = np.array([[0.0, 1.0], [0.3, 0.6], [0.9, 0.2]])
    means = [
        np.mean([values[b, s] for b, s in product(bases, sets)])
        for bases in product(range(3), repeat=3)
        for sets in product(range(2), repeat=2)
    ]
    mean, low, high = bootstrap_mean(values, confidence=0.8, draws=40_000)
    assert mean == pytest.approx(np.mean(values))
    for end, level in ((low, 0.1), (high, 0.9)):
        assert np.mean(np.array(means) < end - 1e-9) <= level + 0.01
        assert np.mean(np.array(means) <= end + 1e-9) >= level - 0.01


def test_the_interval_of_one_seed_is_always_the_same_and_serves_all_cells():
    values = np.random.default_rng(0).random((8, 4, 3, 2))
    mean, low, high = bootstrap_mean(values)
    assert mean.shape == low.shape == high.shape == (3, 2)
    assert np.all((low < mean) & (mean < high))
    again = bootstrap_mean(values, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip((mean, low, high), again, strict=True))
    assert not np.array_equal(bootstrap_mean(values, seed=1)[1], low)
    one = bootstrap_mean(values[:, :, 1, 1])
    assert [float(x) for x in one] == pytest.approx([x[1, 1] for x in (mean, low, high)])


def test_sentences_that_ask_are_redrawn_beside_the_bases():
    rng = np.random.default_rng(0)
    of_base, of_sentence = rng.normal(0, 0.1, 12), rng.normal(0, 0.3, 10)
    each = of_base[:, None] + of_sentence
    rows = pd.DataFrame(
        [
            {"seed": base, "sentence": k, "right": each[base, k]}
            for base in range(12)
            for k in range(10)
            for _ in range(2)  # two rules; a block is their mean
        ]
    ).sample(frac=1, random_state=0)
    assert blocks(rows, "right") == pytest.approx(each)
    mean, low, high = over_bases(rows, "right")
    _, one_way_low, one_way_high = over_bases(rows.drop(columns="sentence"), "right")
    assert mean == pytest.approx(each.mean())
    wanted = 2 * 1.96 * np.sqrt(of_base.var() / 12 + of_sentence.var() / 10)
    assert high - low == pytest.approx(wanted, rel=0.15)
    assert one_way_high - one_way_low < 0.5 * (high - low)
    with pytest.raises(TableError, match="not every sentence was asked on every base"):
        over_bases(rows[(rows["seed"] > 0) | (rows["sentence"] > 0)], "right")


# replays: the same settings meet, chance passes, and an error planted in a rule does not


@dataclass(frozen=True)
class Config:
    """What is measured, and how often."""

    coverage: float = 0.5
    seeds: tuple[int, ...] = (0, 1)
    sets: int = 2
    stages: tuple[int, ...] = (1,)


def cell(config, seed=0, shift=0.0, spread=0.05):
    """Two rules; what a base scores is its own, whatever the sets say."""
    rows = []
    for rule, level in (("mean", 0.1), ("gates", 0.9)):
        for base in config.seeds:
            own = np.random.default_rng([seed, base]).normal(level + shift, spread)
            rows += [
                {"rule": rule, "seed": base, "set": k, "two_hop": own + (-0.3) ** (k + 1)}
                for k in range(config.sets)
            ]
    return config, pd.DataFrame(rows)


STORED = [cell(Config(seeds=pair, stages=(1, 2))) for pair in ((0, 1), (2, 3), (4, 5), (6, 7))]


@pytest.mark.parametrize("seed", range(20))
def test_other_draws_of_the_same_bases_pass(seed):
    assert replayed([cell(Config(), seed=seed)], STORED) == Replay(2, 0, ())


@pytest.mark.parametrize("shift", [-0.4, 0.4])
def test_a_rule_that_does_something_else_is_named(shift):
    found = replayed([cell(Config(), shift=shift)], STORED)
    assert [line.split(" is ")[0] for line in found.outside] == ["gates: two_hop", "mean: two_hop"]
    assert all(", stored " in line and " ± " in line for line in found.outside)


def test_without_spread_a_twentieth_is_allowed_and_no_more():
    quiet = [cell(Config(seeds=pair), spread=0.0) for pair in ((0, 1), (2, 3))]
    for shift, count in ((0.9 * GRAIN, 0), (1.1 * GRAIN, 2)):
        assert len(replayed([cell(Config(), spread=0.0, shift=shift)], quiet).outside) == count


def test_only_what_can_be_compared_is():
    assert replayed([cell(Config(coverage=0.1), shift=5.0)], STORED) == Replay(0, 1, ())
    exact = [(Config(), pd.DataFrame([{"coefficient": 0.5, "two_hop": 0.25}]))]
    assert replayed(exact, exact) == Replay(0, 0, ())
    assert replayed([cell(Config())], [cell(Config(seeds=(0,)))]).means == 0  # one stored base


@dataclass(frozen=True)
class Alone:
    """A cell is one base, known by its seed."""

    seed: int = 0


def alone(seed, shift=0.0):
    """Two shares of one rule, named behind the seed; nothing comes before metrics but names."""
    own = np.random.default_rng(seed).normal(0, 0.02)
    rows = [
        {"seed": seed, "rule": "sum", "share": x, "stepwise": x + own + shift, "kept": 99 * seed}
        for x in (0.25, 0.5)
    ]
    return Alone(seed), pd.DataFrame(rows)


def test_cells_of_other_seeds_are_pooled_and_names_may_follow_the_seed():
    stored = [alone(seed) for seed in range(1, 5)]
    assert replayed([alone(0)], stored) == Replay(2, 0, ())
    off = replayed([alone(0, shift=0.3)], stored).outside
    assert [line.split(" is ")[0] for line in off] == ["sum, 0.25: stepwise", "sum, 0.5: stepwise"]
