"""Scores of what tells beforehand: by hand, by brute force, and from points made to order."""

import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loratheory import diagnosis
from loratheory.experiments.bench import retention as bench
from loratheory.bench.tasks import TASKS

KINDS = {f"{kind}{i}": kind for kind in "abcd" for i in range(3)}
NAMES = [*KINDS]


def table(lessons="plain"):
    """Twelve adapters; a partner takes what it leaks, and the merge's divergence says so."""
    rng = np.random.default_rng(0)
    leak = dict(zip(NAMES, rng.permutation(12) / 12 + 0.01, strict=True))
    norm = dict(zip(NAMES, rng.uniform(1, 9, 12), strict=True))
    columns = ["right", "kept", "kl_few", "kl", "agreement", "base", "leak", "norm", "rate"]
    told = ["own_kl", "partner_kl", "mixed_kl", "mixed", "heard", "ordinary"]
    told += ["crosstalk", "worst", "cosine", "overlap"]
    head = ["lessons", "stage", "way", "group", "coefficient", "adapter", "partners"]
    rows = []

    def _row(stage, way, group, adapter, partner, **some):
        values = (lessons, stage, way, group, 1.0, adapter, partner)
        rows.append({**dict(zip(head, values, strict=True)),
                     **dict.fromkeys([*columns, *told], np.nan), **some})  # fmt: skip

    for i, name in enumerate(NAMES):
        rate = 3e-3 if i % 2 else 1e-3
        _row("alone", "alone", i, name, "none",
             right=1.0, base=0.0, leak=leak[name], norm=norm[name], rate=rate)  # fmt: skip
    for one, other in permutations(NAMES, 2):
        _row(
            "beside", "none", 0, one, other, **dict(zip(told, rng.uniform(0.1, 1, 10), strict=True))
        )
        group = sorted((NAMES.index(one), NAMES.index(other)))
        gone = leak[other] ** 2
        _row("pairs", "sum", 100 * group[0] + group[1], one, other, right=1 - gone, kept=1 - gone,
             kl_few=gone, kl=2 * gone, agreement=rng.uniform())  # fmt: skip
        _row("generated", "sum", 0, one, other, kl=gone**2)
        _row("other coefficients", "0.7 each", 0, one, other, kept=1.0)
        _row("ways", "tsv", 0, one, other, kept=0.5)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def rows():
    both = pd.concat([table(), table("silence").assign(kept=0.0)])
    return bench.points(both, KINDS, "sum", "plain")


@pytest.fixture(scope="module")
def found(rows):
    return bench.scores(rows)


def test_points_are_ordered_pairs_with_what_is_known_of_both(rows):
    assert len(rows) == 12 * 11
    assert not rows.isna().any().any()
    one = rows[(rows["adapter"] == "a1") & (rows["partner"] == "c2")].iloc[0]
    alone = table()[lambda t: t["stage"] == "alone"].set_index("adapter")
    assert one["own_norm"] == alone.loc["a1", "norm"]
    assert one["partner_leak"] == alone.loc["c2", "leak"]
    assert (one["own_kind"], one["partner_kind"]) == ("a", "c")
    assert one["kept"] == pytest.approx(1 - one["partner_leak"] ** 2)
    assert (rows["lost"] == (rows["kept"] < 0.9)).all()


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_right_pairs(seed):
    rng = np.random.default_rng(seed)
    values, lost = rng.integers(0, 6, 30).astype(float), rng.integers(0, 2, 30) > 0
    weights = rng.integers(0, 4, 30).astype(float)
    pairs = [
        (weights[i] * weights[j], (values[i] > values[j]) + (values[i] == values[j]) / 2)
        for i, j in product(np.flatnonzero(lost), np.flatnonzero(~lost))
    ]
    brute = sum(w * right for w, right in pairs) / sum(w for w, _ in pairs)
    assert bench.auc(values, lost, weights) == pytest.approx(brute)
    repeated = np.repeat(np.arange(30), weights.astype(int))
    assert bench.auc(values[repeated], lost[repeated]) == pytest.approx(brute)


def test_auc_by_hand():
    lost = np.array([True, False, True, False])
    assert bench.auc(np.array([4.0, 1, 3, 2]), lost) == 1
    assert bench.auc(np.array([1.0, 4, 2, 3]), lost) == 0
    assert bench.auc(np.array([3.0, 1, 2, 2]), lost) == (1 + 1 + 1 + 0.5) / 4
    assert bench.auc(np.zeros(4), lost) == 0.5
    assert np.isnan(bench.auc(np.zeros(4), lost | True))


def test_a_measure_that_was_not_made_has_no_score():
    rows = table()
    others = bench.points(rows[rows["stage"] != "generated"], KINDS, "sum", "plain")
    assert others["kl_generated"].isna().all()
    assert {*bench.MEASURES} - {*bench.scores(others).index} == {"kl_generated"}


def test_what_decides_is_found_and_what_is_noise_is_not(found):
    for name in ("kl_few", "kl", "kl_generated", "leak"):
        for column in ("rho", "auc", "low", "high", "least", "strata", "names"):
            assert found.loc[name, column] == pytest.approx(1), (name, column)
    for name in ("crosstalk", "cosine", "heard"):
        for column, start in (("auc", ""), ("strata", "strata_")):
            low, value, high = found.loc[name, [f"{start}low", column, f"{start}high"]]
            assert 0.3 < value < 0.7
            assert low < value < high
    assert found.loc["constant", ["rho", "auc", "names"]].tolist() == [0, 0.5, 0.5]
    assert found.loc["kl_few", "error"] < found.loc["constant", "error"] / 2
    assert found.loc["kl_few", "wide"] < found.loc["constant", "wide"] / 2


def test_intervals_hold_what_they_promise(found):
    assert (found["covers"] > 0.8).all()
    assert ((found["wide"] >= 0) & (found["wide"] <= 1)).all()


def test_strata_compare_only_adapters_of_equal_rates():
    """The losers of each pair of rates have the larger values there, and the smaller in all."""
    rates = np.repeat([[1.0, 1.0], [1.0, 2.0]], 4, axis=0)
    rows = pd.DataFrame(rates, columns=["own_rate", "partner_rate"])
    values = np.array([4.0, 3, 2, 1, 14, 13, 12, 11])
    lost = np.array([1, 1, 1, 0, 1, 0, 0, 0]) > 0
    assert [bench.auc(values[s], lost[s]) for s in bench._strata(rows)] == [1, 1]
    assert bench.auc(values, lost) < 0.5


def test_measures_by_hand(rows):
    np.testing.assert_allclose(
        bench.MEASURES["norms"](rows), np.log(rows["partner_norm"] / rows["own_norm"])
    )
    assert (bench.MEASURES["cosine"](rows.assign(cosine=-0.5)) == 0.5).all()


def test_nothing_is_learnt_from_the_kind_that_is_asked(rows):
    """Its points may say anything: what is foretold of it stays."""
    other = rows["own_kind"] == "a"
    lie = rows.assign(kept=rows["kept"].where(~(other | (rows["partner_kind"] == "a")), 0.0))
    names = ("partner_leak", "partner_norm")
    told, lied = (bench._fitted(x, names)[other] for x in (rows, lie))
    np.testing.assert_allclose(told, lied)
    assert bench.auc(told, rows["lost"].to_numpy()[other]) > 0.9
    honest = bench._foretold(rows, rows["kl"].to_numpy())
    assert honest["error"] < 0.1


def test_a_lookup_knows_no_pair_of_either_adapter(rows):
    alone = rows[rows["own_kind"].isin(["a", "b"]) & rows["partner_kind"].isin(["a", "b"])]
    found = dict(
        zip(zip(alone["adapter"], alone["partner"], strict=True), bench._lookup(alone), strict=True)
    )
    same = alone[alone["adapter"].isin(["a1", "a2"]) & alone["partner"].isin(["b0", "b1"])]
    assert found["a0", "b2"] == pytest.approx(1 - same["kept"].mean())


def test_a_record_counts_pairs_in_which_neither_loses():
    rows = table()
    others = rows[rows["stage"] == "pairs"].assign(way="mean")
    others["kept"] = 1 - others["kl_few"] / 4
    found = bench.record(pd.concat([rows, others]), KINDS)
    leak = rows[rows["stage"] == "alone"]["leak"]
    kept = sum(leak**2 <= 0.1)
    assert found["sum"]["pairs"] == found["mean"]["pairs"] == 66
    assert found["sum"]["kept"] == kept * (kept - 1) / 2
    kept = sum(leak**2 <= 0.4)
    assert found["mean"]["kept"] == kept * (kept - 1) / 2
    assert found["mean"]["kl"] == found["sum"]["kl"] == [1, 1, 1]
    every = bench.points(rows, KINDS, "sum", "plain")
    assert sum(count for _, count, *_ in found["sum"]["beside"]) == len(every)
    low = 0.0
    for high, count, kept, lost in found["sum"]["beside"]:
        such = every[every["partner_leak"].between(low, high, inclusive="right")]
        assert (count, kept) == (len(such), round(such["kept"].mean(), 2))
        assert lost == round((such["kept"] < 0.9).mean(), 2)
        low = high
    low, high = found["sum"]["crosstalk"][1:]
    assert low < found["sum"]["crosstalk"][0] < high


def group(number, **kept):
    """Rows of a pair under a merge and gates, of which the merge has the smaller divergence."""
    both = ("mean", kept["merge"], 0.1), ("prompt gates", kept["gates"], 0.2)
    return [
        {"group": number, "way": way, "kept": share, "kl": kl}
        for way, shares, kl in both
        for share in shares
    ]


def test_advice_at_other_thresholds_is_judged_on_prompts_that_did_not_decide():
    rows = [*group(0, merge=(1, 1), gates=(1, 1)), *group(1, merge=(1, 0), gates=(1, 1))]
    found = bench.advised(pd.DataFrame(rows), (0.0, 0.5, 1.0), draws=3)
    assert found["merged"].tolist() == [1, 0.5, 0.5]
    assert found["kept"].tolist() == [0.5, 1, 1]
    assert found["cost"].tolist() == [1, 1.5, 1.5]
    assert found["kept_merged"].tolist() == [0.5, 1, 1]
    assert found["held"].tolist() == [1, 1, 1]


def test_a_merge_that_is_advised_by_few_prompts_need_not_keep_as_much():
    """Of 36 prompts 33 are kept: all of four that decide are so in .69 of the draws."""
    rows = pd.DataFrame(group(0, merge=(33 / 36, 1), gates=(1, 1)))
    found = bench.advised(rows, (1.0,), asked=4, draws=2000).loc[1.0]
    assert found["merged"] == pytest.approx(33 * 32 * 31 * 30 / (36 * 35 * 34 * 33), abs=0.04)
    assert (found["kept_merged"], found["held"]) == (pytest.approx(29 / 32), 0)


def test_the_diagnosis_tells_what_the_table_of_the_library_holds():
    from found import stored

    file = Path(diagnosis.__file__).with_name("library.json")
    kinds = {name: task.kind for name, task in TASKS.items()}
    assert file.read_text() == bench.written(pd.DataFrame(stored("real_library")), kinds)
    text, found = diagnosis.library_record(), json.loads(file.read_text())
    mean, total = found["mean"], found["sum"]
    assert f"in {mean['kept']} of {mean['pairs']} pairs under the mean and {total['kept']}" in text
    for name in ("crosstalk", "overlap", "kl"):
        each = ["{:.0f} % ({:.0f} to {:.0f})".format(*np.multiply(100, way[name]))
                for way in (mean, total)]  # fmt: skip
        assert " and ".join(each) in text
