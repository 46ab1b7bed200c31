"""Answers question by question, held against those of whole sets; forecasts, by hand."""

import numpy as np
import pandas as pd
import pytest
from reused import TAUGHT, enlarged, small, taught

from loratheory.bench.answers import accuracies
from paper.studies._shared.coefficient import by_replica, switched
from loratheory.bench.library import acting, added
from paper.studies._shared.questions import Way, by_question, scored
from loratheory.bench.rules import coefficients, rule
from paper.studies._shared.theory import circuit, margins, pattern
from loratheory.bench.training import library, retrained
from loratheory.experiments.engine import lookup

C = 0.7
WAYS = (
    Way("sum", C, coefficients(C), theory=True),
    Way("sum, hop by hop", 1.0, rule("sum, hop by hop"), theory=True),
    Way("arrow", 1.0, rule("arrow")),
)


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught(pairs=1))


@pytest.fixture(scope="module")
def rows(adapted):
    return pd.DataFrame(by_question(adapted, {"stage": 3}, WAYS))


def column(rows, way, name):
    """By replica and question."""
    some = rows[(rows["rule"] == way.rule) & (rows["coefficient"] == way.coefficient)]
    return some[name].to_numpy().reshape(4, 2)


def test_a_row_is_a_question_of_a_replica(rows, adapted):
    assert len(rows) == len(WAYS) * 4 * 2
    assert list(rows.columns[:6]) == ["stage", "rule", "coefficient", "seed", "set", "question"]
    where = rows[rows["rule"] == "arrow"][["seed", "set", "question"]].to_numpy().tolist()
    assert where == [[*one, question] for one in adapted.replicas for question in (0, 1)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.rule)
def test_its_answers_make_the_accuracies(adapted, rows, way):
    found = accuracies(adapted, acting(adapted, way.act))
    for name in ("two_hop", "hop_1", "hop_2"):
        assert set(column(rows, way, name).ravel()) <= {0, 1}
        assert column(rows, way, name).mean(axis=1) == pytest.approx(found[name])
    for name in ("other_hops", "other_two_hop", "chance"):
        assert column(rows, way, name)[:, 1] == pytest.approx(found[name], abs=6e-4)
    held_out = np.repeat(circuit(adapted.bases), 2)
    assert column(rows, way, "held_out")[:, 0] == pytest.approx(held_out, abs=6e-4)


def test_forecasts_are_those_of_the_study_of_coefficients(adapted, rows):
    found = switched(adapted, [C])[C]
    for name in ("predicted", "curved"):
        assert (column(rows, WAYS[0], name) == found[name]).all()
    facts = np.hstack([column(rows, WAYS[0], f"survives_{hop}") for hop in (1, 2)])
    assert (facts == found["predicted_facts"]).all()
    turns = column(rows, WAYS[1], "predicted")
    assert (turns == margins(adapted).decided(1.0)).all()
    strengths = np.hstack([column(rows, WAYS[1], f"strength_{hop}") for hop in (1, 2)])
    assert strengths == pytest.approx(by_replica(margins(adapted).effective(1.0)), abs=6e-4)


def test_each_coefficient_has_forecasts_of_its_own():
    """Of adapters that have learnt their facts, and lose them below some coefficient."""
    learnt = taught(pairs=1, steps=150, rank=8)
    alone, kind = margins(learnt), pattern(learnt)
    grid = (0.3, 0.6, 1.0)
    ways = [Way("sum", c, coefficients(c), theory=True) for c in grid]
    found = pd.DataFrame(by_question(learnt, {}, ways))
    kept = []
    for c, way in zip(grid, ways, strict=True):
        facts = np.array([column(found, way, f"survives_{hop}") for hop in (1, 2)])
        assert (facts == alone.survives(c)).all()
        kept.append(facts.mean())
        at = margins(learnt, inside=True, placed=lambda x, _, c=c: added([x], [c]))
        assert column(found, way, "reach") == pytest.approx(at.reach(1.0, kind), abs=6e-4)
    assert kept[0] < kept[-1]
    assert len(np.unique(found["reach"])) > len(grid)


def test_where_there_is_no_theory_there_is_no_forecast(rows):
    names = ["survives_1", "survives_2", "predicted", "curved", "reach"]
    assert rows[rows["rule"] == "arrow"][names].isna().all(axis=None)
    turns = rows[rows["rule"] == "sum, hop by hop"]
    assert turns[["curved", "reach"]].isna().all(axis=None)
    assert turns[names[:3]].notna().all(axis=None)
    assert rows[rows["rule"] == "sum"][names].notna().all(axis=None)


def test_what_reaches_into_the_region_is_what_composes(adapted, rows):
    alone, kind = margins(adapted), pattern(adapted)
    for c in (0.3, 0.7, 1.2):
        assert ((alone.reach(c, kind) > 0) == alone.composes(c, kind)).all()
    inside = column(rows, WAYS[0], "reach") > 0
    assert (inside >= column(rows, WAYS[0], "curved")).all()


# by hand: two conditions, three bases, two questions each
TABLE = pd.DataFrame(
    {
        "seed": [0, 0, 1, 1, 2, 2] * 2,
        "where": ["a"] * 6 + ["b"] * 6,
        "right": [0, 1, 1, 1, 0, 0, *[1] * 6],
        "sure": [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, *[1.0] * 6],
        "rank": [3, 5, 4, 9, 1, 4, *[0] * 6],
    }
)


def test_the_lookup_table_never_sees_the_base_itself():
    found = lookup(TABLE, "right", ["where"])
    assert found.tolist() == [0.5, 0.5, 0.25, 0.25, 0.75, 0.75] + [1.0] * 6
    apart = lookup(TABLE, "right", ["where", "rank"])
    alone = [True, True, False, True, True, False]  # only rank 4 is on two bases
    assert np.isnan(apart[:6]).tolist() == alone


def test_forecasts_are_scored_beside_the_lookup_table():
    found = scored(TABLE, "right", ["where"], ["sure", "rank"])
    assert list(found.index) == ["sure", "rank", "lookup"]
    off = np.square([0.5, 0.75, 0.75]).mean() / 2  # of each base, half in condition b
    assert found.loc["lookup", "brier"] == pytest.approx(off)
    assert found.loc["lookup", ["gain", "auc"]].tolist() == [0, 0.5]
    assert found.loc["sure", ["brier", "auc"]].tolist() == [0, 1]
    assert found.loc["sure", "gain"] == pytest.approx(off)
    assert found.loc["sure", "gain_low"] == pytest.approx(0.125)
    assert found.loc["sure", "gain_high"] == pytest.approx(0.5 * 0.75**2)
    # of nine pairs in condition a the right one is ahead in 8, tied in 1
    assert found.loc["rank", "auc"] == pytest.approx(8.5 / 9)
    assert found.loc["rank", "auc_low"] < 8.5 / 9 <= found.loc["rank", "auc_high"] <= 1
    assert found.loc["rank", ["brier", "gain"]].isna().all()


def test_rows_without_a_forecast_are_left_out():
    more = pd.concat([TABLE, TABLE.assign(right=0, sure=np.nan)])
    pd.testing.assert_frame_equal(
        scored(more, "right", ["where"], ["sure"]), scored(TABLE, "right", ["where"], ["sure"])
    )


def test_adapters_may_be_trained_in_several_layers_at_once():
    """Both layers at once are not each by itself; what is not trained is zero."""
    whole = library(small((101,), depth=3), TAUGHT)
    first, second = retrained(whole, (((0, 1),), (2, (0,)))).pairs[0]
    moved = [{n for n, up in one.up.items() if up.abs().max() > 0} for one in (first, second)]
    assert {name.split(".")[1] for name in moved[0]} == {"0", "1"}
    assert {name.split(".")[1] for name in moved[1]} == {"0", "2"}
    alone = retrained(whole, ((0, 1), (0, 2))).pairs[0]
    assert not alone[0].up["layers.0.mlp.in"].equal(first.up["layers.0.mlp.in"])
